"""Why a deployment does not work: evidence first, causes after.

`collect` asks a cluster and keeps a bundle: one JSON document, bounded, without secrets.
`diagnose` is pure: the same bundle always gives the same causes, here or on another machine.
"""
