"""Encode a photograph, decode it from its file, look closely, and draw what happened on one sheet.

    python -m tools.demo [IMAGE] [--effort 1..9] [--out FOLDER]

Writes FOLDER/NAME.inr, NAME.png (decoded), NAME_x16.png (a crop rendered at 16 times its resolution) and NAME_sheet.png.
Without IMAGE the subject is scikit-image's astronaut.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import inrcodec
from inrcodec.cli.common import ProgressLine, human_bytes
from inrcodec.codec import Report
from inrcodec.decoder import Inr
from inrcodec.errors import InrError
from inrcodec.signals import read_signal
from inrcodec.signals.base import Channel, Signal
from tools.sheet import Row, Tile, compose

ZOOM = 16
CROP = 32  # source pixels along the edge of the enlarged crop
ERROR_GAIN = 10
MASK_PIXELS = 300  # longest side of a drawn mask
BACKDROP = 0.8  # grey behind transparent pixels


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("image", nargs="?", help="image to encode; scikit-image's astronaut if left out")
    parser.add_argument("--effort", type=int, default=5, help="1..9")
    parser.add_argument("--out", type=Path, default=Path("build/demo"))
    options = parser.parse_args(arguments)
    try:
        print(demo(options.image, effort=options.effort, out=options.out))
    except InrError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def demo(image: str | None, *, effort: int, out: Path) -> str:
    """Do all of it and return the figures and the paths as text."""
    name = "astronaut" if image is None else Path(image).stem
    signal = read_signal(astronaut() if image is None else Path(image))
    progress = ProgressLine(enabled=True, verbose=True)
    try:
        encoded = inrcodec.encode(signal, effort=effort, progress=progress)
    finally:
        progress.close()
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f"{name}{end}" for end in (".inr", ".png", f"_x{ZOOM}.png", "_sheet.png")]
    encoded.save(paths[0])
    inr = inrcodec.open(paths[0])
    inr.export(paths[1])
    region = busiest_square(luminance(signal), CROP)
    begin = time.monotonic()
    inr.export(paths[2], region=region, scale=ZOOM)
    crop_seconds = time.monotonic() - begin
    figures = describe(encoded.report, crop_seconds)
    draw_sheet(name, signal, inr, region, figures).save(paths[3])
    return "\n".join([*figures, *map(str, paths)])


def astronaut() -> NDArray[np.uint8]:
    from skimage import data

    picture: NDArray[np.uint8] = data.astronaut()
    return picture


Region = tuple[tuple[int, int], tuple[int, int]]


def draw_sheet(name: str, signal: Signal, inr: Inr, region: Region, figures: Sequence[str]) -> Image.Image:
    """Source, decoded and error; the crop enlarged three ways; the masks the network has learned."""
    (y0, y1), (x0, x1) = region
    source = picture(signal.values, signal.channels)
    values = inr.decode(dtype=np.float32)
    decoded = picture(values, inr.channels)
    difference = np.abs(np.asarray(source).astype(np.float32) - np.asarray(decoded)) * ERROR_GAIN
    error = Image.fromarray(np.clip(difference, 0, 255).astype(np.uint8))
    closer = picture(inr.decode(region=region, scale=ZOOM, dtype=np.float32), inr.channels)
    nearest = source.resize(closer.size, Image.Resampling.NEAREST, box=(x0, y0, x1, y1))
    bicubic = source.resize(closer.size, Image.Resampling.BICUBIC, box=(x0, y0, x1, y1))
    rows = [
        Row(
            "",
            [
                Tile(f"source, {source.width} x {source.height}", framed(source, region)),
                Tile(f"decoded from {human_bytes(inr.info['bytes'])}", decoded),
                Tile(f"absolute error x {ERROR_GAIN}", error),
            ],
            3,
        ),
        Row(
            f"The marked {x1 - x0} x {y1 - y0} pixels, {ZOOM} times enlarged",
            [
                Tile("source, its pixels", nearest),
                Tile("source, Pillow's bicubic", bicubic),
                Tile(f"decoded from the .inr at scale {ZOOM}", closer),
            ],
            3,
        ),
    ]
    masks = inr.modulation(scale=min(1.0, MASK_PIXELS / max(inr.grid_shape)))
    if masks is not None:
        tiles = [
            Tile(caption, Image.fromarray((masks[..., i] * 255 + 0.5).astype(np.uint8)))
            for i, caption in enumerate(mask_names(inr.info["network"], masks.shape[-1]))
        ]
        rows.append(Row("Where each group of frequencies and neurons is at work: the learned masks, black 0, white 1", tiles, 10))
    return compose(f"{name}, a picture as a function", rows, figures)


def describe(report: Report, crop_seconds: float) -> list[str]:
    similarity = "" if report.ssim is None else f"   SSIM {report.ssim:.4f}"
    return [
        f"PSNR {report.psnr:.2f} dB{similarity}   {report.bytes} bytes   {report.bpp:.3f} bits per pixel   "
        f"{report.arch}, {report.parameters} parameters",
        f"encoded in {report.encode_seconds:.1f} s   decoded in {report.decode_seconds:.2f} s   "
        f"crop at {ZOOM} times the resolution in {crop_seconds:.2f} s",
    ]


def picture(values: NDArray[Any], channels: Sequence[Channel]) -> Image.Image:
    """Values (h, w, c) in [0, 1] as 8-bit RGB, transparent parts on grey."""
    color = values[..., [i for i, channel in enumerate(channels) if channel.role != "alpha"]].astype(np.float32)
    for i, channel in enumerate(channels):
        if channel.role == "alpha":
            alpha = values[..., i : i + 1]
            color = color * alpha + BACKDROP * (1 - alpha)
    if color.shape[-1] == 1:
        color = np.repeat(color, 3, axis=-1)
    return Image.fromarray(np.floor(np.clip(color, 0, 1) * 255 + 0.5).astype(np.uint8))


def luminance(signal: Signal) -> NDArray[np.float32]:
    return np.asarray(picture(signal.values, signal.channels)).astype(np.float32).mean(axis=-1)


def framed(image: Image.Image, region: Region) -> Image.Image:
    """A copy with the region outlined, thick enough to be seen when the picture is made smaller."""
    (y0, y1), (x0, x1) = region
    copy, line = image.copy(), max(1, round(max(image.size) / 300))
    draw = ImageDraw.Draw(copy)
    draw.rectangle((x0 - 2 * line, y0 - 2 * line, x1 - 1 + 2 * line, y1 - 1 + 2 * line), outline="black", width=line)
    draw.rectangle((x0 - line, y0 - line, x1 - 1 + line, y1 - 1 + line), outline="white", width=line)
    return copy


def busiest_square(grey: NDArray[Any], edge: int) -> Region:
    """The square with the most contrast between neighbours, clear of the border where the picture is large enough."""
    h, w = grey.shape
    height, width = min(edge, h), min(edge, w)
    slope = np.zeros((h + 1, w + 1))
    slope[1:, 1:] = np.hypot(np.diff(grey, axis=0, append=grey[-1:]), np.diff(grey, axis=1, append=grey[:, -1:]))
    total = slope.cumsum(axis=0).cumsum(axis=1)
    sums = total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    top, left = (edge if h >= 3 * edge else 0), (edge if w >= 3 * edge else 0)
    inner = sums[top : len(sums) - top, left : sums.shape[1] - left]
    y, x = (int(i) for i in np.unravel_index(int(inner.argmax()), inner.shape))
    return (y + top, y + top + height), (x + left, x + left + width)


def mask_names(network: dict[str, Any], count: int) -> list[str]:
    """Captions in the order of the network's masks: bands of the embedding, then the groups of each layer."""
    bands, groups, layers = (network.get(key, 0) for key in ("bands", "groups", "hidden_layers"))
    names = [f"band {i + 1}" for i in range(bands)] + [f"layer {i + 1} group {j + 1}" for i in range(layers) for j in range(groups)]
    return names if len(names) == count else [f"mask {i + 1}" for i in range(count)]


if __name__ == "__main__":
    sys.exit(main())
