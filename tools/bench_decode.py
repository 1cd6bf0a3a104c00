"""Time the engines on a grid beside each other and write tools/results/decode_cpu.json.

    python -m tools.bench_decode [--side 2048] [--rounds 5] [--only photo,paper] [--out FILE]

photo    the default network of a 512x512 photograph
paper    the network of the SASNet paper for images

Each is evaluated on a grid of side x side, in tiles and threads as `decode` does, by every engine in turn, and this as often as there
are rounds; in the same rounds its matrix products alone (`products`), cut among threads as tiles are, and a plain PyTorch SIREN of as
many parameters at the same points (`siren`). Seconds are medians over the rounds; ratios are medians of each round's ratios, so that
other work on the machine counts less.
Parameters are initial ones: time does not depend on them.
"""

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from inrcodec.backends import make_engine
from inrcodec.backends.base import PIECE, Engine, Evaluate
from inrcodec.backends.threads import team
from inrcodec.backends.torch import threads_of
from inrcodec.bench.machine import versions
from inrcodec.coordinates import full_window
from inrcodec.fit.presets import make_plan
from inrcodec.fit.request import Request
from inrcodec.memory import keep_freed_memory
from inrcodec.sampling import Grid, fill_grid
from tools.bench_common import RESULTS, Results

NETWORKS = {"photo": ("default", "sasnet.2"), "paper": ("paper", "sasnet.1")}
ENGINES = ("torch", "onnx", "numpy")
SIREN_SHARE = 16  # of the rows one is evaluated, for all rows cost the same


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(NETWORKS))
    parser.add_argument("--out", type=Path, default=RESULTS / "decode_cpu.json")
    options = parser.parse_args()
    keep_freed_memory()
    results = Results(options.out)
    results.begin(
        "decode", side=options.side, rounds=options.rounds, versions=versions(("inrcodec", "torch", "onnx", "onnxruntime", "numba"))
    )
    for name in options.only.split(","):
        results.put("decode", name, measured(*NETWORKS[name], side=options.side, rounds=options.rounds))
    return 0


def measured(preset: str, arch: str, *, side: int, rounds: int) -> dict[str, Any]:
    """Median seconds and ratios of a network."""
    plan = make_plan(Request(shape=(512, 512), channels=3, preset=preset, arch=arch, settings={}))
    network, config = plan.network, plan.config
    params = network.init(config, np.random.default_rng(0))
    sizes = {param.name: param.size for param in network.params(config) if param.trainable}
    matrices = [param.shape for param in network.params(config) if param.role == "matrix"]
    width, siren = plain_siren(sum(sizes.values()), outputs=3)
    work: dict[str, Callable[[], float]] = {}
    for name in ENGINES:
        engine = make_engine(name, device="cpu")
        work[name] = decoding(engine, engine.compile(network, config, params), side)
    work["products"] = products(matrices, side)
    work["siren"] = lambda: siren_seconds(siren, side)
    times = in_turn(work, rounds)
    return {
        "network": network.id,
        "parameters": sum(sizes.values()),
        "macs_per_sample": network.macs(config),
        "siren_width": width,
        "seconds": {name: round(statistics.median(found), 3) for name, found in times.items()},
        "onnx_over_torch": ratio(times, "onnx", "torch"),
        "onnx_over_products": ratio(times, "onnx", "products"),
        "torch_over_products": ratio(times, "torch", "products"),
        "numpy_over_onnx": ratio(times, "numpy", "onnx"),
        "siren_over_onnx": ratio(times, "siren", "onnx"),
    }


def in_turn(work: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What each says in every round, after one that does not count."""
    found: dict[str, list[float]] = {name: [] for name in work}
    for counted in [False] + [True] * rounds:
        for name, run in work.items():
            seconds = run()
            if counted:
                found[name].append(seconds)
    return found


def ratio(times: dict[str, list[float]], over: str, under: str) -> float:
    return round(statistics.median(a / b for a, b in zip(times[over], times[under], strict=True)), 3)


def decoding(engine: Engine, evaluate: Evaluate, side: int) -> Callable[[], float]:
    """Seconds of a side x side grid in [-1, 1]^2."""
    shape = (side, side)
    grid = Grid(shape, full_window(shape), (1, 1), full_window(shape), ((-1.0, 1.0),) * 2, 3)
    result = np.empty((*shape, 3), np.float32)

    def store(values: np.ndarray, place: tuple[slice, ...]) -> None:
        result[place] = np.moveaxis(values, 0, -1)

    def run() -> float:
        begin = time.perf_counter()
        with engine.crew() as crew:
            fill_grid(grid, evaluate, None, store, crew.map)
        return time.perf_counter() - begin

    return run


def products(matrices: list[tuple[int, ...]], side: int) -> Callable[[], float]:
    """Seconds of the products of linear layers (out, in) with all samples, by PyTorch, cut among threads as the engine cuts them."""
    layers = [(torch.randn(size), torch.randn(size[1], PIECE)) for size in matrices]

    def piece(_: int) -> None:
        for w, x in layers:
            torch.mm(w, x)

    def run() -> float:
        count = -(-side * side // PIECE)
        with team(threads_of(torch.device("cpu"))) as threads:
            begin = time.perf_counter()
            threads.map(piece, range(count))
            return (time.perf_counter() - begin) * side * side / (count * PIECE)

    return run


def plain_siren(parameters: int, *, outputs: int) -> tuple[int, list[tuple[torch.Tensor, torch.Tensor]]]:
    """Width and layers of a SIREN of two inputs and three hidden layers, of as many parameters or the next fewer."""
    width = int((-6 - outputs + math.sqrt((6 + outputs) ** 2 + 12 * (parameters - outputs))) / 6)
    sizes = [(width, 2), (width, width), (width, width), (width, width), (outputs, width)]
    generator = torch.Generator().manual_seed(0)
    return width, [(torch.randn(size, generator=generator) / size[1], torch.zeros(size[0])) for size in sizes]


def siren_seconds(layers: list[tuple[torch.Tensor, torch.Tensor]], side: int) -> float:
    """Seconds of its forward pass at the grid's points, in pieces, by a part of the rows."""
    axis = (torch.arange(side) + 0.5) / side * 2 - 1
    chosen = axis[::SIREN_SHARE]
    begin = time.perf_counter()
    with torch.inference_mode():
        for rows in chosen.split(max(1, PIECE // side)):
            x = torch.cartesian_prod(rows, axis)
            for w, b in layers[:-1]:
                x = torch.sin(30 * torch.nn.functional.linear(x, w, b))
            torch.nn.functional.linear(x, *layers[-1])
    return (time.perf_counter() - begin) * side / len(chosen)


if __name__ == "__main__":
    sys.exit(main())
