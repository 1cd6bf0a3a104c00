"""Figures that are pictures: contribution maps, spectra before and after training, masks, a shift by 1/8 pixel, enlargement 16 times.

Each is a table of what can be counted in it, and a sheet of pictures.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from inrcodec.backends.numpy import NumpyOps
from inrcodec.coordinates import Lattice, lattice
from inrcodec.edges import edge_mask
from inrcodec.metrics import psnr
from inrcodec.networks.base import Network
from tools.papers import signals
from tools.papers.samples import ALIKE, NAMES, fitted, told
from tools.papers.table import Report, collected
from tools.papers.training import Run

COMPARED = ("siren.1", "finer.1", "sasnet.1")
SHIFT, ZOOM = 1 / 8, 16
SHOWN = 4  # neurons of a layer, those that contribute most
PIXELS = 8  # that are enlarged, in the middle
LOUDER = 8  # errors are drawn this much larger
DECADES = 8  # of power, below the largest, from white to black


class Watching(NumpyOps):
    """The operations, which keep what every activated layer gave: (n, h) each."""

    def __init__(self) -> None:
        super().__init__()
        self.layers: list[NDArray[Any]] = []

    def sine_embedding(self, *args: Any, **options: Any) -> NDArray[Any]:
        return self._kept(super().sine_embedding(*args, **options))

    def sine_layer(self, *args: Any, **options: Any) -> NDArray[Any]:
        return self._kept(super().sine_layer(*args, **options))

    def activated(self, *args: Any, **options: Any) -> NDArray[Any]:
        return self._kept(super().activated(*args, **options))

    def _kept(self, h: NDArray[Any]) -> NDArray[Any]:
        self.layers.append(h)
        return h


def contribution_maps(
    network: Network, config: Any, params: Mapping[str, NDArray[np.float32]], shape: tuple[int, ...]
) -> list[NDArray[np.float64]]:
    """Per layer (h, *shape): h_j(x) * sum_l W_lj, W the next layer's matrix (SASNet, supplement section 2, after XINC).

    Of networks whose layers are `hidden.i` and `out` behind the first one.
    """
    ops = Watching()
    network.forward(ops, config, params, lattice(shape, [(-1, 1)] * len(shape)))
    following = [*(f"hidden.{i}.weight" for i in range(len(ops.layers) - 1)), "out.weight"]
    return [
        (h[:, : params[name].shape[1]] * params[name].sum(axis=0)).T.reshape(-1, *shape).astype(np.float64)
        for h, name in zip(ops.layers, following, strict=True)
    ]


def spread_of(contribution: NDArray[np.float64]) -> float:
    """Share of an image that holds half of a neuron's contribution, mean over neurons: small where they are local."""
    size = np.sort(np.abs(contribution.reshape(len(contribution), -1)), axis=1)[:, ::-1]
    running = np.cumsum(size, axis=1) / np.maximum(size.sum(axis=1, keepdims=True), 1e-30)
    return float((1 + (running < 0.5).sum(axis=1)).mean() / size.shape[1])


def contribution_figure(budget: str, seeds: Sequence[int], device: torch.device) -> Report:
    """The sheet has a row a network, of neurons of its first layer and of its last."""
    image, runs, drawn = signals.first_image(budget, "kodak"), [], []
    for seed in seeds:
        found: dict[tuple[str, str], float] = {}
        for arch in COMPARED:
            run = fitted(arch, image, budget, seed, device)
            maps = contribution_maps(run.network, run.config, run.params, image.shape[:2])
            found |= {(NAMES[arch], f"area of half the contribution, layer {i + 1}"): spread_of(m) for i, m in enumerate(maps)}
            if seed == seeds[0]:
                drawn.append([*largest(maps[0]), *largest(maps[-1])])
        runs.append(found)
    rows, title = collected(runs, {}), "SASNet, figure 3: contributions"
    return Report(title=title, budget=budget, difference=told(ALIKE, budget), rows=rows, sheet=sheet(drawn))


