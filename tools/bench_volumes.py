"""Volumes through the codec, and all codecs' curves in one picture and one table."""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.bench.quality import value_psnr
from tools.bench_common import DATA, RESULTS, Results

VOLUMES = {
    "hdz2000": "volume/hdz2000_128x128x128_uint8.raw",
    "stent": "volume/stent_256x128x128_int16.raw",
    "engine": "volume/engine.nii.gz",
    "a1b_air_temperature": "volume/a1b_air_temperature_240x37x49_float32.raw",
}
RATIOS = (100, 150, 200, 300, 500, 700, 1000)
NAMES = {"inrcodec": "inrcodec", "sz3": "SZ3", "zfp": "ZFP", "tthresh": "TTHRESH", "sperr": "SPERR"}
# Okabe and Ito's colours, which are told apart with any colour vision.
COLOURS = {"inrcodec": "#D55E00", "sz3": "#0072B2", "zfp": "#7F7F7F", "tthresh": "#009E73", "sperr": "#AA6699"}

Curve = dict[int, float]  # compression ratio -> PSNR in dB


@dataclass(frozen=True, eq=False)
class Volume:
    """Samples (z, y, x) of a source in its own type."""

    name: str
    path: Path
    values: NDArray[Any]

    @property
    def raw_bytes(self) -> int:
        return int(self.values.nbytes)


def load_volume(name: str) -> Volume:
    """One of VOLUMES, axes in the order that the codec reads them in; the file's numbers, not the reader's."""
    path = DATA / VOLUMES[name]
    if path.suffix == ".raw":
        about = json.loads(path.with_suffix(".json").read_text())
        values = np.fromfile(path, dtype=np.dtype(about["dtype"]).newbyteorder("<")).reshape(about["shape"])
        return Volume(name, path, values.astype(values.dtype.newbyteorder("=")))
    import nibabel

    return Volume(name, path, np.ascontiguousarray(np.asanyarray(nibabel.load(path).dataobj).T))


def volumes_section(results: Results, *, effort: int, ratios: Sequence[int] = RATIOS) -> None:
    results.begin("volumes", options={"effort": effort}, seed=0, ratios=list(ratios), peak="range of the source's values", engine="numpy")
    for name in VOLUMES:
        wanted = [ratio for ratio in ratios if results.wanted("volumes", f"{name}/{ratio}")]
        volume = load_volume(name) if wanted else None
        for ratio in wanted:
            assert volume is not None
            results.put("volumes", f"{name}/{ratio}", volume_row(volume, ratio, effort=effort))


