"""Check the kernels of a CUDA device against the plain layers, measure them, and write tools/results/bench_gpu.json.

    python -m tools.bench_gpu [--data FOLDER] [--only check,layer,...] [--seconds 450] [--out FILE]
    python -m tools.bench_gpu --smoke --out FILE      # everything tiny, on the CPU with the plain layers: does it run?

check   the paper's network beside NumPy, its gradients beside those of the plain layers, those of two fits in one step beside each alone; a
        difference ends the run with exit code 8
device  copy bandwidth and rates of matrix products, of which the floors are made
layer   one hidden layer forward and back: seconds and error against float64, per precision and per block of the kernel
step    a training step of the paper's image configuration over 512x512 samples, with every kind of layers in turn, beside its floor, and
        of a SIREN of as many parameters
graphs  steps of the trainer in its first stage, four phases of the batch in turn, with and without CUDA graphs, and of several fits: one
        after another, side by side in threads and streams of their own, and in one step; steps of all of them per second
time    seconds, from its first step on, until a fit reaches 30, 35 and 40 dB, on the pictures of DATA (names in order), by the paper's
        learning rates and by ours
decode  samples per second of a grid, of the paper's network and that of photographs

A floor is the larger of two times: float32 products of a step over the measured rate, and bytes over the measured bandwidth, where every
activation is written once and read once each way, every parameter and its two moments read and written once. Without a CUDA device: exit
code 9. What --seconds leaves no time for is left out and said.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from inrcodec.backends import make_engine, torch_layers
from inrcodec.backends.base import Evaluate
from inrcodec.backends.threads import team
from inrcodec.backends.torch import TorchEngine, layers_of, torch_device
from inrcodec.bench.machine import versions
from inrcodec.coordinates import Lattice, Points, lattice, sample_centres
from inrcodec.errors import InrError, VerificationFailed
from inrcodec.fit.comparison_presets import comparison_config, trainable
from inrcodec.fit.data import TrainingData, training_data
from inrcodec.fit.gradients import batch_gradients, make_lanes
from inrcodec.fit.plan import Plan
from inrcodec.fit.presets import make_plan
from inrcodec.fit.quantized import flat_layout
from inrcodec.fit.request import Request
from inrcodec.fit.state import new_state
from inrcodec.networks import NETWORKS
from inrcodec.signals import read_signal
from inrcodec.signals.base import Signal
from tools.bench_common import DATA, RESULTS, Results
from tools.gpu_fits import Way, floor_seconds, steps_per_second, together_off
from tools.gpu_timing import gpu_facts, peak_memory, seconds_of

RMS, PEAK, GRADIENT = 2e-6, 2e-5, 2e-4  # class F32 of the value range; gradients of their largest
RATES = {"paper": (1e-4, 5e-4), "ours": (6e-3, 2e-2)}  # of the network and of its tables
DECIBELS = (30, 35, 40)
FITS = (1, 2, 4, 8)  # at a time
FIT_STEPS = 20  # of a fit, per repeat
RESERVE = 15.0  # seconds a section needs at least
Layers = Any
Step = Callable[[], float]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What all sections share."""

    device: torch.device
    kinds: Mapping[str, Layers]  # "plain" and, where there are kernels, one for every precision
    side: int  # of the picture of a step
    settings: Mapping[str, int]  # of the network
    repeats: int
    grid: int  # side of the grid that is decoded
    square: int  # side of the matrices whose product gives the rate
    copied: int  # floats
    pictures: tuple[Path, ...]
    picture_seconds: float
    until: float  # of time.monotonic

    def left(self) -> float:
        return self.until - time.monotonic()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA / "kodak", help="folder of pictures")
    parser.add_argument("--only", default=",".join(SECTIONS))
    parser.add_argument("--seconds", type=float, default=450.0, help="of the whole run, about")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--smoke", action="store_true", help="everything tiny, on the CPU with the plain layers")
    parser.add_argument("--out", type=Path, default=RESULTS / "bench_gpu.json")
    options = parser.parse_args(arguments)
    begin = time.monotonic()
    try:
        bench = smoke(options) if options.smoke else whole(options, torch_device(options.device))
        results = Results(options.out)
        for name in options.only.split(","):
            if bench.left() < RESERVE and not options.smoke:
                print(f"{name}: left out, {options.seconds:.0f} seconds are over", file=sys.stderr)
                continue
            results.begin(name, gpu=gpu_facts(bench.device), packages=versions(("torch", "triton")), seconds=options.seconds)
            SECTIONS[name](bench, results)
        print(f"{time.monotonic() - begin:.0f} seconds, {options.out}", file=sys.stderr)
    except InrError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def whole(options: argparse.Namespace, device: torch.device) -> Bench:
    return Bench(
        device=device,
        kinds=kinds_of(device),
        side=512,
        settings={},
        repeats=30,
        grid=4096,
        square=4096,
        copied=1 << 27,
        pictures=tuple(sorted(options.data.glob("*.png"))),
        picture_seconds=20.0,
        until=time.monotonic() + options.seconds,
    )


