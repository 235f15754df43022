"""Endpoints of a Service, read straight from the API server.

    client.py       HTTP: one page, one watch stream, one object        (does the I/O)
    credentials.py  who we are and where the API server is               (does the I/O)
    reflector.py    lists and watches until the view is right            (pure)
    slices.py       the slices of one Service -> endpoints               (pure)
    explain.py      why there is no provider, in one paragraph           (pure)
    roles.py        what a consumer has to be allowed, to apply          (pure)
    services.py     Services by name and by annotation
    resolver.py     drives the reflector and publishes resolutions

Importing this package's modules loads the HTTP client, so `kubbo.naming.open` imports them
when the first target needs them.
"""
