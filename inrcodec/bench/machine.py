"""What a measurement ran on."""

import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from inrcodec.version import VERSION

PACKAGES = ("inrcodec", "numpy", "torch", "numba", "scipy", "pillow", "pillow-jxl-plugin", "pysz", "zfpy")


def machine() -> dict[str, Any]:
    """Processor, cores, threads of a fit on the CPU, and the versions of Python, PyTorch, NumPy and inrcodec."""
    from inrcodec.backends.torch import threads_of, torch_device

    found = versions(("torch", "numpy"))
    return {
        "cpu": next((line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), platform.processor()),
        "cores": os.cpu_count(),
        "threads": threads_of(torch_device("cpu")),
        "python": platform.python_version(),
        **found,
        "inrcodec": VERSION,
    }


def versions(packages: Iterable[str]) -> dict[str, str | None]:
    """The installed version of each package, None where it is absent."""
    found: dict[str, str | None] = {}
    for package in packages:
        try:
            found[package] = VERSION if package == "inrcodec" else version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []
