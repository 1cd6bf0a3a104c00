"""The commands of tools/papers on their smallest budget, and the measures that are theirs alone."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from inrcodec.backends.numpy import NumpyOps
from inrcodec.coordinates import lattice
from inrcodec.fit.comparison_presets import comparison_config
from inrcodec.lpips import lpips_shapes
from inrcodec.networks import NETWORKS
from inrcodec.networks.msa import MsaConfig
from inrcodec.networks.siren import SirenConfig
from tests.nets import lively_params, small_networks
from tools.papers import pictures
from tools.papers.__main__ import TABLES, main
from tools.papers.functions import VARIANT, VariantConfig, eigenvalue_ratios, fit_1d, multiscale
from tools.papers.pictures import contribution_maps, grey_power, high_share, largest, moved, sheet, spectrum, spread_of
from tools.papers.samples import SASNET_4, SCALES, Scale, ablation_row, figures, row_name
from tools.papers.signals import pattern
from tools.papers.table import Item, Report, Row, averaged, number, spans, standing, steps_up
from tools.papers.training import Recipe, fit

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_command_works(name: str, tmp_path: Path) -> None:
    assert main([name, "--budget", "smoke", "--out", str(tmp_path), "--device", "cpu"]) == 0
    told = json.loads((tmp_path / f"{name}.json").read_text())
    assert told["budget"] == "smoke" and told["difference"] and told["rows"]
    assert all(math.isfinite(value) for row in told["rows"] for value in row["ours"])
    text = (tmp_path / f"{name}.md").read_text()
    assert text.count("\n| ") == len(told["rows"]) + 2 and "one seed" in text
    assert {line.count("|") for line in text.splitlines() if line.startswith("|")} == {6}
    assert (tmp_path / f"{name}.png").exists() == (name in pictures.TABLES)
    assert told["machine"]["cores"] and told["seeds"] == [0]
    if told["items"]:
        assert {(item["method"], metric) for item in told["items"] for metric in item["values"]} == {
            (row["method"], row["metric"]) for row in told["rows"]
        }
        assert len(told["verdict"]) > 0


def test_names_and_missing_data(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main([]) == 0 and "sasnet-table1" in capsys.readouterr().out
    monkeypatch.setattr("tools.papers.signals.DATA", tmp_path)
    with pytest.raises(SystemExit, match="expected the PNG files of DIV2K"):
        main(["sasnet-table1", "--budget", "paper", "--out", str(tmp_path)])


def test_rows_have_mean_and_spread(tmp_path: Path) -> None:
    rows = (Row(method="A", metric="PSNR", paper=30.0, ours=(1.0, 2.0)), Row(method="B", metric="MSE", paper=None, ours=(1e-9,)))
    report = Report(title="T", budget="cpu", difference="None.", rows=rows)
    assert "| A | PSNR | 30 | 1.5 | 1 |" in report.markdown() and "| B | MSE |  | 1.00e-09 | one seed |" in report.markdown()
    assert [number(v) for v in (0.0, 123456.0, 7.96e-14, math.inf)] == ["0", "1.235e+05", "7.96e-14", "inf"]


def one_item(method: str, signal: str, value: float, seed: int = 0) -> Item:
    return Item(method=method, signal=signal, seed=seed, parameters=1, seconds=0.0, values={"PSNR": value, "noisiness": value})


def test_means_over_signals_and_who_is_ahead() -> None:
    items = [
        one_item(m, s, v)
        for m, s, v in (("A", "x", 1.0), ("A", "y", 3.0), ("B", "x", 2.5), ("B", "y", 2.5), ("C", "x", 0.0), ("C", "y", 1.0))
    ]
    rows = averaged(items, {("A", "PSNR"): 9.0})
    assert [(row.method, row.paper, row.ours) for row in rows if row.metric == "PSNR"] == [
        ("A", 9.0, (2.0,)),
        ("B", None, (2.5,)),
        ("C", None, (0.5,)),
    ]
    assert standing(rows, "B", ("A", "C"), ("PSNR",)) == ("PSNR: B 2.5 is ahead of all 2, the next is A 2.",)
    assert standing(rows, "A", ("B", "C"), ("PSNR", "noisiness")) == (
        "PSNR: A 2 is not ahead of B 2.5.",
        "noisiness: A 2 is not ahead of C 0.5.",
    )
    own = [row for row in rows if row.method == "A" and row.metric == "PSNR"]
    assert spans([*own, Row(method="A", metric="other", paper=None, ours=(5.0, 6.0))]) == ("A: from 2 to 5.5.",)
    assert steps_up(rows, ("C", "B", "A")) == ("B is 2.00 dB above C.", "A is 0.50 dB not above, but below B.")
    again = averaged([*items, *(one_item(item.method, item.signal, item.values["PSNR"] + 1, seed=1) for item in items)], {})
    assert again[0].ours == (2.0, 3.0) and again[0].spread == 1.0


def test_a_method_gets_the_rate_that_suits_it() -> None:
    scale, asked = Scale(parameters=1, steps=9, faster=1.0, rates=(1e-3, 3e-3, 1e-2)), list[Recipe]()

    def score(recipe: Recipe) -> float:
        asked.append(recipe)
        return {1e-3: 20.0, 3e-3: 25.0, 1e-2: math.nan}[recipe.learning_rate]

    found = scale.tuned(Recipe(steps=9, learning_rate=1.0, stride=2), score)
    assert found == Recipe(steps=9, learning_rate=3e-3, table_learning_rate=1.5e-2, stride=2)
    assert [(recipe.steps, recipe.stride) for recipe in asked] == [(9, 2)] * 3
    paper = Recipe(steps=9, learning_rate=1.0)
    assert SCALES["paper"].tuned(paper, score) == paper and len(asked) == 3


def test_shapes_are_closed_and_the_right_way_out() -> None:
    from tools.papers.shapes import formulas, shapes

    assert {name: bool((values[[0, -1]] > 0).all()) for name, values in formulas(np.linspace(-1, 1, 12)).items()} == dict.fromkeys(
        ("torus", "bumps", "knot", "gyroid"), True
    )
    vertices, faces = shapes("smoke")["torus"].shape.mesh
    volume = np.einsum("ij,ij->i", vertices[faces[:, 0]], np.cross(vertices[faces[:, 1]], vertices[faces[:, 2]])).sum() / 6
    assert volume == pytest.approx(2 * np.pi**2 * 0.6 * 0.25**2 / (1.7 * 1.05) ** 3, rel=0.2)


def test_lpips_where_there_are_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({name: torch.full(shape, 0.01) for name, shape in lpips_shapes().items()}, tmp_path / "w.pth")
    run = fit(
        NETWORKS["siren.1"], SirenConfig(2, 3, 4, 0, 30.0, 30.0), pattern(36), Recipe(steps=1, learning_rate=1e-3), seed=0, device=CPU
    )
    assert "LPIPS" not in figures(run, pattern(36))
    monkeypatch.setenv("LPIPS", str(tmp_path / "w.pth"))
    assert figures(run, pattern(36))["LPIPS"] >= 0 and "LPIPS" not in figures(run, pattern(24))


def test_longer_fits_are_nearer_and_repeat() -> None:
    image = pattern(16)
    config = comparison_config("siren.1", shape=(16, 16), channels=3, parameters=1500, layers=1)
    short, long, again = (
        fit(NETWORKS["siren.1"], config, image, Recipe(steps=n, learning_rate=2e-3), seed=0, device=CPU) for n in (5, 80, 80)
    )
    assert np.mean((long.on((16, 16)) - image) ** 2) < 0.5 * np.mean((short.on((16, 16)) - image) ** 2)
    assert long.curve[-1][2] == again.curve[-1][2] and len(long.curve) == 80


def test_rows_of_the_ablation_are_networks() -> None:
    archs = {row_name(row): ablation_row(row, (32, 32), 3, SCALES["smoke"]) for row in SASNET_4}
    assert len(archs) == 9 and archs["SIREN"][0] == "siren.1" and archs["FEmbed"][0] == "sasnet-unmasked.1"
    whole = archs["FEmbed + h1 + h2 + h3"][1]
    assert whole.frozen == 1 and whole.masked == (1, 1, 1) and archs["h1 + h2 + h3"][1].frozen == 0


@pytest.mark.parametrize("case", [case for case in small_networks() if case[0].id in ("siren.1", "msa.1", "sasnet.1", "finer.1")][:4])
def test_contributions_sum_to_what_enters_the_next_layer(case: tuple) -> None:
    network, config = case
    params, shape = lively_params(network, config), (3, 4, 2, 2)[: config.in_features]
    maps = contribution_maps(network, config, params, shape)
    last = maps[-1].sum(axis=0)
    output = network.forward(NumpyOps(), config, params, lattice(shape, [(-1, 1)] * len(shape)))
    np.testing.assert_allclose(last.reshape(-1), (output - params["out.bias"]).sum(axis=1), atol=1e-5)


def test_spread_tells_local_from_global() -> None:
    local = np.zeros((1, 10, 10))
    local[0, 5, 5] = 1
    assert spread_of(local) == pytest.approx(0.01) and spread_of(np.ones((1, 10, 10))) == pytest.approx(0.5, abs=0.01)


def test_spectra_and_shifts() -> None:
    x = np.arange(32)
    slow, fast = (np.repeat(np.cos(2 * np.pi * f * (x + 0.5) / 32)[None, :, None], 32, axis=0).astype(np.float32) for f in (2, 12))
    assert high_share(spectrum(slow)) < 0.01 and high_share(spectrum(fast)) > 0.9
    expected = np.cos(2 * np.pi * 2 * (x + 0.5 + 1 / 8) / 32)
    np.testing.assert_allclose(moved(slow, 1 / 8)[5, :, 0], expected, atol=1e-6)
    drawn = sheet([[pattern(8), pattern(8)[..., 0]], [pattern(8)[:4]]])
    assert drawn.size == (16, 12) and drawn.mode == "RGB" and drawn.crop((8, 8, 16, 12)).getextrema() == ((0, 0),) * 3
    np.testing.assert_array_equal(np.asarray(drawn)[:8, :8], np.floor(pattern(8) * 255 + 0.5))
    assert sheet([[pattern(8)[..., :1]]]).mode == "L"


def test_the_largest_contributions_and_powers_are_drawn_within_bounds() -> None:
    maps = np.stack([np.full((2, 2), value) for value in (0.1, -3.0, 1.0, 0.0, 2.0)])
    found = largest(maps)
    assert len(found) == 4 and [float(each[0, 0]) for each in found] == [0.0, 1.0, 1.0, 1.0]
    np.testing.assert_allclose(grey_power(np.array([[1.0, 1e-4, 0.0]])), [[1.0, 0.5, 1 - 30 / 8]])


def test_variants_are_msa_unless_asked_otherwise() -> None:
    plain, variant = MsaConfig(2, 1, 8, 1, 0.0, 2.0), VariantConfig(2, 1, 8, 1, 0.0, 2.0)
    params, coords = lively_params(NETWORKS["msa.1"], plain), lattice((3, 3), [(-1, 1)] * 2)
    same = NETWORKS["msa.1"].forward(NumpyOps(), plain, params, coords)
    np.testing.assert_array_equal(VARIANT.forward(NumpyOps(), variant, params, coords), same)
    assert not np.allclose(VARIANT.forward(NumpyOps(), VariantConfig(2, 1, 8, 1, 0.0, 2.0, 0), params, coords), same)
    linear, random = (VariantConfig(2, 1, 8, 1, 0.0, 2.0, 1, spacing).w for spacing in ("linear", "random"))
    assert np.allclose(np.diff(linear), np.diff(linear)[0]) and (np.diff(random) > 0).all() and 1 <= random.min() <= random.max() <= 100


def test_eigenvalues_of_a_linear_function() -> None:
    """A network whose output layer alone matters has a kernel that can be written down."""
    config = MsaConfig(1, 1, 4, 0, 0.0, 1.0)
    network = NETWORKS["msa.1"]
    x = np.linspace(-1, 1, 6)[:, None]
    params = torch.as_tensor(np.concatenate([v.reshape(-1) for v in network.init(config, np.random.default_rng(0)).values()])).double()
    first, remain = eigenvalue_ratios(network, config, params, x)
    assert 0 < remain < 1 and 0 < first < 1 and first + remain <= 1


def test_function_values() -> None:
    assert multiscale(np.zeros(1))[0] == pytest.approx(math.sin(1.5) * math.cos(-0.8) + 1)


def test_the_function_is_fitted_better_by_more_neurons() -> None:
    few, more = (fit_1d(VARIANT, VariantConfig(1, 1, m, 0, 1.0, 2.6), samples=300, seed=0) for m in (60, 240))
    assert more.train < few.train and more.mse == pytest.approx(more.train**2 * np.mean(few.mse) / few.train**2, rel=1e-6)


@pytest.mark.slow
def test_the_function_to_ten_digits() -> None:
    """The paper has a mean squared error of 7.96e-14."""
    found = fit_1d(VARIANT, VariantConfig(1, 1, 900, 0, 1.0, 2.6), samples=1024, seed=0)
    assert found.train < 1e-10 and found.mse < 7.96e-14
