"""What this installation can do."""

import importlib.metadata
import os
import platform
from dataclasses import asdict
from typing import Any

from inrcodec import spec
from inrcodec.backends import available
from inrcodec.limits import DEFAULT_LIMITS
from inrcodec.networks import NETWORKS
from inrcodec.version import VERSION

PACKAGES = (
    "numpy",
    "torch",
    "pillow",
    "click",
    "msgpack",
    "numba",
    "zstandard",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "trimesh",
    "PyMCubes",
    "triton",
    "tinycudann",
)


def report() -> dict[str, Any]:
    """Versions, engines, devices and limits, ready for JSON."""
    return {
        "schema": "inrcodec.doctor/1",
        "inrcodec": VERSION,
        "format": f"{spec.MAJOR}.{spec.MINOR}",
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "packages": {name: _version(name) for name in PACKAGES},
        "backends": {name: _devices(name) for name in available()},
        "networks": {name: network.config.__name__ for name, network in NETWORKS.items()},
        "limits": asdict(DEFAULT_LIMITS),
    }


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _devices(backend: str) -> str:
    if backend == "torch":
        from inrcodec.backends.torch import device_names

        return ", ".join(device_names())
    if backend == "onnx":
        from inrcodec.backends.onnx import device_names as onnx_devices

        return ", ".join(onnx_devices())
    return "cpu"
