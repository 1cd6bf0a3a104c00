"""Engines by name, imported when asked for."""

import importlib.util

from inrcodec.backends.base import Engine
from inrcodec.errors import BackendMissing, UsageError

BACKENDS = ("torch", "onnx", "numpy")
PACKAGES = {"onnx": ("onnx", "onnxruntime")}  # where they are not those of the name
AUTO_WORK = 3_000_000_000  # multiply-accumulates below which NumPy is done before PyTorch is imported


def available() -> list[str]:
    return [name for name in BACKENDS if all(importlib.util.find_spec(package) is not None for package in PACKAGES.get(name, (name,)))]


def make_engine(name: str, *, device: str = "auto", work: int = 0, double: bool = False) -> Engine:
    """The engine `name`; "auto" is PyTorch, or else ONNX Runtime, where it is installed and `work` (multiply-accumulates) is worth its
    import, else NumPy.

    With `double` an engine that evaluates in float64, as NumPy's does.
    Raises UsageError for an unknown name, BackendMissing for an engine that is not installed or a device that is not there.
    """
    if name == "auto" and device.partition(":")[0] == "tensorrt":
        name = "onnx"
    if name == "auto":
        name = "numpy" if double else _chosen(asked=device not in ("auto", "cpu"), work=work)
    if name == "numpy":
        if not double and device not in ("auto", "cpu"):
            raise UsageError(f"device: expected auto or cpu for backend numpy, got {device}")
        from inrcodec.backends.numpy import NumpyEngine

        return NumpyEngine(double=double)
    if double and name in BACKENDS:
        raise BackendMissing(f"backend {name}: evaluates in float32, expected one of float64 (numpy)")
    if name == "torch":
        if "torch" not in available():
            raise BackendMissing("backend torch: PyTorch is not installed; pip install torch, or use --backend numpy")
        from inrcodec.backends.torch import TorchEngine, torch_device

        return TorchEngine(torch_device(device))
    if name == "onnx":
        if "onnx" not in available():
            raise BackendMissing("backend onnx: onnx or onnxruntime is not installed; pip install onnx onnxruntime, or use --backend numpy")
        from inrcodec.backends.onnx import OnnxEngine

        return OnnxEngine(device)
    raise UsageError(f"backend: expected auto, {', '.join(BACKENDS)}, got {name}")


def _chosen(*, asked: bool, work: int) -> str:
    """The engine of "auto"; a device that was `asked` for is PyTorch's business."""
    there = available()
    if asked:
        return "onnx" if "onnx" in there and "torch" not in there else "torch"
    return there[0] if work >= AUTO_WORK else "numpy"
