"""What is measured: generated signals for the smoke budget, bundled pictures and generated volumes for cpu, the papers' data sets for
paper."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.bench_common import DATA

SMOKE, CPU = 24, 128  # pixels along a side
BUNDLED = {  # with scikit-image, in place of a paper's data set
    "div2k": ("astronaut", "chelsea", "coffee", "rocket"),
    "kodak": ("stereo_motorcycle", "immunohistochemistry"),
    "ct": ("shepp_logan_phantom", "retina"),
    "ffhq": ("astronaut", "chelsea"),
}
FACES = {"astronaut": (30, 160), "chelsea": (100, 110)}  # rows and columns above and left of a face
PHOTOGRAPHS = {"div2k": "DIV2K", "kodak": "Kodak", "ct": "the TCIA CT slices", "ffhq": "FFHQ"}


def images(budget: str, folder: str) -> dict[str, NDArray[np.float32]]:
    """Pictures (h, w, c) in [0, 1] by name. Raises SystemExit where the data of the paper are not there."""
    if budget == "smoke":
        return {"pattern": pattern(SMOKE)}
    if budget == "cpu":
        read = portrait if folder == "ffhq" else photograph
        return {name: read(name, CPU) for name in BUNDLED[folder]}
    from PIL import Image

    paths = sorted((DATA / folder).glob("*.png"))
    if not paths:
        raise SystemExit(f"error: {DATA / folder}: expected the PNG files of {PHOTOGRAPHS[folder]} (DATA=folder)")
    return {path.stem: np.asarray(Image.open(path).convert("RGB"), dtype=np.float32) / 255 for path in paths}


def first_image(budget: str, folder: str) -> NDArray[np.float32]:
    return next(iter(images(budget, folder).values()))


def pattern(size: int) -> NDArray[np.float32]:
    """A smooth ground with an edge and a patch of fine waves."""
    y, x = np.mgrid[0:size, 0:size] / size
    ground = 0.5 + 0.2 * np.sin(3 * x + 2 * y)
    waves = 0.2 * np.sin(60 * x) * (x > 0.5) * (y > 0.5)
    return np.stack([ground + waves + 0.15 * (x > y + 0.1 * k) for k in range(3)], axis=-1).clip(0, 1).astype(np.float32)


def photograph(name: str, size: int) -> NDArray[np.float32]:
    """The middle of a picture of scikit-image, as large a square as a multiple of `size` fits, averaged over blocks."""
    whole = _bundled(name)
    step = min(whole.shape[:2]) // size
    top, left = ((n - step * size) // 2 for n in whole.shape[:2])
    blocks = whole[top : top + step * size, left : left + step * size].reshape(size, step, size, step, 3)
    return np.asarray(blocks.mean(axis=(1, 3)), dtype=np.float32)


def portrait(name: str, size: int) -> NDArray[np.float32]:
    top, left = FACES[name]
    return _bundled(name)[top : top + size, left : left + size]


def _bundled(name: str) -> NDArray[np.float32]:
    """A picture of scikit-image (h, w, 3) in [0, 1]; of a stereo pair the left one."""
    import skimage.data
    from skimage.util import img_as_float32

    found = getattr(skimage.data, name)()
    picture = img_as_float32(found[0] if isinstance(found, tuple) else found)
    return np.asarray(picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2), dtype=np.float32)


def smoke(size: int, seed: int = 0) -> NDArray[np.float32]:
    """A plume (n, n, n, 1): what the density of smoke looks like, a thin curl in an empty box; other seeds curl otherwise."""
    z, y, x = np.mgrid[0:size, 0:size, 0:size] / size - 0.5
    bend, turn = (1 + 0.3 * np.random.default_rng(seed).uniform(-1, 1, 2)) if seed else (1.0, 1.0)
    centre = 0.15 * np.sin(9 * bend * y + seed), 0.15 * np.cos(7 * turn * y + seed)
    r = (x - centre[0]) ** 2 + (z - centre[1]) ** 2
    return (np.exp(-r / 0.01) * (0.6 + 0.4 * np.sin(40 * x + 30 * y + seed) * np.sin(35 * z)))[..., None].clip(0, 1).astype(np.float32)


def volumes(budget: str) -> dict[str, NDArray[np.float32]]:
    """Volumes (*axes, 1) in [0, 1] by name. Raises SystemExit where the data of the paper are not there."""
    if budget != "paper":
        size, count = {"smoke": (12, 1), "cpu": (48, 4)}[budget]
        return {f"plume {seed}": smoke(size, seed) for seed in range(count)}
    paths = sorted((DATA / "scalarflow").glob("*.npy"))
    if not paths:
        raise SystemExit(f"error: {DATA / 'scalarflow'}: expected volumes of ScalarFlow as .npy (DATA=folder)")
    return {path.stem: _normal(np.load(path)) for path in paths}


def _normal(volume: NDArray[np.floating]) -> NDArray[np.float32]:
    low, high = float(volume.min()), float(volume.max())
    return ((volume - low) / max(high - low, 1e-12)).astype(np.float32)[..., None]


def clip(budget: str) -> NDArray[np.float32]:
    """A video (t, h, w, 3)."""
    if budget != "paper":
        frames, size = {"smoke": (4, 12), "cpu": (12, 48)}[budget]
        y, x = np.mgrid[0:size, 0:size] / size
        moved = [0.5 + 0.3 * np.sin(20 * (x - 0.02 * t)) * np.cos(15 * y) + 0.2 * (x + 0.03 * t > y) for t in range(frames)]
        return np.repeat(np.stack(moved)[..., None], 3, axis=3).clip(0, 1).astype(np.float32)
    path: Path = DATA / "video" / "bunny.npy"
    if not path.exists():
        raise SystemExit(f"error: {path}: expected 100 frames of Big Buck Bunny (100, 180, 320, 3), 8 bits (DATA=folder)")
    return np.load(path).astype(np.float32) / 255
