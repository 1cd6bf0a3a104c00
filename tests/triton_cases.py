"""What the Triton kernels give beside the plain layers, run by Triton's interpreter in a process of its own: see test_triton.py.

    TRITON_INTERPRET=1 python -m tests.triton_cases OUT.npz

Keys of OUT.npz: `case/name/found` and `case/name/expected`. Names that begin with `grad` are gradients.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from inrcodec.backends import torch_layers as plain
from inrcodec.backends.torch import TorchOps
from inrcodec.backends.torch_tape import Tape
from inrcodec.coordinates import lattice
from inrcodec.networks.hashgrid import Level, geometric_levels, tcnn_levels
from tests.nets import lively_params, small_networks
from tests.stacks import pass_alone, pass_together, ramp, uniform, within

Tensor = torch.Tensor
Pairs = dict[str, tuple[Tensor | None, Tensor | None]]


def layer_case(layers: Any, k: int, h: int, n: int, groups: int, *, scaled: bool = False, need: bool = True, first: int = 0) -> Pairs:
    """A sine layer; its mask is rows from `first` on of a larger tensor."""
    x, w, b = uniform(k, n), uniform(h, k) * (6 / k) ** 0.5 / 30, uniform(h, seed=1)
    omega, amplitude = uniform(h, low=20, high=40), uniform(h, low=0.5, high=2, seed=2) if scaled else None
    mask = uniform(first + groups, n, low=0, high=1)[first:] if groups else None

    def run(chosen: Any) -> dict[str, Tensor | None]:
        out, saved = chosen.sine_layer_forward(x, w, b, omega, amplitude, mask)
        result = {"alone": chosen.sine_layer(x, w, b, omega, amplitude, mask), "out": out}
        grads = {"w": torch.ones_like(w), "b": torch.ones_like(b), "mask": torch.ones_like(mask) if groups and need else None}
        grad_x = chosen.sine_layer_backward(saved, ramp(out), **grads, need_x=need)
        return result | {f"grad_{name}": value for name, value in grads.items()} | {"grad_x": grad_x}

    return paired(run, layers)


def stack_case(layers: Any, m: int, k: int, h: int, n: int, groups: int, *, scaled: bool = False, need: bool = True) -> Pairs:
    """Sine layers of several networks; weights and masks are parts of larger stacks."""
    x, w, b = uniform(m, k, n), within(m, h, k), within(m, h, seed=1)
    omega, amplitude = uniform(h, low=2, high=4), uniform(h, low=0.5, high=2, seed=2) if scaled else None
    mask, into = (uniform(m, groups + 3, n, low=0, high=1, seed=s)[:, 2 : 2 + groups] if groups else None for s in (0, 5))
    before = None if into is None else into.clone()
    grads = {"w": within(m, h, k, seed=3).clone(), "b": torch.ones(m, h)}
    own = [
        {"w": grads["w"][i].clone(), "b": torch.ones(h), "mask": before[i].clone() if before is not None and need else None}
        for i in range(m)
    ]
    out, saved = layers.grouped.sine_layer_forward(x, w, b, omega, amplitude, mask)
    grad_x = layers.grouped.sine_layer_backward(saved, torch.stack([ramp(out[0])] * m), **grads, mask=into if need else None, need_x=need)
    outs, grads_x = [], []
    for i in range(m):
        expected, kept = plain.sine_layer_forward(x[i], w[i], b[i], omega, amplitude, None if mask is None else mask[i])
        outs.append(expected)
        grads_x.append(plain.sine_layer_backward(kept, ramp(expected), **own[i], need_x=need))
    pairs: Pairs = {"out": (out, torch.stack(outs))}
    pairs |= {f"grad_{name}": (grads[name], torch.stack([one[name] for one in own])) for name in ("w", "b")}
    if need:
        pairs["grad_x"] = (grad_x, torch.stack(grads_x))
    if groups:
        pairs["grad_mask"] = (into, torch.stack([one["mask"] for one in own]) if need else before)
    return pairs


def pass_case(layers: Any, number: int) -> Pairs:
    """Whole networks through the tape of stacks."""
    network, config = small_networks()[number]
    initials = [lively_params(network, config, seed) for seed in range(2)]
    grids = [lattice((7, 11), [(-1 + 0.1 * i, 1)] * 2) for i in range(2)]
    together = pass_together(layers, network, config, initials, grids)
    alone = [pass_alone(plain, network, config, *one) for one in zip(initials, grids, strict=True)]
    return {
        (name if name == "out" else f"grad_{name}"): (
            torch.stack([one[name] for one in together]),
            torch.stack([one[name] for one in alone]),
        )
        for name in alone[0]
    }


def large_arguments(layers: Any) -> Pairs:
    """Arguments up to 3e4 that are exact in float32, so that nothing but the sine differs."""
    z = torch.as_tensor(np.random.default_rng(0).integers(-(30_000 << 6), 30_000 << 6, (50, 3))) / 64
    x = torch.eye(3).repeat(1, 40)
    ones = torch.ones(50)
    layer, beside = (chosen.sine_layer_forward(x, z, 0 * ones, ones, None, None) for chosen in (layers, plain))
    slope = layers.sine_layer_backward(layer[1], torch.ones(50, 120), w=torch.zeros(50, 3), b=torch.zeros(50), mask=None, need_x=True)
    expected = z.T.double() @ torch.cos(z.double() @ x.double())
    return {
        "out": (layer[0], torch.sin(z.double() @ x.double()).float()),
        "beside": (layer[0], beside[0]),
        "grad_x": (slope, expected.float()),
    }


def not_finite(layers: Any) -> Pairs:
    """NaN and infinities become NaN, and stay in their sample."""
    x = torch.tensor([[0.5, np.nan, np.inf, -np.inf, -0.5]])
    one = torch.ones(1)
    with np.errstate(invalid="ignore"):
        out = layers.sine_layer(x, torch.ones(1, 1), 0 * one, one, None, None)
    return {"out": (torch.nan_to_num(out, nan=7.0), torch.tensor([[np.sin(0.5), 7, 7, 7, -np.sin(0.5)]], dtype=torch.float32))}


def precisions(layers: Any) -> Pairs:
    """Whether PyTorch's products on the way back may be of TF32: only where that is asked for, and not after."""
    seen: list[bool] = []
    product = torch.mm

    def watched(a: Tensor, b: Tensor) -> Tensor:
        seen.append(torch.get_float32_matmul_precision() == "high")
        return product(a, b)

    torch.mm = watched
    try:
        for precision in ("ieee", "tf32x3", "tf32", "ieee"):
            x, w, b = uniform(3, 5), uniform(4, 3), uniform(4)
            chosen = replace(layers, precision=precision)
            out, saved = chosen.sine_layer_forward(x, w, b, b, None, None)
            chosen.sine_layer_backward(saved, out, w=w, b=b, mask=None, need_x=True)
    finally:
        torch.mm = product
    seen.append(torch.get_float32_matmul_precision() == "high")
    return {"out": (torch.tensor(seen).float(), torch.tensor([0.0, 0, 1, 0, 0]))}


