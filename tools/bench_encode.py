"""Measure the codec on this machine's CPU and write tools/results/encode_cpu.json.

    python -m tools.bench_encode [--data FOLDER] [--only encode,paper,decode,step] [--out FILE]

encode  every image of DATA/div2k and DATA/kodak at default options; PSNR of the file decoded from its bytes
paper   two of them: 120 seconds of the SASNet paper's recipe beside the default, both through the file
decode  a 512x512 file at 16 times its resolution: seconds, memory, and the time its matrix products alone take
jpeg    for every row of `encode`, the smallest JPEG (Pillow, optimized, 4:2:0 or 4:4:4) of at least the same PSNR
step    a training step beside its own dense matrix products, for trunks of 35 K and 115 K parameters with 2^14-entry tables

Sections that are not run keep what the file already holds.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from inrcodec.bench.machine import machine
from tools.bench_common import DATA, RESULTS

OUT = RESULTS / "encode_cpu.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--only", default="step,decode,paper,encode,jpeg")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    result = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    result["machine"] = machine()
    sections = {
        "encode": encode_section,
        "paper": paper_section,
        "decode": decode_section,
        "step": step_section,
        "jpeg": lambda data: jpeg_section(data, result["encode"]),
    }
    for name in arguments.only.split(","):
        print(f"== {name}", flush=True)
        result[name] = sections[name](arguments.data)
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")


def decoded_psnr(data: bytes, source: Path) -> float:
    """PSNR of 8-bit codes, computed here, of the file's bytes decoded by the other engine than the encoder's own check used."""
    from PIL import Image

    import inrcodec

    with Image.open(source) as image:
        original = np.asarray(image.convert("RGB")).astype(np.float64)
    decoded = inrcodec.open(data, backend="numpy").decode().astype(np.float64)
    return float(10 * np.log10(255**2 / np.mean((decoded - original) ** 2)))


def encode_row(path: Path, **options: Any) -> dict[str, Any]:
    import inrcodec

    begin = time.monotonic()
    encoded = inrcodec.encode(path, **options)
    seconds = time.monotonic() - begin
    report = encoded.report
    row = {
        "file": f"{path.parent.name}/{path.name}",
        "options": options,
        "bytes": report.bytes,
        "bpp": round(report.bpp, 4),
        "psnr": round(decoded_psnr(encoded.data, path), 3),
        "ssim": round(report.ssim or 0.0, 5),
        "parameters": report.parameters,
        "steps": report.steps,
        "encode_seconds": round(seconds, 1),
        "decode_seconds": round(report.decode_seconds, 3),
    }
    print(json.dumps(row), flush=True)
    return row


def encode_section(data: Path) -> dict[str, Any]:
    result = {}
    for name in ("div2k", "kodak"):
        rows = [encode_row(path) for path in sorted((data / name).glob("*.png"))]
        if not rows:
            sys.exit(f"{data / name}: no .png files")
        mean = {key: round(statistics.fmean(row[key] for row in rows), 4) for key in ("bpp", "psnr", "ssim", "encode_seconds")}
        mean["slowest_seconds"] = max(row["encode_seconds"] for row in rows)
        result[name] = {"rows": rows, "mean": mean}
        print(name, mean, flush=True)
    return result


def jpeg_section(data: Path, encoded: dict[str, Any]) -> dict[str, Any]:
    result = {}
    for name, group in encoded.items():
        rows = []
        for row in group["rows"]:
            size = smallest_jpeg(data / row["file"], row["psnr"])
            rows.append({"file": row["file"], "psnr": row["psnr"], "jpeg_bytes": size, "ratio": round(row["bytes"] / size, 3)})
        result[name] = {"rows": rows, "mean_ratio": round(statistics.geometric_mean(row["ratio"] for row in rows), 3)}
        print(name, result[name]["mean_ratio"], flush=True)
    return result


def smallest_jpeg(path: Path, target: float) -> int:
    """Bytes of the smallest JPEG with a PSNR of at least `target` dB."""
    import io

    from PIL import Image

    with Image.open(path) as image:
        source = image.convert("RGB")
    original = np.asarray(source).astype(np.float64)
    sizes = []
    for subsampling in (0, 2):
        for quality in range(5, 101):
            out = io.BytesIO()
            source.save(out, "JPEG", quality=quality, subsampling=subsampling, optimize=True)
            with Image.open(out) as decoded:
                error = np.mean((np.asarray(decoded).astype(np.float64) - original) ** 2)
            if 10 * np.log10(255**2 / error) >= target:
                sizes.append(len(out.getvalue()))
                break
    return min(sizes)


def paper_section(data: Path) -> list[dict[str, Any]]:
    rows = []
    for name in ("test_02.png", "test_05.png"):
        path = data / "div2k" / name
        paper = encode_row(path, preset="paper", time_limit=110.0)
        ours = encode_row(path, effort=7, quality=95, time_limit=110.0)
        rows.append({"file": paper["file"], "paper": paper, "ours": ours, "gain_db": round(ours["psnr"] - paper["psnr"], 2)})
    return rows


def decode_section(data: Path) -> dict[str, Any]:
    """In a process of its own, so that its memory is only the decode's."""
    import inrcodec

    path = Path(OUT.parent.parent.parent / "build" / "bench.inr")
    path.parent.mkdir(parents=True, exist_ok=True)
    inrcodec.encode(data / "div2k" / "test_02.png", effort=3).save(path)
    code = f"from tools.bench_encode import measure_decode; measure_decode({str(path)!r}, 16)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(found.stdout)
    print(result, flush=True)
    return result


