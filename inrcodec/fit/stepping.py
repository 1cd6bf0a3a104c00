"""What one step of a fit does on its device: distortion and rate with their gradients, and the optimizers.

Nothing here reads what the device has found; that is for the loop, which decides when it looks.
"""

from collections.abc import Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from numpy.typing import NDArray

from inrcodec.backends.threads import Team
from inrcodec.backends.torch import layers_in
from inrcodec.errors import UsageError
from inrcodec.fit.captured import Captured, Pace
from inrcodec.fit.contexts import Contexts, add_context_rate
from inrcodec.fit.data import Batch, Data
from inrcodec.fit.gradients import Lane, batch_gradients, make_lanes
from inrcodec.fit.group import Member, Turn
from inrcodec.fit.grouped import Share, fill, finish_gradients, grouped_gradients, new_share, pass_key
from inrcodec.fit.plan import Plan
from inrcodec.fit.points import tensors_of, with_tensors
from inrcodec.fit.progress import advance
from inrcodec.fit.quantized import FlatLayout, Rate, bound_scales, group_sum, leading, quantize_flat, rate
from inrcodec.fit.state import State
from inrcodec.networks.sape import PROGRESS

Tensor = torch.Tensor
Number = float | Tensor
HASH_BACKENDS = ("own", "tcnn")
Stage = Literal["plain", "noisy", "rounded"]


@dataclass(frozen=True)
class Found:
    """Of one step: the mean squared error and, where they were asked for, the bits of all values; tensors () have still to be read."""

    distortion: Number
    bits: Number | None


@dataclass(frozen=True)
class Asked:
    """What a step does: its stage, whether it counts the rate, and whether that of rounded values as well."""

    stage: Stage
    rated: bool
    rounded_too: bool


def layers_for(device: torch.device, plan: Plan, precision: str, hash_backend: str) -> Any:
    """The layers of a fit: `layers_in` a precision, with grids at points by our own kernels or by tiny-cuda-nn ("own", "tcnn").

    Raises UsageError, BackendMissing.
    """
    layers = layers_in(device, precision)
    if hash_backend not in HASH_BACKENDS:
        raise UsageError(f"hash_backend: expected one of {', '.join(HASH_BACKENDS)}, got {hash_backend}")
    if hash_backend == "own":
        return layers
    if device.type != "cuda":
        raise UsageError(f"hash_backend: tcnn is of CUDA devices, expected own on {device}")
    if plan.sampling is None or not hasattr(plan.config, "levels"):
        raise UsageError("hash_backend: tcnn is of shapes, whose samples are points, and of networks with a hash grid; expected own")
    from inrcodec.backends.torch_tcnn import TcnnLayers, grid_of

    features = next(param.shape[-1] for param in plan.network.params(plan.config) if param.role == "table")
    for level in plan.config.levels:
        grid_of(level, plan.config.in_features, features)
    return TcnnLayers(layers)


