"""Calls a second and CPU a call: one connection, small message, 1, 16 and 64 calls in flight.

Server and client are processes of their own; the peers take turns within each round, and the
medians of the rounds are compared, so that what disturbs the machine disturbs all of them.
`+uvloop` runs both sides on uvloop, `+pure` without the compiled codec. `floor` is raw asyncio on
one connection with joined writes: no codec, no calls. CPU is user and system time of both
processes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.peers import PEERS
from kubbo.wire import codec_name

IN_FLIGHT = (1, 16, 64)
VARIANTS = (
    *("kubbo", "kubbo+uvloop", "kubbo+pure"),
    *("grpcio", "grpclib", "grpclib+uvloop", "floor", "floor+uvloop"),
)
RESULTS = Path(__file__).parent / "results" / "rpc.json"
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_of(pid: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def run_loop(variant: str, coroutine: Any) -> None:
    if variant.endswith("+uvloop"):
        import uvloop

        uvloop.run(coroutine)
    else:
        asyncio.run(coroutine)


async def load(peer: str, port: int, in_flight: int, seconds: float, server_pid: int) -> None:
    """Call for `seconds` and print what it cost as a line of JSON."""
    async with PEERS[peer][1](port) as call:
        for _ in range(200):
            await call()
        latencies: list[float] = []
        clock = time.perf_counter
        end = clock() + seconds

        async def caller() -> None:
            while (begun := clock()) < end:
                await call()
                latencies.append(clock() - begun)

        own, others = time.process_time(), cpu_of(server_pid)
        started = clock()
        await asyncio.gather(*(caller() for _ in range(in_flight)))
        elapsed = clock() - started
        own, others = time.process_time() - own, cpu_of(server_pid) - others
    latencies.sort()
    count = len(latencies)
    print(
        json.dumps(
            {
                "calls_per_second": count / elapsed,
                "cpu_client_us": own / count * 1e6,
                "cpu_server_us": others / count * 1e6,
                "p50_us": latencies[count // 2] * 1e6,
                "p99_us": latencies[count * 99 // 100] * 1e6,
            }
        )
    )


def child(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "bench.rpc", *map(str, arguments)]


def environment(variant: str) -> dict[str, str]:
    return {**os.environ, "KUBBO_PURE": "1"} if variant.endswith("+pure") else dict(os.environ)


def about(load_before: float) -> dict[str, Any]:
    """What the results stand beside: the load averages of a minute, before and after."""
    return {
        "codec": codec_name(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "load_average": [round(load_before, 2), round(os.getloadavg()[0], 2)],
    }


def measure(rounds: int, seconds: float) -> dict[str, dict[int, list[dict[str, float]]]]:
    found: dict[str, dict[int, list[dict[str, float]]]] = {
        variant: {n: [] for n in IN_FLIGHT} for variant in VARIANTS
    }
    servers: dict[str, tuple[subprocess.Popen[str], int]] = {}
    try:
        for variant in VARIANTS:
            server = subprocess.Popen(
                child("serve", variant),
                stdout=subprocess.PIPE,
                text=True,
                env=environment(variant),
            )
            assert server.stdout is not None
            servers[variant] = server, int(server.stdout.readline())
        for number in range(rounds):
            for in_flight in IN_FLIGHT:
                print(f"round {number + 1} of {rounds}, {in_flight} in flight", file=sys.stderr)
                for variant, (server, port) in servers.items():
                    line = child("load", variant, port, in_flight, seconds, server.pid)
                    done = subprocess.run(
                        line, check=True, capture_output=True, text=True, env=environment(variant)
                    )
                    found[variant][in_flight].append(json.loads(done.stdout))
    finally:
        for server, _ in servers.values():
            server.terminate()
            server.wait(10)
            if server.stdout is not None:
                server.stdout.close()
    return found


def run(*, quick: bool = False) -> None:
    load_before = os.getloadavg()[0]
    found = measure(*((1, 0.3) if quick else (5, 1.0)))
    medians = {
        variant: {
            n: {key: statistics.median(each[key] for each in runs) for key in runs[0]}
            for n, runs in by_load.items()
        }
        for variant, by_load in found.items()
    }
    for in_flight in IN_FLIGHT:
        print(f"\n{in_flight} in flight        calls/s    p50 us    p99 us    CPU us/call (both)")
        for variant in VARIANTS:
            each = medians[variant][in_flight]
            cpu = each["cpu_client_us"] + each["cpu_server_us"]
            print(
                f"  {variant:16}{each['calls_per_second']:11,.0f}{each['p50_us']:10.0f}"
                f"{each['p99_us']:10.0f}{cpu:10.1f}"
            )
        speed = {variant: medians[variant][in_flight]["calls_per_second"] for variant in VARIANTS}
        ratios = ", ".join(
            f"{speed['kubbo'] / speed[peer]:.2f} x {peer}"
            for peer in ("grpcio", "grpclib", "floor")
        )
        print(f"  kubbo's calls/s: {ratios}")
    if not quick:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps({**about(load_before), "medians": medians}, indent=1) + "\n")
        print(f"\nwritten to bench/results/{RESULTS.name}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=("serve", "load"))
    parser.add_argument("variant")
    parser.add_argument("rest", nargs="*")
    given = parser.parse_args()
    peer = given.variant.partition("+")[0]
    if given.role == "serve":
        run_loop(given.variant, PEERS[peer][0]())
    else:
        port, in_flight, seconds, pid = given.rest
        run_loop(given.variant, load(peer, int(port), int(in_flight), float(seconds), int(pid)))


if __name__ == "__main__":
    main()