def measure_decode(name: str, scale: float) -> None:
    import torch

    import inrcodec
    from inrcodec.backends.base import PIECE
    from inrcodec.memory import keep_freed_memory

    keep_freed_memory()
    inr = inrcodec.open(name, backend="torch", device="cpu")
    inr.decode()
    begin = time.monotonic()
    shape = inr.decode(scale=scale).shape
    seconds = time.monotonic() - begin
    samples = shape[0] * shape[1]
    network, config = inr.function.network, inr.function.config
    layers = [param.shape for param in network.params(config) if param.role == "matrix"]
    products = matrix_products(layers, PIECE, backward=False) * samples / PIECE
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result = {
        "samples": samples,
        "seconds": round(seconds, 2),
        "matrix_product_seconds": round(products, 2),
        "ratio": round(seconds / products, 3),
        "peak_memory_mb": round(peak),
        "macs_per_sample": network.macs(config),
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(result))


def matrix_products(layers: list[tuple[int, ...]], samples: int, *, backward: bool) -> float:
    """Seconds of the products of linear layers (out, in) over `samples`, as the engine lays them out; median of many."""
    import torch

    work = []
    for out, width in layers:
        work.append((torch.randn(out, width), torch.randn(width, samples), torch.randn(out, samples)))
    times = []
    for _ in range(40):
        begin = time.perf_counter()
        for w, x, g in work:
            torch.mm(w, x)
            if backward:
                torch.mm(w.T, g)
                torch.mm(g, x.T)
        times.append(time.perf_counter() - begin)
    return statistics.median(times[5:])


def step_section(data: Path) -> list[dict[str, Any]]:
    rows = []
    for frequencies, hidden in ((128, 128), (256, 232)):
        row = measure_step(frequencies, hidden)
        rows.append(row)
        print(row, flush=True)
    return rows


def measure_step(frequencies: int, hidden: int) -> dict[str, Any]:
    """Seconds per step of the trainer itself (all it does: batch, forward, backward, optimizers) from the difference of two run lengths."""
    import torch

    from inrcodec.backends.torch import threads_of
    from inrcodec.fit.data import PIECE, training_data
    from inrcodec.fit.plan import Plan, Schedule, Target
    from inrcodec.fit.trainer import RunOptions, fit
    from inrcodec.memory import keep_freed_memory
    from inrcodec.networks import NETWORKS
    from inrcodec.networks.hashgrid import geometric_levels
    from inrcodec.networks.sasnet import SasnetConfig

    keep_freed_memory()
    levels = geometric_levels(d=2, levels=10, coarsest=8, finest=128, max_entries=1 << 14)
    config = SasnetConfig(2, 3, frequencies, hidden, 2, 30.0, 2.1, 12, 60, 4, 8, 48, 2, levels, (1.0, 1.0))
    values = np.random.default_rng(0).random((512, 512, 3), dtype=np.float32)
    data = training_data(values, None, [(-1.0, 1.0)] * 2, stride=2, device=torch.device("cpu"), parts=threads_of(torch.device("cpu")))

    def seconds(steps: int) -> float:
        schedule = Schedule(steps=steps, stride=2, learning_rate=1e-4, table_learning_rate=1e-3)
        plan = Plan(network=NETWORKS["sasnet.1"], config=config, schedule=schedule, target=Target(lam=0.0))
        begin = time.perf_counter()
        fit(data, plan, RunOptions(seed=0, device=torch.device("cpu")))
        return time.perf_counter() - begin

    seconds(4)
    step = statistics.median(seconds(16) - seconds(6) for _ in range(5)) / 10
    params = NETWORKS["sasnet.1"].params(config)
    matrices = [param.shape for param in params if param.role == "matrix"]
    samples = 256 * 256
    products = matrix_products(matrices, PIECE, backward=True) * samples / PIECE
    return {
        "trunk_parameters": sum(p.size for p in params if p.name.split(".")[0] in ("hidden", "out", "phase")),
        "table_entries": 1 << 14,
        "samples": samples,
        "step_seconds": round(step, 5),
        "matrix_product_seconds": round(products, 5),
        "ratio": round(step / products, 3),
    }


if __name__ == "__main__":
    main()
