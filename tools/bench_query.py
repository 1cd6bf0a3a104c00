"""Measure evaluation at points, in regions and into large files on this machine's CPU, and write tools/results/query_cpu.json.

    python -m tools.bench_query [--only point,million,region,stream] [--out FILE]

point    one point by the NumPy engine, after the first
million  a million scattered points by PyTorch's engine, beside the matrix products of the network's layers over as many
region   parts of a 512x512 picture at 16 times its resolution, per sample of the part, beside the whole
stream   a picture of 16384x16384 samples into a TIFF, in a process of its own: its memory at the most

Networks are not fitted: time does not depend on the parameters' values. Seconds are of the processor, of all threads together, so that
other work on the machine weighs little; ratios are of these. Each is the least of several rounds, in turn with what it is compared to.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from inrcodec.container import Container, dump
from inrcodec.decoder import Inr
from inrcodec.fit.presets import make_plan, usual_arch
from inrcodec.fit.request import Request
from inrcodec.memory import keep_freed_memory
from inrcodec.opening import open_inr
from inrcodec.weights import network_list, pack
from tools.bench_common import RESULTS, Results

OUT = RESULTS / "query_cpu.json"
SIDE, SCALE = 512, 16
ROUNDS = 7
NETWORKS = {"photograph": ("default", usual_arch("image", "default")), "paper": ("paper", "sasnet.1")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="point,million,region,stream")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    keep_freed_memory()
    results = Results(arguments.out)
    sections = {"point": point_section, "million": million_section, "region": region_section, "stream": stream_section}
    for name in arguments.only.split(","):
        sections[name](results)


def picture_bytes(network: str) -> bytes:
    """An .inr of a 512x512 colour picture with the initial parameters of a network."""
    preset, arch = NETWORKS[network]
    plan = make_plan(Request(shape=(SIDE, SIDE), channels=3, preset=preset, arch=arch, settings={}))
    values = plan.network.init(plan.config, np.random.default_rng(0))
    steps = {p.name: np.full(p.shape[p.axis] if p.axis >= 0 else 1, 2.0**-10, np.float32) for p in plan.network.params(plan.config)}
    entries, data = pack(plan.network, plan.config, values, steps)
    head = {
        "kind": "image",
        "level": 1,
        "req": [],
        "axes": [{"name": name, "n": SIDE, "lo": -1.0, "hi": 1.0} for name in "yx"],
        "out": {"channels": [{"name": n, "role": "color", "scale": 0.5, "offset": 0.5} for n in "RGB"], "bits": 8},
        "color": {},
        "net": network_list(plan.network, plan.config),
        "tens": entries,
    }
    return dump(Container(head, data))


def least(*works: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    """Processor seconds of each work, the least of its rounds, which are taken in turn."""
    found = [[] for _ in works]
    for _ in range(rounds + 1):
        for times, work in zip(found, works, strict=True):
            begin = time.process_time()
            work()
            times.append(time.process_time() - begin)
    return [min(times[1:]) for times in found]


def point_section(results: Results) -> None:
    results.begin("point", unit="processor milliseconds")
    repeats = 100
    for network in NETWORKS:
        inr = open_inr(picture_bytes(network), backend="numpy")
        found = least(partial(one_by_one, inr.at, repeats), partial(one_by_one, inr.gradient, repeats))
        at, gradient = (round(seconds / repeats * 1e3, 3) for seconds in found)
        results.put("point", network, {"at_ms": at, "gradient_ms": gradient})


def one_by_one(function: Callable[[np.ndarray], object], repeats: int) -> None:
    point = np.array([[0.1, 0.2]])
    for _ in range(repeats):
        function(point)


def million_section(results: Results) -> None:
    results.begin("million", points=1_000_000)
    points = np.random.default_rng(0).uniform(-1, 1, (1_000_000, 2))
    for network in NETWORKS:
        inr = open_inr(picture_bytes(network), backend="torch", device="cpu")
        seconds, products = least(partial(inr.at, points), matrix_products(inr, len(points)))
        row = {"seconds": round(seconds, 3), "matrix_product_seconds": round(products, 3), "ratio": round(seconds / products, 2)}
        results.put("million", network, row)


def matrix_products(inr: Inr, samples: int) -> Callable[[], None]:
    """The products of the linear layers over `samples`, as the engine lays them out."""
    import torch

    from inrcodec.backends.base import PIECE

    layers = [tensor["shape"] for tensor in inr.info["tensors"] if tensor["name"].endswith(".weight")]
    work = [(torch.randn(*shape), torch.randn(shape[1], PIECE), torch.empty(shape[0], PIECE)) for shape in layers]

    def run() -> None:
        for _ in range(samples // PIECE):
            for w, x, y in work:
                torch.mm(w, x, out=y)

    return run


def region_section(results: Results) -> None:
    results.begin("region", picture=f"{SIDE}x{SIDE}", scale=SCALE)
    inr = open_inr(picture_bytes("photograph"), backend="torch", device="cpu")
    for part in (64, 32, 16, 8, 4, 2):
        side = SIDE / part
        start = SIDE / 2 - side / 3
        region = ((start, start + side), (start, start + side))
        (seconds,) = least(partial(inr.decode, scale=SCALE, region=region), rounds=3)
        samples = round(side * SCALE) ** 2
        row = {"samples": samples, "seconds": round(seconds, 4), "nanoseconds_per_sample": round(seconds / samples * 1e9, 1)}
        results.put("region", f"1/{part**2}", row)


def stream_section(results: Results) -> None:
    results.begin("stream", picture="16384x16384x3, 8 bits", format="TIFF")
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "a.inr"), Path(folder, "a.tif")
        source.write_bytes(picture_bytes("photograph"))
        code = f"from tools.bench_query import measure_stream; measure_stream({str(source)!r}, {str(target)!r})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        results.put("stream", "photograph", json.loads(done.stdout) | {"file_mb": round(target.stat().st_size / 1e6)})


def measure_stream(source: str, target: str) -> None:
    keep_freed_memory()
    begin = time.monotonic()
    open_inr(source, backend="torch", device="cpu").export(target, size=(16384, 16384))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        json.dumps(
            {
                "wall_seconds": round(time.monotonic() - begin),
                "processor_seconds": round(time.process_time()),
                "peak_memory_mb": round(peak),
            }
        )
    )


if __name__ == "__main__":
    main()
