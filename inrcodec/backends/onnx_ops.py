"""The operations of ops.py as ONNX nodes. Activations are (features, samples), as in the PyTorch engine; gathers and products only,
so that every operator is one of opset 18 that ONNX Runtime's providers have.

Nodes go into two graphs, which may be the same: `first`, what follows from coordinates and parameters alone and is cheap or small, and
`second`, the layers. What the second takes of the first `crosses`: engines run the first over many samples, the second in pieces.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from inrcodec.backends import onnx_waves
from inrcodec.backends.onnx_graph import Graph, Value, as_column, reduced, turns
from inrcodec.backends.onnx_grid import block_of, check_expanded, expanded_rows, features
from inrcodec.backends.onnx_profile import Bounds, LatticeOf, PointsOf, Profile
from inrcodec.errors import UsageError
from inrcodec.networks.hashgrid import Level
from inrcodec.networks.waves import activate
from inrcodec.ops import Activation, Constant, Wave

Coords = PointsOf | LatticeOf
# Of which axis of a crossing tensor a piece takes its part: none; the one before the last, of all axes of a lattice but the last; the last.
Cut = Literal["whole", "leading", "samples"]
COARSE_BITS = 11  # of a frequency, and one less of a coordinate: sums of up to four products are exact in float32


class Parameter(Protocol):
    """A tensor of the network. What is frozen is readable as an array while a graph is built."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def load(self, graph: Graph) -> Value:
        """Its float32 values in a graph."""
        ...

    def load_rows(self, graph: Graph, rows: NDArray[np.int64]) -> Value:
        """Those of its rows."""
        ...

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]: ...


@dataclass(frozen=True, eq=False)
class Fixed:
    """A tensor that is no parameter of the file."""

    values: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def load(self, graph: Graph) -> Value:
        return graph.constant(self.values, np.float32)

    def load_rows(self, graph: Graph, rows: NDArray[np.int64]) -> Value:
        return graph.constant(self.values[rows], np.float32)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self.values, dtype=dtype)


@dataclass(frozen=True, eq=False)
class Complex:
    """[[R, -I], [I, R]] of the tensor [R, I] (2 h, k)."""

    parts: Parameter

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.parts.shape[0], 2 * self.parts.shape[1])

    def load(self, graph: Graph) -> Value:
        real, imaginary = onnx_waves.vsplit(self.parts.load(graph), 2)
        return graph.concat([graph.concat([real, -imaginary], 1), graph.concat([imaginary, real], 1)], 0)

    def load_rows(self, graph: Graph, rows: NDArray[np.int64]) -> Value:
        return self.load(graph).take(graph.constant(rows, np.int64))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        real, imaginary = np.split(np.asarray(self.parts, dtype=dtype), 2)
        return np.block([[real, -imaginary], [imaginary, real]])


@dataclass(frozen=True, eq=False)
class Rows:
    """Features (k, n) of some samples as parts that lie above each other: (value, rows)."""

    parts: tuple[tuple[Value, int], ...]

    @property
    def count(self) -> int:
        return sum(rows for _, rows in self.parts)

    def joined(self) -> Value:
        values = [value for value, _ in self.parts]
        return values[0].graph.concat(values, 0)


