"""Engines by name, imported when asked for."""

import importlib.util

from inrcodec.backends.base import Engine
from inrcodec.errors import BackendMissing, UsageError

BACKENDS = ("torch", "numpy")
AUTO_WORK = 3_000_000_000  # multiply-accumulates below which NumPy is done before PyTorch is imported


def available() -> list[str]:
    return [name for name in BACKENDS if importlib.util.find_spec(name) is not None]


def make_engine(name: str, *, device: str = "auto", work: int = 0, double: bool = False) -> Engine:
    """The engine `name`; "auto" is PyTorch where it is installed and `work` (multiply-accumulates) is worth its import, else NumPy.

    With `double` an engine that evaluates in float64, as NumPy's does.
    Raises UsageError for an unknown name, BackendMissing for an engine that is not installed or a device that is not there.
    """
    if name == "auto":
        # A device that was asked for is PyTorch's business.
        asked = device not in ("auto", "cpu")
        name = "torch" if not double and (asked or (work >= AUTO_WORK and "torch" in available())) else "numpy"
    if name == "numpy":
        from inrcodec.backends.numpy import NumpyEngine

        return NumpyEngine(double=double)
    if double and name in BACKENDS:
        raise BackendMissing(f"backend {name}: evaluates in float32, expected one of float64 (numpy)")
    if name == "torch":
        if "torch" not in available():
            raise BackendMissing("backend torch: PyTorch is not installed; pip install torch, or use --backend numpy")
        from inrcodec.backends.torch import TorchEngine, torch_device

        return TorchEngine(torch_device(device))
    raise UsageError(f"backend: expected auto, {', '.join(BACKENDS)}, got {name}")
