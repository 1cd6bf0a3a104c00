"""A pass forward and back through m networks of one shape at once, with a tape like that of torch_tape.py. Layout (m, neurons, samples).

What depends on coordinates and parameters alone, grid features and the sines of an embedding's angles, is formed member by member before
(`features_of`, `sines_of`), and the gradient of features is taken back to tables after (`features_backward`). The pass between knows no
coordinates: it is the same wherever samples lie, as long as they are as many.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch

from inrcodec.backends import torch_grouped
from inrcodec.backends.torch import TorchOps
from inrcodec.backends.torch_grid import grid_on_lattice, grid_on_lattice_backward
from inrcodec.backends.torch_tape import Trail
from inrcodec.coordinates import Lattice
from inrcodec.networks.base import Network, Params
from inrcodec.networks.hashgrid import Level
from inrcodec.ops import Activation, Constant

Tensor = torch.Tensor
NETWORKS = frozenset({"siren.1", "msa.1", "sasnet.1", "sasnet.2", "sasnet-unmasked.1", "sasnet-ablation.1"})  # made of the operations here
Sines = tuple[Tensor, ...]  # and cosines of angles: (h, r) of all axes but the last, (h, l) of that; then x (n, d), if w is trained


def grouped_layers(layers: Any) -> Any:
    """The functions of torch_grouped.py that go with those of torch_layers.py in `layers`."""
    return getattr(layers, "grouped", torch_grouped)


class _Unformed:
    """Operations of which nothing is formed."""

    def sine_layer(self, x: None, w: Tensor, b: Tensor, *, omega: Constant, amplitude: Constant, mask: None) -> None:
        return

    def linear(self, x: None, w: Tensor, b: Tensor, *, activation: Activation = "none") -> None:
        return

    def columns(self, x: None, start: int, stop: int) -> None:
        return

    def join(self, x: None, y: None) -> None:
        return


class _Features(_Unformed):
    """Forms grid features."""

    def __init__(self, ops: TorchOps) -> None:
        self._prepared = ops.prepared
        self.found: Tensor | None = None

    def hash_grid(self, coords: Lattice, tables: list[Tensor], levels: tuple[Level, ...], stretch: tuple[float, ...]) -> None:
        self.found = grid_on_lattice([self._prepared.level(coords, level, stretch) for level in levels], tables)


class _FeaturesBack(_Unformed):
    """Takes the gradient of grid features back to the tables."""

    def __init__(self, ops: TorchOps, grad: Tensor) -> None:
        self._prepared, self._grad = ops.prepared, grad

    def hash_grid(self, coords: Lattice, tables: list[Tensor], levels: tuple[Level, ...], stretch: tuple[float, ...]) -> None:
        prepared = [self._prepared.level(coords, level, stretch) for level in levels]
        grid_on_lattice_backward(prepared, self._grad, [cast(Tensor, table.grad) for table in tables])


class _Angles(_Unformed):
    """Forms the sines of an embedding's angles."""

    def __init__(self, ops: TorchOps) -> None:
        self._prepared = ops.prepared
        self.found: Sines = ()

    def sine_embedding(
        self,
        coords: Lattice,
        w: Tensor,
        b: Tensor,
        *,
        weight_scale: Constant,
        bias_scale: Constant,
        amplitude: Constant,
        mask: None,
        widths: tuple[int, ...],
    ) -> None:
        leading, last = self._prepared.sines(coords, w, weight_scale, frozen=w.grad is None)
        points = () if w.grad is None else (self._prepared.points(coords).float(),)
        self.found = (*leading, *last, *points)


def features_of(ops: TorchOps, network: Network, config: Any, params: Params, coords: Lattice) -> Tensor | None:
    """The grid features (f, n) of one member, None where its network has no grid."""
    form = _Features(ops)
    network.modulate(form, config, params, coords)
    return form.found


def features_backward(ops: TorchOps, network: Network, config: Any, params: Params, coords: Lattice, grad: Tensor) -> None:
    """Add the gradients of tables, from that of `features_of`, to theirs."""
    network.modulate(_FeaturesBack(ops, grad), config, params, coords)


