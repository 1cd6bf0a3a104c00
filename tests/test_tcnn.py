"""Tables to and from tiny-cuda-nn's layout; its own module only where it is installed and there is a device.

It has never run in these tests' development: FromItsText below is not its code but a second, slow implementation of the definition that
it documents, corner by corner in Python's numbers, with the interface of its module. It holds what we send and how we read what returns.
"""

import importlib.util
import itertools
import math
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from inrcodec.backends import torch_layers
from inrcodec.backends.numpy import NumpyOps
from inrcodec.backends.tcnn import TcnnGrid, encoding, from_tcnn, to_tcnn, to_tcnn_points
from inrcodec.backends.torch_tcnn import TcnnLayers, grid_of
from inrcodec.coordinates import Points
from inrcodec.errors import BackendMissing, UsageError
from inrcodec.fit.plan import Plan, Sampling, Schedule, Target
from inrcodec.fit.stepping import layers_for
from inrcodec.networks import NETWORKS
from inrcodec.networks.hashgrid import Level, geometric_levels, table_index, tcnn_levels
from tests.nets import small_networks, small_sasnet

HASHED = TcnnGrid(d=2, count=4, features=2, base_resolution=5, per_level_scale=1.7, log2_entries=6)
DENSE = TcnnGrid(d=3, count=2, features=1, base_resolution=3, per_level_scale=2.0, log2_entries=None)


@pytest.mark.parametrize("grid", [HASHED, DENSE], ids=["hashed", "dense"])
def test_tables_come_back(grid: TcnnGrid) -> None:
    parameters = torch.arange(grid.parameters, dtype=torch.float32)
    tables = from_tcnn(grid, parameters)
    assert [tuple(t.shape) for t in tables] == [(level.entries, grid.features) for level in grid.levels]
    assert torch.equal(to_tcnn(grid, tables), parameters)
    assert all(t.dtype == torch.float32 for t in from_tcnn(grid, parameters.half()))


def test_a_row_is_where_its_level_begins_and_features_are_side_by_side() -> None:
    tables = from_tcnn(HASHED, torch.arange(HASHED.parameters, dtype=torch.float32))
    start = 0
    for level, table in zip(HASHED.levels, tables, strict=True):
        row = int(table_index([np.array([1]), np.array([2])], level)[0])
        assert table[row].tolist() == [start + 2 * row, start + 2 * row + 1]
        start += 2 * level.entries
    assert start == HASHED.parameters
    # Rows of a dense level are a multiple of 8, of a hashed one at most 2^6.
    assert [level.entries for level in HASHED.levels] == [32, 64, 64, 64]
    assert [level.entries for level in DENSE.levels] == [32, 216]


def test_lengths_are_those_its_users_report() -> None:
    """Of its issues 338 and 468."""
    hashed = TcnnGrid(d=3, count=16, features=2, base_resolution=16, per_level_scale=math.exp(math.log(128) / 15), log2_entries=19)
    dense = TcnnGrid(d=2, count=8, features=8, base_resolution=2, per_level_scale=2.0, log2_entries=None)
    assert (hashed.parameters, dense.parameters) == (12_196_240, 699_072)


@pytest.mark.parametrize(("change", "message"), [({"d": 1}, "d: expected 2, 3 or 4, got 1"), ({"features": 3}, "features: expected 1, 2")])
def test_grids_it_does_not_have_are_refused(change: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(HASHED, **change)


def test_configurations_name_what_they_need() -> None:
    assert HASHED.config()["type"] == "Hash" and HASHED.config()["log2_hashmap_size"] == 6
    assert DENSE.config()["type"] == "Dense" and "log2_hashmap_size" not in DENSE.config()


def test_coordinates_are_reversed() -> None:
    x = torch.tensor([[-1.0, 0.5]], dtype=torch.float64)
    assert to_tcnn_points(x).tolist() == [[0.75, 0.0]] and to_tcnn_points(x).dtype == torch.float32


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"parameters: expected shape \(448,\), got \(447,\)"):
        from_tcnn(HASHED, torch.zeros(447))
    tables = list(from_tcnn(HASHED, torch.zeros(HASHED.parameters)))
    with pytest.raises(ValueError, match="tables: expected shapes"):
        to_tcnn(HASHED, [*tables[:-1], tables[-1].T])


