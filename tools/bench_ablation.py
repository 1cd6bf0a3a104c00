"""What each ingredient of the photograph coder is worth: one left out or changed at a time, at the same weight of the rate.

    python -m tools.bench_ablation [--photos NAME,...] [--only KEY,...] [--resume] [--out FILE]

Every row is a real file decoded from its bytes. gain_db is the PSNR above JPEG's (Pillow, optimize) at equal bytes less the same of the
default, mean over the photographs: what the change gains or, where it is negative, what the ingredient was worth.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import inrcodec
from inrcodec.bench.curves import Point, front, psnr_at
from inrcodec.bench.items import Item, Place, read_item
from inrcodec.bench.machine import versions
from inrcodec.bench.peers import image_peers
from inrcodec.bench.quality import code_psnr
from tools.bench_common import DATA, RESULTS, Results

CROP = (512, 512)
PHOTOS = ("kodim03", "kodim15")
QUALITY = 75.0


@dataclass(frozen=True)
class Change:
    """One encode option or setting other than the default."""

    key: str
    says: str
    arch: str | None = None
    effort: int = 5
    settings: tuple[tuple[str, float | int], ...] = ()


CHANGES = (
    Change("default", "as `inrcodec encode` does it"),
    Change("no contexts", "tables by one model per level", settings=(("context_features", 0), ("rate_every", 4))),
    Change("sasnet.1", "features into the masks only", arch="sasnet.1"),
    Change("rate every 4th step", "", settings=(("rate_every", 4),)),
    Change("slow steps", "quantization steps learned at 1e-2", settings=(("scale_learning_rate", 1e-2),)),
    Change("cubic levels", "four taps per axis", settings=(("taps", 4),)),
    Change("two features a level", "", settings=(("grid_features", 2),)),
    Change("trunk of 32", "", settings=(("hidden_features", 32), ("frequencies", 32), ("mask_features", 16))),
    Change("trunk of 96", "", settings=(("hidden_features", 96), ("frequencies", 96))),
    Change("late rate", "from the middle of the fit on", settings=(("rate_from", 0.5),)),
    Change("later rounding", "values are rounded for the last 8 % of the fit, not 15 %", settings=(("round_from", 0.92),)),
    Change("between the samples", "a quarter of the batches lie there", settings=(("between", 0.25),)),
    Change("longer", "effort 6", effort=6),
)


def gains(rows: list[dict[str, Any]]) -> dict[str, float]:
    """gain_db of every change measured on all photographs that the default is measured on."""
    above = {(row["change"], row["photo"]): row["above_jpeg_db"] for row in rows}
    photos = sorted(photo for change, photo in above if change == "default")
    found = {}
    for change in dict.fromkeys(row["change"] for row in rows):
        if photos and all((change, photo) in above for photo in photos):
            found[change] = sum(above[change, photo] - above["default", photo] for photo in photos) / len(photos)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--photos", default=",".join(PHOTOS))
    parser.add_argument("--only", default="", help="keys of changes")
    parser.add_argument("--resume", action="store_true", help="leave rows that are there")
    parser.add_argument("--out", type=Path, default=RESULTS / "ablation_cpu.json")
    options = parser.parse_args()
    results = Results(options.out, tuple(part for part in options.only.split(",") if part), options.resume)
    told = {"crop": CROP, "quality": QUALITY, "seed": 0, "versions": versions(("inrcodec", "torch", "pillow"))}
    results.begin("ablation", **told)
    for name in options.photos.split(","):
        item = read_item(Place(name, DATA / "kodak" / f"{name}.png"), "image", CROP)
        jpeg = _jpeg(item)
        for change in CHANGES:
            key = f"{change.key}/{name}"
            if results.wanted("ablation", key):
                results.put("ablation", key, {"change": change.key, "photo": name, **_measured(item, change, jpeg)})
    found = gains(results.rows("ablation"))
    results.begin("ablation", **told, gain_db={change: round(gain, 3) for change, gain in found.items()})
    return 0


def _jpeg(item: Item) -> tuple[Point, ...]:
    peer = next(p for p in image_peers() if p.name == "jpeg")
    points = []
    for trial in peer.trials(item.samples):  # type: ignore[union-attr]
        stream = trial.encode()
        psnr = code_psnr(item.samples, trial.decode(stream))
        assert psnr is not None
        points.append(Point(len(stream), psnr))
    return front(points)


def _measured(item: Item, change: Change, jpeg: tuple[Point, ...]) -> dict[str, Any]:
    encoded = inrcodec.encode(item.signal, quality=QUALITY, effort=change.effort, arch=change.arch, settings=dict(change.settings))
    decoded = inrcodec.open(encoded.data, backend="numpy").decode()
    psnr, report = code_psnr(item.samples, decoded), encoded.report
    reference = psnr_at(jpeg, report.bytes).psnr
    assert psnr is not None and reference is not None
    return {
        "says": change.says,
        "settings": dict(change.settings),
        "bytes": report.bytes,
        "bpp": report.bpp,
        "psnr": psnr,
        "above_jpeg_db": psnr - reference,
        "encode_seconds": report.encode_seconds,
        "decode_seconds": report.decode_seconds,
    }


if __name__ == "__main__":
    sys.exit(main())
