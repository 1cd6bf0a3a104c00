"""Files as models of other systems: ONNX, and a model repository of the Triton server."""

import os
from pathlib import Path
from typing import IO

from inrcodec.backends import available
from inrcodec.container import load
from inrcodec.errors import BackendMissing, UsageError
from inrcodec.files import read_bytes, write_atomic
from inrcodec.limits import DEFAULT_LIMITS, Limits

PROFILES = ("cpu", "gpu", "web")
OPSETS = range(18, 23)
_TYPES = {"float64": "TYPE_FP64", "float32": "TYPE_FP32"}


def export_onnx(
    source: str | os.PathLike[str] | bytes | IO[bytes],
    *,
    profile: str = "cpu",
    opset: int = 18,
    fp16: bool = False,
    grid: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> bytes:
    """An ONNX model of the function in an .inr: a path, bytes or a binary file. The model's metadata says what goes in and comes out.

    profile  "cpu"; "gpu": hash tables expanded to dense ones; "web": beside it float32 alone, for WebGPU
    opset    of the standard operators
    fp16     what the file has no integers for is stored in float16; arithmetic stays what it is
    grid     takes one vector of coordinates per axis, (m0), (m1) ..., and gives (m0, m1, ..., c), in place of points (n, d) and (n, c);
             its memory grows with the vertices of the function's own grid between the least and the greatest of them

    Raises UsageError, also for files of windows, LimitExceeded where expanded tables would be too large, BackendMissing without onnx.
    """
    if profile not in PROFILES:
        raise UsageError(f"profile: expected {', '.join(PROFILES)}, got {profile}")
    if opset not in OPSETS:
        raise UsageError(f"opset: expected {OPSETS.start}..{OPSETS.stop - 1}, got {opset}")
    if "onnx" not in available():
        raise BackendMissing("export: onnx is not installed; pip install 'inrcodec[onnx]'")
    from inrcodec.backends.onnx_export import exported

    model = exported(load(read_bytes(source), limits), profile=profile, opset=opset, half=fp16, grid=grid, limits=limits)
    result: bytes = model.SerializeToString()
    return result


def write_triton(folder: str | os.PathLike[str], name: str, model: bytes, *, overwrite: bool = True) -> None:
    """A model repository with the model: folder/name/config.pbtxt and folder/name/1/model.onnx."""
    place = Path(folder) / name
    (place / "1").mkdir(parents=True, exist_ok=True)
    write_atomic(place / "1" / "model.onnx", model, overwrite=overwrite)
    write_atomic(place / "config.pbtxt", triton_config(name, model).encode(), overwrite=overwrite)


def triton_config(name: str, model: bytes) -> str:
    """Triton's description of a model: inputs and outputs of open sizes, whole requests without batches."""
    from inrcodec.backends.onnx_graph import signature

    inputs, outputs = signature(model)
    lines = [f'name: "{name}"', 'backend: "onnxruntime"', "max_batch_size: 0"]
    for what, tensors in (("input", inputs), ("output", outputs)):
        for tensor, kind, shape in tensors:
            dims = ", ".join(str(size) for size in shape)
            lines.append(f'{what} [ {{ name: "{tensor}" data_type: {_TYPES[str(kind)]} dims: [ {dims} ] }} ]')
    return "\n".join(lines) + "\n"
