"""Derivatives of a network's outputs by its coordinates with NumPy alone: forward mode, every value beside its derivatives."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.backends import duals
from inrcodec.backends.base import PIECE
from inrcodec.backends.duals import Dual, Sloped
from inrcodec.backends.numpy import CORNERS, NumpyOps, reduced
from inrcodec.coordinates import Points
from inrcodec.networks.base import Network
from inrcodec.networks.hashgrid import Level, Precision, corner_slopes
from inrcodec.networks.waves import activate
from inrcodec.ops import Activation, Constant, Coordinates, Wave

Array = NDArray[Any]  # of the precision


class SlopeOps:
    """The operations of ops.py on values with their derivatives; coordinates are Points, parameters plain arrays."""

    def __init__(self, precision: Precision = np.float32) -> None:
        self.precision = precision

    def sine_embedding(
        self,
        coords: Coordinates,
        w: Array,
        b: Array,
        *,
        weight_scale: Constant,
        bias_scale: Constant,
        amplitude: Constant,
        mask: Sloped | None,
        widths: tuple[int, ...],
    ) -> Sloped:
        assert isinstance(coords, Points)
        frequency = (w * np.reshape(weight_scale, (-1, 1))).astype(np.float64)
        angle = reduced(coords.values @ frequency.T + (b * np.asarray(bias_scale)).astype(np.float64), self.precision)
        return _masked(self._sine(angle, frequency.T[:, None].astype(self.precision), amplitude), mask, widths)

    def sine_layer(self, x: Sloped, w: Array, b: Array, *, omega: Constant, amplitude: Constant, mask: Sloped | None) -> Sloped:
        scale = np.asarray(omega, dtype=self.precision)
        matrix = (w * scale.reshape(-1, 1)).T
        found = self._sine(x.value @ matrix + b * scale, x.slope @ matrix, amplitude)
        return found if mask is None else _masked(found, mask, (len(w) // mask.value.shape[1],) * mask.value.shape[1])

    def hash_grid(self, coords: Coordinates, tables: list[Array], levels: tuple[Level, ...], stretch: tuple[float, ...]) -> Sloped:
        assert isinstance(coords, Points)
        found = [_features(coords, table, level, stretch) for table, level in zip(tables, levels, strict=True)]
        return Sloped(np.concatenate([f.value for f in found], axis=1), np.concatenate([f.slope for f in found], axis=2))

    def linear(self, x: Sloped, w: Array, b: Array, *, activation: Activation = "none") -> Sloped:
        y: Array = np.asarray(x.value @ w.T, dtype=self.precision) + b
        slope: Array = np.asarray(x.slope @ w.T, dtype=self.precision)
        if activation == "relu":
            return Sloped(np.maximum(y, self.precision(0)), slope * (y > 0))
        if activation == "sigmoid":
            half = self.precision(0.5)
            y = np.tanh(y * half) * half + half
            return Sloped(y, slope * (y * (1 - y)))
        return Sloped(y, slope)

    def columns(self, x: Sloped, start: int, stop: int) -> Sloped:
        return Sloped(x.value[:, start:stop], x.slope[..., start:stop])

    def join(self, x: Sloped, y: Sloped) -> Sloped:
        return Sloped(np.concatenate([x.value, y.value], axis=1), np.concatenate([x.slope, y.slope], axis=2))

    def coordinates(self, coords: Coordinates) -> Sloped:
        return Sloped(*(part.astype(self.precision) for part in _at(coords)))

    def fourier(self, coords: Coordinates, w: Array, *, weight_scale: float) -> Sloped:
        assert isinstance(coords, Points)
        frequency = np.asarray(w, dtype=np.float64) * weight_scale
        angle, slope = coords.values @ frequency.T, frequency.T[:, None].astype(self.precision)
        parts = [self._sine(reduced(angle + shift, self.precision), slope, 1.0) for shift in (0.0, math.pi / 2)]
        return self.join(*parts)

    def activated(
        self,
        x: Sloped | Coordinates,
        w: Array,
        b: Array,
        *,
        wave: Wave,
        constants: tuple[float, ...] = (),
        tensors: tuple[Array, ...] = (),
    ) -> Sloped:
        value, slope = x if isinstance(x, Sloped) else _at(x)
        matrix = w.astype(np.float64).T
        z = Dual(value @ matrix + b.astype(np.float64), slope @ matrix)
        found = activate(duals, z, wave, constants, [t.astype(np.float64) for t in tensors], 1)
        return Sloped(found.value, found.slope)

    def complex_matrix(self, w: Array) -> Array:
        return NumpyOps(self.precision).complex_matrix(w)

    def radial(self, coords: Coordinates, centres: Array, scales: Array) -> Sloped:
        assert isinstance(coords, Points)
        squared = scales.astype(np.float64) ** 2
        apart = coords.values[:, None] - centres
        value = 1 / (1 + (squared * apart**2).sum(axis=2))
        slope = np.moveaxis(-2 * (value**2)[..., None] * squared * apart, 2, 0)
        return Sloped(value.astype(self.precision), slope.astype(self.precision))

    def ramps(self, t: Sloped, count: int) -> Sloped:
        rising = self.precision(count) * t.value - np.arange(count, dtype=self.precision)
        return Sloped(np.clip(rising, 0, 1), count * t.slope * ((rising > 0) & (rising < 1)))

    def product(self, x: Sloped, y: Sloped) -> Sloped:
        return Sloped(x.value * y.value, x.slope * y.value + x.value * y.slope)

    def _sine(self, angle: Array, slope: Array, amplitude: Constant) -> Sloped:
        factor = np.asarray(amplitude, dtype=self.precision)
        return Sloped(np.sin(angle) * factor, np.cos(angle) * factor * slope)


def _at(coords: Coordinates) -> Sloped:
    """The coordinates (n, d) and their derivatives, in float64."""
    assert isinstance(coords, Points)
    return Sloped(coords.values, np.broadcast_to(np.eye(coords.d)[:, None], (coords.d, coords.n, coords.d)))


def _masked(h: Sloped, mask: Sloped | None, widths: tuple[int, ...]) -> Sloped:
    """The last sum(widths) columns of h, group by group, times the mask."""
    if mask is None:
        return h
    head = h.value.shape[1] - sum(widths)
    m, dm = np.repeat(mask.value, widths, axis=1), np.repeat(mask.slope, widths, axis=2)
    h.slope[..., head:] = h.slope[..., head:] * m + h.value[:, head:] * dm
    h.value[:, head:] *= m
    return h


def _features(coords: Points, table: Array, level: Level, stretch: tuple[float, ...]) -> Sloped:
    n, d, k = coords.n, coords.d, table.shape[1]
    value, slope = np.empty((n, k), dtype=table.dtype), np.empty((d, n, k), dtype=table.dtype)
    step = max(1, CORNERS // level.taps**d)
    for start in range(0, n, step):
        rows, weights, slopes = corner_slopes(coords.values[start : start + step], level, stretch, table.dtype.type)
        entries = table[rows]
        value[start : start + step] = (entries * weights[..., None]).sum(axis=0)
        slope[:, start : start + step] = (entries * slopes[..., None]).sum(axis=1)
    return Sloped(value, slope)


def input_slopes(
    network: Network, config: Any, params: Mapping[str, NDArray[np.float32]], coords: Points, *, precision: Precision = np.float32
) -> NDArray[np.floating]:
    """d output / d coordinate at `coords` (n, d): (n, c, d), of `precision`."""
    held = {name: value.astype(precision, copy=False) for name, value in params.items()}
    result = np.empty((coords.n, config.out_features, coords.d), dtype=precision)
    for start in range(0, coords.n, PIECE // 4):
        part = coords.slice(start, start + PIECE // 4)
        result[start : start + part.n] = np.moveaxis(network.forward(SlopeOps(precision), config, held, part).slope, 0, 2)
    return result
