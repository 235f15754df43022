"""`kubbo doctor`: why something does not work, from a cluster or from a bundle of it."""

from __future__ import annotations

import asyncio
import difflib
from typing import TYPE_CHECKING, Any, Final

import click

from kubbo.cli.options import cluster_options, naming_context, output_option
from kubbo.cli.outcome import Exit, printable
from kubbo.cli.output import render_json, write_line
from kubbo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubbo.doctor.bundle import Bundle
    from kubbo.doctor.diagnose import Diagnosis
    from kubbo.naming.open import NamingContext

_EXITS: Final = {"healthy": Exit.ANSWERED, "broken": Exit.REFUSED, "unknown": Exit.NO_PROVIDER}
_SHOWN: Final = 10  # causes and notes as text; JSON has all


@click.command(
    epilog="""\b
Examples:
  kubbo doctor kubernetes:///greeter.shop:dubbo
  kubbo doctor greeter -n shop --save greeter.json
  kubbo doctor --bundle greeter.json -o json | jq .causes[0].remedy

\b
Exit codes: 0 healthy, 1 broken (the causes are printed), 2 a mistake in the command,
3 unknown: there is not enough evidence.
"""
)
@click.argument("subject", required=False, metavar="[TARGET|DEPLOYMENT]")
@click.option("--bundle", metavar="FILE", help="Ask nobody: look at what --save has written.")
@click.option("--save", "saved", metavar="FILE", help="Write the evidence, without secrets.")
@output_option("text", "json has the verdict, and the causes by rank.")
@cluster_options
@click.pass_context
def doctor(
    ctx: click.Context,
    subject: str | None,
    *,
    bundle: str | None,
    saved: str | None,
    output: str,
    kubeconfig: str | None,
    context: str,
    namespace: str,
) -> None:
    """Say why TARGET, a DEPLOYMENT or, without either, a namespace does not work.

    It reads events, states and logs of pods, Services, ports, quotas, policies and permissions,
    dials endpoints where they are reached, and writes nothing to the cluster.
    """
    from kubbo.doctor.bundle import load, save  # noqa: PLC0415 - when a command runs
    from kubbo.doctor.diagnose import diagnose  # noqa: PLC0415

    if bundle is not None and (subject or namespace or context or kubeconfig):
        raise UsageError("a bundle says itself what it is about: give --bundle alone")
    if bundle is not None:
        evidence = load(bundle)
    else:
        evidence = asyncio.run(
            _collect(subject, naming_context(kubeconfig, context, namespace), namespace)
        )
        _check_deployment(evidence)
    if saved is not None:
        save(evidence, saved)
    found = diagnose(evidence)
    write_line(render_json(_json(found)) if output == "json" else "\n".join(_text(evidence, found)))
    ctx.exit(_EXITS[found.verdict])


async def _collect(text: str | None, naming: NamingContext, namespace: str) -> Bundle:
    from kubbo.doctor.bundle import Subject  # noqa: PLC0415 - when a command runs
    from kubbo.doctor.collect import collect, collect_addresses  # noqa: PLC0415
    from kubbo.manifests.names import SUBDOMAIN, check_name  # noqa: PLC0415
    from kubbo.naming.target import (  # noqa: PLC0415
        FailoverTarget,
        KubernetesTarget,
        parse_target,
    )

    subject = Subject("namespace")
    if text is not None and ":" in text:
        target = parse_target(text)
        if isinstance(target, FailoverTarget):
            raise UsageError(f"{text!r} is several targets: ask about one of them")
        if not isinstance(target, KubernetesTarget):
            return await collect_addresses(target)
        namespace = target.namespace or namespace
        subject = Subject("service", str(target), "", target.service, target.port)
    elif text is not None:
        subject = Subject("deployment", text, "", check_name(text, SUBDOMAIN, "Deployment"))
    async with naming:
        client = await naming.cluster()
        own = namespace or client.access.namespace
        subject = Subject(subject.kind, subject.text or own, own, subject.name, subject.port)
        inside = "KUBERNETES_SERVICE_HOST" in naming.environ
        return await collect(client, subject, resolve=inside)


def _check_deployment(bundle: Bundle) -> None:
    """Refuse a name that no Deployment has, where that is known."""
    subject = bundle.subject
    names = [one.metadata.name for one in bundle.deployments]
    if (
        subject.kind != "deployment"
        or subject.name in names
        or any(one.what == "deployments" for one in bundle.unread)
    ):
        return
    near = difflib.get_close_matches(subject.name, names, 1)
    advice = f"; did you mean {near[0]!r}?" if near else ""
    if any(one.metadata.name == subject.name for one in bundle.services):
        advice = (
            "; there is a Service of that name: write "
            f"kubernetes:///{subject.name}.{subject.namespace}"
        )
    raise UsageError(
        f"there is no Deployment {subject.name!r} in namespace {subject.namespace!r}{advice}"
    )


def _json(found: Diagnosis) -> Any:
    return {
        "verdict": found.verdict,
        "causes": [
            {
                "id": one.id,
                "object": one.object,
                "summary": one.summary,
                "evidence": list(one.evidence),
                "remedy": one.remedy,
            }
            for one in found.causes
        ],
        "notes": list(found.notes),
    }


def _text(bundle: Bundle, found: Diagnosis) -> Iterator[str]:
    about = bundle.subject.text or bundle.subject.namespace
    yield printable(f"{about}: {found.verdict}")
    for number, cause in enumerate(found.causes[:_SHOWN], 1):
        more = f" (and {cause.count - 1} more)" if cause.count > 1 else ""
        yield ""
        yield printable(f"{number}. {cause.id}  {cause.object}{more}")
        yield printable(f"   {cause.summary}")
        for each in cause.evidence:
            yield printable(f"   - {each}")
        yield printable(f"   mend: {cause.remedy}")
    if len(found.causes) > _SHOWN:
        yield f"({len(found.causes) - _SHOWN} more causes: -o json)"
    for note in found.notes[:_SHOWN]:
        yield printable(f"note: {note}")
