"""The benchmark of GPUs where there is none: tiny, with the plain layers, and its own arithmetic."""

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from inrcodec.backends import torch_grouped, torch_layers
from inrcodec.fit.comparison_presets import trainable
from tests.nets import smooth_picture
from tools import bench_gpu
from tools.bench_gpu import Bench, differences, floor_seconds, main, paper_plan, reached, siren_plan, tiles
from tools.gpu_timing import seconds_of


def bench() -> Bench:
    return bench_gpu.smoke(SimpleNamespace(data=Path("nowhere"), seconds=60.0))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("gpu")
    Image.fromarray((smooth_picture(16, 24) * 255).astype(np.uint8)).save(folder / "a.png")
    assert main(["--smoke", "--data", str(folder), "--out", str(folder / "r.json")]) == 0
    found: dict[str, Any] = json.loads((folder / "r.json").read_text())
    return found


def test_smoke_writes_every_section(smoke: dict[str, Any]) -> None:
    assert set(smoke) == set(bench_gpu.SECTIONS)
    keys = {name: [row["key"] for row in section["rows"]] for name, section in smoke.items()}
    kinds = ["plain", "again"]
    assert keys["check"] == keys["layer"] == kinds
    assert keys["step"] == [f"{name}/{kind}" for name in ("sasnet", "siren", "sasnet over siren") for kind in kinds]
    assert keys["decode"] == [f"{name}/{kind}" for name in ("paper", "photo") for kind in kinds]
    ways = ["1 one after another", "2 one after another", "2 side by side", "2 in one step"]
    assert keys["graphs"] == [f"{way}, without graphs" for way in ways]
    assert all(row["steps_per_second"] > 0 for row in smoke["graphs"]["rows"])
    assert keys["time"] == ["a.png/paper", "a.png/ours"]
    assert all(row["class_f32"] and row["rms"] > 0 and 0 <= row["together"] < 1e-5 for row in smoke["check"]["rows"])
    assert all(row["seconds"] > 0 and row["floor"]["floor"] > 0 for row in smoke["step"]["rows"][:4])
    assert all(row["steps"] >= 1 and math.isfinite(row["psnr"]) for row in smoke["time"]["rows"])
    assert all(row["samples_per_second"] > 0 for row in smoke["decode"]["rows"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_device_it_ends_with_nine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--out", str(tmp_path / "r.json")]) == 9
    message = capsys.readouterr().err
    assert message.startswith("error: device cuda: no such CUDA device") and message.count("\n") == 1
    assert not (tmp_path / "r.json").exists()


def test_wrong_layers_end_it_with_eight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def shifted(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor, *rest: Any) -> torch.Tensor:
        return torch_layers.sine_layer(x, w, b + 1e-4, *rest)

    names = {name: value for name, value in vars(torch_layers).items() if callable(value)}
    wrong = SimpleNamespace(**{**names, "sine_layer": shifted})
    before = bench_gpu.smoke
    monkeypatch.setattr(bench_gpu, "smoke", lambda options: replace(before(options), kinds={"plain": torch_layers, "again": wrong}))
    assert main(["--smoke", "--out", str(tmp_path / "r.json")]) == 8
    assert "again: rms" in capsys.readouterr().err
    content = json.loads((tmp_path / "r.json").read_text())
    assert set(content) == {"check"}
    assert [row["class_f32"] for row in content["check"]["rows"]] == [True, False]


def test_wrong_steps_together_end_it_with_eight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = torch_grouped.linear_forward
    monkeypatch.setattr(torch_grouped, "linear_forward", lambda x, w, b, activation: original(x, w, b + 0.01, activation))
    assert main(["--smoke", "--only", "check", "--out", str(tmp_path / "r.json")]) == 8
    assert "of two fits together" in capsys.readouterr().err


def test_no_time_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_gpu, "torch_device", lambda _: torch.device("cpu"))
    monkeypatch.setattr(bench_gpu, "kinds_of", lambda _: {})
    assert main(["--seconds", "1", "--only", "step,time", "--out", str(tmp_path / "r.json")]) == 0
    assert [line.split(",")[0] for line in capsys.readouterr().err.splitlines()[:2]] == ["step: left out", "time: left out"]


def test_the_floor_counts_products_and_bytes() -> None:
    plan = paper_plan(bench())
    weights = sum(param.size for param in plan.network.params(plan.config) if param.role == "matrix")
    floor = floor_seconds(plan, 1000, bandwidth=math.inf, rate=6.0)
    assert floor == {"products": weights * 1000, "bytes": 0.0, "floor": weights * 1000}
    neurons = 24 + 2 * 16 + 3 + 48 + plan.config.masks + 2 * len(plan.config.levels)
    more, less = (floor_seconds(plan, n, bandwidth=4.0, rate=math.inf)["floor"] for n in (1001, 1000))
    assert more - less == 4 * neurons


def test_the_siren_has_as_many_parameters() -> None:
    paper = replace(bench(), side=512, settings={})
    plan = paper_plan(paper)
    siren = siren_plan(plan, paper)
    wanted, held = trainable("sasnet.1", plan.config), trainable("siren.1", siren.config)
    assert siren.network.id == "siren.1" and abs(held - wanted) < 0.01 * wanted


def test_times_to_a_psnr_are_of_the_first_step_there() -> None:
    errors = iter([1.0, 0.5, 1e-3, 2e-3, 1e-4])
    found = reached(lambda: next(errors), 60.0)
    assert found["steps"] == 4 and found["psnr"] == pytest.approx(40)
    times = list(found["seconds"].values())
    assert times == sorted(times) and times[0] < times[2]
    never = reached(lambda: 0.1, 0.01)
    assert set(never["seconds"].values()) == {None}


def test_differences_see_what_is_not_finite() -> None:
    expected = np.array([0.0, 4.0])
    assert differences(np.array([0.0, 3.0]), expected) == (pytest.approx(0.125**0.5 / 2), 0.25)
    assert differences(np.array([0.0, np.nan]), expected) == (math.inf, math.inf)


def test_work_is_timed_in_turn() -> None:
    asked: list[str] = []
    found = seconds_of({"a": lambda: asked.append("a"), "b": lambda: asked.append("b")}, torch.device("cpu"), 3)
    assert asked == ["a", "b"] * 5 and set(found) == {"a", "b"} and min(found.values()) > 0


def test_there_are_no_blocks_without_kernels() -> None:
    assert tiles({"plain": torch_layers}) == {}


def test_a_block_too_large_for_the_device_does_not_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> torch.Tensor:
        raise RuntimeError("out of resource: shared memory\nmore")

    monkeypatch.setattr(bench_gpu, "tiles", lambda _: {"huge": SimpleNamespace(sine_layer=refused)})
    assert main(["--smoke", "--only", "layer", "--out", str(tmp_path / "r.json")]) == 0
    rows = json.loads((tmp_path / "r.json").read_text())["layer"]["rows"]
    assert rows[-1] == {"key": "huge", "error": "RuntimeError: out of resource: shared memory"} and len(rows) == 3