def volume_row(volume: Volume, ratio: int, *, effort: int) -> dict[str, Any]:
    """One file; PSNR of its bytes decoded by the other engine than the encoder's own check used."""
    import inrcodec

    begin = time.monotonic()
    encoded = inrcodec.encode(volume.path, size=volume.raw_bytes // ratio, effort=effort)
    seconds = time.monotonic() - begin
    begin = time.monotonic()
    decoded = inrcodec.open(encoded.data, backend="numpy").decode()[..., 0]
    decode_seconds = time.monotonic() - begin
    if decoded.shape != volume.values.shape:
        raise ValueError(f"{volume.name}: expected shape {volume.values.shape}, got {decoded.shape}")
    found = value_psnr(volume.values, decoded)
    return {
        "volume": volume.name,
        "ratio": ratio,
        "effort": effort,
        "bytes": len(encoded.data),
        "within_budget": len(encoded.data) <= volume.raw_bytes // ratio,
        "psnr": None if found is None else round(found, 3),
        "max_error": None if encoded.report.max_error is None else float(f"{encoded.report.max_error:.6g}"),
        "parameters": encoded.report.parameters,
        "steps": encoded.report.steps,
        "encode_seconds": round(seconds, 1),
        "decode_seconds_numpy": round(decode_seconds, 2),
    }


def curves_of(content: dict[str, Any], volume: str) -> dict[str, Curve]:
    """By codec the curve of one volume: of what is in the results, and only files within their budget."""
    result: dict[str, Curve] = {}
    for row in content.get("volumes", {}).get("rows", []):
        if row["volume"] == volume and row["within_budget"] and row["psnr"] is not None:
            result.setdefault("inrcodec", {})[row["ratio"]] = row["psnr"]
    for row in content.get("peers", {}).get("rows", []):
        if row["volume"] == volume and "points" in row:
            result[row["codec"]] = {point["ratio"]: point["psnr"] for point in row["points"] if point["psnr"] is not None}
    return {codec: result[codec] for codec in NAMES if result.get(codec)}


def comparison(volumes: Iterable[str], content: dict[str, Any], ratios: Sequence[int] = RATIOS) -> list[str]:
    """Lines of a table: per volume and ratio every codec's PSNR and the best; then where inrcodec loses, and by how much."""
    codecs = list(NAMES)
    lines = ["volume                ratio  " + "".join(f"{NAMES[codec]:>10}" for codec in codecs) + "   best"]
    losses = []
    for volume in volumes:
        curves = curves_of(content, volume)
        for ratio in ratios:
            found = {codec: curve[ratio] for codec, curve in curves.items() if ratio in curve}
            best = max(found, key=lambda codec: found[codec], default=None)
            cells = "".join(f"{found[codec]:10.2f}" if codec in found else f"{'-':>10}" for codec in codecs)
            lines.append(f"{volume:20} {ratio:5}x  {cells}   {'-' if best is None else NAMES[best]}")
            ours = found.get("inrcodec")
            for codec in codecs[1:] if curves.get("inrcodec") else ():
                if codec in found and (ours is None or found[codec] >= ours):
                    by = "which inrcodec does not reach" if ours is None else f"by {found[codec] - ours:.2f} dB"
                    losses.append(f"loss: {volume} at {ratio}x to {NAMES[codec]} {by}")
    measured = [volume for volume in volumes if "inrcodec" in curves_of(content, volume)]
    if not measured:
        return [*lines, "inrcodec: not measured"]
    return [*lines, *(losses or ["no losses"])]


def curves_section(results: Results) -> None:
    for line in comparison(VOLUMES, results.content):
        print(line)
    draw_curves(results.content, RESULTS / "volumes.png")


def draw_curves(content: dict[str, Any], path: Path) -> None:
    """One panel per volume: PSNR over compression ratio, each curve named at its end."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with pyplot.rc_context({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False}):
        figure, axes = pyplot.subplots(2, 2, figsize=(12, 9), dpi=100, layout="constrained")
        for panel, volume in zip(axes.flat, VOLUMES, strict=True):
            curves = curves_of(content, volume)
            for codec, curve in curves.items():
                ratios = sorted(curve)
                width = 3 if codec == "inrcodec" else 1.8
                panel.plot(ratios, [curve[r] for r in ratios], color=COLOURS[codec], linewidth=width, marker="o", markersize=4)
            ends = {codec: curve[max(curve)] for codec, curve in curves.items()}
            low, high = panel.get_ylim()
            for codec, place in spread_labels(ends, 0.055 * (high - low)).items():
                end = max(curves[codec])
                panel.annotate(
                    NAMES[codec],
                    (end, ends[codec]),
                    (1.04 * max(max(curve) for curve in curves.values()), place),
                    color=COLOURS[codec],
                    va="center",
                    weight="bold" if codec == "inrcodec" else "normal",
                    arrowprops={"arrowstyle": "-", "color": COLOURS[codec], "alpha": 0.3} if end < max(RATIOS) else None,
                )
            panel.set_xscale("log")
            panel.set_xticks(RATIOS, [f"{ratio}" for ratio in RATIOS])
            panel.minorticks_off()
            panel.set_xlim(92, 1500)
            panel.set_title(volume.replace("_", " "), loc="left")
            panel.grid(alpha=0.25)
        for panel in axes[1]:
            panel.set_xlabel("compression ratio (times smaller than raw)")
        for panel in axes[:, 0]:
            panel.set_ylabel("PSNR, dB (peak: range of values)")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Software": None})
        pyplot.close(figure)


def spread_labels(places: dict[str, float], gap: float) -> dict[str, float]:
    """Places of labels moved up or down, in their order, until neighbours are at least `gap` apart."""
    names = sorted(places, key=lambda name: places[name])
    if not names:
        return {}
    moved = [places[name] for name in names]
    for _ in range(200):
        for k in range(len(moved) - 1):
            lack = gap - (moved[k + 1] - moved[k])
            if lack > 1e-9:
                moved[k] -= lack / 2
                moved[k + 1] += lack / 2
    return dict(zip(names, moved, strict=True))
