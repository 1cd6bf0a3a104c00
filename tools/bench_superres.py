"""Super-resolution: photographs are made smaller, encoded, and decoded at the size they had.

    python -m tools.bench_superres [--photos NAME,...] [--factors 2,4] [--resume] [--out FILE]

A photograph's centre is averaged over blocks of factor x factor pixels and rounded to 8 bits; encode has its defaults. All PSNR are
against the centre itself:

psnr         of decode(scale=factor) of the file
bicubic      of the small picture enlarged by Pillow, not coded
lanczos      likewise
coded_psnr   of decode() against the small picture
"""

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import inrcodec
from inrcodec.bench.items import Place, read_item
from inrcodec.bench.machine import versions
from inrcodec.bench.quality import code_psnr
from tools.bench_common import DATA, RESULTS, Results

CROP = (512, 512)
PHOTOS = ("kodim03", "kodim15", "kodim20", "kodim23")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--photos", default=",".join(PHOTOS))
    parser.add_argument("--factors", default="2,4")
    parser.add_argument("--resume", action="store_true", help="leave rows that are there")
    parser.add_argument("--out", type=Path, default=RESULTS / "superres_kodak.json")
    options = parser.parse_args()
    results = Results(options.out, (), options.resume)
    results.begin("superres", crop=CROP, seed=0, versions=versions(("inrcodec", "torch", "pillow")))
    for factor in map(int, options.factors.split(",")):
        for name in options.photos.split(","):
            key = f"{name} x{factor}"
            if results.wanted("superres", key):
                results.put("superres", key, measured(DATA / "kodak" / f"{name}.png", factor))
    for factor in map(int, options.factors.split(",")):
        rows = [row for row in results.rows("superres") if row["factor"] == factor]
        print(f"x{factor}", *(f"{name} {np.mean([row[name] for row in rows]):.2f}" for name in ("psnr", "bicubic", "lanczos")))
    return 0


def measured(path: Path, factor: int) -> dict[str, Any]:
    """The row of one photograph."""
    large = read_item(Place(path.stem, path), "image", CROP).samples
    small = averaged(large, factor)
    encoded = inrcodec.encode(small)
    inr = inrcodec.open(encoded.data, backend="numpy")
    enlarged = {
        name: np.asarray(Image.fromarray(small).resize(large.shape[1::-1], method))
        for name, method in (("bicubic", Image.Resampling.BICUBIC), ("lanczos", Image.Resampling.LANCZOS))
    }
    return {
        "factor": factor,
        "psnr": code_psnr(large, inr.decode(scale=factor)),
        **{name: code_psnr(large, picture) for name, picture in enlarged.items()},
        "coded_psnr": code_psnr(small, inr.decode()),
        "bytes": len(encoded.data),
        "bpp": 8 * len(encoded.data) / math.prod(small.shape[:2]),
        "seconds": encoded.report.encode_seconds,
    }


def averaged(picture: np.ndarray, factor: int) -> np.ndarray:
    """uint8 (h, w, c) -> (h / factor, w / factor, c), means over blocks, rounded half up."""
    h, w, c = picture.shape
    means = picture.reshape(h // factor, factor, w // factor, factor, c).mean(axis=(1, 3))
    return np.floor(means + 0.5).astype(np.uint8)


if __name__ == "__main__":
    sys.exit(main())
