"""Figures that are pictures: contribution maps, spectra before and after training, masks, a shift by 1/8 pixel, enlargement 16 times.

Each is a table too, of what can be counted in it; the sheet is written as its curves' "sheet", an array the caller draws with `sheet`.
"""

from collections.abc import Mapping, Sequence
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
    image, runs = signals.first_image(budget, "kodak"), []
    for seed in seeds:
        found: dict[tuple[str, str], float] = {}
        for arch in COMPARED:
            run = fitted(arch, image, budget, seed, device)
            maps = contribution_maps(run.network, run.config, run.params, image.shape[:2])
            found |= {(NAMES[arch], f"area of half the contribution, layer {i + 1}"): spread_of(m) for i, m in enumerate(maps)}
        runs.append(found)
    return Report(title="SASNet, figure 3: contributions", budget=budget, difference=told(ALIKE, budget), rows=collected(runs, {}))


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
    image, runs, curves = signals.first_image(budget, "div2k"), [], []
    for seed in seeds:
        found: dict[tuple[str, str], float] = {}
        for arch in COMPARED:
            run = fitted(arch, image, budget, seed, device)
            for when, one in (("before", initial_run(run, seed)), ("after", run)):
                power = spectrum(one.on(image.shape[:2]))
                found[NAMES[arch], f"share of high frequencies {when}"] = high_share(power)
                radial = [float(np.log10(power[len(power) // 2, k:].mean() + 1e-30)) for k in range(power.shape[1])]
                curves.append({"method": NAMES[arch], "seed": seed, "when": when, "log10_power": radial})
        runs.append(found)
    title = "SASNet, supplement figure 1: spectra before and after training"
    return Report(title=title, budget=budget, difference=told(ALIKE, budget), rows=collected(runs, {}), curves=curves)


def mask_figure(budget: str, seeds: Sequence[int], device: torch.device) -> Report:
    """Means of the learned masks near edges and in smooth regions; the masks of a file are drawn by tools/masks.py."""
    image, runs = signals.first_image(budget, "kodak"), []
    edges = edge_mask(image).reshape(-1)
    for seed in seeds:
        run = fitted("sasnet.1", image, budget, seed, device)
        masks = run.network.modulate(NumpyOps(), run.config, run.params, lattice(image.shape[:2], [(-1, 1)] * 2))[:, : run.config.masks]
        found: dict[tuple[str, str], float] = {}
        for k in range(run.config.masks):
            name = f"band {k + 1}" if k < run.config.bands else f"group {k - run.config.bands + 1}"
            found |= {(name, "near edges"): float(masks[edges, k].mean()), (name, "elsewhere"): float(masks[~edges, k].mean())}
        runs.append(found)
    return Report(title="SASNet, figure 9: learned masks", budget=budget, difference=told(ALIKE, budget), rows=collected(runs, {}))


def zoom_figure(budget: str, seeds: Sequence[int], device: torch.device) -> Report:
    """Against the image moved by 1/8 pixel (by its Fourier series), and how rough the enlarged image is between its pixels."""
    image, runs = signals.first_image(budget, "kodak"), []
    truth, shape = moved(image, SHIFT), image.shape[:2]
    for seed in seeds:
        found: dict[tuple[str, str], float] = {}
        for arch in COMPARED:
            run = fitted(arch, image, budget, seed, device)
            found[NAMES[arch], "PSNR, moved by 1/8 pixel"] = psnr(truth, run.on(shape, shift=SHIFT))
            large = enlarged(run, shape)
            found[NAMES[arch], "mean |second difference|, x16"] = float(np.abs(np.diff(large, 2, axis=0)).mean() * ZOOM**2)
        runs.append(found)
    title = "SASNet, figure 5: shift by 1/8 pixel and enlargement"
    return Report(title=title, budget=budget, difference=told(ALIKE, budget), rows=collected(runs, {}))


def moved(image: NDArray[np.float32], shift: float) -> NDArray[np.float64]:
    """An image (h, w, c), mirrored so that it has no seam, at places `shift` pixels farther along both axes."""
    result = image.astype(np.float64)
    for axis in (0, 1):
        n = result.shape[axis]
        double = np.concatenate([result, np.flip(result, axis)], axis)
        turn = np.exp(2j * np.pi * np.fft.fftfreq(2 * n) * shift).reshape([-1 if k == axis else 1 for k in range(3)])
        result = np.take(np.fft.ifft(np.fft.fft(double, axis=axis) * turn, axis=axis).real, range(n), axis)
    return result


def enlarged(run: Run, shape: tuple[int, ...], *, pixels: int = 8) -> NDArray[np.float64]:
    """The middle `pixels` x `pixels` of an image, 16 times as large."""
    axes = []
    for n in shape:
        first = (n - pixels) // 2
        axes.append((first + (np.arange(pixels * ZOOM) + 0.5) / ZOOM) / n * 2 - 1)
    return run.values(Lattice(tuple(axes))).reshape(pixels * ZOOM, pixels * ZOOM, -1)


def sheet(pictures: Sequence[NDArray[np.floating]]) -> Image.Image:
    """Pictures (h, w, 3) or (h, w) of one size beside each other."""
    parts = [np.repeat(p[..., None], 3, axis=2) if p.ndim == 2 else p for p in pictures]
    return Image.fromarray(np.floor(np.clip(np.concatenate(parts, axis=1), 0, 1) * 255 + 0.5).astype(np.uint8))


TABLES = {
    "sasnet-contributions": contribution_figure,
    "sasnet-spectrum": spectrum_figure,
    "sasnet-masks": mask_figure,
    "sasnet-zoom": zoom_figure,
}