def embedding_case(layers: Any, where: str, d: int, n: int, widths: tuple[int, ...], *, scaled: bool = False, need: bool = True) -> Pairs:
    """An embedding of more neurons than are masked, its angles up to 1e4; `n` samples, on a lattice per axis of two."""
    h = sum(widths) + 5
    phase, amplitude = 3 * uniform(h), uniform(h, low=0.5, high=2, seed=2) if scaled else None
    if where == "points":
        call = uniform(n, d).double(), uniform(h, d, seed=3).double() * 1e4 / d
    else:
        angles = (300 * uniform(h, d, seed=3), 300 * uniform(h, n, seed=4))
        call = tuple((torch.sin(a), torch.cos(a)) for a in angles)
    count = n if where == "points" else n * d
    mask = uniform(len(widths), count, low=0, high=1) if widths else None
    name = "sine_at_points" if where == "points" else "sine_on_lattice"

    def run(chosen: Any) -> dict[str, Tensor | None]:
        out, saved = getattr(chosen, f"{name}_forward")(*call, phase, amplitude, mask, widths)
        alone = getattr(chosen, name)(*call, phase, amplitude, mask, widths)
        grads = {"phase": torch.ones_like(phase), "mask": torch.ones_like(mask) if widths and need else None}
        angle = getattr(chosen, f"{name}_backward")(saved, ramp(out), **grads, need_angle=need)
        return {"out": out, "alone": alone} | {f"grad_{name}": value for name, value in grads.items()} | {"grad_angle": angle}

    return paired(run, layers)


