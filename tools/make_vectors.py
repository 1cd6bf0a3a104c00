"""Write conformance/valid: small fitted files and what a decoder must make of them.

    python -m tools.make_vectors [--out FOLDER]

A case is a folder with input.inr, test.json (SHA-256 of the parameters, queries, error bounds) and reference.npy and other references
(float32 values, evaluated by the NumPy engine, those of level 2 by conformance/tiledecoder.py in float64); of a file with a residual also
source.npy, the samples that it keeps to within a bound. Some files are fitted, some made by hand (small_files.py, small_residuals.py,
small_tiles.py). What exists is never overwritten, queries are added only:
bytes that once were valid stay so, unless the format's version changes.
"""

import argparse
import hashlib
import io
import json
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import inrcodec
from conformance import adapter, tiledecoder
from inrcodec.codec import params_digest
from tools import small_files, small_residuals, small_tiles

OUT = Path(__file__).resolve().parents[1] / "conformance" / "valid"
SCALE = 2
SMALL_SHAPE = {"hidden_features": 32, "frequencies": 32, "band": 4, "low": 2, "bands": 2, "mask_features": 8, "levels": 2, "finest": 8}
SMALL = {"hidden_features": 16, "hidden_layers": 2}
COMPARED: dict[str, dict[str, Any]] = {  # settings of the networks that others are compared with
    "ffn.1": {**SMALL, "frequencies": 24},
    "pemlp.1": SMALL,
    "gauss.1": {**SMALL, "scale": 8.0},
    "wire.1": SMALL,
    "finer.1": SMALL,
    "staf.1": SMALL,
    "sape.1": {**SMALL, "frequencies": 24},
    "ngp.1": {**SMALL, "levels": 3, "finest": 16},
    "rbf.1": {**SMALL, "levels": 3, "finest": 16, "centres": 24},
    "msa-masked.1": {**SMALL, "levels": 3, "finest": 16, "groups": 4},
    "sasnet-unmasked.1": {**SMALL, "frequencies": 24},
    "sasnet-ablation.1": {**SMALL, "levels": 3, "finest": 16, "frequencies": 24},
}
BOUNDS = {"rms_error": 2e-6, "peak_error": 2e-5}  # for values in [0, 1]; for others times their range
QUERIES: dict[str, dict[str, dict[str, Any]]] = {
    "sasnet.2-cubic": {
        "smaller": {"size": [10, 13]},
        "part": {"size": [37, 40], "region": [[3, 9], [20, 31]]},
        "points": {"points": [[-1.0, -1.0], [1.0, 1.0], [0.1, -0.7], [-1.2, 1.3]]},
    },
    "sasnet.1-hashed": {"smaller": {"size": [24, 12]}, "part": {"region": [[0, 1], [30, 31]]}, "points": {"points": [[0.25, -0.25]]}},
    "sasnet.2-context": {"part": {"size": [300, 20], "region": [[10, 11], [0, 72]]}},
    "volume-missing": {
        "smaller": {"size": [4, 5, 9]},
        "part": {"size": [5, 12, 30], "region": [[2, 6], [2, 6], [3, 20]]},
        "points": {"points": [[0.0, 0.0, 0.0], [0.4, -0.4, 0.9], [-0.25, -0.26, -0.7]]},
    },
    "audio-windows": {
        "smaller": {"size": [300]},
        "part": {"region": [[250, 290]]},
        "points": {"points": [[-1.0], [-0.34], [-0.3325], [-0.32], [0.33], [1.0]]},
    },
    "shape-sdf": {"points": {"points": [[0.0, 0.0, 0.0], [0.9, 0.1, -0.2], [-0.5, 0.5, 0.5]]}},
    "small-windows": {"part": {"size": [90], "region": [[3, 9]]}, "points": {"points": [[-2.0], [-0.5], [-0.3], [0.5], [2.0]]}},
    "small-integers": {"smaller": {"size": [1, 2, 3]}, "points": {"points": [[0.1, 0.2, 0.3]]}},
    "small-missing": {"smaller": {"size": [2, 2]}, "points": {"points": [[-0.34, -0.34], [0.9, -0.9], [3.0, -3.0]]}},
    "residual-lossless": {
        "nominal": {"size": [24, 31]},
        "part": {"size": [24, 31], "region": [[3, 9], [20, 31]]},
        "other": {"size": [24, 30]},
        "points": {"points": [[-1.0, -1.0], [0.1, -0.7]]},
    },
    "residual-float64": {"nominal": {"size": [20, 20]}, "part": {"region": [[0, 1], [2.5, 20]]}},
    "residual-bounded": {"nominal": {"size": [10, 12, 24]}, "part": {"region": [[1, 4], [2, 5], [0, 24]]}, "smaller": {"size": [4, 5, 9]}},
    "small-residual": {"nominal": {"size": [4, 5]}},
    "small-residual-line": {"nominal": {"size": [11]}, "part": {"region": [[2.5, 7]]}, "other": {"size": [12]}},
    "small-residual-four": {"part": {"region": [[0, 2], [0, 3], [1, 3], [1, 2]]}},
    "small-residual-missing": {"nominal": {"size": [3, 3]}, "points": {"points": [[-0.34, -0.34], [0.9, -0.9]]}},
    "small-residual-none": {"nominal": {"size": [4, 5]}},
    "small-four": {"part": {"size": [5, 1, 4, 2], "region": [[0, 2], [0, 3], [1, 3], [1, 2]]}},
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=OUT)
    valid: Path = parser.parse_args().out
    out = valid / "1"
    for name, source, options in cases():
        folder = out / name
        if folder.exists():
            print(f"{folder}: exists, left as it is", file=sys.stderr)
            continue
        data = inrcodec.encode(source, deterministic=True, device="cpu", **options).data
        write_case(folder, data, source if isinstance(source, np.ndarray) and "residual" in inrcodec.open(data).head["out"] else None)
    by_hand = {name: (data, None) for name, data in small_files.files().items()} | small_residuals.files()
    for name, (data, kept) in by_hand.items():
        if not (out / f"small-{name}").exists():
            write_case(out / f"small-{name}", data, kept)
    for name, queries in QUERIES.items():
        add_queries(out / name, queries)
    for name, data in small_tiles.files().items():
        if (folder := valid / "2" / name).exists():
            print(f"{folder}: exists, left as it is", file=sys.stderr)
        else:
            write_tiled_case(folder, data, small_tiles.QUERIES[name])
    return 0


