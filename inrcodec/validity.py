"""Which nominal samples the source has: one bit each, exact (spec section "Missing samples")."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec import spec
from inrcodec.container import Container, compress, decompress
from inrcodec.errors import CorruptFile

LONG = 1 << 10  # bits of a slice from which on slices are better joined one by one
Mask = NDArray[np.bool_]


def encode(missing: Mask) -> tuple[list[Any], bytes]:
    """The entry of HEAD.tens and the payload of `missing` (*axes), true where the source has no sample."""
    bits = (~missing).view(np.uint8)
    changes = bits.copy()
    changes[1:] ^= bits[:-1]
    payload = compress(np.packbits(changes.reshape(-1)).tobytes())
    return [spec.MASK, len(payload)], payload


def decode(payload: bytes, shape: Sequence[int]) -> Mask:
    """The samples that are missing (*shape). Raises CorruptFile."""
    count = math.prod(shape)
    packed = np.frombuffer(decompress(payload, -(-count // 8), exact=True), dtype=np.uint8)
    if int(packed[-1]) & ((1 << -count % 8) - 1):
        raise CorruptFile("valid: expected zeros behind the last bit")
    bits: NDArray[np.uint8] = np.unpackbits(packed, count=count).reshape(tuple(shape))
    if bits[0].size < LONG:
        np.bitwise_xor.accumulate(bits, axis=0, out=bits)
    else:
        for i in range(1, len(bits)):
            bits[i] ^= bits[i - 1]
    bits ^= 1
    return bits.view(np.bool_)


def missing_samples(container: Container) -> Mask | None:
    """What the file says is missing (*axes), or None where nothing is. Raises as `decode` does."""
    if not container.head["out"].get("valid"):
        return None
    length = container.head["tens"][-1][1]
    return decode(container.data[len(container.data) - length :], [axis["n"] for axis in container.head["axes"]])
