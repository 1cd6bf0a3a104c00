"""Everything that changes during a fit, and what is saved of it."""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from inrcodec.context import ContextNet
from inrcodec.fit.contexts import Contexts
from inrcodec.fit.optim import Optimizers, held_adam, load_optimizer, make_optimizers
from inrcodec.fit.plan import Plan
from inrcodec.fit.quantized import FlatLayout

Tensor = torch.Tensor
SCALE_BETAS = (0.9, 0.999)


@dataclass(eq=False)
class Snapshot:
    """Values and what quantizes them, with the loss they gave."""

    values: Tensor
    log_step: Tensor | None
    log_scale: Tensor | None
    loss: float
    contexts: ContextNet | None = None
    reached: bool = False  # the PSNR wanted


@dataclass(eq=False)
class State:
    values: Tensor  # (p,)
    grads: Tensor  # (p,)
    optimizers: Optimizers
    rng: np.random.Generator
    generator: torch.Generator
    lam: float
    log_step: Tensor | None = None  # (g,), from the rate stage on
    log_scale: Tensor | None = None
    scale_optimizer: torch.optim.Optimizer | None = None
    halt: Tensor | None = None  # 1 once a distortion was not finite; with it optimizers are those of optim.held_adam
    contexts: Contexts | None = None  # likewise
    rounded_contexts: Contexts | None = None  # the same for rounded values, which are what the file holds; one with `contexts` in the end
    step: int = 0
    elapsed: float = 0.0  # seconds of this and earlier runs
    rate_factor: float = 1.0  # lowered by the divergence guard
    restarts: int = 0
    distortion: float | None = None  # moving average
    bits: float | None = None  # of the last rate evaluation
    correction: float | None = 1.0  # packed bits over estimated ones; None where the next estimate is to agree with `bits`
    compared: float = 0.0  # fraction of the run at which they were
    attempts: int = 0  # at the last stage, beyond the first
    snapped: bool = False  # steps are those of the file and no longer learned
    reference: float | None = None  # distortion that lam is measured by
    excess: float | None = None  # logarithm of the size over the one wanted, when the rate entered the loss
    pull: float = 0.0  # logarithm of lam over what the distortion asks for, gathered while the size was not the one wanted
    order: list[tuple[int, ...]] = field(default_factory=list)  # phases still to see in this cycle
    cycle_loss: list[float] = field(default_factory=list)
    good: Snapshot | None = None  # last state without signs of divergence
    best: Snapshot | None = None  # lowest loss with rounded values

    def begin_rate(self, log_step: Tensor, log_scale: Tensor, learning_rate: float) -> None:
        self.log_step, self.log_scale = log_step, log_scale
        tensors = [log_step, log_scale]
        self.scale_optimizer = (
            torch.optim.Adam(tensors, lr=learning_rate, betas=SCALE_BETAS)
            if self.halt is None
            else held_adam(tensors, learning_rate, SCALE_BETAS, self.halt)
        )

    def snapshot(self, loss: float, *, reached: bool = False) -> Snapshot:
        copies = [None if t is None else t.clone() for t in (self.log_step, self.log_scale)]
        contexts = None if self.rounded_contexts is None else self.rounded_contexts.integers()
        return Snapshot(self.values.clone(), copies[0], copies[1], loss, contexts, reached)


def new_state(plan: Plan, layout: FlatLayout, initial: dict[str, Any], *, seed: int, device: torch.device, held: bool = False) -> State:
    """The state before the first step; held: what differs from step to step lies on the device."""
    values = torch.empty(layout.size, device=device)
    for name, view in layout.views(values).items():
        view.copy_(torch.as_tensor(initial[name]))
    grads = torch.zeros_like(values)
    halt = torch.zeros((), device=device) if held else None
    return State(
        values=values,
        grads=grads,
        optimizers=make_optimizers(layout, values, grads, plan.schedule, halt=halt),
        halt=halt,
        rng=np.random.default_rng([seed, 1]),
        generator=torch.Generator(device=device).manual_seed(seed),
        lam=plan.target.lam,
    )


PLAIN = (
    "step",
    "elapsed",
    "rate_factor",
    "restarts",
    "distortion",
    "bits",
    "correction",
    "compared",
    "attempts",
    "reference",
    "snapped",
    "excess",
    "pull",
    "lam",
    "cycle_loss",
)


def to_saved(state: State) -> dict[str, Any]:
    """The state as tensors and plain values."""
    saved: dict[str, Any] = {name: getattr(state, name) for name in PLAIN}
    saved["values"] = state.values
    saved["scales"] = None if state.log_step is None else [state.log_step, state.log_scale]
    saved["optimizers"] = [optimizer.state_dict() for optimizer in state.optimizers]
    saved["scale_optimizer"] = None if state.scale_optimizer is None else state.scale_optimizer.state_dict()
    for name in ("contexts", "rounded_contexts"):
        contexts: Contexts | None = getattr(state, name)
        saved[name] = None if contexts is None else [contexts.weights, contexts.optimizer.state_dict()]
    saved["order"] = [list(phase) for phase in state.order]
    # PCG64's state has 128-bit integers, which torch.save's safe reader only knows as text.
    saved["rng"] = json.dumps(state.rng.bit_generator.state)
    saved["generator"] = state.generator.get_state()
    for name in ("good", "best"):
        kept: Snapshot | None = getattr(state, name)
        saved[name] = (
            None if kept is None else [kept.values, kept.log_step, kept.log_scale, kept.loss, _saved_net(kept.contexts), kept.reached]
        )
    return saved


def restore(state: State, saved: dict[str, Any], scale_learning_rate: float, both: tuple[Contexts | None, Contexts | None]) -> None:
    """Bring a new state to where `to_saved` left it; `both` are new contexts and rounded_contexts, where the plan has any."""
    for name in PLAIN:
        setattr(state, name, saved[name])
    device = state.values.device
    state.values.copy_(saved["values"])
    for optimizer, content in zip(state.optimizers, saved["optimizers"], strict=True):
        load_optimizer(optimizer, content)
    if saved["scales"] is not None:
        log_step, log_scale = (t.to(device) for t in saved["scales"])
        state.begin_rate(log_step, log_scale, scale_learning_rate)
        assert state.scale_optimizer is not None
        load_optimizer(state.scale_optimizer, saved["scale_optimizer"])
    for name, contexts in zip(("contexts", "rounded_contexts"), both, strict=True):
        if saved[name] is None or contexts is None:
            continue
        weights, optimizer = saved[name]
        with torch.no_grad():
            for key, weight in contexts.weights.items():
                weight.copy_(weights[key])
        load_optimizer(contexts.optimizer, optimizer)
        setattr(state, name, contexts)
    if state.snapped:
        state.contexts = state.rounded_contexts
    state.order = [tuple(phase) for phase in saved["order"]]
    state.rng.bit_generator.state = json.loads(saved["rng"])
    state.generator.set_state(saved["generator"])
    for name in ("good", "best"):
        if saved[name] is not None:
            values, log_step, log_scale, loss, net, reached = saved[name]
            scales = [None if t is None else t.to(device) for t in (log_step, log_scale)]
            kept_net = None if net is None else ContextNet(*(part.numpy() for part in net))
            setattr(state, name, Snapshot(values.to(device), scales[0], scales[1], loss, kept_net, reached))


def _saved_net(net: ContextNet | None) -> list[Tensor] | None:
    return None if net is None else [torch.from_numpy(part) for part in (net.a1, net.a2, net.b, net.bias)]
