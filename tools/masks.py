"""Draw the learned masks of an .inr file, as the figures of the SASNet paper do: which places use which frequencies and neurons.

    python -m tools.masks FILE.inr [-o masks.png]

Of an image the whole picture; of a volume, a shape or a video its three middle slices; of a sound a strip. One small picture per mask,
black 0 and white 1, in rows: the bands of frequencies of the first layer, from low to high, then the groups of every hidden layer.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import inrcodec
from inrcodec.coordinates import sample_centres, scaled_size
from inrcodec.decoder import Inr
from inrcodec.errors import InrError, UsageError
from inrcodec.networks.sasnet import SasnetConfig
from inrcodec.weights import read_network
from tools.sheet import Row, Tile, compose

MOST = 256  # samples along an axis of a slice
STRIP = 32  # rows of pixels a sound is drawn with


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("masks.png"))
    options = parser.parse_args(arguments)
    try:
        inr = inrcodec.open(options.file)
        draw(inr, title=f"{options.file.name}: learned masks").save(options.output)
    except InrError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def draw(inr: Inr, *, title: str) -> Image.Image:
    """The sheet of all masks. Raises UsageError for a network without."""
    _, config = read_network(inr.head)
    if not isinstance(config, SasnetConfig):
        raise UsageError(f"masks: expected a network with masks, got {inr.head['net'][0]}")
    rows = []
    for name, coordinates, held in slices(inr):
        masks = inr.modulation(*coordinates)
        assert masks is not None
        plane = masks[tuple(0 if fixed else slice(None) for fixed in held)]
        for heading, labels, first in layers(config):
            tiles = [Tile(label, picture(plane[..., first + k])) for k, label in enumerate(labels)]
            rows.append(Row(f"{name}: {heading}" if name else heading, tiles, max(4, len(labels))))
    frequencies = f"{config.frequencies} frequencies up to {config.band}, unmasked up to {config.low}"
    return compose(
        title, rows, [f"{frequencies}; {config.hidden_layers} hidden layers of {config.hidden_features} neurons; black 0, white 1"]
    )


def slices(inr: Inr) -> Iterator[tuple[str, tuple[NDArray[np.float64], ...], list[bool]]]:
    """Name, coordinates and which axes are held of what is drawn: all of one or two axes, else middle slices of the last three."""
    names = [axis["name"] for axis in inr.head["axes"]]
    shape = scaled_size(inr.grid_shape, min(1.0, MOST / max(inr.grid_shape)))
    whole = [sample_centres(m, lo, hi) for m, (lo, hi) in zip(shape, inr.bounds, strict=True)]
    if len(names) <= 2:
        yield "", tuple(whole), [False] * len(names)
        return
    middle = [np.array([(lo + hi) / 2]) for lo, hi in inr.bounds]
    for fixed in range(len(names) - 3, len(names)):
        held = [k == fixed or k < len(names) - 3 for k in range(len(names))]
        yield f"middle {names[fixed]}", tuple(m if h else w for m, w, h in zip(middle, whole, held, strict=True)), held


def layers(config: SasnetConfig) -> Iterator[tuple[str, list[str], int]]:
    """Heading, labels and first mask of every row."""
    span = (config.band - config.low) / config.bands
    edges = [config.low + int(np.ceil(k * span)) for k in range(config.bands + 1)]
    yield "frequencies", [f"band {k + 1}: {edges[k] + 1} to {edges[k + 1]}" for k in range(config.bands)], 0
    for layer in range(config.hidden_layers):
        labels = [f"group {k + 1}" for k in range(config.groups)]
        yield f"hidden layer {layer + 1}", labels, config.bands + layer * config.groups


def picture(mask: NDArray[Any]) -> Image.Image:
    """A mask in [0, 1], (h, w) or (n), in greys."""
    codes = np.floor(np.clip(mask, 0, 1) * 255 + 0.5).astype(np.uint8)
    return Image.fromarray(np.broadcast_to(codes, (STRIP, len(codes))).copy() if codes.ndim == 1 else codes)


if __name__ == "__main__":
    sys.exit(main())
