"""Loss curves of three networks on an oriented point cloud by the FINER protocol, each in the same time and with the same batches.

Only steps are timed: batches are drawn and losses evaluated with the clock stopped.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from inrcodec.backends.threads import Team, team
from inrcodec.backends.torch_tape import Tape
from inrcodec.coordinates import Points
from inrcodec.fit.gradients import Lane, make_lanes
from inrcodec.fit.quantized import flat_layout
from inrcodec.networks import NETWORKS
from inrcodec.networks.hashgrid import geometric_levels
from inrcodec.networks.msa import MsaConfig
from inrcodec.networks.sasnet import SasnetConfig
from inrcodec.networks.siren import SirenConfig
from tools.bench_common import DATA, RESULTS, Results
from tools.bench_volumes import spread_labels

CLOUD = "sdf/ref_armadillo.xyz"
SEED, HELD_OUT_SEED = 0, 1
BATCH, HELD_OUT = 10_000, 50_000
EVERY = 10.0  # seconds of training between evaluations
PIECE = 2_500  # samples of one pass
THREADS = 2
LEARNING_RATE, GRID_LEARNING_RATE = 1e-4, 5e-4
CLIP = 1.0  # norm of the gradient
COLOURS = {"sasnet.1": "#D55E00", "siren.1": "#0072B2", "msa.1": "#009E73"}
NAMES = {"sasnet.1": "SASNet", "siren.1": "SIREN", "msa.1": "MSA"}


@dataclass(frozen=True)
class Contender:
    """A network, and the factor that coordinates of the box [-0.5, 0.5]^3 are multiplied with before it."""

    network: str
    config: Any
    coordinates: float = 1.0


CONTENDERS = (
    # The hash grid is defined on [-1, 1]; the embedding's period is the side of the box.
    Contender(
        "sasnet.1",
        SasnetConfig(
            in_features=3,
            out_features=1,
            frequencies=256,
            hidden_features=224,
            hidden_layers=2,
            omega_0=30.0,
            period=2.0,
            low=6,
            band=30,
            bands=4,
            groups=8,
            mask_features=48,
            grid_features=2,
            levels=geometric_levels(d=3, levels=10, coarsest=16, finest=256, max_entries=1 << 10),
            stretch=(1.0, 1.0, 1.0),
        ),
        coordinates=2.0,
    ),
    Contender("siren.1", SirenConfig(3, 1, 256, 2, 30.0, 30.0)),
    Contender("msa.1", MsaConfig(3, 1, 256, 2, 1.0, 1.8)),
)


@dataclass(frozen=True, eq=False)
class Samples:
    """Points (n, 3) of the box, targets (1, n) and weights (1, n)."""

    points: NDArray[np.float64]
    targets: torch.Tensor
    weights: torch.Tensor


def finer_section(results: Results, *, seconds: float) -> None:
    from inrcodec.signals.shape import read_shape
    from inrcodec.signals.shape_samples import SdfSampler

    options = {
        "seconds": seconds,
        "batch": BATCH,
        "held_out": HELD_OUT,
        "learning_rate": LEARNING_RATE,
        "grid_and_mask_learning_rate": GRID_LEARNING_RATE,
        "clip": CLIP,
        "threads": THREADS,
    }
    loss = f"sum of weighted squared errors of a batch of {BATCH}"
    results.begin("finer", options=options, seeds={"fit": SEED, "held_out": HELD_OUT_SEED}, cloud=CLOUD, loss=loss)
    wanted = [contender for contender in CONTENDERS if results.wanted("finer", contender.network)]
    if wanted:
        path = DATA / CLOUD
        sampler = SdfSampler(read_shape(path.read_bytes(), path.name, normalise="finer"))

        def draw(rng: np.random.Generator, n: int) -> Samples:
            points, targets, weights = sampler.finer_batch(rng, n)
            return Samples(points, *(torch.as_tensor(a[None], dtype=torch.float32) for a in (targets, weights)))

        for contender in wanted:
            results.put("finer", contender.network, finer_row(contender, draw, seconds))
    for row in results.rows("finer"):
        print(f"{row['key']:9} {row['parameters']} parameters, {row['steps']} steps: eval loss {row['curve'][-1]['eval_loss']:.6g}")
    draw_losses(results.rows("finer"), RESULTS / "finer.png")


def finer_row(contender: Contender, draw: Callable[[np.random.Generator, int], Samples], seconds: float) -> dict[str, Any]:
    """Train for `seconds` and tell the losses on the way."""
    network, config = NETWORKS[contender.network], contender.config
    layout = flat_layout(network.params(config), torch.device("cpu"))
    initial = network.init(config, np.random.default_rng(SEED))
    values = torch.cat([torch.as_tensor(initial[param.name]).reshape(-1) for param in layout.params])
    grads = torch.zeros_like(values)
    frozen = {param.name: initial[param.name] for param in network.params(config) if not param.trainable}
    lanes = make_lanes(layout, values, grads, frozen, torch.device("cpu"), THREADS)
    optimizer = make_optimizer(layout.views(values), layout.views(grads))
    held_out = draw(np.random.default_rng(HELD_OUT_SEED), HELD_OUT)
    rng = np.random.default_rng(SEED)
    curve, clock, steps, recent = [], 0.0, 0, 0.0

    def evaluate() -> float:
        with torch.no_grad():
            coords = Points(held_out.points * contender.coordinates)
            error = network.forward(lanes[0].ops, config, lanes[0].params[0], coords) - held_out.targets
            return round(float((held_out.weights * error**2).sum()) * BATCH / HELD_OUT, 7)

    with team(THREADS) as threads:
        curve.append({"seconds": 0.0, "steps": 0, "train_loss": None, "eval_loss": evaluate()})
        while clock < seconds:
            batch = draw(rng, BATCH)
            begin = time.perf_counter()
            loss = batch_loss(lanes, threads, contender, batch)
            grads.mul_(min(1.0, CLIP / (float(grads.norm()) + 1e-6)))
            optimizer.step()
            clock += time.perf_counter() - begin
            steps += 1
            recent = loss if recent == 0 else 0.95 * recent + 0.05 * loss
            if clock >= min(seconds, EVERY * len(curve)):
                curve.append({"seconds": round(clock, 2), "steps": steps, "train_loss": round(recent, 6), "eval_loss": evaluate()})
    return {
        "network": contender.network,
        "parameters": layout.size,
        "coordinates": contender.coordinates,
        "steps": steps,
        "step_seconds": round(clock / steps, 5),
        "curve": curve,
    }


def make_optimizer(values: dict[str, torch.Tensor], grads: dict[str, torch.Tensor]) -> torch.optim.Optimizer:
    """Adam with amsgrad over views of the flat buffers; the hash grid and its decoder at their own rate."""
    for name, value in values.items():
        value.grad = grads[name]
    special = [name for name in values if name.startswith(("grid.", "mask."))]
    groups = [{"params": [values[name] for name in values if name not in special]}]
    if special:
        groups.append({"params": [values[name] for name in special], "lr": GRID_LEARNING_RATE})
    return torch.optim.Adam(groups, lr=LEARNING_RATE, amsgrad=True)


def batch_loss(lanes: tuple[Lane, ...], threads: Team, contender: Contender, batch: Samples) -> float:
    """Leave the gradients of the weighted sum of squared errors in the first lane's grads; return that sum."""
    network, config = NETWORKS[contender.network], contender.config
    n = len(batch.points)
    share = -(-n // len(lanes))

    def run(number: int) -> float:
        lane, total = lanes[number], 0.0
        lane.grads.zero_()
        stop = min((number + 1) * share, n)
        with torch.no_grad():
            for start in range(number * share, stop, PIECE):
                piece = slice(start, min(start + PIECE, stop))
                tape = Tape(lane.ops)
                output = network.forward(tape, config, lane.params[0], Points(batch.points[piece] * contender.coordinates))
                error = output - batch.targets[:, piece]
                weighted = batch.weights[:, piece] * error
                total += float((weighted * error).sum())
                tape.backward(output, 2 * weighted)
        return total

    losses = threads.map(run, range(len(lanes)))
    for lane in lanes[1:]:
        lanes[0].grads.add_(lane.grads)
    return sum(losses)


def draw_losses(rows: list[dict[str, Any]], path: Path) -> None:
    """Loss on the held-out batch over seconds of training, each curve named at its end."""
    if not rows:
        return
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with pyplot.rc_context({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False}):
        figure, panel = pyplot.subplots(figsize=(9, 5.5), dpi=100, layout="constrained")
        ends = {}
        for row in rows:
            points = [(point["seconds"], point["eval_loss"]) for point in row["curve"] if point["seconds"] > 0]
            panel.plot(*zip(*points, strict=True), color=COLOURS[row["network"]], linewidth=2.2)
            ends[row["network"]] = float(np.log10(points[-1][1]))
        panel.set_yscale("log")
        low, high = (float(np.log10(limit)) for limit in panel.get_ylim())
        last = max(row["curve"][-1]["seconds"] for row in rows)
        for network, place in spread_labels(ends, 0.05 * (high - low)).items():
            steps = next(row["steps"] for row in rows if row["network"] == network)
            panel.text(1.02 * last, 10**place, f"{NAMES[network]}, {steps} steps", color=COLOURS[network], va="center")
        panel.set_xlim(0, 1.3 * last)
        panel.set_xlabel("seconds of training, two cores")
        panel.set_ylabel("loss of the held-out batch")
        panel.set_title("Signed distances of the armadillo by the FINER protocol", loc="left")
        panel.grid(alpha=0.25)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Software": None})
        pyplot.close(figure)
