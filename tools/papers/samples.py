"""Tables of images, volumes and video: SASNet tables 1, 2, 4, supplement 2 to 5, figure 6, its omega_0; MSA table 1, figure 3."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from inrcodec.fit.comparison_presets import COMPARED, ablated, comparison_config, trainable
from inrcodec.lpips import LEAST, lpips, read_lpips
from inrcodec.metrics import psnr, ssim
from inrcodec.networks import NETWORKS
from inrcodec.paper_metrics import image_figures
from tools.papers import signals
from tools.papers.table import Item, Numbers, Report, averaged, collected, spans, standing, steps_up
from tools.papers.training import Recipe, Run, fit

NAMES = {
    "siren.1": "SIREN",
    "ffn.1": "FFN",
    "sape.1": "SAPE",
    "wire.1": "WIRE",
    "finer.1": "FINER",
    "rbf.1": "NeuRBF",
    "sasnet.1": "SASNet",
    "pemlp.1": "PEMLP",
    "gauss.1": "Gauss",
    "msa.1": "MSA",
    "staf.1": "STAF",
    "ngp.1": "InstantNGP",
    "msa-masked.1": "MSA with masks",
}
RATES = {"wire.1": 5e-4, "ffn.1": 1e-3, "sape.1": 1e-3, "ngp.1": 1e-3, "rbf.1": 1e-3}  # of Adam; the others as SASNet's supplement
PAPER_RATE = 1e-4
TABLES_FASTER = 5.0  # the rate of a grid's tables by that of its network, as SASNet's supplement
RIVALS = ("SIREN", "FFN", "PEMLP", "Gauss", "WIRE", "FINER")  # of which SASNet claims to be ahead
IMAGE_METRICS = ("PSNR", "SSIM", "PSNR_edge", "noisiness")
SASNET_1 = {
    "SIREN": (34.64, 0.959, 31.37, 2.525),
    "FFN": (31.92, 0.910, 30.20, 9.873),
    "SAPE": (32.57, 0.932, 30.31, 3.128),
    "WIRE": (28.76, 0.831, 25.73, 10.324),
    "FINER": (37.52, 0.967, 34.02, 4.617),
    "NeuRBF": (36.33, 0.959, 33.92, 6.975),
    "SASNet": (39.82, 0.979, 36.81, 2.105),
}
SUPPLEMENT_3 = {
    "SIREN": (36.60, 0.951, 33.28, 4.079),
    "FFN": (33.00, 0.868, 29.87, 10.353),
    "SAPE": (33.37, 0.872, 31.65, 5.373),
    "WIRE": (29.34, 0.804, 25.23, 15.375),
    "FINER": (37.72, 0.973, 34.67, 5.174),
    "NeuRBF": (37.51, 0.971, 34.78, 6.258),
    "SASNet": (40.43, 0.986, 38.12, 3.993),
}
SUPPLEMENT_4 = {"SIREN": (47.07, 0.98, 42.94, 3.482), "FINER": (48.49, 0.99, 45.56, 3.488), "SASNet": (50.21, 0.99, 49.58, 3.681)}
SUPPLEMENT_5 = {"SIREN": (37.58, 0.95, 34.20, 4.178), "FINER": (38.16, 0.95, 35.09, 4.975), "SASNet": (39.69, 0.95, 37.64, 4.278)}
SASNET_2 = {
    "PEMLP": (40.42, 0.9434),
    "Gauss": (47.11, 0.9920),
    "SIREN": (47.67, 0.9948),
    "FINER": (49.77, 0.9959),
    "WIRE": (53.06, 0.9963),
    "SASNet": (55.92, 0.9973),
}
SASNET_4 = {  # frozen frequencies, masks of h1, h2, h3: PSNR, SSIM
    (0, 0, 0, 0): (36.00, 0.921),
    (1, 0, 0, 0): (39.98, 0.953),
    (1, 1, 0, 0): (41.30, 0.958),
    (1, 1, 1, 0): (41.44, 0.959),
    (1, 1, 0, 1): (41.75, 0.963),
    (1, 0, 1, 0): (41.08, 0.962),
    (1, 0, 0, 1): (40.56, 0.960),
    (0, 1, 1, 1): (37.10, 0.932),
    (1, 1, 1, 1): (42.03, 0.966),
}
MSA_1 = {"MSA": (42.74, 0.980), "SIREN": (40.19, 0.967), "WIRE": (41.87, 0.976), "FINER": (38.92, 0.965), "STAF": (39.86, 0.967)}
OMEGAS = (10.0, 30.0, 60.0, 90.0)


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What a budget is worth: parameters of a network, steps, learning rates times this, every how manieth sample a volume's axis gives.

    rates: of which a method gets the one that does best on the first signal; the paper's without.
    """

    parameters: int
    steps: int
    faster: float
    stride: int = 1
    rates: tuple[float, ...] = ()

    def recipe(self, arch: str, axes: int = 2) -> Recipe:
        rate, stride = RATES.get(arch, PAPER_RATE) * self.faster, self.stride if axes > 2 else 1
        return Recipe(steps=self.steps, learning_rate=min(rate, 5e-3), table_learning_rate=5e-4 * self.faster, stride=stride)

    def tuned(self, recipe: Recipe, score: Callable[[Recipe], float]) -> Recipe:
        """With the rate whose score is the largest."""
        tried = [replace(recipe, learning_rate=rate, table_learning_rate=TABLES_FASTER * rate) for rate in self.rates]
        return max(tried, key=lambda each: float(np.nan_to_num(score(each), nan=-np.inf))) if tried else recipe


