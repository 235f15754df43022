"""`kubbo manifests`: what deploys a provider, or a consumer, for `kubectl apply`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from kubbo.cli.loading import check_program, load_object, read_interfaces
from kubbo.cli.options import Finite, cluster_options, own_namespace
from kubbo.cli.output import write_line
from kubbo.naming.target import FailoverTarget, KubernetesTarget, parse_target

if TYPE_CHECKING:
    from kubbo.manifests import Serving


@click.command(
    epilog="""\b
Examples:
  kubbo manifests greeter:Greeter --image registry.example/greeter:1.0 -n shop | kubectl apply -f -
  kubbo manifests shop.main:make_services --image shop:2 --consumes kubernetes:///stock.store
  kubbo manifests --consumer checkout --image checkout:1 --consumes kubernetes:///greeter.shop
"""
)
@click.argument("what", metavar="MODULE:OBJECT")
@click.option(
    "--image",
    required=True,
    metavar="REFERENCE",
    help="With `kubbo` or `python` in its PATH, and MODULE where it can be imported.",
)
@click.option(
    "--consumer",
    is_flag=True,
    help="A MODULE is given, which `python -m` runs: a program that serves nothing.",
)
@click.option(
    "--name",
    default="",
    metavar="NAME",
    help="Of all objects, and of the application; else as the service key or MODULE gives it.",
)
@click.option("--replicas", type=click.IntRange(0, 10_000), default=2, show_default=True)
@click.option(
    "--port",
    type=click.IntRange(1024, 65535),  # below, a process that is not root may not listen
    default=20880,
    show_default=True,
    help="That is served on.",
)
@click.option(
    "--admin-port",
    type=click.IntRange(0, 65535),
    default=20881,
    show_default=True,
    help="That probes ask over HTTP; 0 for none: they then see only whether --port is open.",
)
@click.option(
    "--service-account",
    default="",
    metavar="NAME",
    help="One that is there already; without it, one of its own is printed.",
)
@click.option(
    "--consumes",
    multiple=True,
    metavar="TARGET",
    help="That it calls itself: with the Role and the token to find it. May be repeated.",
)
@click.option(
    "--grace",
    type=Finite(min=0, max=3600),
    default=20.0,
    show_default=True,
    metavar="SECONDS",
    help="How long calls in flight may take when a pod ends.",
)
@click.option(
    "--cpu", default="100m", show_default=True, metavar="QUANTITY", help="That is requested."
)
@click.option(
    "--memory",
    default="256Mi",
    show_default=True,
    metavar="QUANTITY",
    help="That is requested, and the limit.",
)
@click.option(
    "-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True
)
@cluster_options
def manifests(
    *,
    what: str,
    image: str,
    consumer: bool,
    name: str,
    replicas: int,
    port: int,
    admin_port: int,
    service_account: str,
    consumes: tuple[str, ...],
    grace: float,
    cpu: str,
    memory: str,
    output: str,
    kubeconfig: str | None,
    context: str,
    namespace: str,
) -> None:
    """Print the Kubernetes objects that run OBJECT of MODULE as a provider.

    A Deployment, two Services, a NetworkPolicy, a PodDisruptionBudget, a service account, and
    with --consumes the Roles it needs; for a --consumer no Services and no NetworkPolicy. OBJECT
    is as for `kubbo serve`; a class is not instantiated, a function is called. Nothing is asked
    of a cluster: the namespace is --namespace, else that of the credentials, else "default".
    """
    # Imported when the command runs, not with the command line.
    from kubbo.manifests import Application, as_json, as_yaml, objects  # noqa: PLC0415

    targets = _kubernetes(consumes)
    serving = None
    if consumer:
        check_program(what)
        name = name or _name_of(what)
    else:
        name, serving = _read(what, name, port, admin_port)
    application = Application(
        what=what,
        image=image,
        name=name,
        namespace=namespace or own_namespace(kubeconfig, context),
        serving=serving,
        replicas=replicas,
        service_account=service_account,
        consumes=targets,
        grace=grace,
        cpu=cpu,
        memory=memory,
    )
    made = objects(application)
    write_line((as_json(made) if output == "json" else as_yaml(made)).removesuffix("\n"))


def _read(what: str, name: str, port: int, admin_port: int) -> tuple[str, Serving]:
    """What a provider serves; `name`, or what the rule calls the Service of its first key."""
    from kubbo.manifests import Serving, registration  # noqa: PLC0415
    from kubbo.naming.mapping import service_name  # noqa: PLC0415

    found = load_object(what)

    async def read() -> tuple[str, Serving]:
        interfaces = await read_interfaces(found, what)
        application = name or service_name(interfaces[0].key)
        return application, Serving(
            services=tuple(each.key for each in interfaces),
            registration=await registration(interfaces, application=application, port=port),
            port=port,
            admin_port=admin_port,
        )

    return asyncio.run(read())


def _name_of(module: str) -> str:
    """A name for what a module runs: its own, as Kubernetes takes it."""
    from kubbo.manifests.names import SERVICE, near_name  # noqa: PLC0415

    return near_name(module.rpartition(".")[2], SERVICE) or module


def _kubernetes(texts: tuple[str, ...]) -> tuple[KubernetesTarget, ...]:
    """The targets that the API server is asked for; DNS and addresses need nothing."""
    parsed = [parse_target(text) for text in texts]
    single = [
        one
        for each in parsed
        for one in (each.targets if isinstance(each, FailoverTarget) else (each,))
    ]
    return tuple(one for one in single if isinstance(one, KubernetesTarget))
