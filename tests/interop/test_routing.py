"""Dubbo Java's own routers leave whom tests/vectors/routing says they leave."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tests.interop.peer import home
from tests.unit.cluster.routing_cases import CASES, PROVIDERS, shares_agree

ORACLE = Path(__file__).parent / "routing" / "RuleOracle.java"
NAMES = {f"{host}:{port}": name for name, (host, port, _) in PROVIDERS.items()}


async def test_java_leaves_the_providers_that_each_case_says(java_peer: None) -> None:
    """Rule by rule: where Kubbo differs from Java, the case says so, and nowhere else."""
    process = await asyncio.create_subprocess_exec(
        "java",
        "-XX:TieredStopAtLevel=1",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=off",
        "-cp",
        f"{home()}/lib/*",
        str(ORACLE),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    given = "\n".join(case.as_json() for case in CASES)
    out, err = await process.communicate(given.encode())
    answers = out.decode().splitlines()
    assert len(answers) == len(CASES), err.decode()[-4000:]
    wrong: list[str] = []
    for case, line in zip(CASES, answers, strict=True):
        answer = json.loads(line)
        found = {
            " ".join(NAMES[address] for address in addresses.split(",") if address): (
                count / case.times
            )
            for addresses, count in answer.get("left", {}).items()
        }
        if not shares_agree(found, case.java):
            wrong.append(f"{case.name}: {answer}, the case says {case.java}")
    assert not wrong, "\n".join(wrong)
