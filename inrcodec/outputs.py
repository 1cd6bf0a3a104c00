"""From a network's outputs to samples: codes of some bits, or numbers of the source's type."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import CorruptFile, UsageError
from inrcodec.signals.base import Channel
from inrcodec.signals.codes import rescale_codes

Array = NDArray[np.float32]
Floats = NDArray[np.float64]
# What a file states may be too large for the types of samples: such samples are infinite, NaN, or any code.
_QUIET = np.errstate(over="ignore", invalid="ignore")


class Outputs:
    """What HEAD.out says. Values v = scale * y + offset. Raises CorruptFile if samples would not fit their type."""

    @_QUIET
    def __init__(self, out: Mapping[str, Any]) -> None:
        every = out["channels"]
        self.bits = int(out["bits"])
        self.dtype: np.dtype[Any] | None = np.dtype(out["dtype"]) if "dtype" in out else None
        self.scale = np.array([c["scale"] for c in every], dtype=np.float32)
        self.offset = np.array([c["offset"] for c in every], dtype=np.float32)
        self._low = np.array([c.get("low", 0.0) for c in every], dtype=np.float64)
        self._span = np.array([c.get("high", 1.0) for c in every], dtype=np.float64) - self._low
        if self.dtype is not None and self.dtype.kind in "iu":
            least, most = np.iinfo(self.dtype).min, np.iinfo(self.dtype).max
            if self._low.min() < least or (self._low + self._span).max() > most:
                raise CorruptFile(f"HEAD.out.channels: expected low and high within {least}..{most} for {self.dtype}")
        self._exact_scale = np.array([c["scale"] for c in every], dtype=np.float64)
        self._exact_offset = np.array([c["offset"] for c in every], dtype=np.float64)
        self.channels = tuple(
            Channel(c["name"], c["role"], float(low), float(low + span)) for c, low, span in zip(every, self._low, self._span, strict=True)
        )

    def depth(self, bits: int | None) -> int:
        """The bit depth that is asked for, that of the source if None. Raises UsageError."""
        depth = self.bits if bits is None else bits
        if depth not in range(1, 17):
            raise UsageError(f"bits: expected 1..16, got {depth}")
        return int(depth)

    def sample_type(self, bits: int, dtype: Any) -> np.dtype[Any]:
        """The type of decoded samples: `dtype` if it is a floating one, else the source's, else that of codes of `bits` bits."""
        if dtype is None:
            codes: np.dtype[Any] = np.dtype(np.uint8 if bits <= 8 else np.uint16)
            return codes if self.dtype is None else self.dtype
        chosen: np.dtype[Any] = np.dtype(dtype)
        if not np.issubdtype(chosen, np.floating):
            raise UsageError(f"dtype: expected None or a floating type, got {chosen}")
        return chosen

    @_QUIET
    def store(self, values: Array, into: NDArray[Any], bits: int) -> None:
        """Turn outputs y (c, *tile), which are overwritten, into the samples `into` (*tile, c) of a type of `sample_type`.

        NaN stays NaN.
        """
        values *= self.scale.reshape(-1, *[1] * (values.ndim - 1))
        values += self.offset.reshape(-1, *[1] * (values.ndim - 1))
        np.clip(values, 0.0, 1.0, out=values)
        floating = np.issubdtype(into.dtype, np.floating)
        for k, plane in enumerate(values):
            if self.dtype is not None:
                numbers = self._low[k] + plane.astype(np.float64) * self._span[k]
                into[..., k] = numbers if floating else np.floor(numbers + 0.5)
                continue
            if not floating:
                # Adding one half and cutting off is the rounding of the specification: values are not negative.
                plane *= np.float32(2**bits - 1)
                plane += np.float32(0.5)
            into[..., k] = plane

    @_QUIET
    def numbers(self, y: NDArray[np.floating]) -> Floats:
        """Samples of outputs y (c, *tile) in units of the source's, not rounded: (c, *tile)."""
        shape = (-1, *[1] * (y.ndim - 1))
        v = np.clip(y * self._exact_scale.reshape(shape) + self._exact_offset.reshape(shape), 0.0, 1.0)
        if self.dtype is None:
            v *= 2**self.bits - 1
            return np.asarray(v, dtype=np.float64)
        return np.asarray(self._low.reshape(shape) + v * self._span.reshape(shape), dtype=np.float64)

    @_QUIET
    def store_corrected(self, y: NDArray[np.floating], step: float, added: NDArray[np.integer], into: NDArray[Any], bits: int) -> None:
        """As `store`, of samples to which step * added (*tile, c), in their units, is added before they are rounded."""
        numbers = np.moveaxis(self.numbers(y), 0, -1) + step * added
        if self.dtype is None:
            codes = np.floor(np.clip(numbers, 0, 2**self.bits - 1) + 0.5).astype(np.uint16)
            if np.issubdtype(into.dtype, np.floating):
                into[...] = codes / (2**self.bits - 1)
            else:
                into[...] = rescale_codes(codes, self.bits, bits)
            return
        np.clip(numbers, self._low, self._low + self._span, out=numbers)
        if self.dtype.kind in "iu":
            np.floor(numbers + 0.5, out=numbers)
        # Rounded to the source's type first, so that another floating one has the same samples.
        into[...] = numbers.astype(self.dtype)

    @_QUIET
    def values(self, y: Array) -> Array:
        """Samples of outputs y (n, c) at points, not clipped: (n, c) float32."""
        v = y * self.scale + self.offset
        return np.asarray(v if self.dtype is None else self._low + v.astype(np.float64) * self._span, dtype=np.float32)

    @_QUIET
    def slopes(self, gradient: Array) -> Array:
        """Derivatives of the samples from those of the outputs (n, c, d): (n, c, d)."""
        factor = (self.scale * self._span).astype(np.float32)
        return np.asarray(gradient * factor[None, :, None], dtype=np.float32)
