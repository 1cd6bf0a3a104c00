"""Adam, with rates of their own for the hash tables and for the rest of the network.

A preconditioned optimizer (SOAP) for the network's matrices was measured beside it: equal within 0.1 dB at equal steps on 512x512
photographs at these learning rates, with a dearer step.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch

from inrcodec.fit.plan import Schedule
from inrcodec.fit.quantized import FlatLayout

Optimizers = Sequence[torch.optim.Optimizer]
BETAS = (0.9, 0.99)


def held_adam(tensors: Sequence[torch.Tensor], learning_rate: float, betas: tuple[float, float], halt: torch.Tensor) -> torch.optim.Adam:
    """Adam whose rate and count of steps lie beside the tensors, so that a step asks the host for nothing and can be captured.

    While halt () is 1 its steps do nothing.
    """
    device = tensors[0].device
    rate = torch.full((), learning_rate, device=device)
    made = torch.optim.Adam(tensors, lr=rate, betas=betas, fused=True, capturable=device.type == "cuda")
    made.found_inf = halt  # type: ignore[attr-defined]  # as torch.amp does where gradients have overflown
    # Its steps before the first capture run by themselves, as they have to: no reason to warn.
    made._warned_capturable_if_run_uncaptured = True
    return made


def make_optimizers(
    layout: FlatLayout, values: torch.Tensor, grads: torch.Tensor, schedule: Schedule, *, halt: torch.Tensor | None = None
) -> Optimizers:
    """Optimizers over views of `values` (p,), reading their gradients from views of `grads` (p,); with `halt` those of `held_adam`."""
    tables: list[torch.Tensor] = []
    others: list[torch.Tensor] = []
    grad_views = layout.views(grads)
    for param in layout.params:
        tensor = layout.views(values)[param.name]
        tensor.grad = grad_views[param.name]
        (tables if param.role == "table" else others).append(tensor)
    kinds = [(others, schedule.learning_rate), *([(tables, schedule.table_learning_rate)] if tables else [])]
    if halt is not None:
        return [held_adam(tensors, rate, BETAS, halt) for tensors, rate in kinds]
    return [torch.optim.Adam(tensors, lr=rate, betas=BETAS, fused=True) for tensors, rate in kinds]


def set_learning_rates(optimizers: Optimizers, bases: Sequence[float], factor: float) -> None:
    for optimizer, base in zip(optimizers, bases, strict=True):
        for group in optimizer.param_groups:
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(base * factor)
            else:
                group["lr"] = base * factor


def load_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Bring an optimizer to a saved state; rates that are tensors stay where they are."""
    before = [group["lr"] for group in optimizer.param_groups]
    optimizer.load_state_dict(saved)
    for group, rate in zip(optimizer.param_groups, before, strict=True):
        if isinstance(rate, torch.Tensor):
            group["lr"] = rate.copy_(torch.as_tensor(group["lr"]))


def cosine_factor(fraction: float, final: float) -> float:
    """Of learning rates: a cosine from 1 down to `final`."""
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(1.0, fraction)))
