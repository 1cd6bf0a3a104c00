"""Write conformance/valid: small fitted files and what a decoder must make of them.

    python -m tools.make_vectors [--out FOLDER]

A case is a folder with input.inr, test.json (SHA-256 of the parameters, the query, error bounds) and reference.npy (float32 values in
[0, 1], evaluated by the NumPy engine). Existing cases are never overwritten: bytes that once were valid stay so, unless the format's
version changes.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import inrcodec
from inrcodec.codec import params_digest

OUT = Path(__file__).resolve().parents[1] / "conformance" / "valid"
SCALE = 2
BOUNDS = {"rms_error": 2e-6, "peak_error": 2e-5}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=OUT)
    out: Path = parser.parse_args().out
    for name, picture, options in cases():
        folder = out / name
        if folder.exists():
            print(f"{folder}: exists, left as it is", file=sys.stderr)
            continue
        data = inrcodec.encode(picture, deterministic=True, device="cpu", **options).data
        inr = inrcodec.open(data, backend="numpy")
        folder.mkdir(parents=True)
        (folder / "input.inr").write_bytes(data)
        np.save(folder / "reference.npy", inr.decode(scale=SCALE, dtype=np.float32))
        facts = {"version": inr.info["version"], "parameters_sha256": params_digest(inr), "scale": SCALE, **BOUNDS}
        (folder / "test.json").write_text(json.dumps(facts, indent=1) + "\n")
    return 0


def cases() -> list[tuple[str, NDArray[Any], dict[str, Any]]]:
    """Name, picture and encode options of every case: each network, grey, alpha, 16 bits, a hashed grid, one row."""
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
        ("siren.1-rgb", codes(rgb, 8), {"arch": "siren.1", **fitted}),
        ("msa.1-rgb", codes(rgb, 8), {"arch": "msa.1", **fitted}),
    ]


def waves(height: int, width: int, channels: int) -> NDArray[np.float64]:
    y, x = np.mgrid[0:height, 0:width]
    planes = [0.5 + 0.3 * np.sin(x / (4.0 + k)) * np.cos(y / (5.0 + k)) + 0.15 * (x > y + 3 * k) for k in range(channels)]
    return np.clip(np.stack(planes, axis=-1), 0, 1)


def codes(values: NDArray[np.float64], bits: int) -> NDArray[Any]:
    return np.floor(values * (2**bits - 1) + 0.5).astype(np.uint8 if bits <= 8 else np.uint16)


if __name__ == "__main__":
    sys.exit(main())
