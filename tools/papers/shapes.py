"""Tables of shapes: SASNet table 3 and figure 8, MSA table 2."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import inrcodec
from inrcodec.fit.comparison_presets import comparison_config
from inrcodec.networks import NETWORKS
from inrcodec.shape_metrics import chamfer
from inrcodec.signals import read_signal
from inrcodec.signals.shape_signal import ShapeSignal
from inrcodec.surface import box_of, zero_surface
from tools.bench_common import DATA
from tools.papers.samples import NAMES, SCALES
from tools.papers.table import Report, collected
from tools.papers.training import fit

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
GRID = {"smoke": 24, "cpu": 96, "paper": 512}
CHAMFER_SAMPLES = {"smoke": 2000, "cpu": 100_000, "paper": 300_000}
DIFFERENCE = {
    "smoke": "A generated torus, 20 steps: shows that the command works, nothing more.",
    "cpu": "A generated torus, 800 steps of 8,192 points at 10 times the rate, sampled by this codec's own protocol.",
    "paper": "Meshes in place of the papers' point clouds, signs by winding numbers; the FINER normalisation and loss; 200,000 steps.",
}


def meshes(budget: str) -> dict[str, bytes]:
    """The shapes as PLY. Raises SystemExit where those of the paper are not there."""
    import trimesh

    if budget != "paper":
        torus = trimesh.creation.torus(major_radius=1.0, minor_radius=0.4, major_sections=48, minor_sections=24)
        return {"torus": bytes(torus.export(file_type="ply"))}
    found = {name: DATA / "sdf" / f"{name}.ply" for name in SHAPES}
    there = {name: path.read_bytes() for name, path in found.items() if path.exists()}
    if not there:
        raise SystemExit(f"error: {DATA / 'sdf'}: expected some of {', '.join(path.name for path in found.values())} (DATA=folder)")
    return there


def fitted_shape(arch: str, data: bytes, budget: str, seed: int, device: torch.device) -> tuple[float, float]:
    """Chamfer distance and IoU of the decoded file; parameters are kept to rounding."""
    rate = 1e-4 if budget == "paper" else 1e-3
    settings: dict[str, Any] = {"steps": STEPS[budget], "batch": POINTS[budget], "learning_rate": rate, "lam": 0.0}
    if budget == "smoke":
        settings |= {"hidden_features": 16, "nominal": 16} | ({"levels": 2, "finest": 8, "frequencies": 16} if arch == "sasnet.1" else {})
    signal = read_signal(data, kind="shape", protocol="finer" if budget == "paper" else "default")
    assert isinstance(signal, ShapeSignal)
    found = inrcodec.encode(signal, arch=arch, settings=settings, seed=seed, device=str(device))
    inr = inrcodec.open(found.data, device=str(device))
    vertices, faces = zero_surface(box_of(inr.head), inr.at, GRID[budget])[:2]
    truth = signal.shape.mesh
    distance = (
        chamfer(type(truth)(vertices[:, ::-1], faces[:, ::-1]), truth, samples=CHAMFER_SAMPLES[budget]).distance if len(faces) else np.inf
    )
    return float(distance), float(found.report.iou or 0.0)


def shape_table(title: str, published: dict[tuple[str, str], float], names: tuple[str, ...]) -> Any:
    def command(budget: str, seeds: Sequence[int], device: torch.device) -> Report:
        archs, runs = [arch for arch, name in NAMES.items() if name in names], []
        for seed in seeds:
            found: dict[tuple[str, str], float] = {}
            for arch in archs:
                for shape, data in meshes(budget).items():
                    distance, share = fitted_shape(arch, data, budget, seed, device)
                    found |= {(NAMES[arch], f"Chamfer, {shape}"): distance, (NAMES[arch], f"IoU, {shape}"): share}
            runs.append(found)
        return Report(title=title, budget=budget, difference=DIFFERENCE[budget], rows=collected(runs, published))

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
            config = comparison_config(arch, shape=values.shape[:3], channels=1, parameters=scale.parameters, layers=2)
            run = fit(NETWORKS[arch], config, values, scale.recipe(arch), seed=seed, device=device)
            curves.append({"method": NAMES[arch], "seed": seed, "step_seconds_error": run.curve[:: max(1, len(run.curve) // 200)]})
            found |= {(NAMES[arch], "last error"): run.curve[-1][2], (NAMES[arch], "seconds"): run.seconds}
        runs.append(found)
    told = "Distances of a torus on a grid in place of the Armadillo's points; for those, by equal time, see tools/bench_finer.py."
    return Report(title="SASNet, figure 8: convergence", budget=budget, difference=told, rows=collected(runs, {}), curves=curves)


_CHAMFER = {(n, f"Chamfer, {s}"): v for n, (values, _) in SASNET_3.items() for s, v in zip(SHAPES, values, strict=True)}
_IOU = {(n, f"IoU, {s}"): v for n, (_, values) in SASNET_3.items() for s, v in zip(SHAPES, values, strict=True)}
_MSA = {(n, f"IoU, {s}"): v for n, values in MSA_2.items() for s, v in zip(SHAPES, values, strict=True)}
TABLES = {
    "sasnet-table3": shape_table("SASNet, table 3: shapes", _CHAMFER | _IOU, tuple(SASNET_3)),
    "sasnet-figure8": convergence_figure,
    "msa-table2": shape_table("MSA, table 2: shapes", _MSA, tuple(MSA_2)),
}