def smoke(options: argparse.Namespace) -> Bench:
    return Bench(
        device=torch.device("cpu"),
        kinds={"plain": torch_layers, "again": torch_layers},
        side=24,
        settings={"frequencies": 24, "hidden_features": 16, "levels": 3, "finest": 16},
        repeats=2,
        grid=32,
        square=64,
        copied=1 << 12,
        pictures=tuple(sorted(options.data.glob("*.png"))[:1]),
        picture_seconds=0.3,
        until=time.monotonic() + options.seconds,
    )


def kinds_of(device: torch.device) -> dict[str, Layers]:
    """The plain layers and, where Triton runs, its kernels in every precision."""
    kernels = layers_of(device)
    kinds: dict[str, Layers] = {"plain": torch_layers}
    if kernels is torch_layers:
        print("Triton is not installed or does not run: the plain layers alone are measured", file=sys.stderr)
        return kinds
    return kinds | {f"triton {precision}": replace(kernels, precision=precision) for precision in ("ieee", "tf32x3", "tf32")}


def paper_plan(bench: Bench) -> Plan:
    request = Request(shape=(bench.side, bench.side), channels=3, preset="paper", arch="sasnet.1", settings=bench.settings)
    return make_plan(request)


def siren_plan(plan: Plan, bench: Bench) -> Plan:
    """A SIREN of as many parameters as the plan's network trains."""
    parameters = trainable(plan.network.id, plan.config)
    config = comparison_config("siren.1", shape=(bench.side, bench.side), channels=3, parameters=parameters)
    return replace(plan, network=NETWORKS["siren.1"], config=config)


def picture_data(values: np.ndarray, device: torch.device) -> TrainingData:
    return training_data(values, None, [(-1.0, 1.0)] * 2, stride=1, device=device)


def noise(bench: Bench) -> np.ndarray:
    return np.random.default_rng(0).random((bench.side, bench.side, 3), dtype=np.float32)


def stepper(plan: Plan, data: TrainingData, layers: Layers, device: torch.device) -> tuple[Step, torch.Tensor]:
    """One step of the trainer's first stage on all samples, which returns its mean squared error; and where it leaves its gradients."""
    params = plan.network.params(plan.config)
    layout, initial = flat_layout(params, device), plan.network.init(plan.config, np.random.default_rng(0))
    state = new_state(plan, layout, initial, seed=0, device=device)
    frozen = {param.name: initial[param.name] for param in params if not param.trainable}
    lanes = make_lanes(layout, state.values, state.grads, frozen, device, 1)
    lanes[0].ops.layers = layers
    batch = data.batch((0, 0))

    def step() -> float:
        with team(1) as threads:
            error = float(batch_gradients(lanes, threads, plan.network, plan.config, batch, scale=data.scale, mask_sparsity=0.0))
        for optimizer in state.optimizers:
            optimizer.step()
        return error

    return step, state.grads