def largest(contribution: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Of maps (h, *shape) those that are largest on the mean, grey where they are 0, white and black at their largest magnitude."""
    order = np.argsort(-np.abs(contribution).mean(axis=(1, 2)))[:SHOWN]
    return [0.5 + 0.5 * contribution[k] / max(float(np.abs(contribution[k]).max()), 1e-30) for k in order]


def spectrum(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Power of an image (h, w, c) per frequency, zero in the middle, mean over channels: (h, w)."""
    taper = np.outer(*(np.hanning(n + 2)[1:-1] for n in image.shape[:2]))[..., None]
    centred = image - image.mean(axis=(0, 1))
    return np.asarray((np.abs(np.fft.fftshift(np.fft.fft2(centred * taper, axes=(0, 1)), axes=(0, 1))) ** 2).mean(axis=2))


def high_share(power: NDArray[np.float64]) -> float:
    """Share of the power beyond half of Nyquist's frequency along either axis."""
    y, x = (np.abs(np.fft.fftshift(np.fft.fftfreq(n))) > 0.25 for n in power.shape)
    return float(power[y[:, None] | x].sum() / max(power.sum(), 1e-30))


def initial_run(run: Run, seed: int) -> Run:
    """The same network with the parameters it began with."""
    return Run(run.network, run.config, run.network.init(run.config, np.random.default_rng([seed, 0])), run.scale, run.offset, (), 0.0)


def spectrum_figure(budget: str, seeds: Sequence[int], device: torch.device) -> Report:
    """The sheet has a row a network, before and after training, and one of the image."""
    image, runs, curves = signals.first_image(budget, "div2k"), [], []
    drawn = [[grey_power(spectrum(image.astype(np.float64)))]]
    for seed in seeds:
        found: dict[tuple[str, str], float] = {}
        for arch in COMPARED:
            run = fitted(arch, image, budget, seed, device)
            powers = {when: spectrum(one.on(image.shape[:2])) for when, one in (("before", initial_run(run, seed)), ("after", run))}
            if seed == seeds[0]:
                drawn.append([grey_power(power) for power in powers.values()])
            for when, power in powers.items():
                found[NAMES[arch], f"share of high frequencies {when}"] = high_share(power)
                radial = [float(np.log10(power[len(power) // 2, k:].mean() + 1e-30)) for k in range(power.shape[1])]
                curves.append({"method": NAMES[arch], "seed": seed, "when": when, "log10_power": radial})
        runs.append(found)
    title = "SASNet, supplement figure 1: spectra before and after training"
    rows, difference = collected(runs, {}), told(ALIKE, budget)
    return Report(title=title, budget=budget, difference=difference, rows=rows, curves=curves, sheet=sheet(drawn))


def grey_power(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Power as brightness, by its logarithm."""
    return 1 + np.log10(np.maximum(power, 1e-30) / max(float(power.max()), 1e-30)) / DECADES


def mask_figure(budget: str, seeds: Sequence[int], device: torch.device) -> Report:
    """Means of the learned masks near edges and in smooth regions. The sheet has the image, then the masks layer by layer.

    The masks of a file are drawn by tools/masks.py.
    """
    image, runs, drawn = signals.first_image(budget, "kodak"), [], []
    edges = edge_mask(image).reshape(-1)
    for seed in seeds:
        run = fitted("sasnet.1", image, budget, seed, device)
        masks = run.network.modulate(NumpyOps(), run.config, run.params, lattice(image.shape[:2], [(-1, 1)] * 2))[:, : run.config.masks]
        found: dict[tuple[str, str], float] = {}
        for k in range(run.config.masks):
            name = f"band {k + 1}" if k < run.config.bands else f"group {k - run.config.bands + 1}"
            found |= {(name, "near edges"): float(masks[edges, k].mean()), (name, "elsewhere"): float(masks[~edges, k].mean())}
        if seed == seeds[0]:
            each = [mask.reshape(image.shape[:2]) for mask in masks.T]
            bounds = range(run.config.bands, run.config.masks + 1, run.config.groups)
            drawn = [[image], each[: run.config.bands], *(each[a:b] for a, b in pairwise(bounds))]
        runs.append(found)
    rows, title = collected(runs, {}), "SASNet, figure 9: learned masks"
    return Report(title=title, budget=budget, difference=told(ALIKE, budget), rows=rows, sheet=sheet(drawn))


def zoom_figure(budget: str, seeds: Sequence[int], device: torch.device) -> Report:
    """Against the image moved by 1/8 pixel (by its Fourier series), and how rough the enlarged image is between its pixels.

    The sheet has the moved image and the networks' errors, then the middle pixels and the networks' enlargements of them.
    """
    image, runs = signals.first_image(budget, "kodak"), []
    truth, shape = moved(image, SHIFT), image.shape[:2]
    top, left = ((n - PIXELS) // 2 for n in shape)
    pixels = image[top : top + PIXELS, left : left + PIXELS].repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)
    errors, close = list[NDArray[np.floating]]([truth]), list[NDArray[np.floating]]([pixels])
    for seed in seeds:
        found: dict[tuple[str, str], float] = {}
        for arch in COMPARED:
            run = fitted(arch, image, budget, seed, device)
            shifted, large = run.on(shape, shift=SHIFT), enlarged(run, shape)
            if seed == seeds[0]:
                errors.append(LOUDER * np.abs(shifted - truth))
                close.append(large)
            found[NAMES[arch], "PSNR, moved by 1/8 pixel"] = psnr(truth, shifted)
            found[NAMES[arch], "mean size of second differences, x16"] = float(np.abs(np.diff(large, 2, axis=0)).mean() * ZOOM**2)
        runs.append(found)
    rows, title = collected(runs, {}), "SASNet, figure 5: shift by 1/8 pixel and enlargement"
    return Report(title=title, budget=budget, difference=told(ALIKE, budget), rows=rows, sheet=sheet([errors, close]))


def moved(image: NDArray[np.float32], shift: float) -> NDArray[np.float64]:
    """An image (h, w, c), mirrored so that it has no seam, at places `shift` pixels farther along both axes."""
    result = image.astype(np.float64)
    for axis in (0, 1):
        n = result.shape[axis]
        double = np.concatenate([result, np.flip(result, axis)], axis)
        turn = np.exp(2j * np.pi * np.fft.fftfreq(2 * n) * shift).reshape([-1 if k == axis else 1 for k in range(3)])
        result = np.take(np.fft.ifft(np.fft.fft(double, axis=axis) * turn, axis=axis).real, range(n), axis)
    return result


def enlarged(run: Run, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The middle PIXELS x PIXELS of an image, 16 times as large."""
    axes = []
    for n in shape:
        first = (n - PIXELS) // 2
        axes.append((first + (np.arange(PIXELS * ZOOM) + 0.5) / ZOOM) / n * 2 - 1)
    return run.values(Lattice(tuple(axes))).reshape(PIXELS * ZOOM, PIXELS * ZOOM, -1)


def sheet(rows: Sequence[Sequence[NDArray[np.floating]]]) -> Image.Image:
    """Rows of pictures (h, w, 3), (h, w, 1) or (h, w) in [0, 1], a row's of one height, below each other; black where a row is shorter."""
    coloured = [[np.broadcast_to(p.reshape(*p.shape[:2], -1), (*p.shape[:2], 3)) for p in row] for row in rows]
    joined = [np.concatenate(row, axis=1) for row in coloured]
    width = max(row.shape[1] for row in joined)
    whole = np.concatenate([np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in joined])
    drawn = Image.fromarray(np.floor(np.clip(whole, 0, 1) * 255 + 0.5).astype(np.uint8))
    return drawn.convert("L") if (whole == whole[..., :1]).all() else drawn


TABLES = {
    "sasnet-contributions": contribution_figure,
    "sasnet-spectrum": spectrum_figure,
    "sasnet-masks": mask_figure,
    "sasnet-zoom": zoom_figure,
}
