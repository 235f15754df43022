"""What docs/naming.md says is what happens."""

from __future__ import annotations

import re
from pathlib import Path

from kubbo.model import ServiceKey
from kubbo.naming import Failover, NamingContext, parse_target, service_name
from kubbo.naming.kubernetes.roles import Subject, finding

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "naming.md").read_text(encoding="utf-8")


def test_the_table_of_the_rule() -> None:
    """Each row of the page's table is what the rule gives."""
    rows = re.findall(
        r"^\| `([^`/]*/?[\w.$]+(?::[\w.]+)?)` \| `([a-z0-9-]+)` \|$", PAGE, re.MULTILINE
    )
    assert len(rows) == 11
    for key, name in rows:
        assert service_name(ServiceKey.parse(key)) == name


def test_the_role() -> None:
    """The Role on the page is the one that is printed."""
    assert finding("shop", Subject("checkout", "web")).role in PAGE


def test_the_forms_of_targets() -> None:
    """Each form of the table reads, with names in the place of its words."""
    forms = re.findall(r"`((?:kubernetes|dns|static|dubbo|tri)://[^`]+)`", PAGE)
    assert len(forms) == 6
    for form in forms:
        hosts = iter(("a", "b"))
        text = re.sub("HOST", lambda _: next(hosts), form)  # noqa: B023 - used up at once
        text = text.replace("SERVICE", "greeter").replace("NAMESPACE", "shop")
        parse_target(text.replace("PORT", "20880"))


def test_the_defaults_of_failover() -> None:
    """The numbers on the page are those of the code, and its example runs."""
    page = (DOCS / "failover.md").read_text(encoding="utf-8")
    defaults = Failover()
    assert f"**grace** ({defaults.grace:g} s)" in page
    assert f"**patience** ({defaults.patience:g} s)" in page
    assert f"**hold** ({defaults.hold:g} s)" in page
    assert f"change and back in {defaults.grace + defaults.hold:g} s" in page
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    target = parse_target(blocks[0][1].strip())
    assert str(target) == blocks[0][1].strip()
    (example,) = [text for language, text in blocks if language == "python"]
    scope: dict[str, object] = {}
    exec(example, scope)
    naming = scope["naming"]
    assert isinstance(naming, NamingContext)
    assert naming.failover(target) == Failover(grace=10.0, patience=1.0, hold=30.0)
    assert str(naming.snapshot_directory) == "/var/lib/checkout/kubbo"
