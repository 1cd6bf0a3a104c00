"""Contexts for the entries of dense grid levels and residuals: an integer network says how each is coded (spec section "Contexts").

Vertices are decoded along wavefronts t = sum over k of i_k 2^(d-1-k), all of one t at once: what a vertex sees lies at smaller t or on
the level before. The network's outputs are the place and the scale of a Laplace distribution. No float decides a bit.
"""

import math
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from inrcodec import entropy, rans, spec
from inrcodec.errors import CorruptFile
from inrcodec.networks.hashgrid import Level

Integers = NDArray[np.int64]
MAX_HIDDEN = 64
OUTPUTS = 2  # place, scale
UNIT = 64  # of the weights: integers are this many times what they stand for
LOG2_SCALES = (-4.0, 8.0)  # of the distributions
MAX_WEIGHT = 1 << 15
MAX_SHIFT = 1 << 20  # of the place, in symbols
BLOCK = 1 << 16  # vertices whose inputs a writer holds at once


@dataclass(frozen=True, eq=False)
class ContextNet:
    """Weights in 1/64: of the h hidden neurons a1 (h, x + 1), the last column a bias; of the outputs from them a2 (2, h), from the
    inputs b (2, x), and biases (2, planes), a plane being a feature of a level."""

    a1: Integers
    a2: Integers
    b: Integers
    bias: Integers


def pack_net(net: ContextNet) -> bytes:
    """u8 h, base, then a model and a stream of all weights."""
    flat = np.concatenate([part.reshape(-1) for part in (net.a1, net.a2, net.b, net.bias)])
    model = entropy.best_model(flat.astype(np.int32))
    return bytes([len(net.a1), *model]) + entropy.encode(flat.astype(np.int32), np.zeros(len(flat), dtype=np.int64), [model])


def unpack_net(data: bytes, *, d: int, planes: int) -> ContextNet:
    """The network for `planes` planes of d axes. Raises CorruptFile."""
    if len(data) < 3 or not 1 <= data[0] <= MAX_HIDDEN:
        raise CorruptFile(f"context network: expected 1..{MAX_HIDDEN} neurons and a symbol model, got {data[:3].hex() or 'nothing'}")
    h, x = data[0], inputs(d)
    shapes = ((h, x + 1), (OUTPUTS, h), (OUTPUTS, x), (OUTPUTS, planes))
    bounds = np.cumsum([0, *(a * b for a, b in shapes)])
    flat = entropy.decode(data[3:], np.zeros(bounds[-1], dtype=np.int64), [(data[1], data[2])]).astype(np.int64)
    if np.abs(flat).max() > MAX_WEIGHT:
        raise CorruptFile(f"context network: weight: expected at most {MAX_WEIGHT} in magnitude, got {np.abs(flat).max()}")
    parts = [flat[a:b].reshape(shape) for (a, b), shape in zip(pairwise(bounds), shapes, strict=True)]
    return ContextNet(*parts)


def inputs(d: int) -> int:
    """Inputs of a vertex: its neighbours, the sum of the nearest ones' magnitudes, parent, parent's surroundings, feature before, level."""
    return len(neighbours(d)) + 5


@cache
def neighbours(d: int) -> tuple[tuple[int, ...], ...]:
    """Offsets of the vertices seen: all within 1 on each axis that come before in C order, and 2 back along each axis."""
    near = [offset for offset in product((-1, 0, 1), repeat=d) if offset < (0,) * d]
    return (*near, *(tuple(-2 if j == k else 0 for j in range(d)) for k in range(d)))


def contextual_levels(levels: tuple[Level, ...], d: int) -> int:
    """How many levels, from the first on, are dense with one row per vertex and two vertices per axis or more."""
    count = 0
    while count < len(levels) and levels[count].resolution > 1 and levels[count].entries == levels[count].resolution ** d:
        count += 1
    return count if d in (2, 3) else 0


@cache
def magnitudes() -> Integers:
    """16 log2(1 + a) rounded, for a = 0..255: the largest k with 2^(2k - 1) <= (1 + a)^32."""
    found, k = [], 0
    for a in range(256):
        while 1 << (2 * k + 1) <= (1 + a) ** 32:
            k += 1
        found.append(k)
    return np.array(found, dtype=np.int64)


def compressed(values: Integers) -> Integers:
    """sign(v) 16 log2(1 + |v|)."""
    result: Integers = np.sign(values) * magnitudes()[np.minimum(np.abs(values), 255)]
    return result


