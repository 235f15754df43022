"""`kubbo rbac`: the permissions that a consumer of some targets needs, for `kubectl apply`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import click

from kubbo.cli.options import cluster_options, own_namespace
from kubbo.cli.output import write_line
from kubbo.errors import UsageError
from kubbo.naming.target import FailoverTarget, KubernetesTarget, parse_target

if TYPE_CHECKING:
    from kubbo.naming.target import DnsTarget, StaticTarget

_NAMESPACE: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_ACCOUNT: Final = re.compile(rf"{_NAMESPACE.pattern}(\.{_NAMESPACE.pattern})*")


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

    One pair for each namespace that providers are in, never a ClusterRole. Without a TARGET it
    is the consumer's own namespace, which is also that of a target that names none: that of
    --namespace, else of the credentials, else "default".
    """
    # Imported when the command runs, not with the command line.
    from kubbo.live.open import CONFIG_MAP_SCHEME, parse_config_map  # noqa: PLC0415
    from kubbo.naming.kubernetes.explain import (  # noqa: PLC0415
        config_role_name,
        config_role_yaml,
        role_binding_yaml,
        role_yaml,
    )

    parsed = [one for text in targets for one in _parts(text)]
    own = _checked(namespace or own_namespace(kubeconfig, context), _NAMESPACE, "namespace")
    account_namespace, colon, account = service_account.rpartition(":")
    _checked(account, _ACCOUNT, "service account")
    account_namespace = _checked(account_namespace, _NAMESPACE, "namespace") if colon else own
    namespaces = [one.namespace or own for one in parsed if isinstance(one, KubernetesTarget)] or (
        [] if parsed else [own]
    )
    for one in parsed:
        if not isinstance(one, KubernetesTarget):
            write_line(f"# {one} needs no permission in the cluster")
    documents = [
        document
        for each in dict.fromkeys(namespaces)
        for document in (
            role_yaml(each, diagnose=diagnose),
            role_binding_yaml(each, service_account=account, account_namespace=account_namespace),
        )
    ]
    if source is not None and not source.startswith(CONFIG_MAP_SCHEME.rstrip("/")):
        write_line(f"# {source} needs no permission in the cluster")
    elif source is not None:
        name, its_namespace = parse_config_map(source)
        _checked(its_namespace or own, _NAMESPACE, "namespace")
        documents += [
            config_role_yaml(its_namespace or own, name),
            role_binding_yaml(
                its_namespace or own,
                service_account=account,
                account_namespace=account_namespace,
                role=config_role_name(name),
            ),
        ]
    if documents:
        write_line("---\n".join(documents).removesuffix("\n"))


def _parts(text: str) -> tuple[KubernetesTarget | DnsTarget | StaticTarget, ...]:
    target = parse_target(text)
    return target.targets if isinstance(target, FailoverTarget) else (target,)


def _checked(name: str, form: re.Pattern[str], kind: str) -> str:
    if not form.fullmatch(name) or len(name) > 253:
        raise UsageError(
            f"{name!r} cannot be the name of a {kind}: write lower-case letters, digits and '-'"
        )
    return name
