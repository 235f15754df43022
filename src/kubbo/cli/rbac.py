"""`kubbo rbac`: the permissions that a consumer of some targets needs, for `kubectl apply`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kubbo.cli.options import cluster_options, own_namespace
from kubbo.cli.output import write_line
from kubbo.errors import UsageError
from kubbo.naming.target import FailoverTarget, KubernetesTarget, parse_target

if TYPE_CHECKING:
    from kubbo.naming.target import DnsTarget, StaticTarget


@click.command(
    epilog="""\b
Examples:
  kubbo rbac kubernetes:///greeter.shop:dubbo -n web --service-account checkout | kubectl apply -f -
  kubbo rbac kubernetes:///greeter.shop kubernetes:///stock.store --service-account web:checkout
"""
)
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@click.option(
    "--service-account",
    default="default",
    show_default=True,
    metavar="[NAMESPACE:]NAME",
    help="Who is given the Roles: the consumer's; in its own namespace unless another is named.",
)
@click.option(
    "--diagnose",
    is_flag=True,
    help="Also let the consumer list pods, so that its errors say why none is ready.",
)
@click.option(
    "--config",
    "source",
    metavar="SOURCE",
    help="Also let it watch this configuration, configmap:///NAME.NAMESPACE. Files need nothing.",
)
@cluster_options
def rbac(
    targets: tuple[str, ...],
    *,
    service_account: str,
    diagnose: bool,
    source: str | None,
    kubeconfig: str | None,
    context: str,
    namespace: str,
) -> None:
    """Print the Role and RoleBinding that a consumer of each TARGET needs.

    One pair for each namespace that providers are in, never a ClusterRole; one more for each of
    --diagnose and --config. Their names have the purpose and the service account, so that one
    pair takes nothing away that another gave. Without a TARGET it is the consumer's own
    namespace, which is also that of a target that names none: that of --namespace, else of the
    credentials, else "default".
    """
    # Imported when the command runs, not with the command line.
    from kubbo.live.open import CONFIG_MAP_SCHEME, parse_config_map  # noqa: PLC0415
    from kubbo.manifests.names import LABEL, SUBDOMAIN, check_name  # noqa: PLC0415
    from kubbo.naming.kubernetes.roles import (  # noqa: PLC0415
        Subject,
        diagnosing,
        finding,
        watching_config_map,
    )

    parsed = [one for text in targets for one in _parts(text)]
    own = check_name(namespace or own_namespace(kubeconfig, context), LABEL, "namespace")
    account_namespace, colon, account = service_account.rpartition(":")
    check_name(account, SUBDOMAIN, "service account")
    subject = Subject(account, check_name(account_namespace, LABEL, "namespace") if colon else own)
    namespaces = [one.namespace or own for one in parsed if isinstance(one, KubernetesTarget)] or (
        [] if parsed else [own]
    )
    lines = [
        f"# {one} needs no permission in the cluster"
        for one in parsed
        if not isinstance(one, KubernetesTarget)
    ]
    grants = [
        make(each, subject)
        for each in dict.fromkeys(namespaces)
        for make in ((finding, diagnosing) if diagnose else (finding,))
    ]
    if source and source.startswith(CONFIG_MAP_SCHEME.rstrip("/")):
        name, its_namespace = parse_config_map(source)
        check_name(name, SUBDOMAIN, "ConfigMap")
        its_namespace = check_name(its_namespace or own, LABEL, "namespace")
        grants.append(watching_config_map(its_namespace, name, subject))
    elif source:  # an empty one is none
        lines.append(f"# the file {_file(source)} needs no permission in the cluster")
    if grants:
        lines.append(
            "# Named after purpose and account: this takes nothing away that was given before."
        )
        lines.append("---\n".join(map(str, grants)).removesuffix("\n"))
    write_line("\n".join(lines))


def _file(path: str) -> str:
    """A path as one line of a comment.

    Raises:
        UsageError: it is none.
    """
    if "://" in path or not path.isprintable():
        raise UsageError(
            f"{path!r} is no source of a configuration; write a path, or configmap:///NAME.NAMESPACE"
        )
    return path


def _parts(text: str) -> tuple[KubernetesTarget | DnsTarget | StaticTarget, ...]:
    target = parse_target(text)
    return target.targets if isinstance(target, FailoverTarget) else (target,)