def parents(resolution: int, parent: int) -> Integers:
    """The nearest vertex of a level of `parent` vertices for each of `resolution`, along one axis: (resolution,)."""
    if resolution == parent:
        return np.arange(resolution)
    return (2 * np.arange(resolution) * (parent - 1) + resolution - 1) // (2 * (resolution - 1))


@cache
def tables() -> rans.Tables:
    """The alphabets: number 8 j + 4 + f is a Laplace distribution of scale 2^(j/4 - 4) around f / 8, f = -4..3."""
    return rans.Tables(tuple(laplace_frequencies(j, f) for j in range(len(spec.LAPLACE_RATIOS)) for f in range(-4, 4)))


def laplace_frequencies(j: int, f: int) -> Integers:
    """Frequencies of 0, +1, -1, ..., +K, -K, ESC: integers >= 1 that sum to 2^14."""
    ratio, power = spec.LAPLACE_RATIOS[j], [1 << 24]

    def tail(n: int) -> int:
        """Half of 2^14 times the ratio's n-th power: what lies n eighths of a symbol and more from the centre, on one side."""
        while len(power) <= n:
            power.append(power[-1] * ratio >> 24)
        return power[n] >> 11

    up, down = [tail(4 - f)], [tail(4 + f)]
    result: list[int] = []
    while len(result) < 2 * entropy.MAX_MAGNITUDE:
        k = len(up)
        up.append(tail(8 * k + 4 - f))
        down.append(tail(8 * k + 4 + f))
        steps = (up[-2] - up[-1], down[-2] - down[-1])
        if result and min(steps) < 1:
            break
        result += [max(1, step) for step in steps]
    escape = up[len(result) // 2] + down[len(result) // 2] + 1
    return np.array([rans.TOTAL - sum(result) - escape, *result, escape], dtype=np.int64)


def distribution(net: ContextNet, x: Integers, plane: int) -> tuple[Integers, Integers]:
    """Place, in whole symbols, and number of the alphabet of the vertices with inputs x (x, n) in 1/16."""
    # Products and sums of integers below 2^53: exact in float64, in any order.
    wide = x.astype(np.float64)
    hidden = np.maximum(net.a1[:, :-1].astype(np.float64) @ wide + 16.0 * net.a1[:, -1:], 0.0)
    out = net.a2.astype(np.float64) @ hidden + 64.0 * (net.b.astype(np.float64) @ wide) + 1024.0 * net.bias[:, plane, None]
    place, scale = out.astype(np.int64)
    eighths = np.clip((place + 4096) >> 13, -8 * MAX_SHIFT, 8 * MAX_SHIFT)
    whole = (eighths + 4) >> 3
    j = np.clip(((scale + 8192) >> 14) + 16, 0, len(spec.LAPLACE_RATIOS) - 1)
    return whole, 8 * j + eighths - 8 * whole + 4


@dataclass(frozen=True)
class Padded:
    """One feature of one level, of `sizes` vertices per axis, as an array with margins of zeros: two before, one behind on each axis."""

    sizes: tuple[int, ...]

    @property
    def d(self) -> int:
        return len(self.sizes)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(n + 3 for n in self.sizes)

    @property
    def inner(self) -> tuple[slice, ...]:
        """The vertices."""
        return tuple(slice(2, n + 2) for n in self.sizes)

    def distances(self) -> Integers:
        """How far the neighbours lie in the flat array."""
        strides = [math.prod(self.shape[k + 1 :]) for k in range(self.d)]
        return np.array([sum(o * stride for o, stride in zip(offset, strides, strict=True)) for offset in neighbours(self.d)])

    def fronts(self) -> tuple[Integers, Integers]:
        """Vertices in coding order, as numbers in C order, and where each wavefront begins among them."""
        axes = np.meshgrid(*[np.arange(n) for n in self.sizes], indexing="ij", sparse=True)
        t = np.broadcast_to(sum(axis << (self.d - 1 - k) for k, axis in enumerate(axes)), self.sizes).reshape(-1)
        order = np.argsort(t, kind="stable")
        return order, np.flatnonzero(np.diff(t[order], prepend=-1, append=-1))

    def flat_places(self) -> Integers:
        """Where each vertex lies in the flat array, by its number."""
        return np.arange(math.prod(self.shape)).reshape(self.shape)[self.inner].reshape(-1)


def surroundings(parent: NDArray[np.integer], sizes: tuple[int, ...]) -> Integers:
    """Inputs from the parent plane, for a plane of `sizes`: its nearest symbol, and the sum of magnitudes within 1 of it: (2, n)."""
    nearest = np.ix_(*(parents(n, m) for n, m in zip(sizes, parent.shape, strict=True)))
    padded = np.pad(np.abs(parent.astype(np.int64)), 1)
    for k in range(len(sizes)):
        padded = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=k).sum(axis=-1)
    return np.stack([compressed(parent.astype(np.int64)[nearest].reshape(-1)), compressed(padded[nearest].reshape(-1))])


