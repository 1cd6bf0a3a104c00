"""Adam, with rates of their own for the hash tables and for the rest of the network.

A preconditioned optimizer (SOAP) for the network's matrices was measured beside it: equal within 0.1 dB at equal steps on 512x512
photographs at these learning rates, with a dearer step.
"""

import math
from collections.abc import Sequence

import torch

from inrcodec.fit.plan import Schedule
from inrcodec.fit.quantized import FlatLayout

Optimizers = Sequence[torch.optim.Optimizer]


def make_optimizers(layout: FlatLayout, values: torch.Tensor, grads: torch.Tensor, schedule: Schedule) -> Optimizers:
    """Optimizers over views of `values` (p,), reading their gradients from views of `grads` (p,)."""
    tables: list[torch.Tensor] = []
    others: list[torch.Tensor] = []
    grad_views = layout.views(grads)
    for param in layout.params:
        tensor = layout.views(values)[param.name]
        tensor.grad = grad_views[param.name]
        (tables if param.role == "table" else others).append(tensor)
    result: list[torch.optim.Optimizer] = [torch.optim.Adam(others, lr=schedule.learning_rate, betas=(0.9, 0.99), fused=True)]
    if tables:
        result.append(torch.optim.Adam(tables, lr=schedule.table_learning_rate, betas=(0.9, 0.99), fused=True))
    return result


def set_learning_rates(optimizers: Optimizers, bases: Sequence[float], factor: float) -> None:
    for optimizer, base in zip(optimizers, bases, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = base * factor


def cosine_factor(fraction: float, final: float) -> float:
    """Of learning rates: a cosine from 1 down to `final`."""
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(1.0, fraction)))