def grid_levels(d: int) -> tuple[Level, ...]:
    """Dense and hashed, of 2 and 4 taps, tables of every size: tiny-cuda-nn's own, which wrap, and those of a power of two or not."""
    return (
        *tcnn_levels(d=d, levels=2, base_resolution=5, per_level_scale=2.0, log2_entries=5),
        *tcnn_levels(d=d, levels=1, base_resolution=3, per_level_scale=1.0, log2_entries=None),
        *geometric_levels(d=d, levels=1, coarsest=4, finest=4, max_entries=4**d),
        *geometric_levels(d=d, levels=1, coarsest=900, finest=900, max_entries=97),
        *geometric_levels(d=d, levels=1, coarsest=7, finest=7, max_entries=1 << 20, taps=4),
        *geometric_levels(d=d, levels=1, coarsest=90, finest=90, max_entries=61, taps=4),
    )


def grid_case(layers: Any, d: int, n: int) -> Pairs:
    """Points beyond the grid's borders too."""
    levels = grid_levels(d)
    x = uniform(n, d, low=-1.3, high=1.3).double()
    tables = [uniform(level.entries, 1 + i % 3) for i, level in enumerate(levels)]

    def run(chosen: Any) -> dict[str, Tensor | None]:
        out, saved = chosen.grid_at_points_forward(x, tables, levels)
        grads = [torch.ones_like(table) for table in tables]
        chosen.grid_at_points_backward(saved, ramp(out), grads)
        found = {"out": out, "alone": chosen.grid_at_points(x, tables, levels)}
        return found | {f"grad_{i}": grad for i, grad in enumerate(grads)}

    return paired(run, layers)


def large_table(layers: Any) -> Pairs:
    """Of which there is one copy: gradients go straight to it."""
    level = geometric_levels(d=2, levels=1, coarsest=400, finest=400, max_entries=1 << 16)[0]
    x, table = uniform(50, 2).double(), uniform(level.entries, 1)

    def run(chosen: Any) -> dict[str, Tensor | None]:
        out, saved = chosen.grid_at_points_forward(x, [table], [level])
        grad = torch.ones_like(table)
        chosen.grid_at_points_backward(saved, ramp(out), [grad])
        return {"out": out, "grad": grad}

    return paired(run, layers)


def network_case(layers: Any, number: int, where: str) -> Pairs:
    """A whole network through the tape."""
    network, config = small_networks()[number]
    grid = lattice({1: (67,), 2: (7, 11), 3: (3, 4, 5)}[config.in_features], [(-1, 1)] * config.in_features)
    coords = grid if where == "lattice" else grid.points()
    initial = lively_params(network, config)
    trained = [p.name for p in network.params(config) if p.trainable]

    def run(chosen: Any) -> dict[str, Tensor | None]:
        ops = TorchOps(torch.device("cpu"))
        ops.layers = chosen
        tensors = {name: torch.tensor(value) for name, value in initial.items()}
        for name in trained:
            tensors[name].grad = torch.zeros_like(tensors[name])
        tape = Tape(ops)
        with torch.no_grad():
            out = network.forward(tape, config, tensors, coords)
            tape.backward(out, ramp(out))
            alone = network.forward(ops, config, tensors, coords)
        return {"out": out, "alone": alone} | {f"grad_{name}": tensors[name].grad for name in trained}

    return paired(run, layers)


