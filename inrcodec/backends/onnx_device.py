"""Where ONNX Runtime runs a graph: devices by name, the providers of each, and inputs and outputs bound to a device."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from inrcodec.errors import BackendMissing, UsageError

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
TENSORRT = ("NvTensorRTRTXExecutionProvider", "TensorrtExecutionProvider")  # the first that is there
KINDS = ("cpu", "cuda", "tensorrt")
NAMES = "expected auto, cpu, cuda[:index] or tensorrt[:index]"
Array = NDArray[np.float32]
Placed = Mapping[str, Any]  # OrtValues by name


@dataclass(frozen=True)
class OnnxDevice:
    kind: Literal["cpu", "cuda", "tensorrt"]
    index: int = 0

    @property
    def memory(self) -> str:
        """Where its tensors lie, as ONNX Runtime calls it."""
        return "cpu" if self.kind == "cpu" else "cuda"

    def __str__(self) -> str:
        return "cpu" if self.kind == "cpu" else f"{self.kind}:{self.index}"


def device_of(name: str, *, available: Sequence[str], devices: int) -> OnnxDevice:
    """The device `name` where these providers are and so many CUDA devices; "auto" is CUDA if it is there, else the CPU.

    Raises UsageError for an unknown name, BackendMissing for a provider or a device that is not there.
    """
    kind, _, index = name.partition(":")
    if kind not in ("auto", *KINDS) or (":" in name and (kind not in ("cuda", "tensorrt") or not index.isdigit())):
        raise UsageError(f"device: {NAMES}, got {name}")
    if kind == "cpu" or (kind == "auto" and not (devices and CUDA in available)):
        return OnnxDevice("cpu")
    if kind == "tensorrt":
        if tensorrt_of(available) is None:
            raise BackendMissing(
                f"device {name}: ONNX Runtime has none of {', '.join(TENSORRT)}; "
                "TensorRT RTX is in onnxruntime-trt-rtx, TensorRT in onnxruntime-gpu"
            )
        return OnnxDevice("tensorrt", int(index or 0))
    wanted = int(index or 0)
    if CUDA not in available or wanted >= devices:
        raise BackendMissing(f"device {name}: no such CUDA device for ONNX Runtime; {devices} are there, onnxruntime-gpu knows them")
    return OnnxDevice("cuda", wanted)


def tensorrt_of(available: Sequence[str]) -> str | None:
    """The provider of TensorRT; its spelling differs between builds."""
    found = {name.lower(): name for name in available}
    return next((found[name.lower()] for name in TENSORRT if name.lower() in found), None)


def providers_of(device: OnnxDevice, available: Sequence[str]) -> list[Any]:
    """The providers that a session tries in turn, with their options: in float32 throughout, which CUDA would not be by itself."""
    if device.kind == "cpu":
        return [CPU]
    cuda = [(CUDA, {"device_id": device.index, "use_tf32": 0})] if CUDA in available else []
    if device.kind == "cuda":
        return [*cuda, CPU]
    return [(tensorrt_of(available), {"device_id": device.index}), *cuda, CPU]


def session_of(model: bytes, options: Any, device: OnnxDevice) -> onnxruntime.InferenceSession:
    """A session on `device`. Raises BackendMissing where its provider cannot be loaded."""
    wanted = providers_of(device, onnxruntime.get_available_providers())
    if device.kind == "tensorrt":
        # TensorRT has no option for it; NVIDIA's libraries read this when they are loaded.
        os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
    session = onnxruntime.InferenceSession(model, options, providers=wanted)
    if device.kind != "cpu" and wanted[0][0] not in session.get_providers():
        raise BackendMissing(f"device {device}: ONNX Runtime's {wanted[0][0]} cannot be loaded")
    return session


def here(name: str) -> OnnxDevice:
    """`device_of` a name, for what is on this machine."""
    return device_of(name, available=onnxruntime.get_available_providers(), devices=len(cuda_devices()))


def cuda_devices() -> range:
    """Numbers of the CUDA devices that ONNX Runtime can use."""
    if CUDA not in onnxruntime.get_available_providers():
        return range(0)
    return range(sum(device.ep_name == CUDA for device in onnxruntime.get_ep_devices()))


def device_names() -> list[str]:
    tensorrt = ["tensorrt"] if tensorrt_of(onnxruntime.get_available_providers()) else []
    return ["cpu", *(f"cuda:{i}" for i in cuda_devices()), *tensorrt]


def placed(values: NDArray[Any], device: OnnxDevice) -> Any:
    """`values` on the device, where runs read them without another copy."""
    return onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(values), device.memory, device.index)


def run_bound(session: onnxruntime.InferenceSession, inputs: Placed) -> Array:
    """The only output of a graph whose inputs lie where it runs."""
    binding = session.io_binding()
    for name, value in inputs.items():
        binding.bind_ortvalue_input(name, value)
    (output,) = session.get_outputs()
    binding.bind_output(output.name, "cpu")
    session.run_with_iobinding(binding)
    found: Array = binding.copy_outputs_to_cpu()[0]
    return found