class Stepper:
    """The steps of one fit, captured where its pace says so; those of a member of a group are made with others where they can be."""

    def __init__(
        self,
        state: State,
        layout: FlatLayout,
        frozen: Mapping[str, NDArray[Any]],
        data: Data,
        plan: Plan,
        threads: Team,
        pace: Pace,
        layers: Any,
        member: Member | None = None,
    ) -> None:
        self._state, self._layout, self._data, self._plan, self._threads = state, layout, data, plan, threads
        device = state.values.device
        count = None if plan.windows is None else plan.windows.count
        self._working = torch.empty_like(state.values)
        self._lanes: tuple[Lane, ...] = make_lanes(layout, self._working, state.grads, frozen, device, threads.size, count)
        for lane in self._lanes:
            lane.ops.layers = layers
        self._weight = torch.zeros((), device=device) if pace.held else None
        self._captured = Captured(pace.recorder([state.generator]) if pace.graphs else None)
        self._member = member
        self._shares: dict[Hashable, Share] = {}
        self._joint = Captured(pace.recorder([]) if pace.graphs and member is not None else None)

    def gradients(self, batch: Batch, asked: Asked, *, grown: bool) -> Found:
        """Leave the gradients of the loss in state.grads; with the rate, move steps and scales. grown: features come in before (SAPE)."""
        state = self._state
        weight: Number = state.lam / self._data.samples
        if self._weight is not None:
            weight = self._weight.fill_(weight)
        if self._member is not None:
            outputs = self._member.make(self._turn(batch, asked, weight))
            if outputs is not None:
                return _found(outputs)
        if grown or not self._captures:
            return self._gradients(batch, asked, weight, grown=grown)
        fresh = self._data.fresh
        inputs = tensors_of(batch) if fresh else ()

        def work(*tensors: Tensor) -> tuple[Tensor, ...]:
            return _outputs(self._gradients(with_tensors(batch, tensors) if fresh else batch, asked, weight, grown=False))

        kind = (asked, tuple(value.shape for value in inputs) if fresh else batch)
        return _found(self._captured.run(kind, work, inputs=inputs, owners=self._owners()))

    def optimize(self) -> None:
        """Move the values by their gradients."""

        def work() -> tuple[Tensor, ...]:
            for optimizer in self._state.optimizers:
                optimizer.step()
            return ()

        self._captured.run("optimize", work, owners=self._owners())

    def away(self) -> AbstractContextManager[None]:
        """What is no step and may take long: other members of the group do not wait for it."""
        return nullcontext() if self._member is None else self._member.away()

    @property
    def _captures(self) -> bool:
        return self._weight is not None

    def _owners(self) -> tuple[object, ...]:
        """Whose memory a step reads and changes, beside that of the values."""
        state = self._state
        return (*state.optimizers, state.scale_optimizer, state.contexts, state.rounded_contexts)

    def _turn(self, batch: Batch, asked: Asked, weight: Number) -> Turn:
        """A step in the parts that a group makes of it; each is captured by itself, so that none depends on what others are at."""
        lane, plan, data, layout = self._lanes[0], self._plan, self._data, self._layout
        key = pass_key(batch, data.scale)

        def quantized() -> tuple[Tensor, ...]:
            found = self._quantized(asked)
            if key in self._shares:
                fill(self._shares[key], lane, plan, batch)
            else:
                self._shares[key] = new_share(lane, self._working, plan, batch)
            return found

        def concluded(error: Tensor, *found: Tensor) -> tuple[Tensor, ...]:
            finish_gradients(self._shares[key], lane, plan, batch)
            distortion = error.double() * data.scale * data.scale / batch.count
            return _outputs(self._concluded(distortion, found, asked, weight))

        def joint(shares: Sequence[Share], owners: tuple[object, ...]) -> Tensor:
            def work() -> tuple[Tensor, ...]:
                return (grouped_gradients(shares, lane, layout, plan, scale=data.scale, count=batch.count),)

            return self._joint.run((key, *shares), work, owners=owners)[0]

        return Turn(
            key=key,
            begin=lambda: self._captured.run(("begin", asked, batch), quantized, owners=self._owners()),
            share=lambda: self._shares[key],
            joint=joint,
            end=lambda found, error: self._captured.run(("end", asked, batch), concluded, inputs=(error, *found), owners=self._owners()),
        )

    def _gradients(self, batch: Batch, asked: Asked, weight: Number, *, grown: bool) -> Found:
        plan = self._plan
        found = self._quantized(asked)
        if grown:
            advance(self._lanes[0], self._layout.views(self._state.values)[PROGRESS], plan, batch)
        distortion = batch_gradients(
            self._lanes,
            self._threads,
            plan.network,
            plan.config,
            batch,
            scale=self._data.scale,
            mask_sparsity=plan.schedule.mask_sparsity,
        )
        return self._concluded(distortion, found, asked, weight)

    def _quantized(self, asked: Asked) -> tuple[Tensor, ...]:
        """Put the values as this stage sees them where the pass reads them; with quantization what that added in steps, and the steps."""
        state, layout = self._state, self._layout
        if state.log_step is None:
            self._working.copy_(state.values)
            return ()
        step_size = torch.exp(state.log_step)
        generator = None if asked.stage == "rounded" else state.generator
        residual = quantize_flat(layout, state.values, step_size, generator, reads=state.halt is None)
        torch.addcmul(state.values, residual, step_size[layout.group], out=self._working)
        return residual, step_size

    def _concluded(self, distortion: Number, quantized: Sequence[Tensor], asked: Asked, weight: Number) -> Found:
        """What follows the gradients of the distortion; quantized: of `_quantized`."""
        state = self._state
        if state.halt is not None:
            # The host will know some steps later: until then nothing moves.
            torch.maximum(state.halt, 1 - torch.isfinite(torch.as_tensor(distortion)).float(), out=state.halt)
        if not asked.rated:
            return Found(distortion, None)
        residual, step_size = quantized
        return Found(distortion, self._rate(residual, step_size, weight, rounded_too=asked.rounded_too))

    def _rate(self, residual: Tensor, step_size: Tensor, weight: Number, *, rounded_too: bool) -> Number | None:
        """Add the rate's gradients, move steps and scales; the bits of the values as the file holds them, if they are counted now."""
        state, layout = self._state, self._layout
        assert state.log_step is not None and state.log_scale is not None and state.scale_optimizer is not None
        r = self._rate_of(state.contexts, self._working, residual)
        if not state.snapped:
            state.log_step.grad = group_sum(layout, state.grads * residual) * step_size + weight * r.grad_log_step
        state.log_scale.grad = weight * r.grad_log_scale
        state.scale_optimizer.step()
        bound_scales(layout, state.values, state.log_step, state.log_scale, steps_fixed=state.snapped)
        # The rate is evaluated every few steps only, with as many times its weight.
        every = self._plan.schedule.rate_every
        if isinstance(weight, Tensor):
            state.grads.addcmul_(r.grad_values, weight * every)
        else:
            state.grads.add_(r.grad_values, alpha=weight * every)
        if state.rounded_contexts is None or state.snapped:
            return r.bits
        if not rounded_too:
            return None
        apart = quantize_flat(layout, state.values, step_size, None)
        rounded = torch.addcmul(state.values, apart, step_size[layout.group])
        return self._rate_of(state.rounded_contexts, rounded, apart).bits

    def _rate_of(self, contexts: Contexts | None, values: Tensor, residual: Tensor) -> Rate:
        """The rate of `values` (p,), noisy or rounded; the context network, where there is one, makes a step."""
        state, layout = self._state, self._layout
        assert state.log_step is not None and state.log_scale is not None
        if contexts is None:
            return rate(layout, values, state.log_step, state.log_scale)
        others = leading(layout, len(layout.params) - len(contexts.tables))
        r = rate(others, values[: others.size], state.log_step[: others.groups], state.log_scale[: others.groups])
        r = add_context_rate(contexts, r, values, residual, state.log_step, self._threads)
        contexts.optimizer.step()
        return r


def _outputs(found: Found) -> tuple[Tensor, ...]:
    return tuple(torch.as_tensor(value) for value in (found.distortion, found.bits) if value is not None)


def _found(outputs: Sequence[Tensor]) -> Found:
    return Found(outputs[0], outputs[1] if len(outputs) > 1 else None)
