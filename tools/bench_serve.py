"""Load a server with tile requests and write tools/results/serve_cpu.json.

    python -m tools.bench_serve [--seconds 60] [--clients 200] [--out FILE]

`inrcodec serve` runs in a process of its own with its usual bounds. So many clients, each with one connection that stays open, ask for
tiles of four pictures of 512x512 at random levels and places, one after the other, for so many seconds. A tile that was asked for before
is kept by the server: the row tells how many different ones there were. Networks are not fitted: time does not depend on the parameters'
values.

What is not answered at the end is not counted. Seconds of an answer are from the first byte sent to the last byte read. Memory is the
resident memory of the server's process.
"""

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tools.bench_common import RESULTS, Results
from tools.bench_query import SIDE, picture_bytes

OUT = RESULTS / "serve_cpu.json"
PICTURES, TILE, LEVELS = 4, 256, 6  # level 1 is the nominal size, level 5 16 times it


@dataclass
class Seen:
    """What clients saw: seconds of answers, statuses, errors, and what they asked for."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    targets: set[str] = field(default_factory=set)
    nbytes: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    results = Results(arguments.out)
    results.begin("load", options={"pictures": f"{PICTURES} of {SIDE}x{SIDE}", "tile": TILE, "levels": LEVELS})
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as (process, port):
        names = [str(ask(port, "POST", "/v1/objects", data, 201)["id"]) for data in pictures()]
        for name in names:  # which loads the engine and the files
            ask(port, "GET", f"/tiles/{name}/tilejson.json", None, 200)
            ask(port, "GET", f"/tiles/{name}/0/0/0.jpg", None, 200)
        begin = memory_mib(process.pid)
        seen, middle = asyncio.run(load(port, names, clients=arguments.clients, seconds=arguments.seconds, pid=process.pid))
        end = memory_mib(process.pid)
    row = summary(seen, arguments.seconds) | {"rss_mib": [begin, middle, end]}
    results.put("load", f"{arguments.clients} clients", {"seconds": arguments.seconds, **row})


def pictures() -> Iterator[bytes]:
    """Different files of equal cost."""
    from inrcodec.codec import open_inr
    from inrcodec.container import dump

    data = picture_bytes("photograph")
    for number in range(PICTURES):
        container = open_inr(data).container
        channels = [{**channel, "offset": 0.5 - number / 64} for channel in container.head["out"]["channels"]]
        yield dump(type(container)({**container.head, "out": {**container.head["out"], "channels": channels}}, container.data))


@contextlib.contextmanager
def server(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-m", "inrcodec", "serve", str(folder), "--port", "0", "--quiet"]
    environment = {name: value for name, value in os.environ.items() if name != "INRCODEC_TOKEN"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        found = re.search(r":(\d+)/", process.stdout.readline())
        assert found is not None
        try:
            yield process, int(found[1])
        finally:
            process.send_signal(signal.SIGTERM)


def ask(port: int, method: str, target: str, body: bytes | None, status: int) -> dict[str, object]:
    """The JSON of an answer that must have a status; {} of another."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request(method, target, body)
    reply = connection.getresponse()
    found = reply.read()
    connection.close()
    if reply.status != status:
        raise SystemExit(f"{method} {target}: {reply.status}: {found.decode(errors='replace')}")
    return dict(json.loads(found)) if "json" in (reply.getheader("content-type") or "") else {}


async def load(port: int, names: list[str], *, clients: int, seconds: float, pid: int) -> tuple[Seen, float]:
    """What was seen, and the server's memory in the middle."""
    seen, until = Seen(), time.monotonic() + seconds
    tasks = [asyncio.create_task(client(port, names, random.Random(number), until, seen)) for number in range(clients)]
    await asyncio.sleep(seconds / 2)
    middle = memory_mib(pid)
    _, late = await asyncio.wait(tasks, timeout=seconds / 2)
    for task in late:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return seen, middle


async def client(port: int, names: list[str], chance: random.Random, until: float, seen: Seen) -> None:
    """One connection, opened again where it is closed."""
    while time.monotonic() < until:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError as error:
            seen.errors[type(error).__name__] += 1
            await asyncio.sleep(0.1)
            continue
        try:
            while time.monotonic() < until:
                target = a_tile(names, chance)
                begin = time.perf_counter()
                writer.write(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
                status, nbytes = await answer(reader)
                seen.statuses[status] += 1
                if status == 200:
                    seen.seconds.append(time.perf_counter() - begin)
                    seen.targets.add(target)
                    seen.nbytes += nbytes
                elif status == 429:
                    await asyncio.sleep(1)
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            seen.errors[type(error).__name__] += 1
        finally:
            writer.close()


def a_tile(names: list[str], chance: random.Random) -> str:
    level = chance.randrange(LEVELS)
    x, y = chance.randrange(1 << level), chance.randrange(1 << level)
    return f"/tiles/{chance.choice(names)}/{level}/{x}/{y}.jpg"


async def answer(reader: asyncio.StreamReader) -> tuple[int, int]:
    """Status and bytes of the body."""
    head = await reader.readuntil(b"\r\n\r\n")
    found = re.search(rb"\r\ncontent-length: (\d+)\r\n", head, re.IGNORECASE)
    if found is None:
        raise ValueError("an answer without Content-Length")
    body = await reader.readexactly(int(found[1]))
    return int(head.split(b" ", 2)[1]), len(body)


def memory_mib(pid: int) -> float:
    """Resident memory of a process."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return round(int(found[1]) / 1024, 1) if found else 0.0


def summary(seen: Seen, seconds: float) -> dict[str, object]:
    times = sorted(seen.seconds) or [0.0]
    return {
        "answers": len(seen.seconds),
        "different": len(seen.targets),
        "per_second": round(len(seen.seconds) / seconds, 1),
        "median_ms": round(1000 * times[len(times) // 2], 1),
        "p99_ms": round(1000 * times[min(len(times) - 1, int(0.99 * len(times)))], 1),
        "mib": round(seen.nbytes / 2**20, 1),
        "statuses": {str(status): count for status, count in sorted(seen.statuses.items())},
        "errors": dict(seen.errors),
    }


if __name__ == "__main__":
    main()
