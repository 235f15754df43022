"""What DNS says of a host: providers without any permission in the cluster.

    view.py         when to ask, and what is believed                    (pure)
    resolv_conf.py  whom to ask, and under which names
    lookup.py       questions to name servers, by dnspython              (does the I/O)
    resolver.py     drives the view and publishes resolutions

Importing `lookup` loads dnspython, so `kubbo.naming.open` imports this package's modules when
the first DNS target needs them.
"""
