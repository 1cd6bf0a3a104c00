"""A network as one ONNX model that stands alone: coordinates in, samples in their own numbers out, the rest in its metadata."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from inrcodec.backends.onnx_graph import Graph, Value
from inrcodec.backends.onnx_ops import OnnxOps
from inrcodec.backends.onnx_profile import PROFILES, LatticeOf, PointsOf, Profile
from inrcodec.container import Container
from inrcodec.described import Described
from inrcodec.errors import UsageError
from inrcodec.limits import DEFAULT_LIMITS, Limits
from inrcodec.outputs import Outputs
from inrcodec.quantize import steps
from inrcodec.version import VERSION
from inrcodec.weights import Stored, read_tensors

SMALL = (np.int8, np.int16)
CONVENTION = (
    "sample i of n on an axis lies at lo + (i + 0.5) / n * (hi - lo); axes and coordinates are in array order, slowest first; "
    "values are not clipped to low .. high of their channel"
)


@dataclass(eq=False)
class ConstantParameter:
    """A tensor of the network as constants: integers and their steps where the file has these, else float32, or with `half` float16."""

    name: str
    stored: Stored
    half: bool
    _loaded: dict[Graph, Value] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.stored.values.shape)

    def load(self, graph: Graph) -> Value:
        if graph not in self._loaded:
            self._loaded[graph] = self._value(graph, self.stored.values)
        return self._loaded[graph]

    def load_rows(self, graph: Graph, rows: NDArray[np.int64]) -> Value:
        if self.stored.axis == 0:
            return self.load(graph).take(graph.constant(rows, np.int64))
        return self._value(graph, self.stored.values[rows])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self.stored.unpacked(), dtype=dtype)

    def _value(self, graph: Graph, values: NDArray[Any]) -> Value:
        small = _smallest(values)
        if small is None:
            plain = Stored(values, self.stored.codes, self.stored.axis).unpacked()
            with np.errstate(over="ignore"):
                fits = self.half and bool(np.isfinite(plain.astype(np.float16)).all())
            return graph.constant(plain, np.float16 if fits else np.float32, self.name).cast(np.float32)
        result = graph.constant(values, small, self.name).cast(np.float32)
        if self.stored.codes is None:
            return result
        shape = [-1 if k == self.stored.axis else 1 for k in range(values.ndim)]
        return result * steps(self.stored.codes).reshape(shape)


def _smallest(values: NDArray[Any]) -> type[np.integer] | None:
    """The integer type of at most 16 bits that holds the values, or None."""
    if values.dtype.kind == "f" and not np.array_equal(values, np.rint(values)):
        return None
    top = int(np.abs(values).max(initial=0))
    return next((kind for kind in SMALL if top <= np.iinfo(kind).max), None)


def exported(
    container: Container, *, profile: str = "cpu", opset: int = 18, half: bool = False, grid: bool = False, limits: Limits = DEFAULT_LIMITS
) -> onnx.ModelProto:
    """The model of a file's function, without residual: points (n, d), or with `grid` one vector per axis, to values (n, c) or (*axes, c).

    Raises UsageError for a file of windows, LimitExceeded where a profile without hashing needs tables too large.
    """
    described = Described(container)
    if "windows" in container.head:
        raise UsageError("export: expected a file of one network, got one of windows, each with a network of its own")
    if "tiles" in container.head:
        raise UsageError("export: expected a file of one network, got one of tiles, each with a network of its own")
    network, config, tensors = read_tensors(container, limits)
    graph, target = Graph(), PROFILES[profile]
    ops = OnnxOps(target, graph, graph, tuple(described.bounds))
    params = {name: ConstantParameter(name, tensor, half) for name, tensor in tensors.items()}
    coords = _grid(graph, described, target) if grid else _points(graph, described, target)
    y = network.forward(ops, config, params, coords).joined()
    values = _numbers(y.transpose(1, 0), Outputs(container.head["out"]), target)
    c = len(described.channels)
    open_shape: list[int | str] = ["n", c]
    if isinstance(coords, LatticeOf):
        values = graph.apply("Reshape", values, graph.concat([*(axis.shape() for axis in coords.axes), graph.integers(c)], 0))
        open_shape = [*(f"m{k}" for k in range(coords.d)), c]
    graph.output(values, "values", open_shape, ", ".join(channel.name for channel in described.channels))
    about = metadata(described, network.id, profile, grid=grid)
    return graph.model("inrcodec", opset, doc=f"A signal as a function of its coordinates: {CONVENTION}.", metadata=about)


def _points(graph: Graph, described: Described, profile: Profile) -> PointsOf:
    d = len(described.axes)
    names = ", ".join(axis.name for axis in described.axes)
    points = graph.input("points", np.float64 if profile.double else np.float32, ("n", d), f"coordinates ({names})")
    return PointsOf(tuple(points.at(k, 1) for k in range(d)))


def _grid(graph: Graph, described: Described, profile: Profile) -> LatticeOf:
    kind = np.float64 if profile.double else np.float32
    return LatticeOf(
        tuple(graph.input(f"axis{k}", kind, (f"m{k}",), f"coordinates along {axis.name}") for k, axis in enumerate(described.axes))
    )


def _numbers(y: Value, out: Outputs, profile: Profile) -> Value:
    """Samples of outputs y (n, c), as Outputs.values makes them."""
    v = y * out.scale + out.offset
    if out.dtype is None:
        return v
    low = np.array([channel.low for channel in out.channels])
    span = np.array([channel.high for channel in out.channels]) - low
    wide = np.float64 if profile.double else np.float32
    numbers: Value = v.cast(wide) * span.astype(wide) + low.astype(wide)
    return numbers.cast(np.float32)


def metadata(described: Described, network: str, profile: str, *, grid: bool) -> Mapping[str, str]:
    """What a user of the model must know, as text; what has parts is JSON."""
    head, space = described.head, described.space
    names = [axis.name for axis in described.axes]
    axes = [
        {"name": name, "n": n, "lo": lo, "hi": hi} for name, n, (lo, hi) in zip(names, described.grid_shape, described.bounds, strict=True)
    ]
    channels = [{"name": c.name, "role": c.role, "low": c.low, "high": c.high} for c in described.channels]
    found = {
        "inrcodec.version": VERSION,
        "inrcodec.kind": head["kind"],
        "inrcodec.network": network,
        "inrcodec.profile": profile,
        "inrcodec.inputs": "grid" if grid else "points",
        "inrcodec.coordinates": CONVENTION,
        "inrcodec.axes": json.dumps(axes),
        "inrcodec.channels": json.dumps(channels),
        "inrcodec.dtype": head["out"].get("dtype", f"codes of {described.bits} bits, scaled to 0 .. 1"),
    }
    if space is not None:
        found["inrcodec.units"] = space.units
        found["inrcodec.spacing"] = json.dumps(space.spacing)
        if space.affine is not None:
            found["inrcodec.affine"] = json.dumps(space.affine)
    if "color" in head:
        found["inrcodec.color"] = json.dumps(head["color"])
    left = [name for name, there in (("residual", "residual" in head["out"]), ("missing samples", "valid" in head["out"])) if there]
    if left:
        found["inrcodec.left_out"] = ", ".join(left)
    return found
