"""Write conformance/valid: small fitted files and what a decoder must make of them.

    python -m tools.make_vectors [--out FOLDER]

A case is a folder with input.inr, test.json (SHA-256 of the parameters, the query, error bounds) and reference.npy (float32 values in
[0, 1], evaluated by the NumPy engine); with a residual also source.npy, which the nominal grid is to keep to within a bound. Existing
cases are never overwritten: bytes that once were valid stay so, unless the format's version changes.
"""

import argparse
import io
import json
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import inrcodec
from inrcodec.codec import params_digest

OUT = Path(__file__).resolve().parents[1] / "conformance" / "valid"
SCALE = 2
SMALL_SHAPE = {"hidden_features": 32, "frequencies": 32, "band": 4, "low": 2, "bands": 2, "mask_features": 8, "levels": 2, "finest": 8}
BOUNDS = {"rms_error": 2e-6, "peak_error": 2e-5}  # for values in [0, 1]; for others times their range


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=OUT)
    out: Path = parser.parse_args().out
    for name, source, options in cases():
        folder = out / name
        if folder.exists():
            print(f"{folder}: exists, left as it is", file=sys.stderr)
            continue
        data = inrcodec.encode(source, deterministic=True, device="cpu", **options).data
        inr = inrcodec.open(data, backend="numpy")
        folder.mkdir(parents=True)
        (folder / "input.inr").write_bytes(data)
        reference = inr.decode(scale=SCALE, dtype=np.float32)
        np.save(folder / "reference.npy", reference)
        extent = max(1.0, float(np.nanmax(reference) - np.nanmin(reference)))
        bounds = {name: float(f"{bound * extent:.3g}") for name, bound in BOUNDS.items()}
        facts = {"version": inr.info["version"], "parameters_sha256": params_digest(inr), "scale": SCALE, **bounds}
        if inr.residual is not None:
            facts["bound"] = inr.residual.bound
            np.save(folder / "source.npy", source)
        (folder / "test.json").write_text(json.dumps(facts, indent=1) + "\n")
    return 0


def cases() -> list[tuple[str, NDArray[Any] | bytes, dict[str, Any]]]:
    """Name, source and encode options of every case: each network, grey, alpha, 16 bits, a hashed grid, one row; each kind of signal."""
    rgb = waves(24, 31, 3)
    rgba = np.concatenate([rgb, waves(24, 31, 1)], axis=2)
    rgba[:4, :, 3] = 0
    fitted = {"settings": {"steps": 400}}
    return [
        ("sasnet.1-rgb", codes(rgb, 8), fitted),
        ("sasnet.1-rgba", codes(rgba, 8), fitted),
        ("sasnet.1-grey16", codes(waves(20, 20, 1), 16), fitted),
        ("sasnet.1-hashed", codes(rgb, 8), {"settings": {"steps": 400, "finest": 30, "max_entries": 128}}),
        ("sasnet.1-row", codes(waves(1, 40, 3), 8), fitted),
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
