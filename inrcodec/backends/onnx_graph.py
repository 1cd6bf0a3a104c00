"""An ONNX graph while it is built: values with operators, constants, inputs and outputs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

NONE: Mapping[str, Any] = {}
Size = int | str  # of an axis; a name where it is open


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of a graph. Operators make nodes; numbers beside a value become constants of its type."""

    graph: "Graph"
    name: str
    dtype: np.dtype[Any]

    __array_ufunc__ = None  # an array beside a value leaves the operation to it

    def __add__(self, other: Any) -> "Value":
        return self.graph.apply("Add", self, other)

    def __radd__(self, other: Any) -> "Value":
        return self.graph.apply("Add", other, self)

    def __sub__(self, other: Any) -> "Value":
        return self.graph.apply("Sub", self, other)

    def __rsub__(self, other: Any) -> "Value":
        return self.graph.apply("Sub", other, self)

    def __mul__(self, other: Any) -> "Value":
        return self.graph.apply("Mul", self, other)

    def __rmul__(self, other: Any) -> "Value":
        return self.graph.apply("Mul", other, self)

    def __neg__(self) -> "Value":
        return self.graph.apply("Neg", self)

    def __abs__(self) -> "Value":
        return self.graph.apply("Abs", self)

    def __pow__(self, power: int) -> "Value":
        assert power == 2
        return self * self

    def __matmul__(self, other: Any) -> "Value":
        return self.graph.apply("MatMul", self, other)

    def __mod__(self, other: Any) -> "Value":
        return self.graph.apply("Mod", self, other)

    def __and__(self, other: Any) -> "Value":
        return self.graph.apply("BitwiseAnd", self, other)

    def __xor__(self, other: Any) -> "Value":
        return self.graph.apply("BitwiseXor", self, other)

    def __rxor__(self, other: Any) -> "Value":
        return self.graph.apply("BitwiseXor", other, self)

    def floor(self) -> "Value":
        return self.graph.apply("Floor", self)

    def cast(self, dtype: Any) -> "Value":
        wanted = np.dtype(dtype)
        if wanted == self.dtype:
            return self
        return self.graph.apply("Cast", self, attributes={"to": helper.np_dtype_to_tensor_dtype(wanted)}, dtype=wanted)

    def reshape(self, *shape: int) -> "Value":
        """0 keeps the size that the axis has, -1 is what is left."""
        return self.graph.apply("Reshape", self, self.graph.integers(*shape))

    def unsqueeze(self, *axes: int) -> "Value":
        return self.graph.apply("Unsqueeze", self, self.graph.integers(*axes))

    def transpose(self, *order: int) -> "Value":
        return self.graph.apply("Transpose", self, attributes={"perm": list(order)})

    def at(self, index: int, axis: int) -> "Value":
        """One entry along `axis`, which goes."""
        return self.graph.apply("Gather", self, np.asarray(index, dtype=np.int64), attributes={"axis": axis})

    def take(self, rows: "Value") -> "Value":
        """Rows of the first axis, in the shape of `rows`."""
        return self.graph.apply("Gather", self, rows, attributes={"axis": 0})

    def shape(self) -> "Value":
        return self.graph.apply("Shape", self, dtype=np.dtype(np.int64))


class Graph:
    """Nodes in the order they were made. Equal constants are one."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[Any, Value] = {}
        self._initializers: list[onnx.TensorProto] = []
        self._inputs: dict[str, onnx.ValueInfoProto] = {}
        self._outputs: dict[str, onnx.ValueInfoProto] = {}

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(self._inputs)

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(self._outputs)

    def input(self, name: str, dtype: Any, shape: Sequence[Size], doc: str = "") -> Value:
        kind = np.dtype(dtype)
        if name not in self._inputs:
            self._inputs[name] = _info(name, kind, shape, doc)
        return Value(self, name, kind)

    def output(self, value: Value, name: str, shape: Sequence[Size], doc: str = "") -> None:
        self._nodes.append(helper.make_node("Identity", [value.name], [name]))
        self._outputs[name] = _info(name, value.dtype, shape, doc)

    def constant(self, values: Any, dtype: Any, name: str = "") -> Value:
        """An initializer; named where a reader of the model should know it."""
        array = np.asarray(values, dtype=dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            full = name or f"constant_{len(self._constants)}"
            self._initializers.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), full))
            self._constants[key] = Value(self, full, array.dtype)
        return self._constants[key]

    def integers(self, *values: int) -> Value:
        return self.constant(values, np.int64)

    def apply(self, op: str, *inputs: Any, attributes: Mapping[str, Any] = NONE, dtype: np.dtype[Any] | None = None) -> Value:
        """One node of one output, of the type of the first value unless `dtype` says another."""
        (result,) = self.split(op, 1, *inputs, attributes=attributes, dtype=dtype)
        return result

    def split(
        self, op: str, outputs: int, *inputs: Any, attributes: Mapping[str, Any] = NONE, dtype: np.dtype[Any] | None = None
    ) -> list[Value]:
        """One node of several outputs."""
        kind = next(x.dtype for x in inputs if isinstance(x, Value))
        values = [x if isinstance(x, Value) else self.constant(x, x.dtype if isinstance(x, np.ndarray) else kind) for x in inputs]
        names = [f"{op}_{len(self._nodes)}" + (f"_{i}" if outputs > 1 else "") for i in range(outputs)]
        self._nodes.append(helper.make_node(op, [value.name for value in values], names, **attributes))
        return [Value(self, name, kind if dtype is None else dtype) for name in names]

    def concat(self, values: Sequence[Value], axis: int) -> Value:
        return values[0] if len(values) == 1 else self.apply("Concat", *values, attributes={"axis": axis})

    def model(self, name: str, opset: int, *, doc: str = "", metadata: Mapping[str, str] = NONE) -> onnx.ModelProto:
        """The finished model, of the oldest IR version that has the operator set."""
        opsets = [helper.make_opsetid("", opset)]
        graph = helper.make_graph(
            self._nodes, name, list(self._inputs.values()), list(self._outputs.values()), self._initializers, doc_string=doc
        )
        result = helper.make_model(
            graph, opset_imports=opsets, ir_version=max(8, helper.find_min_ir_version_for(opsets)), producer_name="inrcodec", doc_string=doc
        )
        helper.set_model_props(result, dict(metadata))
        return result


def _info(name: str, dtype: np.dtype[Any], shape: Sequence[Size], doc: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), list(shape), doc)


def turns(value: Value, per: float) -> Value:
    """value * per less its nearest integer, in [-1/2, 1/2]."""
    scaled = value * per if per != 1.0 else value
    return scaled - (scaled + 0.5).floor()


def reduced(angle: Value) -> Value:
    """A float64 angle modulo 2 pi, in [-pi, pi], as float32."""
    return (turns(angle, 0.5 / math.pi) * (2 * math.pi)).cast(np.float32)


def as_column(values: NDArray[Any]) -> NDArray[Any]:
    return np.reshape(values, (-1, 1))


def signature(model: bytes) -> tuple[list[tuple[str, np.dtype[Any], list[int]]], ...]:
    """Inputs and outputs of a serialized model: name, type and shape with -1 for what is open."""
    graph = onnx.ModelProto.FromString(model).graph
    return tuple([_described(tensor) for tensor in tensors] for tensors in (graph.input, graph.output))


def _described(tensor: onnx.ValueInfoProto) -> tuple[str, np.dtype[Any], list[int]]:
    kind = tensor.type.tensor_type
    sizes = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in kind.shape.dim]
    return tensor.name, helper.tensor_dtype_to_np_dtype(kind.elem_type), sizes
