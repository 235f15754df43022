"""The interface and the provider of examples/greeter, word for word.

They are here as well because an installed wheel has no examples, and the demo's providers
run this very code; a test holds the two copies together.
"""