def paired(run: Callable[[Any], dict[str, Tensor | None]], layers: Any) -> Pairs:
    found, expected = run(layers), run(plain)
    return {name: (found[name], expected[name]) for name in expected}


CASES: dict[str, Callable[[Any], Pairs]] = {
    "layer of one sample": partial(layer_case, k=2, h=3, n=1, groups=0),
    "layer of one group": partial(layer_case, k=17, h=13, n=131, groups=1),
    "layer of many groups": partial(layer_case, k=29, h=62, n=257, groups=31),
    "layer of wide groups, angle formed again": partial(layer_case, k=31, h=40, n=300, groups=2, scaled=True, first=3),
    "layer of wide groups, angle kept": partial(layer_case, k=67, h=134, n=149, groups=2, scaled=True),
    "layer without mask": partial(layer_case, k=33, h=71, n=261, groups=0, scaled=True),
    "layer of frozen inputs": partial(layer_case, k=16, h=64, n=128, groups=4, need=False),
    "layers of one network": partial(stack_case, m=1, k=17, h=13, n=131, groups=1),
    "layers of many groups": partial(stack_case, m=3, k=29, h=62, n=257, groups=31),
    "layers of wide groups, angles formed again": partial(stack_case, m=2, k=31, h=40, n=300, groups=2, scaled=True),
    "layers of wide groups, angles kept": partial(stack_case, m=3, k=67, h=134, n=149, groups=2),
    "layers without mask": partial(stack_case, m=4, k=33, h=71, n=261, groups=0, scaled=True),
    "layers of frozen inputs": partial(stack_case, m=2, k=16, h=64, n=128, groups=4, need=False),
    "large arguments": large_arguments,
    "not finite": not_finite,
    "precisions": precisions,
    "points, one sample": partial(embedding_case, where="points", d=1, n=1, widths=()),
    "points, one mask": partial(embedding_case, where="points", d=2, n=131, widths=(19,), scaled=True),
    "points, an empty mask": partial(embedding_case, where="points", d=3, n=521, widths=(3, 0, 18), need=False),
    "points, many masks": partial(embedding_case, where="points", d=4, n=67, widths=(1,) * 13),
    "lattice, one sample": partial(embedding_case, where="lattice", d=1, n=1, widths=()),
    "lattice, one row": partial(embedding_case, where="lattice", d=1, n=257, widths=(19,), need=False),
    "lattice, many masks": partial(embedding_case, where="lattice", d=13, n=43, widths=(3, 0, 18, 1), scaled=True),
    **{f"grid, d={d}, n={n}": partial(grid_case, d=d, n=n) for d in (1, 2, 3, 4) for n in (1, 37)},
    "grid, large table": large_table,
    **{f"network {i} on {where}": partial(network_case, number=i, where=where) for i in (0, 1, 5) for where in ("lattice", "points")},
    "networks together": partial(pass_case, number=0),
    "networks of trained frequencies together": partial(pass_case, number=3),
}


def results(layers: Any) -> Iterator[tuple[str, np.ndarray]]:
    for case, make in CASES.items():
        for name, pair in make(layers).items():
            for which, tensor in zip(("found", "expected"), pair, strict=True):
                # What is not there is an array without values.
                yield f"{case}/{name}/{which}", np.empty(0) if tensor is None else tensor.detach().numpy()


def main(out: Path) -> None:
    from inrcodec.backends import triton_sine
    from inrcodec.backends.torch_triton import TritonLayers, working_layers

    layers = working_layers(torch.device("cpu"))
    assert layers == TritonLayers()
    arrays = dict(results(layers))
    swapped = stack_case(layers, m=2, k=3, h=5, n=7, groups=0)["out"]
    arrays |= {"swapped/out/found": swapped[0].flip(0).numpy(), "swapped/out/expected": swapped[1].numpy()}
    triton_sine.PI_2 = triton_sine.PI_3  # type: ignore[misc]
    wrong = large_arguments(layers)["out"]
    arrays |= {"wrong/out/found": wrong[0].numpy(), "wrong/out/expected": wrong[1].numpy()}
    np.savez(out, **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
