"""Operations that remember the way back: reverse-mode differentiation of a network for training.

One forward pass records, one `backward` goes back and adds every gradient to its place: that of a parameter to the parameter's `.grad`,
which must be there. Beside autograd this spares copies, allocations and half of the calls.
"""

from collections.abc import Callable
from typing import cast

import torch

from inrcodec.backends.torch import TorchOps, stretched
from inrcodec.backends.torch_grid import grid_on_lattice, grid_on_lattice_backward
from inrcodec.backends.torch_prepared import tensor_points
from inrcodec.coordinates import Lattice, Points
from inrcodec.networks.hashgrid import Level
from inrcodec.ops import Activation, Constant, Coordinates, Wave

Tensor = torch.Tensor


class Trail:
    """What was done, and the way back: an operation leaves its result and a step that goes from its gradient to those before."""

    def __init__(self) -> None:
        self._steps: list[tuple[Tensor, Callable[[Tensor], None]]] = []
        self._grads: dict[int, Tensor | None] = {}  # by identity, of what is held here

    def watch(self, x: Tensor) -> Tensor:
        """Follow x, an input: `backward` will find its gradient, which is returned (zero now)."""
        grad = torch.zeros_like(x)
        self._keep(x, lambda _: None)
        self._grads[id(x)] = grad
        return grad

    def backward(self, output: Tensor, grad: Tensor) -> None:
        """From the gradient of `output`, add those of everything before it; nothing is remembered after."""
        self._grads[id(output)] = grad
        for result, step in reversed(self._steps):
            found = self._grads[id(result)]
            if found is not None:
                step(found)
        self._steps.clear()
        self._grads.clear()

    def _keep(self, out: Tensor, back: Callable[[Tensor], None]) -> Tensor:
        # Held until `backward`, so that no other tensor can take its identity.
        self._steps.append((out, back))
        self._grads[id(out)] = None
        return out

    def _keep_layer(self, x: Tensor, out: Tensor, back: Callable[[Tensor, bool], Tensor | None]) -> Tensor:
        """The result of a layer on x; back: from its gradient, and whether x has one, to that of x."""

        def step(grad: Tensor) -> None:
            need_x = id(x) in self._grads
            grad_x = back(grad, need_x)
            if need_x:
                self._add(x, cast(Tensor, grad_x))

        return self._keep(out, step)

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


