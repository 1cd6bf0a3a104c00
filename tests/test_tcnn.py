"""Tables to and from tiny-cuda-nn's layout; its own module only where it is installed and there is a device."""

import importlib.util
import math
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from inrcodec.backends.numpy import NumpyOps
from inrcodec.backends.tcnn import TcnnGrid, encoding, from_tcnn, to_tcnn, to_tcnn_points
from inrcodec.coordinates import Points
from inrcodec.errors import BackendMissing
from inrcodec.networks.hashgrid import table_index

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