SCALES = {
    "smoke": Scale(parameters=1500, steps=12, faster=20.0),
    "cpu": Scale(parameters=8_054, steps=600, faster=10.0, stride=2, rates=(3e-4, 1e-3, 3e-3)),  # as many samples each as the paper
    "paper": Scale(parameters=128_865, steps=5000, faster=1.0),
}
SHORTER = {
    "smoke": "A generated signal of 24 pixels a side (12 voxels), 12 steps, about 1,500 parameters: it shows that the command works.",
    "cpu": "Pictures of 128 x 128 that come with scikit-image, four for DIV2K, two for each other data set, one for a figure; four"
    " generated volumes of 48^3, every eighth voxel in a step; 600 steps; about 8,500 parameters each, as many samples to a"
    " parameter as in the paper; SASNet's frequencies, tables and masks in the paper's proportion to its width.",
    "paper": "Full batch, Adam, 5,000 steps, about 128,865 parameters each; measures' unpublished constants are ours.",
}
TUNED = {  # tables whose methods have rates of their own
    "smoke": "Rates: 20 times the paper's, but at most 5e-3.",
    "cpu": "Rates: of 3e-4, 1e-3 and 3e-3 each method has the one that does best on the first signal, by PSNR or IoU; tables of grids learn"
    " five times as fast.",
    "paper": "Rates: the papers'.",
}
ALIKE = {  # figures, and rows of an ablation
    "smoke": "Rates: 20 times the paper's.",
    "cpu": "Rates: 10 times the paper's, but at most 5e-3.",
    "paper": "Rates: the papers'.",
}


def told(rates: Mapping[str, str], budget: str) -> str:
    """In what a table's protocol is not the paper's."""
    return f"{SHORTER[budget]} {rates[budget]}"


def sized(arch: str, shape: tuple[int, ...], channels: int, scale: Scale, *, omega: float = 30.0) -> Any:
    """As many parameters as SASNet has, whose tables cannot be of any size."""
    make = partial(comparison_config, shape=shape, channels=channels, layers=2, omega=omega)
    ours = make("sasnet.1", parameters=scale.parameters)
    return ours if arch == "sasnet.1" else make(arch, parameters=trainable("sasnet.1", ours))


def fitted(
    arch: str,
    values: NDArray[np.float32],
    budget: str,
    seed: int,
    device: torch.device,
    *,
    omega: float = 30.0,
    recipe: Recipe | None = None,
) -> Run:
    scale = SCALES[budget]
    config = sized(arch, values.shape[:-1], values.shape[-1], scale, omega=omega)
    return fit(NETWORKS[arch], config, values, recipe or scale.recipe(arch, values.ndim - 1), seed=seed, device=device)


def tuned(arch: str, among: Mapping[str, NDArray[np.float32]], budget: str, device: torch.device, *, omega: float = 30.0) -> Recipe:
    """The recipe of a method with the rate that suits the first of these signals."""
    values, scale = next(iter(among.values())), SCALES[budget]

    def score(recipe: Recipe) -> float:
        run = fitted(arch, values, budget, 0, device, omega=omega, recipe=recipe)
        return psnr(values, np.clip(run.on(values.shape[:-1]), 0, 1))

    return scale.tuned(scale.recipe(arch, values.ndim - 1), score)