def write_case(folder: Path, data: bytes, source: NDArray[Any] | None = None) -> None:
    """`source`: samples that the file keeps to within its bound."""
    inr = inrcodec.open(data, backend="numpy")
    folder.mkdir(parents=True)
    (folder / "input.inr").write_bytes(data)
    reference = inr.decode(scale=SCALE, dtype=np.float32)
    np.save(folder / "reference.npy", reference)
    facts = {"version": inr.info["version"], "parameters_sha256": params_digest(inr), "scale": SCALE, **bounds(reference)}
    if source is not None and inr.residual is not None:
        facts["bound"] = inr.residual.bound
        np.save(folder / "source.npy", source)
    (folder / "test.json").write_text(json.dumps(facts, indent=1) + "\n")


def write_tiled_case(folder: Path, data: bytes, queries: dict[str, dict[str, Any]]) -> None:
    file = tiledecoder.open(data, np.float64)
    folder.mkdir(parents=True)
    (folder / "input.inr").write_bytes(data)
    whole = {"size": [axis["n"] * SCALE for axis in file.head["axes"]]}
    for name, query in {"reference": whole, **queries}.items():
        values = file.at(query["points"]) if "points" in query else file.decode(**query, numbers=True)
        np.save(folder / f"{name}.npy", values.astype(np.float32))
    digest, version = hashlib.sha256(adapter.parameters(file.params)).hexdigest(), f"{data[16]}.{data[17]}"
    stated = bounds(np.load(folder / "reference.npy"))
    facts = {"version": version, "parameters_sha256": digest, "scale": SCALE, **stated, "queries": queries}
    (folder / "test.json").write_text(json.dumps(facts, indent=1) + "\n")


def bounds(reference: NDArray[Any]) -> dict[str, float]:
    extent = max(1.0, float(np.nanmax(reference) - np.nanmin(reference)))
    return {name: float(f"{bound * extent:.3g}") for name, bound in BOUNDS.items()}


def add_queries(folder: Path, queries: dict[str, dict[str, Any]]) -> None:
    """More questions to a case, each with a reference of its name."""
    inr = inrcodec.open(folder / "input.inr", backend="numpy")
    facts = json.loads((folder / "test.json").read_text())
    known = facts.setdefault("queries", {})
    for name, query in queries.items():
        if name not in known:
            answer = inr.at(query["points"]) if "points" in query else inr.decode(**query, dtype=np.float32)
            np.save(folder / f"{name}.npy", answer)
            known[name] = query
    (folder / "test.json").write_text(json.dumps(facts, indent=1) + "\n")


