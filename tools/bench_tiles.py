"""Large pictures in tiles: cost and memory by megapixels, seams, what a region reads, a run that is killed; what many tiles and files cost.

    python -m tools.bench_tiles [--megapixels 1,2,4,8,14] [--side 360] [--effort 1] [--resume] [--out FILE]

Crops of DATA/large/albert_3250x4333.jpg around its middle, each by `inrcodec encode --tile` in two processes of one thread, which gives:

seconds, processor_seconds   of the command and of its workers
peak_mib                     of the resident memory of all of them together, sampled twice a second
psnr, bytes, tiles           as the command reports
seam                         mean absolute error within 4 samples of the border of a tile, over that of the rest
region_share                 the largest part of the file that is read, head and index included, to decode 256 x 256 samples, of 20 places
kept, done_again             tiles there when the command was killed (SIGKILL) once a third was done; those of them that were encoded twice

Sections of one row each: an index of 2^15 tiles in three dimensions, and a manifest of 10^5 lines: bytes of one, processor microseconds and
bytes of memory to read one.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inrcodec import spec
from inrcodec.batch.manifest import parse
from inrcodec.bench.machine import versions
from inrcodec.chunks import Whole
from inrcodec.container import load_ranges
from inrcodec.decoder import Inr
from inrcodec.tile_index import TileEntry, pack_index, unpack_index
from inrcodec.tiling import Split
from tools.bench_common import DATA, RESULTS, Results

SOURCE = DATA / "large" / "albert_3250x4333.jpg"
NEAR, REGION, PLACES = 4, 256, 20
KILLED = 14  # megapixels of the run that is killed
INDEXED, TENSORS, LINES = 1 << 12, 18, 100_000  # samples along a side; tensors of a tile; of a manifest


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--megapixels", default="1,2,4,8,14")
    parser.add_argument("--side", type=int, default=360)
    parser.add_argument("--effort", type=int, default=1)
    parser.add_argument("--resume", action="store_true", help="leave rows that are there")
    parser.add_argument("--out", type=Path, default=RESULTS / "tiles_cpu.json")
    options = parser.parse_args()
    results = Results(options.out, (), options.resume)
    about = {"source": SOURCE.name, "side": options.side, "effort": options.effort, "jobs": 2, "seed": 0}
    results.begin("tiles", **about, versions=versions(("inrcodec", "torch", "pillow")))
    for size in map(int, options.megapixels.split(",")):
        key = f"{size} MP"
        if results.wanted("tiles", key):
            with tempfile.TemporaryDirectory() as folder:
                results.put("tiles", key, measured(Path(folder), size, options.side, options.effort))
    results.begin("index", side=INDEXED, tile=128, tensors=TENSORS)
    if results.wanted("index", "3-D"):
        results.put("index", "3-D", index_cost())
    results.begin("manifest", lines=LINES)
    if results.wanted("manifest", "line"):
        results.put("manifest", "line", manifest_cost())
    return 0


def index_cost(side: int = INDEXED) -> dict[str, Any]:
    """Of a tile, in an index of a cube."""
    count = (side // 128) ** 3
    entry = TileEntry(tuple((spec.RANS, 200 + k) for k in range(TENSORS)), (0.3,), (0.1,))
    payload = pack_index(halved([(0, side)] * 3, iter(range(count))), [entry] * count)
    axes = [{"name": name, "n": side} for name in "zyx"]
    tensors = [[spec.LATTICE, 80], *[[spec.TILED, 0]] * TENSORS]
    head = {"axes": axes, "tiles": {"overlap": [8, 8, 8]}, "tens": tensors, "out": {"channels": [{}]}}
    found, cost = read_cost(lambda: unpack_index(payload, head), count)
    assert len(found.entries) == count
    return {"bytes": round(len(payload) / count, 1), **cost}


def halved(box: list[tuple[int, int]], numbers: Iterator[int]) -> Split | int:
    """A cube cut into cubes of 128."""
    sides = [b - a for a, b in box]
    if max(sides) <= 128:
        return next(numbers)
    axis = sides.index(max(sides))
    a, b = box[axis]
    parts = [halved([cut if k == axis else edge for k, edge in enumerate(box)], numbers) for cut in ((a, (a + b) // 2), ((a + b) // 2, b))]
    return Split(axis, (a + b) // 2, (parts[0], parts[1]))


def manifest_cost(lines: int = LINES) -> dict[str, Any]:
    """Of a line."""
    row = {"source": "/data/photos/0000/000000.png", "output": "0000/000000.inr", "task": "0" * 64, "options": "0" * 64, "sha256": "0" * 64}
    row |= {"bytes": 32768, "psnr": 37.384021, "seconds": 80.123, "worker": "node:12345", "attempts": 1}
    row |= {"error": None, "exit_code": 0, "message": None}
    content = b"".join(json.dumps(row | {"output": f"0000/{k:06}.inr"}).encode() + b"\n" for k in range(lines))
    _, cost = read_cost(lambda: {row["output"]: row for row in parse(content, "manifest")[0]}, lines)
    return {"bytes": round(len(content) / lines, 1), **cost}


def read_cost(read: Callable[[], Any], count: int) -> tuple[Any, dict[str, float]]:
    """What `read` gives, and the cost of one of its `count` parts: without, and with the tracing of memory."""
    begin = time.process_time()
    read()
    spent = time.process_time() - begin
    tracemalloc.start()
    found = read()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return found, {"read_us": round(1e6 * spent / count, 1), "held_bytes": round(held / count)}


def measured(folder: Path, megapixels: int, side: int, effort: int) -> dict[str, Any]:
    """The row of one crop."""
    with Image.open(SOURCE) as image:
        whole = np.asarray(image.convert("L"))
    h, w = whole.shape
    share = min(1.0, (megapixels * 1e6 / (h * w)) ** 0.5)
    rows, columns = round(h * share), round(w * share)
    samples = whole[(h - rows) // 2 :, (w - columns) // 2 :][:rows, :columns]
    Image.fromarray(samples).save(folder / "crop.png")
    output = folder / "crop.inr"
    command = [
        sys.executable,
        "-m",
        "inrcodec",
        "encode",
        str(folder / "crop.png"),
        "-o",
        str(output),
        "--tile",
        str(side),
        "-e",
        str(effort),
    ]
    command += ["--jobs", "2", "--device", "cpu", "--json", "--quiet"]
    killed = interrupted(command, Path(f"{output}.tiles")) if megapixels >= KILLED else {}
    kept = killed.pop("times", {})
    before, begin = used(), time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    peak, again = 0, 0
    while process.poll() is None:
        peak = max(peak, memory(process.pid))
        again = max(again, sum(path.stat().st_mtime_ns != kept[path.name] for path in tile_files(output) if path.name in kept))
        time.sleep(0.5)
    assert process.stdout is not None and process.returncode == 0
    told = json.loads(process.stdout.read())
    row = {
        "samples": samples.size,
        "seconds": round(time.monotonic() - begin + killed.get("seconds", 0.0), 1),
        "processor_seconds": round(used() - before + killed.get("processor_seconds", 0.0), 1),
        "peak_mib": round(peak / 2**20),
        **{name: told[name] for name in ("psnr", "ssim", "bytes", "bpp", "tiles")},
    }
    if killed:
        row |= {"kept": len(kept), "done_again": again}
    return row | looked_at(output, samples)


def interrupted(command: list[str], tiles: Path) -> dict[str, Any]:
    """Kill the command once it has a third of its tiles: when each of them was written, and what it took."""
    before, begin = used(), time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        plan = tiles / "plan.json"
        if plan.exists() and 3 * len(list(tiles.glob("0*.inr"))) >= len(json.loads(plan.read_text())["boxes"]):
            process.send_signal(signal.SIGKILL)
        time.sleep(0.2)
    assert process.returncode == -signal.SIGKILL
    time.sleep(2)  # its workers end by themselves
    times = {path.name: path.stat().st_mtime_ns for path in tiles.glob("0*.inr")}
    return {"times": times, "seconds": time.monotonic() - begin - 2, "processor_seconds": used() - before}


def tile_files(output: Path) -> list[Path]:
    return list(Path(f"{output}.tiles").glob("0*.inr"))


def used() -> float:
    """Processor seconds of processes that have ended, and of theirs."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def memory(pid: int) -> int:
    """Resident bytes of a process and all below it."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        below = [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
    except (OSError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(memory(child) for child in below)


@dataclass
class Counted:
    """Bytes, and how many were read."""

    whole: Whole
    taken: int = 0
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = self.whole.size

    def read(self, start: int, stop: int) -> bytes:
        found = self.whole.read(start, stop)
        self.taken += len(found)
        return found


def looked_at(path: Path, samples: NDArray[np.uint8]) -> dict[str, Any]:
    """Error at the seams, and bytes that a region takes."""
    data = path.read_bytes()
    inr = Inr(load_ranges(Whole(data)), len(data))
    assert inr.function.tiles is not None
    error = np.abs(inr.decode()[..., 0].astype(np.int16) - samples)
    near = np.zeros(samples.shape, dtype=bool)
    for box in inr.function.tiles.tiling.boxes:
        for axis, (n, edges) in enumerate(zip(samples.shape, box, strict=True)):
            for edge in {*edges} - {0, n}:
                band = [slice(a, b) for a, b in box]
                band[axis] = slice(edge - NEAR, edge + NEAR)
                near[tuple(band)] = True
    shares, drawn = [], np.random.default_rng(0)
    for _ in range(PLACES):
        ranges = Counted(Whole(data))
        top, left = (int(drawn.integers(0, n - REGION + 1)) for n in samples.shape)
        part = Inr(load_ranges(ranges), len(data)).decode(region=((top, top + REGION), (left, left + REGION)))
        assert part.shape == (REGION, REGION, 1)
        shares.append(ranges.taken / len(data))
    return {"seam": round(float(error[near].mean() / error[~near].mean()), 4), "region_share": round(max(shares), 4)}


if __name__ == "__main__":
    sys.exit(main())