def test_without_the_module_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tinycudann", None)
    with pytest.raises(BackendMissing, match="tinycudann: not installed"):
        encoding(HASHED, from_tcnn(HASHED, torch.zeros(HASHED.parameters)))


@pytest.mark.skipif(
    importlib.util.find_spec("tinycudann") is None or not torch.cuda.is_available(), reason="tiny-cuda-nn is not installed, or no device"
)
@pytest.mark.parametrize("grid", [HASHED, DENSE], ids=["hashed", "dense"])
def test_its_module_gives_our_features(grid: TcnnGrid) -> None:
    rng = np.random.default_rng(0)
    tables = [rng.standard_normal((level.entries, grid.features), dtype=np.float32) for level in grid.levels]
    points = rng.uniform(-1, 1, (1000, grid.d))
    module = encoding(grid, [torch.tensor(table) for table in tables])
    found = module(to_tcnn_points(torch.tensor(points)).cuda()).float().cpu().detach().numpy()
    expected = NumpyOps().hash_grid(Points(points), tables, grid.levels, (1.0,) * grid.d)
    np.testing.assert_allclose(found, expected, atol=1e-5)


class FromItsText(torch.nn.Module):
    """tinycudann.Encoding of grids, by the definition it documents."""

    def __init__(self, n_input_dims: int, encoding_config: dict[str, Any], dtype: torch.dtype) -> None:
        super().__init__()
        assert dtype == torch.float32 and encoding_config["otype"] == "Grid" and encoding_config["interpolation"] == "Linear"
        self.d, self.config = n_input_dims, encoding_config
        self.rows = [self.level(number)[2] for number in range(encoding_config["n_levels"])]
        self.params = torch.nn.Parameter(torch.zeros(sum(self.rows) * encoding_config["n_features_per_level"]))

    def level(self, number: int) -> tuple[float, int, int]:
        scale = float(np.float32(self.config["per_level_scale"] ** number * self.config["base_resolution"] - 1))
        resolution = math.ceil(scale) + 1
        rows = (resolution**self.d + 7) // 8 * 8
        if self.config["type"] == "Hash":
            rows = min(rows, 2 ** self.config["log2_hashmap_size"])
        return scale, resolution, rows

    def row(self, corner: tuple[int, ...], resolution: int, rows: int) -> int:
        if rows >= resolution**self.d:
            return sum(c * resolution**k for k, c in enumerate(corner)) % rows
        mixed = 0
        for c, prime in zip(corner, (1, 2654435761, 805459861, 3674653429), strict=False):
            mixed ^= c * prime % 2**32
        return mixed % rows

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        k, start, columns = self.config["n_features_per_level"], 0, []
        for number, rows in enumerate(self.rows):
            scale, resolution, _ = self.level(number)
            table = self.params[start : start + rows * k].view(rows, k)
            start += rows * k
            found = []
            for point in x.double().tolist():
                position = [scale * coordinate + 0.5 for coordinate in point]
                low = [math.floor(p) for p in position]
                total = torch.zeros(k)
                for bits in itertools.product((0, 1), repeat=self.d):
                    weight = math.prod(p - g if bit else 1 - p + g for p, g, bit in zip(position, low, bits, strict=True))
                    total = total + weight * table[self.row(tuple(g + bit for g, bit in zip(low, bits, strict=True)), resolution, rows)]
                found.append(total)
            columns.append(torch.stack(found))
        return torch.cat(columns, dim=1)


