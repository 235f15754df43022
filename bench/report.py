"""Write the tables of docs/performance.md anew from bench/results: `python -m bench report`.

Each stands between a line `<!-- table: NAME -->` and the next `<!-- end -->`. A table whose
results are not there stays as it is.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.balancers import PATH
from bench.codec import PEERS
from bench.codec_values import DIRECTIONS, MESSAGES
from bench.rpc import IN_FLIGHT

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "performance.md"
FOUND = ("codec", "rpc", "java", "imports", "balancers")
Row = tuple[str, ...]


def table(head: Row, rows: Sequence[Row], align: str = "---:") -> str:
    ruler = ("---", *[align] * (len(head) - 1))
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ruler, *rows))


def circumstances(of: dict[str, Any]) -> str:
    before, after = of["load_average"]
    return (
        f"Python {of['python']}, {of['machine']}, codec: {of['codec']};"
        f" load average {before} before, {after} after."
    )


def amount(us: float) -> str:
    return f"{us:,.0f}" if us >= 100 else f"{us:.1f}" if us >= 10 else f"{us:.2f}"


def codec_table(of: dict[str, Any]) -> str:
    parts = [circumstances(of)]
    base = "native" if of["us"]["small"]["native"] else "pure"
    for direction in DIRECTIONS:
        rows: list[Row] = []
        for peer in PEERS:
            cells = []
            for message in MESSAGES:
                us = of["us"][message].get(peer, {}).get(direction)
                than = of["us"][message][base][direction]
                cells.append("" if us is None else f"{amount(us)} ({us / than:.2f})")
            rows.append((of["peers"].get(peer, peer), *cells))
        parts.append(table((f"{direction}, µs (times {base}'s)", *MESSAGES), rows))
    reasons: dict[tuple[str, str, str], list[str]] = {}
    for message, by_peer in of["left_out"].items():
        for peer, each in by_peer.items():
            for direction, reason in each.items():
                reasons.setdefault((peer, direction, reason), []).append(message)
    rows = [
        (peer, direction, ", ".join(messages), reason.replace("|", "\\|"))
        for (peer, direction, reason), messages in sorted(reasons.items())
    ]
    if rows:
        parts.append(table(("left out", "", "message", "why"), rows, "---"))
    return "\n\n".join(parts)


def cpu(each: dict[str, float]) -> float:
    """Microseconds a call, consumer and provider together."""
    return each.get("cpu_us") or each["cpu_client_us"] + each["cpu_server_us"]


def load_tables(of: dict[str, Any], against: str) -> str:
    """Calls a second, and how many times those of one of the rows."""
    parts = [circumstances(of)]
    for n in IN_FLIGHT:
        rows: list[Row] = []
        for name, by_load in of["medians"].items():
            each = by_load[str(n)]
            speed = each["calls_per_second"]
            ratio = speed / of["medians"][against][str(n)]["calls_per_second"]
            rows.append(
                (
                    name,
                    f"{speed:,.0f}",
                    f"{ratio:.2f}",
                    f"{each['p50_us']:,.0f}",
                    f"{each['p99_us']:,.0f}",
                    f"{cpu(each):.1f}",
                )
            )
        head = (
            *(f"{n} in flight", "calls/s", f"times {against}"),
            *("p50 µs", "p99 µs", "CPU µs a call, both sides"),
        )
        parts.append(table(head, rows))
    return "\n\n".join(parts)


def imports_table(of: dict[str, Any]) -> str:
    rows = [
        (name, f"{each['cpu_ms']:.0f}", f"{each['mib']:.1f}")
        for name, each in of["imports"].items()
    ]
    return f"{circumstances(of)}\n\n" + table(("import", "CPU ms", "MiB"), rows)


def balancers_table(of: dict[str, Any]) -> str:
    parts = [circumstances(of)]
    for kind in ("even", "weighted"):
        rows: list[Row] = []
        for name, each in of["balancers"].items():
            us, ms = each["pick_us"][kind], each["bind_ms"][kind]
            row = [name, *(f"{us[size]:.2f}" for size in us)]
            row += [f"{ms[size][0]:.1f}, {ms[size][1]:.1f}" for size in list(ms)[1:]]
            rows.append(tuple(row))
        sizes = [f"{int(size):,}" for size in next(iter(of["balancers"].values()))["pick_us"][kind]]
        head = (
            "equal weights" if kind == "even" else "weights of 50, 100 and 200",
            *(f"µs a pick, {size}" for size in sizes),
            *(f"ms to bind, again, {size}" for size in sizes[1:]),
        )
        parts.append(table(head, rows))
    path = [(what, amount(us)) for what, us in of["path_us"].items()]
    parts.append(table(("a call with 10,000 providers", "CPU µs"), path))
    return "\n\n".join(parts)


def aims_table(of: dict[str, dict[str, Any]]) -> str:
    rows: list[Row] = []

    def aim(what: str, wanted: str, value: float, *, reached: bool) -> None:
        rows.append((what, wanted, f"{value:.3f}", "reached" if reached else "**missed**"))

    if "rpc" in of:
        medians = of["rpc"]["medians"]

        def speed(name: str) -> float:
            found: float = medians[name]["64"]["calls_per_second"]
            return found

        for name, floor in (("kubbo", "floor"), ("kubbo+uvloop", "floor+uvloop")):
            ratio = speed(name) / speed("grpcio")
            aim(
                f"{name}, 64 in flight: calls/s, times grpcio asyncio",
                "≥ 10",
                ratio,
                reached=ratio >= 10,
            )
            ratio = speed(name) / speed(floor)
            aim(
                f"{name}, 64 in flight: calls/s, share of {floor}",
                "≥ 0.30",
                ratio,
                reached=ratio >= 0.3,
            )
            less = cpu(medians["grpcio"]["64"]) / cpu(medians[name]["64"])
            rows.append(
                (f"{name}, 64 in flight: grpcio's CPU a call, times its own", "", f"{less:.2f}", "")
            )
        ratio = speed("kubbo+pure") / speed("grpcio")
        aim(
            "kubbo+pure, 64 in flight: calls/s, times grpcio asyncio",
            "≥ 4",
            ratio,
            reached=ratio >= 4,
        )
        for name in ("kubbo", "kubbo+uvloop"):
            ratio = medians[name]["1"]["p50_us"] / medians["grpcio"]["1"]["p50_us"]
            aim(
                f"{name}, one in flight: p50, times grpcio asyncio",
                "≤ 0.35",
                ratio,
                reached=ratio <= 0.35,
            )
    if "java" in of:
        medians = of["java"]["medians"]
        ratio = (
            medians["python to python"]["64"]["calls_per_second"]
            / medians["java to java"]["64"]["calls_per_second"]
        )
        aim(
            "Python to Python, 64 in flight: calls/s, times Java to Java",
            "≥ 3",
            ratio,
            reached=ratio >= 3,
        )
    if "codec" in of:
        us = of["codec"]["us"]
        for ours, theirs, direction, least in (
            ("native", "msgpack", "encode", 1.5),
            ("native", "msgpack", "decode", 1.0),
            ("pure", "python-hessian", "decode", 5.0),
        ):
            for message in MESSAGES:
                mine, other = (us[message].get(name, {}).get(direction) for name in (ours, theirs))
                if mine and other:
                    ratio = other / mine
                    aim(
                        f"{ours}, {message}: {direction}, times {theirs}",
                        f"≥ {least:g}",
                        ratio,
                        reached=ratio >= least,
                    )
    if "balancers" in of:
        us = of["balancers"]["path_us"][PATH]
        aim(f"10,000 providers, {PATH}: CPU µs", "≤ 5", us, reached=us <= 5)
    if "imports" in of:
        for name, each in of["imports"]["imports"].items():
            ms, mib = each["cpu_ms"], each["mib"]
            aim(f"{name}: CPU ms", "≤ 60", ms, reached=ms <= 60)
            aim(f"{name}: MiB", "≤ 15", mib, reached=mib <= 15)
    return table(("aim", "wanted", "measured", ""), rows)


def run(*, quick: bool = False) -> None:
    del quick
    of: dict[str, dict[str, Any]] = {}
    for name in FOUND:
        path = ROOT / "bench" / "results" / f"{name}.json"
        if path.exists():
            of[name] = json.loads(path.read_text())
        else:
            print(f"no bench/results/{name}.json: that table stays as it is")
    tables = {"aims": aims_table(of)}
    if "codec" in of:
        tables["codec"] = codec_table(of["codec"])
    if "rpc" in of:
        tables["rpc"] = load_tables(of["rpc"], "grpcio")
    if "java" in of:
        tables["java"] = load_tables(of["java"], "java to java")
    if "balancers" in of:
        tables["balancers"] = balancers_table(of["balancers"])
    if "imports" in of:
        tables["imports"] = imports_table(of["imports"])
    page = PAGE.read_text()
    for name, text in tables.items():
        between = re.compile(rf"(<!-- table: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        found = between.search(page)
        assert found, f"{PAGE.name} has no place for the table {name}"
        page = f"{page[: found.start()]}{found[1]}{text}\n{found[2]}{page[found.end() :]}"
    PAGE.write_text(page)
    print(f"docs/{PAGE.name} has the tables of {', '.join(tables)}")
