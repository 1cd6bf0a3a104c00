"""The networks of section 9.1, with which others are compared, for minidecoder.py, which alone refuses them.

    python -m conformance.compared FILE -o OUT [as conformance.adapter]

Written from the text of the format, with NumPy alone. Importing this makes minidecoder.py know them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from conformance import minidecoder
from conformance.minidecoder import SASNET, SINES, Array

Map = dict[str, Any]
Spec = tuple[str, tuple[int, ...], int]  # name, shape, axis
EMBEDDING, ABOVE = "frequencies:int:1:8192 period:float:5e-324 band:int:1:255", ":float:5e-324 "
MASKED = minidecoder.TABLES["sasnet.1"]
GRID, GROUPS = (MASKED[MASKED.index(key) :] for key in ("grid_features", "groups"))
COMPARED = {"ffn.1": EMBEDDING, "pemlp.1": "octaves:int:1:24", "gauss.1": "scale" + ABOVE, "staf.1": "sines:int:1:64", "ngp.1": GRID}
COMPARED |= {"finer.1": f"first_omega_0{ABOVE}omega_0{ABOVE}", "wire.1": f"first_omega_0{ABOVE}omega_0{ABOVE}scale{ABOVE}"}
COMPARED |= {"sape.1": EMBEDDING + " levels:[LEVEL]*:1:1 stretch:float*", "rbf.1": GRID + " centres:int:1:8192 omega_0" + ABOVE}
COMPARED |= {"msa-masked.1": "s_min:float:-6:6 s_max:float:-6:6 " + GROUPS}
COMPARED = {name: f"{SINES} {fields}" for name, fields in COMPARED.items()}
COMPARED |= {"sasnet-unmasked.1": SASNET[: SASNET.index(" bands")], "sasnet-ablation.1": MASKED + " frozen:int:0:1 masked:int*:2:65"}


def tensors(net: Map) -> list[Spec]:
    """Section 9.1: (name, shape, axis) of all tensors."""
    name, d, h, layers, n0 = net["id"], net["in_features"], net["hidden_features"], net["hidden_layers"], net.get("frequencies", 0)
    f, sasnet, twice = net.get("grid_features", 0) * len(net.get("levels", ())), "sasnet" in name, 2 if name == "wire.1" else 1
    found, masked = list[Spec](), net.get("masked", [1] * (layers + 1))
    minidecoder.need(len(masked) == layers + 1 and {*masked} in ({1}, {0, 1}), "masked layers")

    def layer(name: str, rows: int, columns: int, axis: int = 0) -> None:
        found.extend([(f"{name}.weight", (rows, columns), axis), (f"{name}.bias", (rows,), -1)])

    if net.get("frozen", n0):
        found += [("frequency", (n0, d), -1)] + [("phase", (n0,), -1)] * sasnet
    elif sasnet:
        layer("first", n0, d)
    found += [(f"grid.{i}", (level["entries"], net["grid_features"]), 1) for i, level in enumerate(net.get("levels", ()))]
    if "mask_features" in net:
        layer("mask.0", net["mask_features"], f, 1)
        layer(
            "mask.1",
            sum(int(on * (net["groups"] if i else net.get("bands", net["groups"]))) for i, on in enumerate(masked)),
            net["mask_features"],
        )
    if name == "rbf.1":
        found += [("centre", (net["centres"], d), 1), ("scale", (net["centres"], d), 1)]
        layer("radial", h, net["centres"])
    entering: dict[str, int] = {
        "ffn.1": 2 * n0,
        "pemlp.1": d * (1 + 2 * net.get("octaves", 0)),
        "sape.1": d + 2 * n0,
        "ngp.1": f,
        "rbf.1": h + f,
    }
    for i in range(-1 + sasnet, layers):
        width = n0 if sasnet and i == 0 else h
        layer(
            f"hidden.{i}" if i >= 0 else "first",
            h * (twice if i >= 0 else 1),
            width if i >= 0 else entering.get(name, int(d)),
        )
    layer("out", net["out_features"], twice * h)
    waves = [f"{row}.{part}" for row in ("first", *(f"hidden.{i}" for i in range(layers))) for part in ("omega", "phase", "amplitude")]
    return found + [(wave, (net["sines"],), -1) for wave in waves if name == "staf.1"]


def outputs(net: Map, p: dict[str, Array], x: Array) -> Array:
    """Section 9.1: outputs (n, c) of coordinates (n, d), in float64."""
    name, h, rows = net["id"], net["hidden_features"], [f"hidden.{i}" for i in range(net["hidden_layers"])]

    def linear(row: str, v: Array) -> Array:
        return np.asarray(v @ p[f"{row}.weight"].T + p[f"{row}.bias"])

    def gabor(z: Array, omega: float) -> Array:
        return np.asarray(np.exp(1j * omega * z - np.abs(net["scale"] * z) ** 2))

    if name in ("gauss.1", "finer.1", "staf.1"):
        for row in ("first", *rows):
            z = linear(row, x)
            if name == "staf.1":
                x = np.sin(z[..., None] * p[f"{row}.omega"] + p[f"{row}.phase"]) @ p[f"{row}.amplitude"]
            else:
                omega = net.get("first_omega_0" if row == "first" else "omega_0", 0)
                x = np.sin(omega * (np.abs(z) + 1) * z) if name == "finer.1" else np.exp(-((net["scale"] * z) ** 2))
        return linear("out", x)
    if name == "wire.1":
        a = gabor(linear("first", x), net["first_omega_0"])
        for row in rows:
            w, b = p[f"{row}.weight"], p[f"{row}.bias"]
            a = gabor(a @ (w[:h] + 1j * w[h:]).T + b[:h] + 1j * b[h:], net["omega_0"])
        return linear("out", np.hstack([a.real, a.imag]))
    f = minidecoder.grid_features(net, p, x) if "levels" in net else x
    if "masked" in name or "ablation" in name:
        return masked_sines(net, p, x, f, linear)
    if name in ("ffn.1", "pemlp.1", "sape.1"):
        k = p["frequency"] if name != "pemlp.1" else np.concatenate([2.0**i * np.eye(x.shape[1]) for i in range(net["octaves"])])
        t = x @ k.T * (2 * np.pi / net.get("period", 2 * np.pi))
        r = np.clip(len(k) * f - np.arange(len(k)), 0, 1) if name == "sape.1" else 1
        f = np.hstack([x] * (name != "ffn.1") + [r * np.sin(t), r * np.cos(t)])
    if name == "rbf.1":
        g = 1 / (1 + ((p["scale"] * (x[:, None] - p["centre"])) ** 2).sum(axis=2))
        f = np.hstack([np.sin(net["omega_0"] * linear("radial", g)), f])
    for row in ("first", *rows):
        f = np.maximum(linear(row, f), 0)
    return linear("out", f)


def masked_sines(net: Map, p: dict[str, Array], x: Array, f: Array, linear: Callable[[str, Array], Array]) -> Array:
    """The last three of section 9.1."""
    h, layers, groups, bands = (
        net["hidden_features"],
        net["hidden_layers"],
        int(net.get("groups", 1)),
        int(net["bands"] if "bands" in net else net.get("groups", 1)),
    )
    on = net.get("masked", [int("levels" in net)] * (layers + 1))
    m = np.exp(-np.logaddexp(0, -linear("mask.1", np.maximum(linear("mask.0", f), 0)))) if any(on) else np.ones((len(x), 1))
    width, n0 = (h, h) if "s_min" in net else (h, net["frequencies"])
    own, omega, amplitude = np.arange(n0) // (n0 // groups) if "s_min" in net else np.zeros(n0, int), net.get("omega_0", 1), np.ones(1)
    if "s_min" in net:
        omega = (10 ** np.linspace(net["s_min"], net["s_max"], h)).astype(np.float32).astype(float)
        amplitude = 1 / omega
    if "frequency" in p:
        largest = np.abs(p["frequency"]).max(axis=1).astype(int)
        own = np.where(largest > net["low"], (largest - net["low"] - 1) * bands // (net["band"] - net["low"]), -1)
        a = np.sin(2 * np.pi / net["period"] * (x @ p["frequency"].T) + p["phase"])
    else:
        a = amplitude * np.sin(omega * linear("first", x))
        own = own if "s_min" in net else np.searchsorted(np.arange(1, bands + 1) * n0 // bands, np.arange(n0), "right")
    start = 0
    for i in range(layers + 1):
        if i:
            a, own = amplitude * np.sin(omega * linear(f"hidden.{i - 1}", a)), np.arange(width) // (width // groups)
        if on[i]:
            a = a * np.where(own >= 0, m[:, start + np.maximum(own, 0)], 1)
            start += groups if i else bands
    return linear("out", a)


minidecoder.TABLES.update(COMPARED)
minidecoder.OTHERS.update(dict.fromkeys(COMPARED, (tensors, outputs)))

if __name__ == "__main__":
    from conformance import adapter

    sys.exit(adapter.main())