def item(method: str, signal: str, seed: int, run: Run, values: Mapping[str, float], *, rate: float) -> Item:
    parameters = sum(param.size for param in run.network.params(run.config) if param.trainable)
    seconds = round(run.seconds, 2)
    return Item(method=method, signal=signal, seed=seed, parameters=parameters, learning_rate=rate, seconds=seconds, values=dict(values))


def figures(run: Run, image: NDArray[np.float32]) -> dict[str, float]:
    shape = image.shape[:2]
    found = np.clip(run.on(shape), 0, 1)
    numbers = asdict(image_figures(image, found, run.slopes(shape))).values()
    told = {metric: float(value) for metric, value in zip(IMAGE_METRICS, numbers, strict=True)}
    weights = lpips_weights(os.environ.get("LPIPS"))
    fits = image.shape[2] == 3 and min(shape) >= LEAST
    return {**told, "LPIPS": lpips(image, found, weights)} if weights is not None and fits else told


@lru_cache(maxsize=1)
def lpips_weights(path: str | None) -> Mapping[str, Any] | None:
    """Of the file that the environment names, which the project does not ship."""
    return read_lpips(path) if path else None


def image_table(title: str, folder: str, published: dict[str, tuple[float, ...]], more: tuple[str, ...] = ()) -> Any:
    """The command of a table of image fits. `more`: methods that the paper's table has not."""

    def command(budget: str, seeds: Sequence[int], device: torch.device) -> Report:
        items, images = list[Item](), signals.images(budget, folder)
        for arch in (arch for arch, name in NAMES.items() if name in (*published, *more)):
            recipe = tuned(arch, images, budget, device, omega=43.0)
            for seed, (name, image) in product(seeds, images.items()):
                run = fitted(arch, image, budget, seed, device, omega=43.0, recipe=recipe)
                items.append(item(NAMES[arch], name, seed, run, figures(run, image), rate=recipe.learning_rate))
        paper = {(name, m): v for name, values in published.items() for m, v in zip(IMAGE_METRICS, values, strict=False)}
        rows = averaged(items, paper)
        ours, rivals = ("SASNet", RIVALS) if "SASNet" in published else ("MSA", tuple(published))
        verdict = standing(rows, ours, rivals, IMAGE_METRICS)
        return Report(title=title, budget=budget, difference=told(TUNED, budget), rows=rows, items=tuple(items), verdict=verdict)

    return command


def volume_table(budget: str, seeds: Sequence[int], device: torch.device) -> Report:
    items, volumes = list[Item](), signals.volumes(budget)
    for arch in (arch for arch, name in NAMES.items() if name in (*SASNET_2, *RIVALS)):
        recipe = tuned(arch, volumes, budget, device)
        for seed, (name, volume) in product(seeds, volumes.items()):
            run = fitted(arch, volume, budget, seed, device, recipe=recipe)
            values = np.clip(run.on(volume.shape[:3]), 0, 1)
            found = {"PSNR": psnr(volume, values), "SSIM": ssim(volume, values, axes=3)}
            items.append(item(NAMES[arch], name, seed, run, found, rate=recipe.learning_rate))
    paper = {(name, m): v for name, values in SASNET_2.items() for m, v in zip(("PSNR", "SSIM"), values, strict=True)}
    rows = averaged(items, paper)
    verdict = standing(rows, "SASNet", RIVALS, ("PSNR", "SSIM"))
    title = "SASNet, table 2: volumes"
    return Report(title=title, budget=budget, difference=told(TUNED, budget), rows=rows, items=tuple(items), verdict=verdict)