class Tape(Trail):
    """The operations of ops.py. Parameters with a `.grad` are trained, others are constants; run under torch.no_grad()."""

    def __init__(self, ops: TorchOps) -> None:
        super().__init__()
        self._ops = ops

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
        prepared, h, layers = self._ops.prepared, len(w), self._ops.layers
        factor = prepared.amplitude(bias_scale, h)
        turned, scale = b if factor is None else b * factor, prepared.amplitude(amplitude, h)
        if isinstance(coords, Points):
            x, frequency = tensor_points(coords, self._ops.device), w.double() * prepared.double(weight_scale)
            out, saved = layers.sine_at_points_forward(x, frequency, turned, scale, mask, widths)
            backward = layers.sine_at_points_backward
        else:
            leading, last = prepared.sines(coords, w, weight_scale, frozen=w.grad is None)
            out, saved = layers.sine_on_lattice_forward(leading, last, turned, scale, mask, widths)
            backward = layers.sine_on_lattice_backward

        def back(grad: Tensor) -> None:
            phase = cast(Tensor, b.grad) if factor is None else torch.zeros_like(b)
            dz = backward(saved, grad, phase=phase, mask=self._place(mask), need_angle=w.grad is not None)
            if factor is not None:
                self._add(b, phase.mul_(factor))
            if dz is not None:
                self._add(w, (dz @ prepared.points(coords).float()).mul_(prepared.double(weight_scale)))

        return self._keep(out, back)

    def sine_layer(self, x: Tensor, w: Tensor, b: Tensor, *, omega: Constant, amplitude: Constant, mask: Tensor | None) -> Tensor:
        prepared, h, layers = self._ops.prepared, len(w), self._ops.layers
        out, saved = layers.sine_layer_forward(x, w, b, prepared.vector(omega, h), prepared.amplitude(amplitude, h), mask)

        def back(grad: Tensor, need_x: bool) -> Tensor | None:
            return cast(Tensor | None, layers.sine_layer_backward(saved, grad, w=w.grad, b=b.grad, mask=self._place(mask), need_x=need_x))

        return self._keep_layer(x, out, back)

    def hash_grid(self, coords: Coordinates, tables: list[Tensor], levels: tuple[Level, ...], stretch: tuple[float, ...]) -> Tensor:
        if isinstance(coords, Points):
            layers = self._ops.layers
            x = stretched(tensor_points(coords, self._ops.device), stretch)
            out, saved = layers.grid_at_points_forward(x, tables, levels)
            return self._keep(out, lambda grad: layers.grid_at_points_backward(saved, grad, [cast(Tensor, table.grad) for table in tables]))
        prepared = [self._ops.prepared.level(coords, level, stretch) for level in levels]
        return self._keep(
            grid_on_lattice(prepared, tables),
            lambda grad: grid_on_lattice_backward(prepared, grad, [cast(Tensor, table.grad) for table in tables]),
        )

    def linear(self, x: Tensor, w: Tensor, b: Tensor, *, activation: Activation = "none") -> Tensor:
        layers = self._ops.layers
        out, saved = layers.linear_forward(x, w, b, activation)

        def back(grad: Tensor, need_x: bool) -> Tensor | None:
            return cast(Tensor | None, layers.linear_backward(saved, grad, w=w.grad, b=b.grad, need_x=need_x))

        return self._keep_layer(x, out, back)

    def columns(self, x: Tensor, start: int, stop: int) -> Tensor:
        view = x[start:stop]
        place = self._place(x)
        if place is not None:
            self._keep(view, lambda _: None)
            self._grads[id(view)] = place[start:stop]
        return view

    def join(self, x: Tensor, y: Tensor) -> Tensor:
        def back(grad: Tensor) -> None:
            for part, share in ((x, grad[: len(x)]), (y, grad[len(x) :])):
                if id(part) in self._grads:
                    self._add(part, share)

        return self._keep(torch.cat([x, y]), back)

    def coordinates(self, coords: Coordinates) -> Tensor:
        return self._ops.coordinates(coords)

    def fourier(self, coords: Coordinates, w: Tensor, *, weight_scale: float) -> Tensor:
        return self._ops.fourier(coords, w, weight_scale=weight_scale)

    def activated(
        self,
        x: Tensor | Coordinates,
        w: Tensor,
        b: Tensor,
        *,
        wave: Wave,
        constants: tuple[float, ...] = (),
        tensors: tuple[Tensor, ...] = (),
    ) -> Tensor:
        ops = self._ops
        if isinstance(x, Points | Lattice):
            return self._by_autograd(lambda w, b, *t: ops.activated(x, w, b, wave=wave, constants=constants, tensors=t), w, b, *tensors)
        return self._by_autograd(lambda x, w, b, *t: ops.activated(x, w, b, wave=wave, constants=constants, tensors=t), x, w, b, *tensors)

    def complex_matrix(self, w: Tensor) -> Tensor:
        return self._by_autograd(self._ops.complex_matrix, w)

    def radial(self, coords: Coordinates, centres: Tensor, scales: Tensor) -> Tensor:
        return self._by_autograd(lambda c, s: self._ops.radial(coords, c, s), centres, scales)

    def ramps(self, t: Tensor, count: int) -> Tensor:
        return self._by_autograd(lambda t: self._ops.ramps(t, count), t)

    def product(self, x: Tensor, y: Tensor) -> Tensor:
        return self._by_autograd(self._ops.product, x, y)

    def _by_autograd(self, function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """An operation without a way back of its own."""
        wanted = [id(x) in self._grads or x.grad is not None for x in inputs]
        with torch.enable_grad():
            leaves = [x.detach().requires_grad_(want) for x, want in zip(inputs, wanted, strict=True)]
            out = function(*leaves)

        def back(grad: Tensor) -> None:
            followed = [(x, leaf) for x, leaf in zip(inputs, leaves, strict=True) if leaf.requires_grad]
            found = torch.autograd.grad(out, [leaf for _, leaf in followed], grad)
            for (x, _), share in zip(followed, found, strict=True):
                self._add(x, share)

        return self._keep(out.detach(), back)