def encode(net: ContextNet, symbols: NDArray[np.integer], parent: NDArray[np.integer] | None, level: int) -> bytes:
    """The stream of a level's symbols (*sizes, features); parent (*its sizes, features) those of the level before."""
    *sizes, features = symbols.shape
    padded = Padded(tuple(sizes))
    order, _ = padded.fronts()
    places = padded.flat_places()
    moved, ids, before = [], [], np.zeros(0, dtype=np.int64)
    for f in range(features):
        own = symbols[..., f].astype(np.int64)
        flat = np.pad(own, [(2, 1)] * padded.d).reshape(-1)
        known = Known.of_plane(parent, before, padded, level, f)
        whole, number = np.empty_like(places), np.empty_like(places)
        for start in range(0, len(places), BLOCK):
            part = slice(start, start + BLOCK)
            x = np.concatenate([_seen(flat, places[part], padded), known.inputs(part, len(places[part]))])
            whole[part], number[part] = distribution(net, x, level * features + f)
        before = own.reshape(-1)
        moved.append((before - whole)[order])
        ids.append(number[order])
    return entropy.encode_with(np.concatenate(moved), np.concatenate(ids), tables())


def decode(data: bytes, net: ContextNet, shape: tuple[int, ...], parent: NDArray[np.integer] | None, level: int) -> Integers:
    """The symbols of a level, of shape (*sizes, features). Raises CorruptFile."""
    *sizes, features = shape
    padded = Padded(tuple(sizes))
    order, begins = padded.fronts()
    places = padded.flat_places()
    reader = rans.Reader(data, tables())
    planes, before = [], np.zeros(0, dtype=np.int64)
    for f in range(features):
        flat = np.zeros(math.prod(padded.shape), dtype=np.int64)
        known = Known.of_plane(parent, before, padded, level, f)
        for start, stop in pairwise(begins):
            vertices = order[start:stop]
            own = places[vertices]
            x = np.concatenate([_seen(flat, own, padded), known.inputs(vertices, len(vertices))])
            whole, number = distribution(net, x, level * features + f)
            flat[own] = entropy.read_symbols(reader, number) + whole
        before = flat[places]
        planes.append(before.reshape(padded.sizes))
    reader.finish()
    result = np.stack(planes, axis=-1)
    if np.abs(result).max() > entropy.MAX_SYMBOL:
        raise CorruptFile(f"contexts: symbol: expected at most {entropy.MAX_SYMBOL} in magnitude, got {np.abs(result).max()}")
    return result


def _seen(flat: Integers, own: Integers, padded: Padded) -> Integers:
    """Inputs from the neighbours of vertices at `own` (n,) in the flat array: (neighbours + 1, n)."""
    values = flat[own + padded.distances()[:, None]]
    total = np.abs(values[: -padded.d]).sum(axis=0, keepdims=True)
    return compressed(np.concatenate([values, total]))


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of a plane before it is read: its parent's symbols and surroundings (2, n), the feature before (n,); empty if none."""

    around: Integers
    before: Integers
    level: int

    @classmethod
    def of_plane(cls, parent: NDArray[np.integer] | None, before: Integers, padded: Padded, level: int, feature: int) -> "Known":
        none = np.zeros((2, 0), dtype=np.int64)
        return cls(none if parent is None else surroundings(parent[..., feature], padded.sizes), before, level)

    def inputs(self, vertices: Integers | slice, n: int) -> Integers:
        """Parent, its surroundings, the feature before, the level, of n vertices: (4, n)."""
        result = np.zeros((4, n), dtype=np.int64)
        if self.around.size:
            result[:2] = self.around[:, vertices]
        if self.before.size:
            result[2] = compressed(self.before[vertices])
        result[3] = 16 * self.level
        return result
