"""Sets of integer vectors, for frequency embeddings: which points of half a lattice are there (spec section "Lattice subsets").

The half lattice of bound B holds the vectors with |k|inf <= B whose first nonzero component is positive, ordered by max|k|, then
lexicographically. A set is its sorted indices, their gaps Golomb-Rice coded.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import CorruptFile

MAX_LATTICE = 1 << 24  # points of the whole box
MAX_DIMENSIONS = 15  # 3^15 < 2^24 < 3^16


@lru_cache(maxsize=8)
def half_lattice(bound: int, d: int) -> NDArray[np.int32]:
    """All points of the half lattice in their order: (m, d)."""
    axis = np.arange(-bound, bound + 1, dtype=np.int32)
    k = np.stack(np.meshgrid(*[axis] * d, indexing="ij"), axis=-1).reshape(-1, d)
    # The box in lexicographic order is symmetric about zero: the half with a positive leading component is its second part.
    k = k[len(k) // 2 + 1 :]
    return np.ascontiguousarray(k[np.argsort(np.abs(k).max(axis=1), kind="stable")])


def encode(points: NDArray[np.integer]) -> bytes:
    """`points` (n, d), distinct, of the half lattice and in its order. Raises ValueError if they are not."""
    n, d = points.shape
    bound = int(np.abs(points).max()) if n else 0
    if not 1 <= bound <= 255 or (2 * bound + 1) ** d > MAX_LATTICE:
        raise ValueError(f"frequencies: expected max|k| in 1..255 and a lattice of at most {MAX_LATTICE} points, got max|k| {bound}")
    indices = _rank(np.asarray(points, dtype=np.int64), bound)
    gaps = np.diff(indices, prepend=-1) - 1
    if (gaps < 0).any():
        raise ValueError("frequencies: expected distinct vectors ordered by max|k|, then lexicographically")
    parameter = min(range(25), key=lambda p: int((gaps >> p).sum()) + n * (p + 1))
    bits: list[NDArray[np.uint8]] = []
    for gap in gaps.tolist():
        quotient = gap >> parameter
        low = [(gap >> k) & 1 for k in reversed(range(parameter))]
        bits.append(np.array([1] * quotient + [0, *low], dtype=np.uint8))
    return bytes([bound, parameter]) + np.packbits(np.concatenate(bits)).tobytes()


def decode(data: bytes, n: int, d: int) -> NDArray[np.int32]:
    """The points (n, d). Raises CorruptFile."""
    if len(data) < 2:
        raise CorruptFile(f"lattice: expected at least 2 bytes, got {len(data)}")
    bound, parameter = data[0], data[1]
    if d > MAX_DIMENSIONS:
        raise CorruptFile(f"lattice: expected at most {MAX_DIMENSIONS} dimensions, got {d}")
    if not bound >= 1 or (2 * bound + 1) ** d > MAX_LATTICE or parameter > 24:
        raise CorruptFile(
            f"lattice: expected a bound >= 1 of at most {MAX_LATTICE} points and a parameter <= 24, got {bound} and {parameter}"
        )
    size = ((2 * bound + 1) ** d - 1) // 2
    bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8, offset=2)).tobytes()
    indices: list[int] = []
    position, index = 0, -1
    for _ in range(n):
        gap = 0
        while position < len(bits) and bits[position]:
            gap += 1
            position += 1
        position += 1
        if position + parameter > len(bits):
            raise CorruptFile(f"lattice: expected {n} points, the data ends after {len(indices)}")
        for bit in bits[position : position + parameter]:
            gap = gap << 1 | bit
        position += parameter
        index += gap + 1
        if index >= size:
            raise CorruptFile(f"lattice: index: expected below {size}, got {index}")
        indices.append(index)
    if len(bits) - position >= 8 or any(bits[position:]):
        raise CorruptFile("lattice: expected only zero padding behind the last point")
    return _points(np.array(indices, dtype=np.int64).reshape(n), bound, d)


def _points(numbers: NDArray[np.int64], bound: int, d: int) -> NDArray[np.int32]:
    """The vectors (n, d) of these numbers, without listing the half lattice, which may be a thousand times as large as the file."""
    largest = np.arange(bound + 2, dtype=np.int64)
    first = ((2 * largest - 1) ** d - 1) // 2  # number of the first vector of max|k| = m
    first[0] = 0
    m = np.searchsorted(first[1:], numbers, side="right")
    # Of all vectors of max|k| = m, in lexicographic order, those of the half lattice are the second half.
    place = numbers - first[m] + ((2 * m + 1) ** d - (2 * m - 1) ** d) // 2
    reached = np.zeros(len(numbers), dtype=bool)  # a component of +-m, so that the others may be any
    result = np.empty((len(numbers), d), dtype=np.int32)
    for k in range(d):
        rest = d - 1 - k
        ends = (2 * m + 1) ** rest  # vectors that go on after a component of +-m, and after one that is smaller:
        inner = np.where(reached, ends, ends - (2 * m - 1) ** rest)
        low, high = place < ends, place >= ends + (2 * m - 1) * inner
        between = (place - ends) // np.maximum(inner, 1)
        result[:, k] = np.where(low, -m, np.where(high, m, between - m + 1))
        place = np.where(low, place, np.where(high, place - ends - (2 * m - 1) * inner, (place - ends) % np.maximum(inner, 1)))
        reached |= low | high
    return result


def _rank(points: NDArray[np.int64], bound: int) -> NDArray[np.int64]:
    d = points.shape[1]
    ordered = half_lattice(bound, d).astype(np.int64)
    weights = (2 * bound + 1) ** np.arange(d - 1, -1, -1, dtype=np.int64)
    place = np.full((2 * bound + 1) ** d, -1, dtype=np.int64)
    place[(ordered + bound) @ weights] = np.arange(len(ordered))
    indices = place[(points + bound) @ weights]
    if (indices < 0).any():
        raise ValueError("frequencies: expected nonzero vectors whose first nonzero component is positive")
    return np.asarray(indices, dtype=np.int64)
