"""How fast the trainer itself makes steps on a GPU: with CUDA graphs or without, one fit alone or several side by side; and the least a
step could take."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from inrcodec.fit.captured import pace_of
from inrcodec.fit.data import TrainingData
from inrcodec.fit.plan import Plan
from inrcodec.fit.trainer import RunOptions, fit
from tools.gpu_timing import wait

FIRST_LOOKS = 4  # before the clock starts
PATIENCE = 300.0  # seconds that fits wait for each other


def steps_per_second(plan: Plan, data: Callable[[], TrainingData], count: int, *, graphs: bool, steps: int) -> float:
    """Steps of the plan's first stage that `count` fits side by side make together, each in a thread and with data of its own.

    The first steps do not count; some graphs are recorded later.
    """
    schedule = replace(plan.schedule, steps=steps, rate_from=1.0, between=0.0, cuda_graphs=int(graphs))
    begun, spans = threading.Barrier(count, timeout=PATIENCE), list[tuple[float, float, int]]()

    def run() -> None:
        own = data()
        device = own.targets.device
        pace, started, looks = pace_of(device, graphs=graphs), 0.0, 0

        def stop() -> bool:
            nonlocal started, looks
            looks += 1
            if looks == FIRST_LOOKS:
                wait(device)
                begun.wait()
                started = time.perf_counter()
            return False

        done = fit(own, replace(plan, schedule=schedule), RunOptions(seed=0, device=device, stop=stop, pace=pace)).steps_done
        spans.append((started, time.perf_counter(), done - (FIRST_LOOKS - 1) * pace.look_every))

    with ThreadPoolExecutor(count) as places:
        for future in [places.submit(run) for _ in range(count)]:
            future.result()
    return sum(span[2] for span in spans) / (max(span[1] for span in spans) - min(span[0] for span in spans))


def floor_seconds(plan: Plan, samples: int, bandwidth: float, rate: float) -> dict[str, float]:
    """The least a step could take, by products and by bytes: see the text on top of bench_gpu.py."""
    params = plan.network.params(plan.config)
    matrices = [param for param in params if param.role == "matrix"]
    neurons = sum(param.shape[0] for param in matrices) + getattr(plan.config, "frequencies", 0) + getattr(plan.config, "features", 0)
    trained = sum(param.size for param in params if param.trainable)
    products = 3 * 2 * sum(param.size for param in matrices) * samples / rate
    transfers = 4 * (4 * neurons * samples + 6 * trained) / bandwidth
    return {"products": products, "bytes": transfers, "floor": max(products, transfers)}