@pytest.fixture
def by_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tinycudann", SimpleNamespace(Encoding=FromItsText))


LEVELS = {
    "ours": geometric_levels(d=2, levels=3, coarsest=4, finest=14, max_entries=64),
    "ours in 3d": geometric_levels(d=3, levels=2, coarsest=3, finest=6, max_entries=128),
    "its own": tcnn_levels(d=2, levels=3, base_resolution=4, per_level_scale=2.0, log2_entries=6),
}


@pytest.mark.usefixtures("by_its_text")
@pytest.mark.parametrize("case", LEVELS)
def test_layers_that_ask_it_give_our_features_and_gradients(case: str) -> None:
    levels, d = LEVELS[case], 3 if case.endswith("3d") else 2
    generator = torch.Generator().manual_seed(0)
    tables = [torch.randn(level.entries, 2, generator=generator) for level in levels]
    x = torch.rand(9, d, generator=generator, dtype=torch.float64) * 1.98 - 0.99
    layers = TcnnLayers(torch_layers)
    assert layers.linear is torch_layers.linear
    for _ in range(2):
        out, saved = layers.grid_at_points_forward(x, tables, levels)
        expected, kept = torch_layers.grid_at_points_forward(x, tables, levels)
        np.testing.assert_allclose(out, expected, atol=2e-5)
        grad = torch.randn(out.shape, generator=generator)
        found, wanted = ([torch.ones_like(table) for table in tables] for _ in range(2))
        layers.grid_at_points_backward(saved, grad, found)
        torch_layers.grid_at_points_backward(kept, grad, wanted)
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(a, b, atol=2e-5)
        tables = [table + 1 for table in tables]
    assert torch.equal(layers.grid_at_points(x, tables, levels), layers.grid_at_points_forward(x, tables, levels)[0])


@pytest.mark.usefixtures("by_its_text")
def test_a_wrong_row_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FromItsText, "row", lambda *asked: sum(asked[1]) % asked[-1])
    with pytest.raises(AssertionError):
        test_layers_that_ask_it_give_our_features_and_gradients("ours")


@pytest.mark.parametrize("level", [Level(2.5, 4, 16, 4), Level(2.5, 5, 25), Level(20.5, 22, 100)])
def test_levels_it_has_not_are_refused(level: Level) -> None:
    with pytest.raises(UsageError, match="hash_backend tcnn: expected linear levels"):
        grid_of(level, 2, 2)
    with pytest.raises(UsageError, match="hash_backend tcnn: d: expected 2, 3 or 4, got 1"):
        grid_of(Level(2.5, 4, 4), 1, 2)


def test_where_it_cannot_be_asked_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tinycudann", None)
    schedule = Schedule(steps=1, stride=1, learning_rate=1e-3, table_learning_rate=1e-3)
    plan = Plan(network=NETWORKS["sasnet.1"], config=small_sasnet(), schedule=schedule, target=Target(lam=0.0))
    shape = replace(plan, sampling=Sampling(batch=2, pool=4, softness=0.1))
    siren = replace(shape, network=NETWORKS["siren.1"], config=small_networks()[3][1])
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    monkeypatch.setattr("inrcodec.backends.torch._layers_for", lambda _: torch_layers)
    assert layers_for(cpu, plan, "float32", "own") is torch_layers
    for device, asked, name, kind, message in (
        (cpu, shape, "tcnn", UsageError, "tcnn is of CUDA devices, expected own on cpu"),
        (cuda, plan, "tcnn", UsageError, "tcnn is of shapes"),
        (cuda, siren, "tcnn", UsageError, "tcnn is of shapes"),
        (cuda, shape, "fast", UsageError, "expected one of own, tcnn, got fast"),
        (cuda, shape, "tcnn", BackendMissing, "tinycudann: not installed"),
    ):
        with pytest.raises(kind, match=message):
            layers_for(device, asked, "float32", name)
