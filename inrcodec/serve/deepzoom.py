"""Levels of a picture in tiles: Deep Zoom (.dzi) and XYZ, up to many times its nominal size.

Each tile is the part of its level with the bits of the whole. Those of Deep Zoom share a sample with each neighbour, so that viewers that
draw them between the pixels of a screen leave no line; XYZ tiles share none.

Deep Zoom  level 0 is one sample; each level has twice the sides of the one before, the deepest `scale` times the nominal ones
XYZ        level 0 is one tile; each level has twice the sides, one of them the nominal ones, those below it halves rounded up
"""

from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from inrcodec.serve.planes import Box
from inrcodec.serve.problems import Refused

DZI_TILE, OVERLAP = 512, 1
XYZ_TILE = 256
MOST_SCALE = 1024
DEEPER = 6  # XYZ levels beyond the nominal size
NAMESPACE = "http://schemas.microsoft.com/deepzoom/2008"


@dataclass(frozen=True)
class Level:
    """A picture scaled to `width` x `height`, in square tiles; those at its right and lower edges are what is left.

    overlap: samples beyond its own that a tile has of each neighbour.
    """

    width: int
    height: int
    tile: int
    overlap: int = 0

    @property
    def columns(self) -> int:
        return -(-self.width // self.tile)

    @property
    def rows(self) -> int:
        return -(-self.height // self.tile)

    def box(self, column: int, row: int) -> Box:
        """What a tile covers, in samples of the level. Raises Refused (404) where there is none."""
        if not (0 <= column < self.columns and 0 <= row < self.rows):
            raise Refused(404, f"tile: expected columns 0 to {self.columns - 1} and rows 0 to {self.rows - 1}, got {column}, {row}")
        x, y = max(0, column * self.tile - self.overlap), max(0, row * self.tile - self.overlap)
        right, bottom = (min(side, (k + 1) * self.tile + self.overlap) for side, k in ((self.width, column), (self.height, row)))
        return Box(x, y, right - x, bottom - y)


def deepest(width: int, height: int) -> int:
    """The number of the level that has these sides: ceil(log2(the longer one))."""
    return (max(width, height) - 1).bit_length()


def dzi_level(width: int, height: int, scale: int, number: int) -> Level:
    """Of a picture of nominal sides. Raises Refused (404) for other scales and levels than there are."""
    if not 1 <= scale <= MOST_SCALE:
        raise Refused(404, f"scale: expected 1 to {MOST_SCALE}, got {scale}")
    last = deepest(scale * width, scale * height)
    if not 0 <= number <= last:
        raise Refused(404, f"level: expected 0 to {last}, got {number}")
    return Level(_shrunk(scale * width, last - number), _shrunk(scale * height, last - number), DZI_TILE, OVERLAP)


def dzi(width: int, height: int, scale: int, form: str) -> bytes:
    """The .dzi document."""
    dzi_level(width, height, scale, 0)
    root = ElementTree.Element("Image", xmlns=NAMESPACE, Format=form, Overlap=str(OVERLAP), TileSize=str(DZI_TILE))
    ElementTree.SubElement(root, "Size", Width=str(scale * width), Height=str(scale * height))
    return bytes(ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True))


def nominal_zoom(width: int, height: int) -> int:
    """The XYZ level of nominal sides: the first whose one tile at level 0 holds the picture."""
    return (-(-max(width, height) // XYZ_TILE) - 1).bit_length()


def xyz_level(width: int, height: int, zoom: int) -> Level:
    nominal = nominal_zoom(width, height)
    if not 0 <= zoom <= nominal + DEEPER:
        raise Refused(404, f"level: expected 0 to {nominal + DEEPER}, got {zoom}")
    if zoom >= nominal:
        return Level(width << (zoom - nominal), height << (zoom - nominal), XYZ_TILE)
    return Level(_shrunk(width, nominal - zoom), _shrunk(height, nominal - zoom), XYZ_TILE)


def tilejson(width: int, height: int, own: str, *, name: str, form: str) -> dict[str, Any]:
    """TileJSON of the tiles under the address `own`, in a plane without a globe, whose corner (0, 0) is the upper left."""
    nominal = nominal_zoom(width, height)
    return {
        "tilejson": "2.2.0",
        "name": name,
        "scheme": "xyz",
        "tiles": [f"{own}/{{z}}/{{x}}/{{y}}.{form}"],
        "minzoom": 0,
        "maxzoom": nominal + DEEPER,
        "nominalzoom": nominal,
        "tilesize": XYZ_TILE,
        "width": width,
        "height": height,
        "crs": "simple",
    }


def filled(codes: NDArray[np.uint8], tile: int) -> NDArray[np.uint8]:
    """Codes (h, w, c) of a tile at an edge with nothing around: (tile, tile, c), with alpha where anything is missing."""
    h, w, c = codes.shape
    if (h, w) == (tile, tile):
        return codes
    if c in (1, 3):
        codes = np.concatenate([codes, np.full((h, w, 1), 255, np.uint8)], axis=-1)
    return np.pad(codes, ((0, tile - h), (0, tile - w), (0, 0)))


def _shrunk(side: int, halvings: int) -> int:
    return max(1, -(-side >> halvings))
