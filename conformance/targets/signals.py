"""The signals of targets.json: generated, or the bundled photographs of scikit-image; nothing is fetched."""

import io
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Source:
    """What `inrcodec.encode` is given, and what is compared with it.

    samples: nominal samples (*axes, c), NaN where missing; peak: of their PSNR. Of a shape inside: (n, 3) points x, y, z -> (n,), in the
    units of the source.
    """

    encoded: Array | bytes | Path
    samples: Array | None = None
    peak: float = 1.0
    inside: Callable[[Array], Array] | None = None


def waves(_: Path, side: int = 32) -> Source:
    """A picture of three channels of 8 bits: smooth, with an edge."""
    y, x = np.mgrid[:side, :side] / side
    planes = [0.5 + 0.3 * np.sin(9 * x + k) * np.cos(7 * y - k) + 0.15 * (x > y + 0.1 * k) for k in range(3)]
    return picture(np.clip(np.stack(planes, axis=-1), 0, 1) * 255)


def astronaut(_: Path) -> Source:
    return picture(photograph("astronaut")[20:148, 160:288])


def camera(_: Path) -> Source:
    return picture(photograph("camera")[64:192, 160:288, None])


def photograph(name: str) -> Array:
    import skimage.data

    return np.asarray(getattr(skimage.data, name)())


def picture(values: Array) -> Source:
    codes = np.floor(values + 0.5).astype(np.uint8)
    return Source(codes, codes, 255)


def field(_: Path, shape: tuple[int, int, int] = (10, 12, 16)) -> Source:
    """A volume of float32 numbers with a hole."""
    z, y, x = np.meshgrid(*[np.arange(n) / n for n in shape], indexing="ij")
    values = (20 + np.cos(4 * z) + np.sin(5 * y) + 2 * np.sin(9 * x)).astype(np.float32)
    values[2:4, 3:6, 4:8] = np.nan
    return Source(values, values[..., None], float(np.nanmax(values) - np.nanmin(values)))


def body(_: Path, side: int = 32) -> Source:
    """A volume of 8 bits: ellipsoids within each other, with some texture."""
    z, y, x = np.mgrid[:side, :side, :side] / side * 2 - 1
    r = np.sqrt((z / 0.9) ** 2 + (y / 0.7) ** 2 + (x / 0.8) ** 2)
    values = 60.0 * (r < 1) + 80 * (r < 0.7) + 60 * (r < 0.3) + 20 * np.sin(12 * x * y + 5 * z) * (r < 1)
    codes = np.floor(np.clip(values, 0, 255) + 0.5).astype(np.uint8)
    return Source(codes, codes[..., None], 255)


def ball(_: Path) -> Source:
    import trimesh

    centre, radius = np.array([100.0, -20.0, 5.0]), 30.0
    mesh = trimesh.creation.icosphere(subdivisions=4, radius=radius)
    mesh.apply_translation(centre)
    return Source(bytes(mesh.export(file_type="ply")), inside=lambda p: np.linalg.norm(p - centre, axis=1) < radius)


def torus(_: Path) -> Source:
    import trimesh

    mesh = trimesh.creation.torus(major_radius=2.0, minor_radius=0.7, major_sections=128, minor_sections=64)
    return Source(
        bytes(mesh.export(file_type="ply")),
        inside=lambda p: np.hypot(np.hypot(p[:, 0], p[:, 1]) - 2.0, p[:, 2]) < 0.7,
    )


def chirp(_: Path, count: int = 800, rate: int = 8000) -> Source:
    """Two channels of 16 bits: a rising tone, and one that stops."""
    t = np.arange(count) / rate
    x = np.stack([np.sin(2 * np.pi * (300 + 2000 * t) * t), np.sin(2 * np.pi * 500 * t) * (t < t[-1] / 2)], axis=1)
    samples, out = np.round(x * 20000).astype("<i2"), io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((2, 2, rate, count, "NONE", ""))
        file.writeframes(samples.tobytes())
    return Source(out.getvalue(), samples, 65535)


def tune(scratch: Path) -> Source:
    return chirp(scratch, 4000)


def moving(scratch: Path, frames: int = 4, size: tuple[int, int] = (16, 20)) -> Source:
    """A disc that goes through a picture, as PNG files in a folder."""
    y, x = np.mgrid[: size[0], : size[1]]
    planes = [40 + x * 4 + 120 / (1 + np.exp(np.hypot(y - size[0] / 2, x - 4 - 3 * t) - size[0] / 4)) for t in range(frames)]
    return clip(scratch, np.repeat(np.stack(planes)[..., None], 3, axis=-1))


def rolling(scratch: Path) -> Source:
    """Eight parts of a photograph, a pixel apart along one axis and two along the other."""
    whole = photograph("astronaut")
    return clip(scratch, np.stack([whole[60 + t : 108 + t, 190 + 2 * t : 238 + 2 * t] for t in range(8)]))


def clip(scratch: Path, values: Array) -> Source:
    from PIL import Image

    codes = np.floor(np.clip(values, 0, 255) + 0.5).astype(np.uint8)
    folder = scratch / "frames"
    folder.mkdir()
    for t, frame in enumerate(codes):
        Image.fromarray(frame).save(folder / f"{t:03}.png")
    return Source(folder, codes, 255)


SIGNALS: dict[str, Callable[[Path], Source]] = {
    made.__name__: made for made in (waves, astronaut, camera, field, body, ball, torus, chirp, tune, moving, rolling)
}