def differences(found: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """RMS and peak over the range of what is expected; infinite where something is not finite."""
    error = (found.astype(np.float64) - expected) / (float(expected.max() - expected.min()) or 1.0)
    if not np.isfinite(error).all():
        return math.inf, math.inf
    return float(np.sqrt(np.mean(error**2))), float(np.abs(error).max())


def check_section(bench: Bench, results: Results) -> None:
    """Raises VerificationFailed where layers in full precision differ by more than class F32 from NumPy, or gradients from plain ones."""
    plan = paper_plan(bench)
    data, wrong = picture_data(noise(bench), bench.device), []
    step, reference = stepper(plan, data, bench.kinds["plain"], bench.device)
    step()
    grid = Lattice((sample_centres(max(1, bench.side // 8)), sample_centres(bench.side)))
    coords = (grid, Points(np.random.default_rng(1).uniform(-1, 1, (bench.side * 7 + 3, 2))))
    exact = make_engine("numpy").compile(plan.network, plan.config, lively(plan))
    expected = [exact(part) for part in coords]
    for kind, layers in bench.kinds.items():
        own, gradients = stepper(plan, data, layers, bench.device)
        own()
        off = float((gradients - reference).abs().max() / reference.abs().max())
        evaluate = decoder(plan, layers, bench.device)
        rows = [differences(evaluate(part), wanted) for part, wanted in zip(coords, expected, strict=True)]
        rms, peak = max(row[0] for row in rows), max(row[1] for row in rows)
        together = together_off(plan, data, layers, bench.device)
        good = rms <= RMS and peak <= PEAK and max(off, together) <= GRADIENT
        results.put("check", kind, {"rms": rms, "peak": peak, "gradient": off, "together": together, "class_f32": good})
        # Other precisions are measured, not promised.
        if not good and (kind in ("plain", "again") or kind.endswith("ieee")):
            wrong.append(f"{kind}: rms {rms:.1e}, peak {peak:.1e}, gradients {off:.1e}, of two fits together {together:.1e}")
    if wrong:
        raise VerificationFailed(f"check: expected rms {RMS}, peak {PEAK}, got {'; '.join(wrong)}")


def decoder(plan: Plan, layers: Layers, device: torch.device) -> Evaluate:
    engine = TorchEngine(device)
    engine.ops.layers = layers
    return engine.compile(plan.network, plan.config, lively(plan))


def lively(plan: Plan) -> dict[str, np.ndarray]:
    """Initial parameters, tables large enough to matter."""
    params = plan.network.init(plan.config, np.random.default_rng(0))
    return {name: value * 60 if name.startswith("grid.") else value for name, value in params.items()}


def device_section(bench: Bench, results: Results) -> None:
    measured = device_rates(bench)
    results.put("device", "rates", {"copy_bytes_per_second": measured[0], "float32_flops_per_second": measured[1]})


def device_rates(bench: Bench) -> tuple[float, float]:
    """Bytes of copies, read and written, and float32 operations of a matrix product, per second."""
    a, b = (torch.rand(bench.square, bench.square, device=bench.device) for _ in range(2))
    source, target = (torch.zeros(bench.copied, device=bench.device) for _ in range(2))
    found = seconds_of({"copy": lambda: target.copy_(source), "product": lambda: torch.mm(a, b)}, bench.device, bench.repeats)
    return 8 * bench.copied / found["copy"], 2 * bench.square**3 / found["product"]


def layer_section(bench: Bench, results: Results) -> None:
    config = paper_plan(bench).config
    h, k, g, n = config.hidden_features, config.frequencies, config.groups, bench.side**2
    generator = torch.Generator(device=bench.device).manual_seed(0)
    x, mask = (torch.rand(rows, n, device=bench.device, generator=generator) for rows in (k, g))
    w = (torch.rand(h, k, device=bench.device, generator=generator) - 0.5) * 12**0.5 / k**0.5 / config.omega_0
    b, omega = torch.zeros(h, device=bench.device), torch.full((h,), config.omega_0, device=bench.device)
    exact = torch.sin(config.omega_0 * (w.double() @ x[:, :4096].double())).view(g, h // g, -1) * mask[:, None, :4096].double()
    places = {"w": torch.zeros_like(w), "b": torch.zeros_like(b), "mask": torch.zeros_like(mask)}

    def both_ways(layers: Layers) -> None:
        out, saved = layers.sine_layer_forward(x, w, b, omega, None, mask)
        layers.sine_layer_backward(saved, out, **places, need_x=True)

    def row(layers: Layers) -> dict[str, Any]:
        out = layers.sine_layer(x, w, b, omega, None, mask)[:, :4096]
        rms, peak = differences(out.cpu().numpy(), exact.flatten(0, 1).cpu().numpy())
        work = {"forward": lambda: layers.sine_layer(x, w, b, omega, None, mask), "both": lambda: both_ways(layers)}
        found = seconds_of(work, bench.device, bench.repeats)
        return {"seconds": found, "flops_per_second": 2 * h * k * n / found["forward"], "rms_to_float64": rms, "peak_to_float64": peak}

    for name, layers in bench.kinds.items():
        results.put("layer", name, row(layers))
    for name, layers in tiles(bench.kinds).items():
        try:
            results.put("layer", name, row(layers))
        except Exception as error:
            # A block may be more than this device has registers or shared memory for.
            results.put("layer", name, {"error": f"{type(error).__name__}: {error}".splitlines()[0]})


def tiles(kinds: Mapping[str, Layers]) -> dict[str, Layers]:
    """The float32 kernels with other blocks than the usual one, to choose from."""
    if "triton ieee" not in kinds:
        return {}
    from inrcodec.backends.triton_sine import Tile

    blocks = (Tile(64, 64, 16, 4, 3), Tile(128, 128, 16, 8, 3), Tile(64, 128, 32, 8, 3), Tile(128, 64, 16, 8, 3), Tile(64, 256, 16, 8, 3))
    chosen = [(kind, tile) for kind in ("triton ieee", "triton tf32x3") for tile in blocks]
    return {f"{kind} {tile.rows}x{tile.samples}x{tile.inner}": replace(kinds[kind], tile=tile) for kind, tile in chosen}


def step_section(bench: Bench, results: Results) -> None:
    bandwidth, rate = device_rates(bench)
    data, plan = picture_data(noise(bench), bench.device), paper_plan(bench)
    for name, chosen in (("sasnet", plan), ("siren", siren_plan(plan, bench))):
        floor = floor_seconds(chosen, bench.side**2, bandwidth, rate)
        steps = {kind: stepper(chosen, data, layers, bench.device)[0] for kind, layers in bench.kinds.items()}
        found = seconds_of(steps, bench.device, bench.repeats)
        for kind, seconds in found.items():
            row = {"parameters": trainable(chosen.network.id, chosen.config), "seconds": seconds, "over_floor": seconds / floor["floor"]}
            row |= {"plain_over_this": found["plain"] / seconds, "floor": floor, "peak_bytes": peak_memory(steps[kind], bench.device)}
            results.put("step", f"{name}/{kind}", row)
    rows = {row["key"]: row["seconds"] for row in results.rows("step")}
    for kind in bench.kinds:
        results.put("step", f"sasnet over siren/{kind}", {"ratio": rows[f"sasnet/{kind}"] / rows[f"siren/{kind}"]})


def graphs_section(bench: Bench, results: Results) -> None:
    plan = make_plan(Request(shape=(bench.side, bench.side), channels=3, arch="sasnet.2", settings=bench.settings))
    plan = replace(plan, schedule=replace(plan.schedule, stride=2))

    def data() -> TrainingData:
        return training_data(noise(bench), None, [(-1.0, 1.0)] * 2, stride=2, device=bench.device)

    graphs = bench.device.type == "cuda"
    kinds: list[tuple[int, bool, Way]] = [(1, False, "one after another")]
    for count in FITS if graphs else FITS[1:2]:
        kinds += [(count, graphs, way) for way in get_args(Way)[: 1 if count == 1 else None]]
    for count, captured, way in kinds:
        rate = steps_per_second(plan, data, count, graphs=captured, steps=FIT_STEPS * bench.repeats, way=way)
        name = f"{count} {way}, {'with' if captured else 'without'} graphs"
        results.put("graphs", name, {"fits": count, "graphs": captured, "way": way, "steps_per_second": rate})


def time_section(bench: Bench, results: Results) -> None:
    kind = "triton ieee" if "triton ieee" in bench.kinds else "plain"
    if not bench.pictures:
        print("time: no .png files, see --data", file=sys.stderr)
    for path in bench.pictures:
        for name, (rate, table_rate) in RATES.items():
            limit = min(bench.picture_seconds, bench.left() - RESERVE)
            if limit <= 0:
                print(f"time: {path.name} by {name} and what follows left out, the time is over", file=sys.stderr)
                return
            signal = read_signal(path)
            assert isinstance(signal, Signal)
            plan = paper_plan(bench)
            plan = replace(plan, schedule=replace(plan.schedule, learning_rate=rate, table_learning_rate=table_rate))
            data = picture_data(np.asarray(signal.values, dtype=np.float32), bench.device)
            step, _ = stepper(plan, data, bench.kinds[kind], bench.device)
            results.put("time", f"{path.name}/{name}", {"layers": kind, "samples": data.samples, **reached(step, limit)})


def reached(step: Step, limit: float) -> dict[str, Any]:
    """Seconds until each PSNR of the parameters a step begins with, None if not within `limit`; and where it ended."""
    step()
    times: dict[str, float | None] = dict.fromkeys((f"{decibels} dB" for decibels in DECIBELS), None)
    begin, steps, psnr = time.perf_counter(), 0, -math.inf
    while (now := time.perf_counter() - begin) < limit and None in times.values():
        psnr, steps = -10 * math.log10(max(step(), 1e-12)), steps + 1
        for decibels in DECIBELS:
            if psnr >= decibels and times[f"{decibels} dB"] is None:
                times[f"{decibels} dB"] = now
    return {"seconds": times, "steps": steps, "psnr": psnr}


def decode_section(bench: Bench, results: Results) -> None:
    grid = lattice((bench.grid, bench.grid), [(-1.0, 1.0)] * 2)
    rows = max(1, (1 << 18) // bench.grid)
    parts = [Lattice((grid.axes[0][i : i + rows], grid.axes[1])) for i in range(0, bench.grid, rows)]
    photo = make_plan(Request(shape=(bench.side, bench.side), channels=3, arch="sasnet.2", settings={}))
    for name, plan in (("paper", paper_plan(bench)), ("photo", photo)):
        for kind, layers in bench.kinds.items():
            evaluate = decoder(plan, layers, bench.device)

            def run(evaluate: Evaluate = evaluate) -> None:
                for part in parts:
                    evaluate(part)

            taken = peak_memory(run, bench.device)
            begin = time.perf_counter()
            run()
            seconds = time.perf_counter() - begin
            results.put(
                "decode", f"{name}/{kind}", {"samples_per_second": bench.grid**2 / seconds, "seconds": seconds, "peak_bytes": taken}
            )


SECTIONS: dict[str, Callable[[Bench, Results], None]] = {
    "check": check_section,
    "device": device_section,
    "layer": layer_section,
    "step": step_section,
    "graphs": graphs_section,
    "decode": decode_section,
    "time": time_section,
}

if __name__ == "__main__":
    sys.exit(main())
