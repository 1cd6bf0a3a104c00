"""Compile every Triton kernel as its functions launch it, for a GPU that need not be there: see test_triton.py.

    python -m tests.triton_compiled

Prints a JSON object: per kernel and precision, what is in its PTX code.
"""

import json
import re
from typing import Any

import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver, jit

from inrcodec.backends.torch_triton import TritonLayers
from inrcodec.networks.hashgrid import Level

TARGET = GPUTarget("cuda", 90, 32)


class AbsentDevice:
    """As much of Triton's driver as compiling asks for."""

    def get_current_target(self) -> GPUTarget:
        return TARGET

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0


def main() -> None:
    driver.set_active(AbsentDevice())
    kernels: dict[str, Any] = {}
    launch = jit.JITFunction.run

    def compile_only(self: Any, *args: Any, grid: Any, warmup: bool, **options: Any) -> Any:
        kernel = launch(self, *args, grid=grid, warmup=True, **options)
        kernels[f"{self.fn.__name__} {options.get('PRECISION', '')}".strip()] = kernel
        return kernel

    jit.JITFunction.run = compile_only
    call_everything()
    print(json.dumps({name: facts(kernel.asm["ptx"], kernel.asm["cubin"]) for name, kernel in kernels.items()}))


def facts(ptx: str, cubin: bytes) -> dict[str, Any]:
    return {
        "bytes": len(cubin),
        "tf32": ".tf32" in ptx,
        "float32 products": "fma.rn.f32" in ptx,
        "approximate sine": "sin.approx" in ptx or "cos.approx" in ptx,
        "atomics": re.search(r"\b(red|atom)\.", ptx) is not None,
    }


def call_everything() -> None:
    h, n = 48, 160
    vector, mask = torch.ones(h), torch.ones(3, n)
    for precision, inputs in (("ieee", 64), ("ieee", 32), ("tf32", 64)):
        layers, x, w = TritonLayers(precision), torch.ones(inputs, n), torch.ones(h, inputs)
        out, saved = layers.sine_layer_forward(x, w, vector, vector, vector, mask)
        layers.sine_layer_backward(saved, out, w=w, b=vector, mask=mask, need_x=True)
        x, w, b, masks = torch.ones(2, inputs, n), torch.ones(2, h, inputs), torch.ones(2, h), torch.ones(2, 3, n)
        out, saved = layers.grouped.sine_layer_forward(x, w, b, vector, vector, masks)
        layers.grouped.sine_layer_backward(saved, out, w=w, b=b, mask=masks, need_x=True)
    x, widths = torch.ones(n, 2, dtype=torch.float64), (3, 4, 5)
    out, points = layers.sine_at_points_forward(x, torch.ones(h, 2, dtype=torch.float64), vector, vector, mask, widths)
    layers.sine_at_points_backward(points, out, phase=vector, mask=mask, need_angle=True)
    leading, last = (torch.ones(h, 10),) * 2, (torch.ones(h, 16),) * 2
    out, on_lattice = layers.sine_on_lattice_forward(leading, last, vector, vector, mask, widths)
    layers.sine_on_lattice_backward(on_lattice, out, phase=vector, mask=mask, need_angle=True)
    for level in (Level(2.5, 4, 16), Level(20.5, 23, 100, 4)):
        tables = [torch.ones(level.entries, 2)]
        out, grid = layers.grid_at_points_forward(x, tables, [level])
        layers.grid_at_points_backward(grid, out, tables)


if __name__ == "__main__":
    main()
