"""Steps of the trainer itself on a GPU: how fast they are with CUDA graphs or without, alone or several, and the least they could take."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch

from inrcodec.backends.threads import team
from inrcodec.fit.captured import pace_of
from inrcodec.fit.data import TrainingData
from inrcodec.fit.gradients import batch_gradients, make_lanes
from inrcodec.fit.group import Group
from inrcodec.fit.grouped import finish_gradients, grouped_gradients, new_share
from inrcodec.fit.plan import Plan
from inrcodec.fit.quantized import flat_layout
from inrcodec.fit.state import new_state
from inrcodec.fit.trainer import RunOptions, fit
from tools.gpu_timing import wait

FIRST_LOOKS = 4  # before the clock starts
PATIENCE = 300.0  # seconds that fits wait for each other
Way = Literal["one after another", "side by side", "in one step"]


def steps_per_second(plan: Plan, data: Callable[[], TrainingData], count: int, *, graphs: bool, steps: int, way: Way) -> float:
    """Steps of the plan's first stage that `count` fits make together, each with data of its own.

    One after another; or each in a thread, side by side in streams of their own, or in one step for all. The first steps do not count;
    some graphs are recorded later.
    """
    if way == "one after another":
        spans = [span for _ in range(count) for span in _spans(plan, data, 1, graphs=graphs, steps=steps, group=None)]
        return sum(done for _, _, done in spans) / sum(stop - start for start, stop, _ in spans)
    group = Group() if way == "in one step" else None
    spans = _spans(plan, data, count, graphs=graphs, steps=steps, group=group)
    return sum(done for _, _, done in spans) / (max(stop for _, stop, _ in spans) - min(start for start, _, _ in spans))


def _spans(
    plan: Plan, data: Callable[[], TrainingData], count: int, *, graphs: bool, steps: int, group: Group | None
) -> list[tuple[float, float, int]]:
    """Of each of `count` fits in threads: when its clock was started, when it ended, and its steps between."""
    schedule = replace(plan.schedule, steps=steps, rate_from=1.0, between=0.0, cuda_graphs=int(graphs))
    ready, begun = (threading.Barrier(count, timeout=PATIENCE) for _ in range(2))
    spans = list[tuple[float, float, int]]()

    def run(seed: int) -> None:
        own = data()
        device = own.targets.device
        pace, started, looks = pace_of(device, graphs=graphs), 0.0, 0

        def stop() -> bool:
            nonlocal started, looks
            looks += 1
            if looks == FIRST_LOOKS:
                wait(device)
                # Those of a group wait for each other in every step.
                if group is None:
                    begun.wait()
                started = time.perf_counter()
            return False

        options = RunOptions(seed=seed, device=device, stop=stop, pace=pace, group=group)
        ready.wait()
        done = fit(own, replace(plan, schedule=schedule), options).steps_done
        spans.append((started, time.perf_counter(), done - (FIRST_LOOKS - 1) * pace.look_every))

    with ThreadPoolExecutor(count) as places:
        for future in [places.submit(run, seed) for seed in range(count)]:
            future.result()
    return spans


def together_off(plan: Plan, data: TrainingData, layers: Any, device: torch.device) -> float:
    """How far the gradients of two fits made in one pass are from those of each alone, over the largest."""
    params, batch = plan.network.params(plan.config), data.batch((0, 0))
    layout, lanes, shares, alone = flat_layout(params, device), [], [], []
    for seed in range(2):
        initial = plan.network.init(plan.config, np.random.default_rng(seed))
        state = new_state(plan, layout, initial, seed=seed, device=device)
        frozen = {param.name: initial[param.name] for param in params if not param.trainable}
        (lane,) = make_lanes(layout, state.values, state.grads, frozen, device, 1)
        lane.ops.layers = layers
        with team(1) as threads:
            batch_gradients([lane], threads, plan.network, plan.config, batch, scale=data.scale, mask_sparsity=0.0)
        lanes.append(lane)
        alone.append(lane.grads.clone())
        shares.append(new_share(lane, state.values, plan, batch))
    grouped_gradients(shares, lanes[0], layout, plan, scale=data.scale, count=batch.count)
    for share, lane in zip(shares, lanes, strict=True):
        finish_gradients(share, lane, plan, batch)
    return max(float((lane.grads - own).abs().max() / own.abs().max()) for lane, own in zip(lanes, alone, strict=True))


def floor_seconds(plan: Plan, samples: int, bandwidth: float, rate: float) -> dict[str, float]:
    """The least a step could take, by products and by bytes: see the text on top of bench_gpu.py."""
    params = plan.network.params(plan.config)
    matrices = [param for param in params if param.role == "matrix"]
    neurons = sum(param.shape[0] for param in matrices) + getattr(plan.config, "frequencies", 0) + getattr(plan.config, "features", 0)
    trained = sum(param.size for param in params if param.trainable)
    products = 3 * 2 * sum(param.size for param in matrices) * samples / rate
    transfers = 4 * (4 * neurons * samples + 6 * trained) / bandwidth
    return {"products": products, "bytes": transfers, "floor": max(products, transfers)}
