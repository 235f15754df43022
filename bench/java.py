"""Python and Java, all four ways: calls a second and CPU a call of `greet`, over one connection.

The Java peer is the one of the interop tests, on both of its compilers and warmed up. Pairs take
turns within each round; the medians are compared. CPU is of consumer and provider together.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.interop.peer import JavaCaller, JavaProvider

from bench.rpc import IN_FLIGHT, about, child, cpu_of

RESULTS = Path(__file__).parent / "results" / "java.json"
PAIRS = ("java to java", "python to java", "java to python", "python to python")
# A JVM that warms up on its second compiler needs some thousand calls; so does each level of load.
WARM_UP = 20_000


def measure_java(
    caller: JavaCaller, address: str, pid: int, calls: int, n: int
) -> dict[str, float]:
    before = cpu_of(pid)
    found = asyncio.run(caller.bench(address, calls=calls, inflight=n, warmup=0))
    others = (cpu_of(pid) - before) / calls * 1e6
    return {
        "calls_per_second": found["calls_per_second"],
        "cpu_us": found["cpu_us_per_call"] + others,
        "p50_us": found["p50_ms"] * 1e3,
        "p99_us": found["p99_ms"] * 1e3,
    }


def measure_python(port: int, pid: int, seconds: float, n: int) -> dict[str, float]:
    line = child("load", "kubbo", port, n, seconds, pid)
    done = subprocess.run(line, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    found["cpu_us"] = found.pop("cpu_client_us") + found.pop("cpu_server_us")
    return found


def run(*, quick: bool = False) -> None:
    rounds, seconds, calls, warm = (1, 0.3, 1_000, 1_000) if quick else (5, 1.0, 8_000, WARM_UP)
    load_before = os.getloadavg()[0]
    os.environ["JAVA_TOOL_OPTIONS"] = "-XX:TieredStopAtLevel=4"
    found: dict[str, dict[int, list[dict[str, float]]]] = {
        pair: {n: [] for n in IN_FLIGHT} for pair in PAIRS
    }
    with ExitStack() as stack:
        java = stack.enter_context(JavaProvider())
        caller = stack.enter_context(JavaCaller())
        python = subprocess.Popen(child("serve", "kubbo"), stdout=subprocess.PIPE, text=True)
        stack.callback(python.wait)
        stack.callback(python.terminate)
        assert python.stdout is not None
        stack.callback(python.stdout.close)
        port = int(python.stdout.readline())
        java_pid, python_address = java.process.pid, f"127.0.0.1:{port}"
        print("warming up", file=sys.stderr)
        for address in (java.address, python_address):
            asyncio.run(caller.bench(address, calls=1, inflight=16, warmup=warm))
        measure_python(java.port, java_pid, 3 * seconds, 16)
        for number in range(rounds):
            for n in IN_FLIGHT:
                print(f"round {number + 1} of {rounds}, {n} in flight", file=sys.stderr)
                found["java to java"][n].append(
                    measure_java(caller, java.address, java_pid, calls, n)
                )
                found["python to java"][n].append(measure_python(java.port, java_pid, seconds, n))
                found["java to python"][n].append(
                    measure_java(caller, python_address, python.pid, calls, n)
                )
                found["python to python"][n].append(measure_python(port, python.pid, seconds, n))
    medians = {
        pair: {
            n: {key: statistics.median(each[key] for each in runs) for key in runs[0]}
            for n, runs in by_load.items()
        }
        for pair, by_load in found.items()
    }
    for n in IN_FLIGHT:
        print(f"\n{n} in flight        calls/s    p50 us    p99 us    CPU us/call (both)")
        for pair in PAIRS:
            each = medians[pair][n]
            print(
                f"  {pair:18}{each['calls_per_second']:9,.0f}{each['p50_us']:10.0f}"
                f"{each['p99_us']:10.0f}{each['cpu_us']:10.1f}"
            )
        ours, theirs = medians["python to python"][n], medians["java to java"][n]
        ratio = ours["calls_per_second"] / theirs["calls_per_second"]
        print(f"  python to python's calls/s: {ratio:.2f} x java to java")
    if not quick:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps({**about(load_before), "medians": medians}, indent=1) + "\n")
        print(f"\nwritten to bench/results/{RESULTS.name}")