def video_table(budget: str, seeds: Sequence[int], device: torch.device) -> Report:
    items, video = list[Item](), signals.clip(budget)
    for arch in (arch for arch, name in NAMES.items() if name in MSA_1):
        recipe = tuned(arch, {"video": video}, budget, device)
        for seed in seeds:
            run = fitted(arch, video, budget, seed, device, recipe=recipe)
            values = np.clip(run.on(video.shape[:3]), 0, 1)
            each = [(psnr(a, b), ssim(a, b)) for a, b in zip(video, values, strict=True)]
            means = {m: float(v) for m, v in zip(("PSNR", "SSIM"), np.mean(each, axis=0), strict=True)}
            found = {**means, "minutes": run.seconds / 60}
            items.append(item(NAMES[arch], "video", seed, run, found, rate=recipe.learning_rate))
    paper = {(name, m): v for name, values in MSA_1.items() for m, v in zip(("PSNR", "SSIM"), values, strict=True)}
    rows = averaged(items, paper)
    verdict = standing(rows, "MSA", tuple(MSA_1), ("PSNR", "SSIM"))
    title = "MSA, table 1: video"
    return Report(title=title, budget=budget, difference=told(TUNED, budget), rows=rows, items=tuple(items), verdict=verdict)


def ablation_table(budget: str, seeds: Sequence[int], device: torch.device) -> Report:
    scale, items, images = SCALES[budget], list[Item](), signals.images(budget, "div2k")
    for seed in seeds:
        for row in SASNET_4:
            for name, image in images.items():
                arch, config = ablation_row(row, image.shape[:2], image.shape[2], scale)
                recipe = scale.recipe(arch)
                run = fit(NETWORKS[arch], config, image, recipe, seed=seed, device=device)
                values = np.clip(run.on(image.shape[:2]), 0, 1)
                found = {"PSNR": psnr(image, values), "SSIM": ssim(image, values)}
                items.append(item(row_name(row), name, seed, run, found, rate=recipe.learning_rate))
    paper = {(row_name(row), m): v for row, values in SASNET_4.items() for m, v in zip(("PSNR", "SSIM"), values, strict=True)}
    rows = averaged(items, paper)
    title, verdict = "SASNet, table 4: ablation", steps_up(rows, [row_name(row) for row in ((0,) * 4, (1, 0, 0, 0), (1,) * 4)])
    return Report(title=title, budget=budget, difference=told(ALIKE, budget), rows=rows, items=tuple(items), verdict=verdict)


def row_name(row: tuple[int, ...]) -> str:
    parts = [name for name, on in zip(("FEmbed", "h1", "h2", "h3"), row, strict=True) if on]
    return " + ".join(parts) or "SIREN"


def ablation_row(row: tuple[int, ...], shape: tuple[int, ...], channels: int, scale: Scale) -> tuple[str, Any]:
    """Network and configuration of a row: all have the layers of SASNet, without its masks where it has none."""
    frozen, masked = row[0], row[1:]
    if not any(masked):
        arch = "sasnet-unmasked.1" if frozen else "siren.1"
        return arch, sized(arch, shape, channels, scale, omega=43.0)
    return "sasnet-ablation.1", ablated(sized("sasnet.1", shape, channels, scale, omega=43.0), frozen=frozen, masked=masked)


def scalability_figure(budget: str, seeds: Sequence[int], device: torch.device) -> Report:
    scale = SCALES[budget]
    factors = (1, 2) if budget == "smoke" else (0.5, 1, 2, 4)
    archs = ("siren.1", "finer.1", "sasnet.1") if budget != "paper" else tuple(a for a, n in NAMES.items() if n in SASNET_1)
    runs = []
    for seed in seeds:
        found: Numbers = {}
        for arch in archs:
            for factor in factors:
                part = replace(scale, parameters=int(scale.parameters * factor))
                each = []
                for image in list(signals.images(budget, "kodak").values())[: None if budget == "paper" else 1]:
                    config = sized(arch, image.shape[:2], image.shape[2], part, omega=43.0)
                    run = fit(NETWORKS[arch], config, image, part.recipe(arch), seed=seed, device=device)
                    each.append(psnr(image, np.clip(run.on(image.shape[:2]), 0, 1)))
                found[f"{NAMES[arch]}, {part.parameters} parameters", "PSNR"] = float(np.mean(each))
        runs.append(found)
    rows, verdict = collected(runs, {}), list[str]()
    for factor in factors:
        of_a_size = [f"{NAMES[arch]}, {int(scale.parameters * factor)} parameters" for arch in archs]
        verdict += standing(rows, next(name for name in of_a_size if name.startswith("SASNet")), of_a_size, ("PSNR",))
    title, difference = "SASNet, figure 6: scalability", told(ALIKE, budget)
    return Report(title=title, budget=budget, difference=difference, rows=rows, verdict=tuple(verdict))