@dataclass(eq=False)
class OnnxOps:
    """bounds: the domain of the coordinates, which counts where levels are expanded."""

    profile: Profile
    first: Graph
    second: Graph
    bounds: Bounds
    crossing: dict[str, Cut] = field(default_factory=dict)

    def sine_embedding(
        self,
        coords: Coords,
        w: Parameter,
        b: Parameter,
        *,
        weight_scale: Constant,
        bias_scale: Constant,
        amplitude: Constant,
        mask: Rows | None,
        widths: tuple[int, ...],
    ) -> Rows:
        h = w.shape[0]
        angles = Angles(self, coords, w, b, np.asarray(weight_scale, dtype=np.float64), np.asarray(bias_scale, dtype=np.float64))
        out = self._sines(angles, h, amplitude)
        return Rows(((out if mask is None else out * self._spread(mask, widths, h), h),))

    def sine_layer(self, x: Rows, w: Parameter, b: Parameter, *, omega: Constant, amplitude: Constant, mask: Rows | None) -> Rows:
        h = w.shape[0]
        factor = np.asarray(omega, dtype=np.float64) / (2 * math.pi if self.profile.reduce else 1)
        scale = as_column(factor.astype(np.float32))
        weight = self.cross(w.load(self.first) * scale, "whole", w.shape)
        bias = self.cross(b.load(self.first).reshape(-1, 1) * scale, "whole", (h, 1))
        z = self.second.apply("Gemm", weight, x.joined(), bias)
        if self.profile.reduce:
            z = turns(z, 1.0) * (2 * math.pi)
        out = self._scaled(self._apply("Sin", z), amplitude)
        if mask is not None:
            grouped = out.reshape(mask.count, h // mask.count, -1) * mask.joined().unsqueeze(1)
            out = grouped.reshape(h, -1)
        return Rows(((out, h),))

    def hash_grid(self, coords: Coords, tables: list[Parameter], levels: tuple[Level, ...], stretch: tuple[float, ...]) -> Rows:
        if self.profile.bitwise:
            loaded = [table.load(self.first) for table in tables]
        else:
            check_expanded(levels, stretch, self.bounds)
            blocks = [block_of(level, stretch, self.bounds) for level in levels]
            loaded = [t.load_rows(self.first, expanded_rows(level, block)) for t, level, block in zip(tables, levels, blocks, strict=True)]
        found = self.first.concat(features(coords, loaded, levels, stretch, self.bounds, self.profile), 0)
        count = sum(table.shape[1] for table in tables)
        return Rows(((self.cross(found, "samples", (count, "n")), count),))

    def linear(self, x: Rows, w: Parameter, b: Parameter, *, activation: Activation = "none") -> Rows:
        h = w.shape[0]
        bias = b.load(self.second).reshape(-1, 1)
        if x.parts[0][0].dtype == np.float64:
            y = (w.load(self.second).cast(np.float64) @ x.joined()).cast(np.float32) + bias
        else:
            y = self._product(w, x, bias)
        if activation != "none":
            y = self._apply("Relu" if activation == "relu" else "Sigmoid", y)
        return Rows(((y, h),))

    def columns(self, x: Rows, start: int, stop: int) -> Rows:
        """Rows, here: of a part that is wanted as a whole nothing is copied."""
        parts, begin = [], 0
        for value, rows in x.parts:
            low, high = max(start, begin), min(stop, begin + rows)
            if low < high:
                whole = high - low == rows
                parts.append((value if whole else self._rows(value, low - begin, high - begin), high - low))
            begin += rows
        return Rows(tuple(parts))

    def join(self, x: Rows, y: Rows) -> Rows:
        return Rows((*x.parts, *y.parts))

    def coordinates(self, coords: Coords) -> Rows:
        return Rows(((self._coordinates(coords).cast(np.float32), coords.d),))

    def fourier(self, coords: Coords, w: Parameter | NDArray[np.float64], *, weight_scale: float) -> Rows:
        frozen = np.asarray(w, dtype=np.float32)
        h = 2 * len(frozen)
        # Cosines are sines a quarter turn ahead.
        quarter = Fixed((np.arange(h) >= len(frozen)).astype(np.float32))
        angles = Angles(self, coords, Fixed(np.concatenate([frozen, frozen])), quarter, np.array(weight_scale), np.array(math.pi / 2))
        return Rows(((self._sines(angles, h, 1.0), h),))

    def activated(
        self,
        x: Rows | Coords,
        w: Parameter,
        b: Parameter,
        *,
        wave: Wave,
        constants: tuple[float, ...] = (),
        tensors: tuple[Parameter, ...] = (),
    ) -> Rows:
        if not self.profile.double:
            raise UsageError(
                f"profile: expected cpu or gpu, since the activations of this network ({wave}) need float64, got {self.profile.name}"
            )
        values = x.joined() if isinstance(x, Rows) else self._coordinates(x)
        weight, bias = self._wide(w), self._wide(b).reshape(-1, 1)
        every = [self._wide(t) for t in tensors]
        each = [[t.at(i, 0) for i in range(p.shape[0])] for t, p in zip(every, tensors, strict=True)]
        out = activate(onnx_waves, weight @ values + bias, wave, constants, each, 0)
        return Rows(((out, w.shape[0] * (2 if wave == "gabor" else 1)),))

    def complex_matrix(self, w: Parameter) -> Complex:
        return Complex(w)

    def radial(self, coords: Coords, centres: Parameter, scales: Parameter) -> Rows:
        x, c, s = self._coordinates(coords), self._wide(centres), self._wide(scales)
        parts = [((x.at(k, 0) - c.at(k, 1).unsqueeze(1)) * s.at(k, 1).unsqueeze(1)) ** 2 for k in range(coords.d)]
        total = reduce(lambda a, b: a + b, parts) + 1.0
        return Rows(((self._apply("Reciprocal", total).cast(np.float32), centres.shape[0]),))

    def ramps(self, t: Rows, count: int) -> Rows:
        number = np.arange(count, dtype=np.float32).reshape(-1, 1)
        zero, one = (self.second.constant(v, np.float32) for v in (0, 1))
        return Rows(((self.second.apply("Clip", t.joined() * float(count) - number, zero, one), count),))

    def product(self, x: Rows, y: Rows) -> Rows:
        return Rows(((x.joined() * y.joined(), x.count),))

    def _coordinates(self, coords: Coords) -> Value:
        """The coordinates (d, n) of all samples in the second graph."""
        graph = self.first
        if isinstance(coords, PointsOf):
            every = [column.unsqueeze(0) for column in coords.columns]
        else:
            shape = graph.concat([axis.shape() for axis in coords.axes], 0)
            spread = [axis.unsqueeze(*others) if others else axis for axis, others in zip(coords.axes, _others(coords.d), strict=True)]
            every = [graph.apply("Expand", axis, shape).reshape(1, -1) for axis in spread]
        return self.cross(graph.concat(every, 0), "samples", (coords.d, "n"))

    def _wide(self, tensor: Parameter) -> Value:
        """A tensor in the second graph, in the precision of coordinates."""
        return self.cross(tensor.load(self.first).cast(np.float64 if self.profile.double else np.float32), "whole", tensor.shape)

    def cross(self, value: Value, cut: Cut, shape: Sequence[int | str]) -> Value:
        """A value of the first graph in the second."""
        if self.first is self.second:
            return value
        name = f"crossing_{len(self.crossing)}"
        self.crossing[name] = cut
        self.first.output(value, name, shape)
        return self.second.input(name, value.dtype, shape)

    def _sines(self, angles: "Angles", h: int, amplitude: Constant) -> Value:
        """amplitude * sin(angle): (h, n) of the second graph."""
        coords = angles.coords
        if isinstance(coords, PointsOf) or coords.d == 1:
            z = angles.at_points() if isinstance(coords, PointsOf) else angles.along(0)
            return self._scaled(self.cross(self._apply("Sin", z), "samples", (h, "n")), amplitude)
        left, right = self._sines_of_axes([angles.along(k) for k in range(coords.d)], h)
        return (self._scaled(left, amplitude, rank=3) @ right).reshape(h, -1)

    def _sines_of_axes(self, angles: list[Value], h: int) -> tuple[Value, Value]:
        """By the addition theorem: (h, m, 2) of all axes but the last and (h, 2, last), whose products are the sines of the sums."""
        pairs = [(self._apply("Sin", z), self._apply("Cos", z)) for z in angles]
        s, c = pairs[0]
        for sine, cosine in pairs[1:-1]:
            a, b, p, q = s.unsqueeze(2), c.unsqueeze(2), sine.unsqueeze(1), cosine.unsqueeze(1)
            s, c = (a * q + b * p).reshape(h, -1), (b * q - a * p).reshape(h, -1)
        left = self.first.concat([s.unsqueeze(2), c.unsqueeze(2)], 2)
        right = self.first.concat([pairs[-1][1].unsqueeze(1), pairs[-1][0].unsqueeze(1)], 1)
        return self.cross(left, "leading", (h, "leading", 2)), self.cross(right, "whole", (h, 2, "last"))

    def _spread(self, mask: Rows, widths: tuple[int, ...], h: int) -> Value:
        """The row of `mask` that scales each of h rows, group by group to the last; ones before the first."""
        value, graph, head = mask.joined(), self.second, h - sum(widths)
        row = np.concatenate([np.full(head, len(widths)), np.repeat(np.arange(len(widths)), widths)])
        if head:
            ones = graph.apply("Expand", graph.constant([[1]], np.float32), value.shape())
            value = graph.concat([value, ones], 0)
        return value.take(graph.constant(row, np.int64))

    def _product(self, w: Parameter, x: Rows, bias: Value) -> Value:
        """w x + bias; of few outputs part by part, which spares joining many rows."""
        if len(x.parts) == 1 or 2 * w.shape[0] > x.count:
            return self.second.apply("Gemm", w.load(self.second), x.joined(), bias)
        whole, total, start = w.load(self.first), bias, 0
        for value, rows in x.parts:
            columns = self.first.apply("Slice", whole, *(self.first.integers(i) for i in (start, start + rows, 1)))
            total = self.second.apply("Gemm", self.cross(columns, "whole", (w.shape[0], rows)), value, total)
            start += rows
        return total

    def _apply(self, op: str, value: Value) -> Value:
        return value.graph.apply(op, value)

    def _scaled(self, value: Value, amplitude: Constant, *, rank: int = 2) -> Value:
        if np.ndim(amplitude) == 0 and amplitude == 1.0:
            return value
        return value * np.asarray(amplitude, dtype=np.float32).reshape(-1, *[1] * (rank - 1))

    def _rows(self, value: Value, start: int, stop: int) -> Value:
        graph = value.graph
        return graph.apply("Slice", value, graph.integers(start), graph.integers(stop), graph.integers(0))


@dataclass(frozen=True, eq=False)
class Angles:
    """weight_scale * (w x) + bias_scale * b of a sine embedding modulo 2 pi: (h, n) float32, w (h, d).

    In float64, or, for targets without it, in turns of float32 that are exact where they are large: frequency and coordinate are each
    a coarse part of few bits and a small rest.
    """

    ops: OnnxOps
    coords: Coords
    w: Parameter
    b: Parameter
    weight_scale: NDArray[np.float64]
    bias_scale: NDArray[np.float64]

    def at_points(self) -> Value:
        assert isinstance(self.coords, PointsOf)
        x = self.ops.first.concat([column.unsqueeze(0) for column in self.coords.columns], 0)
        if not self.ops.profile.double:
            return self._turned(x, slice(None), self._phase_in_turns())
        return reduced(self._frequencies() @ x + self._phase())

    def along(self, k: int) -> Value:
        """On axis k of a lattice alone; the phase is with the first."""
        assert isinstance(self.coords, LatticeOf)
        x = self.coords.axes[k].unsqueeze(0)
        if not self.ops.profile.double:
            return self._turned(x, slice(k, k + 1), self._phase_in_turns() if k == 0 else None)
        frequencies = self._frequencies()
        if self.coords.d > 1:
            frequencies = frequencies.at(k, 1).unsqueeze(1)
        angle = frequencies * x
        return reduced(angle + self._phase() if k == 0 else angle)

    def _frequencies(self) -> Value:
        return self.w.load(self.ops.first).cast(np.float64) * as_column(self.weight_scale)

    def _phase(self) -> Value:
        return self.b.load(self.ops.first).cast(np.float64).reshape(-1, 1) * as_column(self.bias_scale)

    def _phase_in_turns(self) -> NDArray[np.float64]:
        phase: NDArray[np.float64] = np.asarray(self.b, dtype=np.float64).reshape(-1, 1) * as_column(self.bias_scale) / (2 * math.pi)
        return phase - np.rint(phase)

    def _turned(self, x: Value, of: slice, phase: NDArray[np.float64] | None) -> Value:
        frequency = (np.asarray(self.w, dtype=np.float64) * as_column(self.weight_scale) / (2 * math.pi))[:, of]
        unit = _unit(np.abs(frequency).max(initial=0), COARSE_BITS)
        coarse = np.rint(frequency / unit) * unit
        step = _unit(max(abs(v) for pair in self.ops.bounds for v in pair), COARSE_BITS - 1)
        near = (x * (1 / step) + 0.5).floor() * step

        def times(a: NDArray[np.float64], b: Value) -> Value:
            constant = b.graph.constant(a, np.float32)
            return constant @ b if isinstance(self.coords, PointsOf) else constant * b

        large = turns(times(coarse, near), 1.0)
        small = times(frequency - coarse, near) + times(frequency, x - near)
        total = large + small if phase is None else large + small + phase.astype(np.float32)
        return turns(total, 1.0) * (2 * math.pi)


def _others(d: int) -> list[list[int]]:
    """For every axis the other ones."""
    return [[i for i in range(d) if i != k] for k in range(d)]


def _unit(largest: float, bits: int) -> float:
    """The power of two of which multiples up to `largest` have so many bits."""
    return float(2.0 ** (math.ceil(math.log2(max(largest, 1e-30))) - bits))
