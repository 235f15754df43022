"""What `kubbo demo` shows: a consumer that loses no call while its providers come and go.

    greeter   the interface and the provider of examples/greeter
    pod       the process of one pod: that provider, at the pod's address
    node      starts, kills and ends such processes, and keeps their Pods in the API server true
    load      the consumer: calls at a steady rate, and counts what becomes of each
    story     the acts: scale, kill, roll

The API server and the endpointslice controller are those of `kubbo.sim`; between them and the
consumer is real HTTP, between the consumer and the providers real dubbo2, on loopback.
"""
