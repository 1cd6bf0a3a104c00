"""From a network's outputs to samples: codes of some bits, or numbers of the source's type."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import UsageError
from inrcodec.signals.base import Channel

Array = NDArray[np.float32]


class Outputs:
    """What HEAD.out says. Values v = scale * y + offset; a channel of role "valid" says where there are samples and is none itself."""

    def __init__(self, out: Mapping[str, Any]) -> None:
        every = out["channels"]
        self.bits = int(out["bits"])
        self.dtype: np.dtype[Any] | None = np.dtype(out["dtype"]) if "dtype" in out else None
        self._valid = next((k for k, c in enumerate(every) if c["role"] == "valid"), None)
        self._kept = [k for k in range(len(every)) if k != self._valid]
        self.scale = np.array([c["scale"] for c in every], dtype=np.float32)
        self.offset = np.array([c["offset"] for c in every], dtype=np.float32)
        self._low = np.array([c.get("low", 0.0) for c in every], dtype=np.float64)
        self._span = np.array([c.get("high", 1.0) for c in every], dtype=np.float64) - self._low
        self.channels = tuple(
            Channel(every[k]["name"], every[k]["role"], float(self._low[k]), float(self._low[k] + self._span[k])) for k in self._kept
        )

    def sample_type(self, bits: int, dtype: Any) -> np.dtype[Any]:
        """The type of decoded samples: `dtype` if it is a floating one, else the source's, else that of codes of `bits` bits."""
        if dtype is None:
            codes: np.dtype[Any] = np.dtype(np.uint8 if bits <= 8 else np.uint16)
            return codes if self.dtype is None else self.dtype
        chosen: np.dtype[Any] = np.dtype(dtype)
        if not np.issubdtype(chosen, np.floating):
            raise UsageError(f"dtype: expected None or a floating type, got {chosen}")
        return chosen

    def store(self, values: Array, into: NDArray[Any], bits: int) -> None:
        """Turn outputs y (c, *tile), which are overwritten, into the samples `into` (*tile, channels) of a type of `sample_type`."""
        values *= self.scale.reshape(-1, *[1] * (values.ndim - 1))
        values += self.offset.reshape(-1, *[1] * (values.ndim - 1))
        np.clip(values, 0.0, 1.0, out=values)
        floating = np.issubdtype(into.dtype, np.floating)
        missing = values[self._valid] < np.float32(0.5) if self._valid is not None and floating else None
        for place, k in enumerate(self._kept):
            plane: NDArray[Any] = values[k]
            if self.dtype is not None:
                plane = self._low[k] + plane.astype(np.float64) * self._span[k]
                if not floating:
                    plane = np.floor(plane + 0.5)
            elif not floating:
                # Adding one half and cutting off is the rounding of the specification: values are not negative.
                plane *= np.float32(2**bits - 1)
                plane += np.float32(0.5)
            into[..., place] = plane
            if missing is not None:
                into[..., place][missing] = np.nan

    def values(self, y: Array) -> Array:
        """Samples of outputs y (n, c) at points, not clipped: (n, channels) float32."""
        v = y * self.scale + self.offset
        result = v[:, self._kept]
        if self.dtype is not None:
            result = (self._low[self._kept] + result.astype(np.float64) * self._span[self._kept]).astype(np.float32)
        if self._valid is not None:
            result[v[:, self._valid] < np.float32(0.5)] = np.nan
        return np.asarray(result, dtype=np.float32)

    def slopes(self, gradient: Array) -> Array:
        """Derivatives of the samples from those of the outputs (n, c, d): (n, channels, d)."""
        factor = (self.scale * self._span).astype(np.float32)
        return np.asarray((gradient * factor[None, :, None])[:, self._kept], dtype=np.float32)
