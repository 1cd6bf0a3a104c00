"""The reference engine: NumPy, in float32 or, for residuals that want it, in float64."""

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.backends.base import Crew, Evaluate, OneByOne, compile_eagerly
from inrcodec.coordinates import Lattice, Points
from inrcodec.networks.base import Network
from inrcodec.networks.hashgrid import Level, Precision, axis_weights, block_rows, corners, interpolation_matrix
from inrcodec.networks.waves import activate
from inrcodec.ops import Activation, Constant, Coordinates, Wave

F32 = NDArray[Any]  # of the engine's precision
CORNERS = 1 << 16  # vertices read at once for scattered points


class NumpyOps:
    """The operations of ops.py on arrays of a precision; positions in grids are float32 in both."""

    def __init__(self, precision: Precision = np.float32) -> None:
        self.precision = precision

    def sine_embedding(
        self,
        coords: Coordinates,
        w: F32,
        b: F32,
        *,
        weight_scale: Constant,
        bias_scale: Constant,
        amplitude: Constant,
        mask: F32 | None,
        widths: tuple[int, ...],
    ) -> F32:
        scaled = (w * np.reshape(weight_scale, (-1, 1))).astype(np.float64)
        phase = (b * np.asarray(bias_scale)).astype(np.float64)
        make = _sine_at_points if isinstance(coords, Points) else _sine_on_lattice
        h = make(coords, scaled, phase, self.precision)  # type: ignore[arg-type]
        if np.ndim(amplitude) or amplitude != 1.0:
            h *= np.asarray(amplitude, dtype=self.precision)
        if mask is not None:
            start = h.shape[1] - sum(widths)
            for j, width in enumerate(widths):
                h[:, start : start + width] *= mask[:, j : j + 1]
                start += width
        return h

    def sine_layer(self, x: F32, w: F32, b: F32, *, omega: Constant, amplitude: Constant, mask: F32 | None) -> F32:
        scale = np.asarray(omega, dtype=self.precision)
        h: F32 = x @ (w * scale.reshape(-1, 1)).T
        h += b * scale
        np.sin(h, out=h)
        if np.ndim(amplitude) or amplitude != 1.0:
            h *= np.asarray(amplitude, dtype=self.precision)
        if mask is not None:
            n, groups = mask.shape
            h.reshape(n, groups, -1)[...] *= mask[:, :, None]
        return h

    def hash_grid(self, coords: Coordinates, tables: list[F32], levels: tuple[Level, ...], stretch: tuple[float, ...]) -> F32:
        features = [_features(coords, table, level, stretch) for table, level in zip(tables, levels, strict=True)]
        return np.concatenate(features, axis=1)

    def linear(self, x: F32, w: F32, b: F32, *, activation: Activation = "none") -> F32:
        y: F32 = np.asarray(x @ w.T, dtype=self.precision)
        y += b
        if activation == "relu":
            np.maximum(y, self.precision(0), out=y)
        elif activation == "sigmoid":
            # tanh does not overflow where exp(-y) would.
            y *= self.precision(0.5)
            np.tanh(y, out=y)
            y *= self.precision(0.5)
            y += self.precision(0.5)
        return y

    def columns(self, x: F32, start: int, stop: int) -> F32:
        return x[:, start:stop]

    def join(self, x: F32, y: F32) -> F32:
        return np.concatenate([x, y], axis=1)

    def coordinates(self, coords: Coordinates) -> F32:
        return np.asarray(coordinate_array(coords), dtype=self.precision)

    def fourier(self, coords: Coordinates, w: F32, *, weight_scale: float) -> F32:
        scaled = np.asarray(w, dtype=np.float64) * weight_scale
        make: Any = _sine_at_points if isinstance(coords, Points) else _sine_on_lattice
        return np.concatenate([make(coords, scaled, np.full(len(w), shift), self.precision) for shift in (0.0, math.pi / 2)], axis=1)

    def activated(
        self, x: F32 | Coordinates, w: F32, b: F32, *, wave: Wave, constants: tuple[float, ...] = (), tensors: tuple[F32, ...] = ()
    ) -> F32:
        values = coordinate_array(x) if isinstance(x, Points | Lattice) else x.astype(np.float64)
        z = values @ w.astype(np.float64).T + b.astype(np.float64)
        return np.asarray(activate(np, z, wave, constants, [t.astype(np.float64) for t in tensors], 1))

    def complex_matrix(self, w: F32) -> F32:
        real, imaginary = np.split(w, 2)
        return np.asarray(np.block([[real, -imaginary], [imaginary, real]]))

    def radial(self, coords: Coordinates, centres: F32, scales: F32) -> F32:
        apart = scales.astype(np.float64) * (coordinate_array(coords)[:, None] - centres)
        return np.asarray(1 / (1 + (apart**2).sum(axis=2)), dtype=self.precision)

    def ramps(self, t: F32, count: int) -> F32:
        return np.clip(self.precision(count) * t - np.arange(count, dtype=self.precision), 0, 1)

    def product(self, x: F32, y: F32) -> F32:
        return np.asarray(x * y)


