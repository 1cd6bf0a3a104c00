"""What the graphs of each target may hold, and how symbolic coordinates look."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from inrcodec.backends.onnx_graph import Value

Bounds = tuple[tuple[float, float], ...]  # per axis (lo, hi)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """double: arithmetic in float64 for coordinates. bitwise: BitwiseAnd, BitwiseXor and Mod, so that levels are hashed in the graph;
    without, they are stored as dense tables. `indices`: the type of row numbers. reduce: sines see arguments in [-pi, pi] alone.
    """

    name: str
    double: bool
    bitwise: bool
    indices: Any
    reduce: bool


PROFILES = {
    "cpu": Profile(name="cpu", double=True, bitwise=True, indices=np.int64, reduce=False),
    "gpu": Profile(name="gpu", double=True, bitwise=False, indices=np.int64, reduce=False),
    # WGSL promises the sine on [-pi, pi] only, and has neither float64 nor int64.
    "web": Profile(name="web", double=False, bitwise=False, indices=np.int32, reduce=True),
}


@dataclass(frozen=True, eq=False)
class PointsOf:
    """Symbolic points: one vector (n,) per coordinate."""

    columns: tuple[Value, ...]

    @property
    def d(self) -> int:
        return len(self.columns)


@dataclass(frozen=True, eq=False)
class LatticeOf:
    """A symbolic lattice: one vector per axis."""

    axes: tuple[Value, ...]

    @property
    def d(self) -> int:
        return len(self.axes)
