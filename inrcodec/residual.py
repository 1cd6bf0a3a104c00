"""What a file adds to its function on the nominal grid: integers m, in steps (spec section "Residual").

The integers (*axes, c) are, channel by channel, levels of contexts.py of one size, with a context network of their own, and cut into bands
along the first axis; their lowest bits may be stored as they are. A payload of no bytes is a residual of zeros.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec import context, entropy, rans, spec
from inrcodec.container import Container
from inrcodec.context import ContextNet
from inrcodec.errors import CorruptFile

Integers = NDArray[np.int32]
BAND = 1 << 22  # vertices of a band, about: what a decoder works on at once
MAX_LOW_BITS = 16


@dataclass(frozen=True, kw_only=True)
class Residual:
    """HEAD.out.residual: samples are corrected by `step` times an integer, and lie within `bound` of the source's.

    This holds for every evaluation of the function within `tolerance` of its exact values v.
    """

    bound: float
    step: float
    tolerance: float

    @property
    def double(self) -> bool:
        """Whether the function is to be evaluated in double precision."""
        return self.tolerance < spec.FLOAT32_TOLERANCE


def residual_of(head: Mapping[str, Any]) -> Residual | None:
    """The residual that a checked HEAD map states, or None."""
    found = head["out"].get("residual")
    return None if found is None else Residual(**found)


def entry_of(head: Mapping[str, Any]) -> int:
    """Number of the residual's tensor in HEAD.tens: the last, but for a mask."""
    return len(head["tens"]) - 1 - bool(head["out"].get("valid"))