def omega_figure(budget: str, seeds: Sequence[int], device: torch.device) -> Report:
    image, runs = signals.first_image(budget, "div2k"), []
    for seed in seeds:
        found: Numbers = {}
        for arch in ("siren.1", "sasnet.1"):
            for omega in OMEGAS:
                run = fitted(arch, image, budget, seed, device, omega=omega)
                found[NAMES[arch], f"PSNR at omega_0 {omega:g}"] = psnr(image, np.clip(run.on(image.shape[:2]), 0, 1))
        runs.append(found)
    rows, title = collected(runs, {}), "SASNet, supplement figure 3: omega_0"
    return Report(title=title, budget=budget, difference=told(ALIKE, budget), rows=rows, verdict=spans(rows))


def cost_table(budget: str, seeds: Sequence[int], device: torch.device) -> Report:
    """Median time of a step; on CUDA also the most memory that its allocator gave out."""
    image, runs = signals.first_image(budget, "div2k"), []
    published = {("SIREN", "step, us"): 29_224.0, ("SASNet", "step, us"): 43_107.0, ("SIREN", "MiB"): 2075.5, ("SASNet", "MiB"): 3031.6}
    for seed in seeds:
        found: Numbers = {}
        for arch in ("siren.1", "sasnet.1"):
            # What is compiled or prepared once is not of a step.
            fitted(arch, image, budget, seed, device, recipe=replace(SCALES[budget].recipe(arch), steps=2))
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            run = fitted(arch, image, budget, seed, device)
            found[NAMES[arch], "step, us"] = 1e6 * float(np.median(np.diff([seconds for _, seconds, _ in run.curve])))
            if device.type == "cuda":
                found[NAMES[arch], "MiB"] = torch.cuda.max_memory_allocated(device) / 2**20
            found[NAMES[arch], "parameters"] = float(trainable(arch, run.config))
        runs.append(found)
    difference = f"{told(ALIKE, budget)} MSIREN and INCODE are not there. The paper's numbers are of an RTX A6000."
    return Report(title="SASNet, supplement table 2: cost", budget=budget, difference=difference, rows=collected(runs, published))


def curves_figure(budget: str, seeds: Sequence[int], device: torch.device) -> Report:
    """Loss against steps and against wall time."""
    image, runs, curves = signals.first_image(budget, "div2k"), [], []
    for seed in seeds:
        found: Numbers = {}
        for arch in COMPARED if budget == "paper" else ("siren.1", "finer.1", "msa.1", "sasnet.1"):
            run = fitted(arch, image, budget, seed, device)
            every = max(1, len(run.curve) // 200)
            curves.append({"method": arch, "seed": seed, "step_seconds_error": run.curve[::every]})
            found[NAMES.get(arch, arch), "last error"] = run.curve[-1][2]
            found[NAMES.get(arch, arch), "seconds"] = run.seconds
        runs.append(found)
    title = "SASNet, supplement figure 2: loss against steps and time"
    return Report(title=title, budget=budget, difference=told(ALIKE, budget), rows=collected(runs, {}), curves=curves)


TABLES = {
    "sasnet-table1": image_table("SASNet, table 1: DIV2K", "div2k", SASNET_1, ("PEMLP", "Gauss")),
    "sasnet-table2": volume_table,
    "sasnet-table4": ablation_table,
    "sasnet-supplement2": cost_table,
    "sasnet-supplement3": image_table("SASNet, supplement table 3: Kodak", "kodak", SUPPLEMENT_3),
    "sasnet-supplement4": image_table("SASNet, supplement table 4: CT", "ct", SUPPLEMENT_4),
    "sasnet-supplement5": image_table("SASNet, supplement table 5: FFHQ", "ffhq", SUPPLEMENT_5),
    "sasnet-figure6": scalability_figure,
    "sasnet-omega": omega_figure,
    "sasnet-curves": curves_figure,
    "msa-table1": video_table,
    "msa-masks": image_table(
        "MSA with SASNet's masks, and hybrids: DIV2K (in neither paper)",
        "div2k",
        dict.fromkeys(("MSA", "MSA with masks"), ()),
        ("InstantNGP",),
    ),
    "msa-figure3": image_table("MSA, figure 3: Kodak (no numbers in its text)", "kodak", dict.fromkeys(MSA_1, ())),
}