def coordinate_array(coords: Coordinates) -> NDArray[np.float64]:
    """(n, d)"""
    return coords.values if isinstance(coords, Points) else coords.points().values


def reduced(angle: NDArray[np.float64], precision: Precision) -> F32:
    """An angle modulo 2 pi, in [-pi, pi]."""
    return (angle - np.rint(angle * (0.5 / math.pi)) * (2 * math.pi)).astype(precision)


def _sine_at_points(coords: Points, w: NDArray[np.float64], phase: NDArray[np.float64], precision: Precision) -> F32:
    return np.asarray(np.sin(reduced(coords.values @ w.T + phase, precision)))


def _sine_on_lattice(coords: Lattice, w: NDArray[np.float64], phase: NDArray[np.float64], precision: Precision) -> F32:
    """By the addition theorem: sines and cosines per axis only."""
    angle = reduced(coords.axes[0][:, None] * w[:, 0] + phase, precision)
    sine, cosine = np.sin(angle), np.cos(angle)
    for k in range(1, coords.d):
        angle = reduced(coords.axes[k][:, None] * w[:, k], precision)
        s, c = np.sin(angle), np.cos(angle)
        last = k == coords.d - 1
        combined = sine[..., None, :] * c
        combined += cosine[..., None, :] * s
        if not last:
            cosine = cosine[..., None, :] * c - sine[..., None, :] * s
        sine = combined
    return np.ascontiguousarray(sine).reshape(coords.n, -1)


def _features(coords: Coordinates, table: F32, level: Level, stretch: tuple[float, ...]) -> F32:
    if isinstance(coords, Points):
        return _features_at_points(coords, table, level, stretch)
    return _features_on_lattice(coords, table, level, stretch)


def _features_at_points(coords: Points, table: F32, level: Level, stretch: tuple[float, ...]) -> F32:
    result = np.empty((coords.n, table.shape[1]), dtype=table.dtype)
    step = max(1, CORNERS // level.taps**coords.d)
    for start in range(0, coords.n, step):
        rows, weights = corners(coords.values[start : start + step], level, stretch, table.dtype.type)
        result[start : start + step] = (table[rows] * weights[..., None]).sum(axis=0)
    return result


def _features_on_lattice(coords: Lattice, table: F32, level: Level, stretch: tuple[float, ...]) -> F32:
    """Interpolation is separable: the block of touched vertices, contracted axis by axis."""
    axes = [axis_weights(axis, level, factor, table.dtype.type) for axis, factor in zip(coords.axes, stretch, strict=True)]
    touched = math.prod(a.stop - a.start for a in axes)
    if touched > coords.n << coords.d:
        return _features_at_points(coords.points(), table, level, stretch)
    k = table.shape[1]
    rows = block_rows(axes, level)
    block: Any = (table if rows is None else table[rows.reshape(-1)]).reshape([a.stop - a.start for a in axes] + [k])
    for i, axis in enumerate(axes[:-1]):
        shape = [-1 if k == i else 1 for k in range(block.ndim)]
        block = sum(np.take(block, axis.lower + tap, axis=i) * weight.reshape(shape) for tap, weight in enumerate(axis.weights))
    matrix = interpolation_matrix(axes[-1])
    flat = np.moveaxis(block, -1, 0).reshape(-1, matrix.shape[1]) @ matrix.T
    return np.ascontiguousarray(np.moveaxis(flat.reshape(k, -1), 0, 1))


class NumpyEngine:
    def __init__(self, *, double: bool = False) -> None:
        self.name = "numpy-float64" if double else "numpy"
        self.ops = NumpyOps(np.float64 if double else np.float32)

    def compile(self, network: Network, config: Any, params: Mapping[str, NDArray[np.float32]]) -> Evaluate:
        return compile_eagerly(self, network, config, params)

    def tensor(self, values: NDArray[np.float32]) -> F32:
        return values.astype(self.ops.precision, copy=False)

    def array(self, result: F32) -> F32:
        return result.T

    def evaluating(self) -> AbstractContextManager[None]:
        return nullcontext()

    def crew(self) -> AbstractContextManager[Crew]:
        return nullcontext(OneByOne())

    def samples(self, x: F32, start: int, stop: int) -> F32:
        return x[start:stop]