def plane_sizes(shape: Sequence[int]) -> tuple[int, ...]:
    """The 2 or 3 axes that a grid's samples are coded on: axes of one sample left out, one axis folded, the first two of four joined."""
    sizes = tuple(n for n in shape if n > 1)
    if len(sizes) < 2:
        n = math.prod(sizes)
        rows = math.isqrt(n)
        return rows, -(-n // rows)
    return (sizes[0] * sizes[1], *sizes[2:]) if len(sizes) == 4 else sizes


def bands(sizes: Sequence[int]) -> Iterator[slice]:
    """Parts of the first axis that are coded one by one."""
    rows = max(1, BAND // math.prod(sizes[1:]))
    for start in range(0, sizes[0], rows):
        yield slice(start, min(start + rows, sizes[0]))


def to_planes(values: NDArray[np.integer]) -> Integers:
    """Values (*axes, c) on the axes they are coded on, zeros behind them: (*plane_sizes, c)."""
    *shape, c = values.shape
    sizes = plane_sizes(shape)
    flat = np.zeros((math.prod(sizes), c), dtype=np.int32)
    flat[: math.prod(shape)] = values.reshape(-1, c)
    return flat.reshape(*sizes, c)


def low_bits(planes: Integers) -> int:
    """How many of the lowest bits are stored as they are, so that the others suit the contexts and their alphabets."""
    # Contexts tell magnitudes up to 255 apart, alphabets end near 900; what few symbols are beyond cost an escape each.
    some = planes.reshape(-1)[:: max(1, planes.size >> 20)]
    largest = float(np.quantile(np.abs(some), 0.998))
    return min(MAX_LOW_BITS, max(0, math.ceil(math.log2(max(1.0, largest) / 384))))


def encode(planes: Integers, low: int, net: ContextNet) -> bytes:
    """The payload of planes (*plane_sizes, c) whose `low` lowest bits are stored as they are. Raises ValueError beyond +-2^30."""
    if planes.size and int(np.abs(planes.astype(np.int64)).max()) > entropy.MAX_SYMBOL:
        raise ValueError(f"residual: expected at most {entropy.MAX_SYMBOL} in magnitude")
    described = context.pack_net(net)
    parts = [bytes([low]), rans.leb128(len(described)), described]
    for rows in bands(planes.shape[:-1]):
        band = planes[rows]
        for k in range(band.shape[-1]):
            parent = band[..., k - 1 : k] >> low if k else None
            stream = context.encode(net, band[..., k : k + 1] >> low, parent, k)
            parts += [rans.leb128(len(stream)), stream]
        parts.append(_packed(band, low))
    return b"".join(parts)


def decode(payload: bytes, shape: Sequence[int], channels: int) -> Integers:
    """The integers (*shape, c). Raises CorruptFile."""
    if not payload:
        return np.broadcast_to(np.int32(0), (*shape, channels))
    low = payload[0]
    if low > MAX_LOW_BITS:
        raise CorruptFile(f"residual: low bits: expected 0..{MAX_LOW_BITS}, got {low}")
    sizes = plane_sizes(shape)
    described, at = _sized(payload, 1)
    net = context.unpack_net(described, d=len(sizes), planes=channels)
    result = np.empty((*sizes, channels), dtype=np.int32)
    for rows in bands(sizes):
        band = result[rows]
        high: NDArray[np.integer] | None = None
        for k in range(channels):
            stream, at = _sized(payload, at)
            high = context.decode(stream, net, (*band.shape[:-1], 1), high, k)
            largest = int(np.abs(high).max())
            if largest > entropy.MAX_SYMBOL >> low:
                raise CorruptFile(f"residual: symbol: expected at most {entropy.MAX_SYMBOL >> low} in magnitude, got {largest}")
            band[..., k] = high[..., 0] << low
        stop = at + -(-band.size * low // 8)
        band += _unpacked(payload[at:stop], band.shape, low)
        at = stop
    if at != len(payload):
        raise CorruptFile(f"residual: expected {at} bytes, got {len(payload)}")
    flat = result.reshape(-1, channels)
    count = math.prod(shape)
    if flat[count:].any():
        raise CorruptFile("residual: expected zeros behind the last sample")
    return flat[:count].reshape(*shape, channels)


def residual_samples(container: Container) -> Integers | None:
    """What the file adds (*axes, c), or None where it adds nothing. Raises as `decode` does."""
    head = container.head
    if residual_of(head) is None:
        return None
    number = entry_of(head)
    start = sum(length for _, length in head["tens"][:number])
    payload = container.data[start : start + head["tens"][number][1]]
    return decode(payload, [axis["n"] for axis in head["axes"]], len(head["out"]["channels"]))


def _sized(payload: bytes, at: int) -> tuple[bytes, int]:
    """What follows its length in bytes, and the position behind it."""
    length, begin = rans.read_leb128(payload, at)
    if length > len(payload) - begin:
        raise CorruptFile(f"residual: byte {begin}: expected {length} bytes, {len(payload) - begin} are left")
    return payload[begin : begin + length], begin + length


def _packed(band: Integers, low: int) -> bytes:
    """The lowest bits of every value, high bit first, in C order, padded with zeros to a whole byte."""
    if not low:
        return b""
    values = (band.reshape(-1) & ((1 << low) - 1)).astype(">u2").view(np.uint8).reshape(-1, 2)
    return np.packbits(np.unpackbits(values, axis=1)[:, 16 - low :].reshape(-1)).tobytes()


def _unpacked(data: bytes, shape: tuple[int, ...], low: int) -> Integers:
    count = math.prod(shape)
    if len(data) != -(-count * low // 8):
        raise CorruptFile(f"residual: expected {-(-count * low // 8)} bytes of low bits, got {len(data)}")
    if not low:
        return np.zeros(shape, dtype=np.int32)
    bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8))
    if bits[count * low :].any():
        raise CorruptFile("residual: expected zeros behind the last bit")
    wide = np.zeros((count, 16), dtype=np.uint8)
    wide[:, 16 - low :] = bits[: count * low].reshape(count, low)
    values: Integers = np.packbits(wide.reshape(-1)).view(">u2").astype(np.int32).reshape(shape)
    return values
