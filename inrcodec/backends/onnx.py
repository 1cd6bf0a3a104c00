"""The ONNX Runtime engine: decodes on a CPU or, the layers, on a CUDA device, by CUDA or by TensorRT. Without PyTorch.

A network is two graphs, made by onnx_ops.py: the first turns the coordinates of a tile into features and sines per axis, on the CPU; the
second is the layers, run over pieces of the tile that stay in a core's cache. Parameters are inputs of both, so that the networks of
windows share them.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from inrcodec.backends.base import Evaluate
from inrcodec.backends.crew import Team, usable_cores
from inrcodec.backends.onnx_device import OnnxDevice, device_names, here, placed, run_bound, session_of
from inrcodec.backends.onnx_graph import Graph, Value
from inrcodec.backends.onnx_ops import Cut, OnnxOps
from inrcodec.backends.onnx_profile import PROFILES, LatticeOf, PointsOf
from inrcodec.coordinates import Lattice, Points
from inrcodec.networks.base import Network
from inrcodec.networks.hashgrid import Level, vertices

__all__ = ["OnnxEngine", "device_names"]

OPSET = 18
PIECE = 1 << 11  # samples of one pass through the layers: their activations fit in a core's second cache (measured)
DEVICE_PIECE = 1 << 16
POINTS = 1 << 13  # of a lattice that is evaluated point by point
MAX_THREADS = 8
FATAL = 4  # of ONNX Runtime's levels of severity: errors are raised, and need not be printed
Array = NDArray[np.float32]
Arrays = Mapping[str, Array]
Inputs = Mapping[str, NDArray[np.floating]]


@dataclass(frozen=True, eq=False)
class InputParameter:
    """A tensor of the network as an input of the graphs."""

    name: str
    values: Array

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def load(self, graph: Graph) -> Value:
        return graph.input(self.name, np.float32, self.shape)

    def load_rows(self, graph: Graph, rows: NDArray[np.int64]) -> Value:
        return self.load(graph).take(graph.constant(rows, np.int64))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self.values, dtype=dtype)


@dataclass(frozen=True, eq=False)
class Program:
    """Both graphs of a network, for points or for lattices; what crosses from one to the other, and how a piece is cut from it."""

    first: onnxruntime.InferenceSession
    second: onnxruntime.InferenceSession
    crossing: Mapping[str, Cut]
    device: OnnxDevice
    bind: bool

    def run(self, coordinates: Inputs, params: Arrays, there: dict[str, Any], *, last: int, n: int, piece: int) -> Array:
        """Outputs (c, n) of a lattice whose last axis has `last` samples, or of points (1); `there` keeps parameters on the device."""
        names = [value.name for value in self.first.get_inputs()]
        inputs = {name: coordinates[name] if name in coordinates else params[name] for name in names}
        found = dict(zip(self.crossing, self.first.run(list(self.crossing), inputs), strict=True))
        own = [value.name for value in self.second.get_inputs() if value.name not in self.crossing]
        whole = {name: found.pop(name) for name, cut in self.crossing.items() if cut == "whole"}
        fixed = self._placed(whole) | (self._kept(own, params, there) if self.bind else {name: params[name] for name in own})
        rows, step = n // last, max(1, piece // last)
        outputs = []
        for start in range(0, rows, step):
            stop = min(rows, start + step)
            parts = {name: _cut(value, self.crossing[name], start, stop, last) for name, value in found.items()}
            inputs = fixed | self._placed(parts)
            outputs.append(run_bound(self.second, inputs) if self.bind else self.second.run(None, inputs)[0])
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=1)

    def _placed(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: placed(value, self.device) for name, value in values.items()} if self.bind else dict(values)

    def _kept(self, names: Sequence[str], params: Arrays, there: dict[str, Any]) -> dict[str, Any]:
        for name in names:
            if name not in there:
                there[name] = placed(params[name], self.device)
        return {name: there[name] for name in names}


def _cut(value: Array, cut: Cut, start: int, stop: int, last: int) -> Array:
    factor = last if cut == "samples" else 1
    return np.ascontiguousarray(value[:, start * factor : stop * factor])


class OnnxEngine:
    """ONNX Runtime on one device: "auto" (CUDA where it is there, else the CPU), "cpu", "cuda", "cuda:1", "tensorrt" ...

    bind: inputs and outputs are bound to the device, so that parameters go there once; None where it is none of its own.
    Raises BackendMissing for a device that is not there, UsageError for an unknown name.
    """

    name = "onnx"

    def __init__(self, device: str, *, bind: bool | None = None) -> None:
        self._device = here(device)
        self._on_cpu = self._device.kind == "cpu"
        self._bind = not self._on_cpu if bind is None else bind
        self._programs: dict[Any, Program] = {}
        self._lock = Lock()

    @contextmanager
    def crew(self) -> Iterator[Team]:
        result = Team(min(usable_cores(), MAX_THREADS) if self._on_cpu else 1)
        try:
            yield result
        finally:
            result.close()

    def compile(self, network: Network, config: Any, params: Mapping[str, Array]) -> Evaluate:
        values = {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in params.items()}
        piece = PIECE if self._on_cpu else DEVICE_PIECE
        there: dict[str, Any] = {}

        def at_points(coords: Points) -> Array:
            program = self._program(network, config, values, "points", coords.d)
            return program.run({"points": np.ascontiguousarray(coords.values)}, values, there, last=1, n=coords.n, piece=piece)

        def evaluate(coords: Points | Lattice) -> Array:
            if isinstance(coords, Points):
                return at_points(coords).T
            if _sparse(coords, config):
                points = coords.points()
                return np.concatenate([at_points(points.slice(i, i + POINTS)) for i in range(0, points.n, POINTS)], axis=1).T
            program = self._program(network, config, values, "lattice", coords.d)
            last = coords.shape[-1] if coords.d > 1 else 1
            axes = {f"axis{k}": axis for k, axis in enumerate(coords.axes)}
            return program.run(axes, values, there, last=last, n=coords.n, piece=piece).T

        return evaluate

    def _program(self, network: Network, config: Any, params: Arrays, kind: str, d: int) -> Program:
        frozen = tuple(params[p.name].tobytes() for p in network.params(config) if not p.trainable)
        key = (network.id, config, kind, frozen)
        with self._lock:
            if key not in self._programs:
                self._programs[key] = self._built(network, config, params, kind, d)
            return self._programs[key]

    def _built(self, network: Network, config: Any, params: Arrays, kind: str, d: int) -> Program:
        first, second = Graph(), Graph()
        ops = OnnxOps(PROFILES["cpu"], first, second, bounds=((-1.0, 1.0),) * d)
        coords: PointsOf | LatticeOf
        if kind == "points":
            points = first.input("points", np.float64, ("n", d))
            coords = PointsOf(tuple(points.at(k, 1) for k in range(d)))
        else:
            coords = LatticeOf(tuple(first.input(f"axis{k}", np.float64, (f"m{k}",)) for k in range(d)))
        inputs = {name: InputParameter(name, value) for name, value in params.items()}
        result = network.forward(ops, config, inputs, coords)
        second.output(result.joined(), "outputs", (config.out_features, "n"))
        return Program(_session(first, OnnxDevice("cpu")), _session(second, self._device), ops.crossing, self._device, self._bind)


def _sparse(coords: Lattice, config: Any) -> bool:
    """Whether the vertices between those that a lattice touches would be more than it needs one by one."""
    if not hasattr(config, "levels"):
        return False

    def touched(level: Level) -> int:
        spans = []
        for axis, factor in zip(coords.axes, config.stretch, strict=True):
            low, high = vertices(np.array([axis.min(), axis.max()]), level, factor)[0].tolist()
            spans.append(high - low + level.taps)
        return math.prod(spans)

    return any(touched(level) > coords.n << coords.d for level in config.levels)


def _session(graph: Graph, device: OnnxDevice) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = FATAL
    return session_of(graph.model("network", OPSET).SerializeToString(), options, device)
