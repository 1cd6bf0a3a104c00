"""Operations that remember the way back: reverse-mode differentiation of a network for training.

One forward pass records, one `backward` goes back and adds every gradient to its place: that of a parameter to the parameter's `.grad`,
which must be there. Beside autograd this spares copies, allocations and half of the calls. Operations without a hand-written gradient
go through autograd one at a time.
"""

from collections.abc import Callable
from typing import cast

import torch

from inrcodec.backends.torch import TorchOps
from inrcodec.backends.torch_grid import grid_on_lattice, grid_on_lattice_backward
from inrcodec.coordinates import Points
from inrcodec.networks.hashgrid import Level
from inrcodec.ops import Activation, Constant, Coordinates

Tensor = torch.Tensor


class Tape:
    """The operations of ops.py. Parameters with a `.grad` are trained, others are constants; run under torch.no_grad()."""

    def __init__(self, ops: TorchOps) -> None:
        self._ops = ops
        self._steps: list[tuple[Tensor, Callable[[Tensor], None]]] = []
        self._grads: dict[int, Tensor | None] = {}  # by identity, of what this tape holds

    def watch(self, x: Tensor) -> Tensor:
        """Follow x, an input: `backward` will find its gradient, which is returned (zero now)."""
        grad = torch.zeros_like(x)
        self._keep(x, lambda _: None)
        self._grads[id(x)] = grad
        return grad

    def backward(self, output: Tensor, grad: Tensor) -> None:
        """From the gradient of `output`, add those of everything before it; the tape is empty after."""
        self._grads[id(output)] = grad
        for result, step in reversed(self._steps):
            found = self._grads[id(result)]
            if found is not None:
                step(found)
        self._steps.clear()
        self._grads.clear()

    def sine_embedding(
        self,
        coords: Coordinates,
        w: Tensor,
        b: Tensor,
        *,
        weight_scale: Constant,
        bias_scale: Constant,
        amplitude: Constant,
        mask: Tensor | None,
        widths: tuple[int, ...],
    ) -> Tensor:
        options = {"weight_scale": weight_scale, "bias_scale": bias_scale, "amplitude": amplitude, "widths": widths}
        if isinstance(coords, Points):
            inputs = [w, b] if mask is None else [w, b, mask]
            return self._by_autograd(
                lambda w, b, mask=None: self._ops.sine_embedding(coords, w, b, mask=mask, **options),  # type: ignore[arg-type]
                inputs,
            )
        prepared, h, layers = self._ops.prepared, len(w), self._ops.layers
        factor = prepared.amplitude(bias_scale, h)
        leading, last = prepared.sines(coords, w, weight_scale, frozen=w.grad is None)
        scale = prepared.amplitude(amplitude, h)
        out, saved = layers.sine_on_lattice_forward(leading, last, b if factor is None else b * factor, scale, mask, widths)

        def back(grad: Tensor) -> None:
            phase = cast(Tensor, b.grad) if factor is None else torch.zeros_like(b)
            dz = layers.sine_on_lattice_backward(saved, grad, phase=phase, mask=self._place(mask), need_angle=w.grad is not None)
            if factor is not None:
                self._add(b, phase.mul_(factor))
            if dz is not None:
                self._add(w, (dz @ prepared.points(coords)).mul_(prepared.double(weight_scale)))

        return self._keep(out, back)

    def sine_layer(self, x: Tensor, w: Tensor, b: Tensor, *, omega: Constant, amplitude: Constant, mask: Tensor | None) -> Tensor:
        prepared, h, layers = self._ops.prepared, len(w), self._ops.layers
        out, saved = layers.sine_layer_forward(x, w, b, prepared.vector(omega, h), prepared.amplitude(amplitude, h), mask)

        def back(grad: Tensor) -> None:
            need_x = id(x) in self._grads
            grad_x = layers.sine_layer_backward(saved, grad, w=w.grad, b=b.grad, mask=self._place(mask), need_x=need_x)
            if need_x:
                self._add(x, grad_x)

        return self._keep(out, back)

    def hash_grid(self, coords: Coordinates, tables: list[Tensor], levels: tuple[Level, ...]) -> Tensor:
        if isinstance(coords, Points):
            return self._by_autograd(lambda *tables: self._ops.hash_grid(coords, list(tables), levels), tables)
        prepared = [self._ops.prepared.level(coords, level) for level in levels]
        return self._keep(
            grid_on_lattice(prepared, tables),
            lambda grad: grid_on_lattice_backward(prepared, grad, [cast(Tensor, table.grad) for table in tables]),
        )

    def linear(self, x: Tensor, w: Tensor, b: Tensor, *, activation: Activation = "none") -> Tensor:
        layers = self._ops.layers
        out, saved = layers.linear_forward(x, w, b, activation)

        def back(grad: Tensor) -> None:
            need_x = id(x) in self._grads
            grad_x = layers.linear_backward(saved, grad, w=w.grad, b=b.grad, need_x=need_x)
            if need_x:
                self._add(x, grad_x)

        return self._keep(out, back)

    def columns(self, x: Tensor, start: int, stop: int) -> Tensor:
        view = x[start:stop]
        place = self._place(x)
        if place is not None:
            self._keep(view, lambda _: None)
            self._grads[id(view)] = place[start:stop]
        return view

    def _keep(self, out: Tensor, back: Callable[[Tensor], None]) -> Tensor:
        # Held until `backward`, so that no other tensor can take its identity.
        self._steps.append((out, back))
        self._grads[id(out)] = None
        return out

    def _place(self, x: Tensor | None) -> Tensor | None:
        """Where gradients of x are added, or None where nobody asks for them."""
        if x is None or id(x) not in self._grads:
            return None
        grad = self._grads[id(x)]
        if grad is None:
            grad = self._grads[id(x)] = torch.zeros_like(x)
        return grad

    def _add(self, x: Tensor, grad: Tensor) -> None:
        if id(x) not in self._grads:
            if x.grad is not None:
                x.grad.add_(grad)
            return
        before = self._grads[id(x)]
        if before is None:
            self._grads[id(x)] = grad
        else:
            before.add_(grad)

    def _by_autograd(self, operation: Callable[..., Tensor], inputs: list[Tensor]) -> Tensor:
        leaves = [x.detach().requires_grad_() for x in inputs]
        with torch.enable_grad():
            followed = operation(*leaves)

        def back(grad: Tensor) -> None:
            for x, found in zip(inputs, torch.autograd.grad(followed, leaves, grad, allow_unused=True), strict=True):
                if found is not None:
                    self._add(x, found)

        return self._keep(followed.detach(), back)