def cases() -> list[tuple[str, NDArray[Any] | bytes, dict[str, Any]]]:
    """Name, source and encode options of every case: each network, grey, alpha, 16 bits, a hashed grid, one row; each kind of signal."""
    rgb = waves(24, 31, 3)
    rgba = np.concatenate([rgb, waves(24, 31, 1)], axis=2)
    rgba[:4, :, 3] = 0
    fitted = {"settings": {"steps": 400}}
    return [
        ("sasnet.1-rgb", codes(rgb, 8), {"arch": "sasnet.1", **fitted}),
        ("sasnet.1-rgba", codes(rgba, 8), {"arch": "sasnet.1", **fitted}),
        ("sasnet.1-grey16", codes(waves(20, 20, 1), 16), {"arch": "sasnet.1", **fitted}),
        ("sasnet.1-hashed", codes(rgb, 8), {"arch": "sasnet.1", "settings": {"steps": 400, "finest": 30, "max_entries": 128}}),
        ("sasnet.1-row", codes(waves(1, 40, 3), 8), {"arch": "sasnet.1", **fitted}),
        ("sasnet.2-rgb", codes(rgb, 8), {"arch": "sasnet.2", **fitted}),
        (
            "sasnet.2-context",
            codes(waves(64, 72, 3), 8),
            {"arch": "sasnet.2", "settings": {"steps": 300, "context_features": 4, "rate_every": 2}},
        ),
        ("sasnet.2-cubic", codes(rgb, 8), {"arch": "sasnet.2", "settings": {"steps": 400, "taps": 4}}),
        ("siren.1-rgb", codes(rgb, 8), {"arch": "siren.1", **fitted}),
        ("msa.1-rgb", codes(rgb, 8), {"arch": "msa.1", **fitted}),
        ("volume-float32", box(), {"kind": "volume", "size": 1500, **fitted}),
        ("volume-missing", with_holes(box()), {"kind": "volume", "size": 1500, **fitted}),
        ("audio-windows", wav(), {"settings": {"steps": 100, "window": 256}}),
        ("residual-lossless", codes(noisy(rgb), 8), {"lossless": True, "settings": {"steps": 200}}),
        ("residual-float64", codes(noisy(waves(20, 20, 1)), 16), {"lossless": True, "settings": {"steps": 200}}),
        ("residual-bounded", with_holes(box()), {"kind": "volume", "max_error": 0.01, "settings": {"steps": 200}}),
        *((f"{arch}-rgb", codes(rgb, 8), {"arch": arch, "settings": {"steps": 60, **more}}) for arch, more in COMPARED.items()),
        ("shape-sdf", ball(), {"settings": {"steps": 800, "softness": 0.03, "nominal": 12, "batch": 2048, **SMALL_SHAPE}}),
    ]


def box() -> NDArray[np.float32]:
    """A field that changes along its last axis most: its grid is stretched."""
    z, y, x = np.mgrid[0:10, 0:12, 0:24]
    return (20 + np.cos(z / 7.0) + np.sin(y / 5.0) + 2 * np.sin(x / 1.5)).astype(np.float32)


def with_holes(values: NDArray[np.float32]) -> NDArray[np.float32]:
    holes = values.copy()
    holes[2:5, 3:9, 4:15] = np.nan
    return holes


def wav() -> bytes:
    """Two channels of 16 bits, 800 samples at 8 kHz."""
    t = np.arange(800) / 8000
    x = np.stack([np.sin(2 * np.pi * (300 + 2000 * t) * t), np.sin(2 * np.pi * 500 * t) * (t < 0.05)], axis=1)
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((2, 2, 8000, len(t), "NONE", ""))
        file.writeframes(np.round(x * 20000).astype("<i2").tobytes())
    return out.getvalue()


def ball() -> bytes:
    """An octahedron cut finer, as PLY; its box is not that of the coordinates."""
    import trimesh

    mesh = trimesh.creation.icosphere(subdivisions=2, radius=30.0)
    mesh.apply_translation((100.0, -20.0, 5.0))
    return bytes(mesh.export(file_type="ply"))


def waves(height: int, width: int, channels: int) -> NDArray[np.float64]:
    y, x = np.mgrid[0:height, 0:width]
    planes = [0.5 + 0.3 * np.sin(x / (4.0 + k)) * np.cos(y / (5.0 + k)) + 0.15 * (x > y + 3 * k) for k in range(channels)]
    return np.clip(np.stack(planes, axis=-1), 0, 1)


def noisy(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip(values + np.random.default_rng(0).normal(0, 0.01, values.shape), 0, 1)


def codes(values: NDArray[np.float64], bits: int) -> NDArray[Any]:
    return np.floor(values * (2**bits - 1) + 0.5).astype(np.uint8 if bits <= 8 else np.uint16)


if __name__ == "__main__":
    sys.exit(main())
