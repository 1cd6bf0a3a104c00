"""Tables of shapes: SASNet table 3 and figure 8, MSA table 2."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from inrcodec.backends.torch import threads_of
from inrcodec.coordinates import Points
from inrcodec.fit.plan import Sampling
from inrcodec.fit.points import FinerPoints, PointPool, training_points
from inrcodec.fit.shape_presets import SOFTNESS
from inrcodec.mesh import extract, write_mesh
from inrcodec.networks import NETWORKS
from inrcodec.shape_metrics import chamfer, iou
from inrcodec.signals import read_signal
from inrcodec.signals.shape_signal import IOU_GRID, ShapeSignal
from tools.bench_common import DATA
from tools.papers.samples import NAMES, RIVALS, SCALES, TUNED, item, sized
from tools.papers.table import Item, Report, averaged, collected, standing
from tools.papers.training import Recipe, Run, fit, fit_data

SHAPES = ("armadillo", "dragon", "lucy", "thai")
SASNET_3 = {  # Chamfer distance, IoU of the four shapes
    "PEMLP": ((3.465e-06, 2.039e-06, 2.387e-06, 4.460e-06), (0.9878, 0.9803, 0.9677, 0.9561)),
    "Gauss": ((7.283e-06, 1.304e-05, 1.178e-05, 1.162e-05), (0.9806, 0.9561, 0.9581, 0.9418)),
    "SIREN": ((3.599e-06, 2.871e-06, 2.405e-06, 4.381e-06), (0.9872, 0.9694, 0.9716, 0.9561)),
    "WIRE": ((3.274e-06, 2.172e-06, 2.419e-06, 3.296e-06), (0.9910, 0.9747, 0.9693, 0.9635)),
    "FINER": ((4.040e-06, 2.477e-06, 2.536e-06, 4.201e-06), (0.9837, 0.9728, 0.9671, 0.9518)),
    "SASNet": ((3.368e-06, 1.964e-06, 1.927e-06, 3.090e-06), (0.9891, 0.9809, 0.9813, 0.9654)),
}
MSA_2 = {  # IoU of armadillo, dragon, lucy, thai
    "MSA": (0.9898, 0.9901, 0.9853, 0.9825),
    "SIREN": (0.9864, 0.9878, 0.9819, 0.9770),
    "WIRE": (0.9838, 0.9862, 0.9798, 0.9751),
    "FINER": (0.9872, 0.9884, 0.9802, 0.9788),
    "STAF": (0.9855, 0.9892, 0.9773, 0.9779),
}
STEPS = {"smoke": 20, "cpu": 800, "paper": 200_000}
POINTS = {"smoke": 1024, "cpu": 8192, "paper": 10_000}
POOL = {"smoke": 4096, "cpu": 1 << 18, "paper": 1 << 20}
GRID = {"smoke": 24, "cpu": 96, "paper": 512}  # of the mesh, which the Chamfer distance is of
COARSER = {"smoke": 8, "cpu": 1, "paper": 1}  # than the grid that the IoU is of
DETAIL = {"smoke": 16, "cpu": 64, "paper": 256}  # samples per axis that a network's sizes are for
CHAMFER_SAMPLES = {"smoke": 2000, "cpu": 100_000, "paper": 300_000}
DIFFERENCE = {
    "smoke": "A generated torus, 20 steps: shows that the command works, nothing more.",
    "cpu": "Four generated shapes, about 8,500 parameters each, 800 steps of 8,192 points, sampled by this codec's own protocol; IoU on"
    " 128^3 points.",
    "paper": "Meshes in place of the papers' point clouds, signs by winding numbers; the FINER normalisation and loss; 200,000 steps.",
}


def formulas(axis: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Functions (n, n, n) that are negative inside of a shape, on the cube of `axis` (n,) within [-1, 1]."""
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    r = np.sqrt(x**2 + y**2 + z**2)
    t = np.linspace(0, 2 * np.pi, 160, endpoint=False)
    curve = np.stack([np.sin(t) + 2 * np.sin(2 * t), np.cos(t) - 2 * np.cos(2 * t), -np.sin(3 * t)]) / 4
    knot = np.full(x.shape, np.inf)
    for a, b, c in curve.T:
        np.minimum(knot, (x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2, out=knot)
    waves = np.sin(9 * x) * np.cos(9 * y) + np.sin(9 * y) * np.cos(9 * z) + np.sin(9 * z) * np.cos(9 * x)
    return {
        "torus": np.sqrt((np.sqrt(x**2 + y**2) - 0.6) ** 2 + z**2) - 0.25,
        "bumps": r - 0.7 - 0.06 * np.sin(12 * x) * np.sin(12 * y) * np.sin(12 * z),
        "knot": np.sqrt(knot) - 0.1,
        "gyroid": np.maximum(np.abs(waves) / 9 - 0.06, r - 0.85),
    }


def shapes(budget: str) -> dict[str, ShapeSignal]:
    """The shapes by name. Raises SystemExit where those of the paper are not there."""
    import mcubes

    if budget != "paper":
        n = {"smoke": 24, "cpu": 96}[budget]
        axis = np.linspace(-1, 1, n)
        found = {}
        for name, values in formulas(axis).items():
            vertices, faces = mcubes.marching_cubes(values, 0.0)
            found[name] = write_mesh(vertices / (n - 1) * 2 - 1, faces[:, ::-1].astype(np.int64), None, ".ply")
        if budget == "smoke":
            found = {"torus": found["torus"]}
    else:
        paths = {name: DATA / "sdf" / f"{name}.ply" for name in SHAPES}
        found = {name: path.read_bytes() for name, path in paths.items() if path.exists()}
        if not found:
            raise SystemExit(f"error: {DATA / 'sdf'}: expected some of {', '.join(path.name for path in paths.values())} (DATA=folder)")
    signals = {name: read_signal(data, kind="shape", protocol="finer" if budget == "paper" else "default") for name, data in found.items()}
    return {name: signal for name, signal in signals.items() if isinstance(signal, ShapeSignal)}


def fitted_shape(arch: str, points: PointPool | FinerPoints, recipe: Recipe, budget: str, seed: int, device: torch.device) -> Run:
    """Distances in sides of the box, of points on the signal's axes."""
    config = sized(arch, (DETAIL[budget],) * 3, 1, SCALES[budget])
    return fit_data(NETWORKS[arch], config, points, recipe, scale=1.0, offset=np.zeros(1), seed=seed, device=device)


def tuned_shape(arch: str, signal: ShapeSignal, points: PointPool | FinerPoints, budget: str, device: torch.device) -> Recipe:
    """The recipe of a method with the rate that suits this shape."""
    scale = SCALES[budget]
    return scale.tuned(
        replace(scale.recipe(arch), steps=STEPS[budget]),
        lambda recipe: shape_iou(fitted_shape(arch, points, recipe, budget, 0, device), signal, budget),
    )


def distance_of(run: Run, signal: ShapeSignal) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Of points (n, 3) in the box of sides 1: (n)."""
    return lambda at: run.values(Points(signal.coordinates(at)))[:, 0]


def shape_iou(run: Run, signal: ShapeSignal, budget: str) -> float:
    step, distance = COARSER[budget], distance_of(run, signal)
    axis = np.linspace(-0.5, 0.5, IOU_GRID)[::step]
    planes = [np.stack(np.meshgrid(axis, axis, [z], indexing="ij"), axis=-1).reshape(-1, 3) for z in axis]
    inside = np.stack([distance(plane).reshape(len(axis), len(axis)).T < 0 for plane in planes])
    return iou(inside, signal.inside_grid[::step, ::step, ::step])


def shape_figures(run: Run, signal: ShapeSignal, budget: str) -> dict[str, float]:
    """Chamfer distance of the FINER protocol, infinite without a surface, and IoU."""
    vertices, faces, _ = extract(distance_of(run, signal), GRID[budget])
    truth = signal.shape.mesh
    apart = chamfer((vertices, faces), truth, samples=CHAMFER_SAMPLES[budget]).distance if len(faces) else np.inf
    return {"Chamfer": float(apart), "IoU": shape_iou(run, signal, budget)}


def shape_table(title: str, published: dict[tuple[str, str], float], ours: str, rivals: tuple[str, ...]) -> Any:
    def command(budget: str, seeds: Sequence[int], device: torch.device) -> Report:
        items, recipes = list[Item](), dict[str, Recipe]()
        for seed, (name, signal) in product(seeds, shapes(budget).items()):
            sampling = Sampling(batch=POINTS[budget], pool=POOL[budget], softness=SOFTNESS)
            points = training_points(signal, sampling, seed=seed, device=device, parts=threads_of(device))
            for arch in (arch for arch, one in NAMES.items() if one in (ours, *rivals)):
                recipe = recipes.setdefault(arch, recipes.get(arch) or tuned_shape(arch, signal, points, budget, device))
                run = fitted_shape(arch, points, recipe, budget, seed, device)
                items.append(item(NAMES[arch], name, seed, run, shape_figures(run, signal, budget), rate=recipe.learning_rate))
        rows = averaged(items, published)
        verdict = standing(rows, ours, rivals, ("IoU", "Chamfer"))
        return Report(
            title=title, budget=budget, difference=f"{DIFFERENCE[budget]} {TUNED[budget]}", rows=rows, items=tuple(items), verdict=verdict
        )

    return command


def torus(size: int) -> NDArray[np.float32]:
    """Signed distances (n, n, n, 1), from 0 to 1, 1/2 on the surface."""
    z, y, x = np.mgrid[0:size, 0:size, 0:size] / (size - 1) * 2.4 - 1.2
    distance = np.sqrt((np.sqrt(x**2 + y**2) - 0.7) ** 2 + z**2) - 0.3
    return (0.5 + 0.25 * distance)[..., None].astype(np.float32)


def convergence_figure(budget: str, seeds: Sequence[int], device: torch.device) -> Report:
    """Loss against steps and against wall time."""
    values, runs, curves = torus({"smoke": 10, "cpu": 40, "paper": 128}[budget]), [], []
    for seed in seeds:
        found: dict[tuple[str, str], float] = {}
        for arch in (arch for arch, name in NAMES.items() if name in SASNET_3):
            scale = SCALES[budget]
            config = sized(arch, values.shape[:3], 1, scale)
            run = fit(NETWORKS[arch], config, values, scale.recipe(arch), seed=seed, device=device)
            curves.append({"method": NAMES[arch], "seed": seed, "step_seconds_error": run.curve[:: max(1, len(run.curve) // 200)]})
            found |= {(NAMES[arch], "last error"): run.curve[-1][2], (NAMES[arch], "seconds"): run.seconds}
        runs.append(found)
    told = "Distances of a torus on a grid in place of the Armadillo's points; for those, by equal time, see tools/bench_finer.py."
    return Report(title="SASNet, figure 8: convergence", budget=budget, difference=told, rows=collected(runs, {}), curves=curves)


_SASNET_3 = {
    (name, metric): sum(values) / len(values)
    for name, each in SASNET_3.items()
    for metric, values in zip(("Chamfer", "IoU"), each, strict=True)
}
_MSA_2 = {(name, "IoU"): sum(values) / len(values) for name, values in MSA_2.items()}
TABLES = {
    "sasnet-table3": shape_table("SASNet, table 3: shapes", _SASNET_3, "SASNet", RIVALS),
    "sasnet-figure8": convergence_figure,
    "msa-table2": shape_table("MSA, table 2: shapes", _MSA_2, "MSA", tuple(name for name in MSA_2 if name != "MSA")),
}
