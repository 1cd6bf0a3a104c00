"""Seconds and bytes of work on a CUDA device, which runs behind the program that asks for it."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch


def gpu_facts(device: torch.device) -> dict[str, Any]:
    if device.type != "cuda":
        return {"name": "none"}
    found = torch.cuda.get_device_properties(device)
    return {"name": found.name, "memory": found.total_memory, "processors": found.multi_processor_count, "cuda": torch.version.cuda}


def seconds_of(work: Mapping[str, Callable[[], object]], device: torch.device, repeats: int) -> dict[str, float]:
    """Median seconds of each, in turn, after two that do not count."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for number in range(repeats + 2):
        for name, run in work.items():
            wait(device)
            begin = time.perf_counter()
            run()
            wait(device)
            if number >= 2:
                times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(found) for name, found in times.items()}


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory(run: Callable[[], object], device: torch.device) -> int | None:
    """Bytes that tensors took at the most; None where the device does not say."""
    if device.type != "cuda":
        run()
        return None
    torch.cuda.reset_peak_memory_stats(device)
    run()
    return int(torch.cuda.max_memory_allocated(device))
