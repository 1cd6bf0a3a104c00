"""What networks/waves.py needs of an array library, as ONNX nodes; features lie along the first axis."""

from collections.abc import Sequence

from inrcodec.backends.onnx_graph import Value


def exp(x: Value) -> Value:
    return x.graph.apply("Exp", x)


def sin(x: Value) -> Value:
    return x.graph.apply("Sin", x)


def cos(x: Value) -> Value:
    return x.graph.apply("Cos", x)


def vsplit(x: Value, sections: int) -> list[Value]:
    return x.graph.split("Split", sections, x, attributes={"axis": 0, "num_outputs": sections})


def concatenate(parts: Sequence[Value], axis: int) -> Value:
    return parts[0].graph.concat(parts, axis)