def sines_of(ops: TorchOps, network: Network, config: Any, params: Params, coords: Lattice) -> Sines:
    """What the embedding of one member reads of coordinates."""
    form = _Angles(ops)
    network.trunk(form, config, params, coords, None)
    return form.found


class GroupTape(Trail):
    """The operations of NETWORKS on stacks (m, neurons, samples), parameters stacked likewise; those that are frozen are tuples, one each.

    In the place of coordinates are `features_of` all members, stacked, for `modulate`, and the `sines_of` each for `trunk`.
    """

    def __init__(self, ops: TorchOps) -> None:
        super().__init__()
        self._prepared, self._layers, self._grouped = ops.prepared, ops.layers, grouped_layers(ops.layers)

    def sine_embedding(
        self,
        coords: Sequence[Sines],
        w: Tensor | tuple[Tensor, ...],
        b: Tensor,
        *,
        weight_scale: Constant,
        bias_scale: Constant,
        amplitude: Constant,
        mask: Tensor | None,
        widths: tuple[Any, ...],
    ) -> Tensor:
        prepared, layers, members, h = self._prepared, self._layers, range(len(b)), b.shape[1]
        factor, scale = prepared.amplitude(bias_scale, h), prepared.amplitude(amplitude, h)
        turned = b if factor is None else b * factor
        each = widths if widths and isinstance(widths[0], tuple) else (widths,) * len(b)
        formed = [
            layers.sine_on_lattice_forward(coords[i][:2], coords[i][2:4], turned[i], scale, None if mask is None else mask[i], each[i])
            for i in members
        ]

        def back(grad: Tensor) -> None:
            place, b_grad = self._place(mask), cast(Tensor, b.grad)
            phase = b_grad if factor is None else torch.zeros_like(b)
            trained = isinstance(w, Tensor)
            for i in members:
                into = None if place is None else place[i]
                dz = layers.sine_on_lattice_backward(formed[i][1], grad[i], phase=phase[i], mask=into, need_angle=trained)
                if isinstance(w, Tensor):
                    cast(Tensor, w.grad)[i].add_((dz @ coords[i][4]).mul_(prepared.double(weight_scale)))
            if factor is not None:
                b_grad.add_(phase.mul_(factor))

        return self._keep(torch.stack([out for out, _ in formed]), back)

    def sine_layer(self, x: Tensor, w: Tensor, b: Tensor, *, omega: Constant, amplitude: Constant, mask: Tensor | None) -> Tensor:
        prepared, h, layers = self._prepared, b.shape[1], self._grouped
        out, saved = layers.sine_layer_forward(x, w, b, prepared.vector(omega, h), prepared.amplitude(amplitude, h), mask)

        def back(grad: Tensor, need_x: bool) -> Tensor | None:
            return cast(Tensor | None, layers.sine_layer_backward(saved, grad, w=w.grad, b=b.grad, mask=self._place(mask), need_x=need_x))

        return self._keep_layer(x, out, back)

    def hash_grid(self, coords: Tensor, tables: list[Tensor], levels: tuple[Level, ...], stretch: tuple[float, ...]) -> Tensor:
        return coords

    def linear(self, x: Tensor, w: Tensor, b: Tensor, *, activation: Activation = "none") -> Tensor:
        layers = self._grouped
        out, saved = layers.linear_forward(x, w, b, activation)

        def back(grad: Tensor, need_x: bool) -> Tensor | None:
            return cast(Tensor | None, layers.linear_backward(saved, grad, w=w.grad, b=b.grad, need_x=need_x))

        return self._keep_layer(x, out, back)

    def columns(self, x: Tensor, start: int, stop: int) -> Tensor:
        view = x[:, start:stop]
        place = self._place(x)
        if place is not None:
            self._keep(view, lambda _: None)
            self._grads[id(view)] = place[:, start:stop]
        return view

    def join(self, x: Tensor, y: Tensor) -> Tensor:
        def back(grad: Tensor) -> None:
            for part, share in ((x, grad[:, : x.shape[1]]), (y, grad[:, x.shape[1] :])):
                if id(part) in self._grads:
                    self._add(part, share)

        return self._keep(torch.cat([x, y], 1), back)
