"""Targets of conformance: the small signals reach them by every engine, and whatever falls short is told."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conformance.targets import runner
from conformance.targets.signals import SIGNALS, Source
from inrcodec import container

TABLE = runner.load()
TARGETS = {target["name"]: target for target in TABLE["targets"]}
FAST = [name for name, target in TARGETS.items() if target["fast"]]


@cache
def encoded(name: str, folder: Path) -> bytes:
    return runner.encode(SIGNALS[TARGETS[name]["signal"]](folder), TARGETS[name])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> runner.Encode:
    """An encoder that makes each file once."""
    folder = tmp_path_factory.mktemp("sources")

    def make(_: Source, target: dict[str, Any]) -> bytes:
        own = folder / target["name"]
        own.mkdir(exist_ok=True)
        return encoded(target["name"], own)

    return make


def missed(target: dict[str, Any], make: runner.Encode) -> list[str]:
    [(_, _, found)] = runner.judged([target], make)
    return found


@pytest.mark.parametrize("name", FAST)
def test_small_signals_reach_their_targets(name: str, made: runner.Encode) -> None:
    assert missed(TARGETS[name], made) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in TARGETS if name not in FAST])
def test_signals_reach_their_targets(name: str) -> None:
    assert missed(TARGETS[name], runner.encode) == []


@pytest.mark.parametrize("name", ["image-waves", "shape-ball"])
def test_a_target_that_is_not_reached_fails(name: str, made: runner.Encode) -> None:
    target = TARGETS[name]
    found = missed({**target, "least": target["measured"] + 3}, made)
    assert [line.split(":")[0] for line in found] == list(runner.ENGINES)
    assert missed({**target, "most_bytes": target["bytes"] // 2}, made) == [
        f"expected at most {target['bytes'] // 2} bytes, got {len(made(Source(b''), target))}"
    ]


def test_worse_bytes_fail_whatever_the_file_says(made: runner.Encode) -> None:
    """Values are shifted by a tenth; the metrics that the file states are those of before."""

    def shifted(source: Source, target: dict[str, Any]) -> bytes:
        found = container.load(made(source, target))
        out = found.head["out"]
        channels = [{**channel, "offset": channel["offset"] + 0.1} for channel in out["channels"]]
        return container.dump(replace(found, head={**found.head, "out": {**out, "channels": channels}}))

    problems = missed(TARGETS["image-waves"], shifted)
    assert [line.split(":")[0] for line in problems] == list(runner.ENGINES)
    assert all(18 < float(line.split()[-1]) < 24 for line in problems)


def test_files_that_cannot_be_read_fail(made: runner.Encode) -> None:
    target = TARGETS["image-waves"]
    assert missed(target, lambda *_: b"no file") == ["not an .inr file"]
    assert missed(target, lambda *parts: made(*parts)[:-1] + b"!") == ["wrong CRC of b'DONE'"]


def test_measures_by_hand() -> None:
    a = np.array([0, 0, 10, 20], np.uint8)
    assert runner.psnr(a + np.uint8(1), a, 255) == pytest.approx(20 * np.log10(255))
    assert runner.psnr(a, a, 255) == np.inf
    with pytest.raises(ValueError, match="missing"):
        runner.psnr(np.array([np.nan, 1.0]), np.array([0.0, 1.0]), 1)
    assert runner.overlap(np.array([True, True, False]), np.array([True, False, True])) == pytest.approx(1 / 3)


def test_points_of_a_shape_are_in_the_units_of_its_source() -> None:
    """2 nominal samples per axis, an affine that takes z, y, x to x, y, z."""
    affine = [0.0, 0, 10, 100, 0, 10, 0, 0, 10, 0, 0, 0, 0, 0, 0, 1]
    points = runner.grid_points({"axes": [{"n": 2}] * 3, "space": {"affine": affine}})
    first = 0.5 / 48 * 2 - 0.5
    assert points[0] == pytest.approx([100 + 10 * first, 10 * first, 10 * first])
    assert points[1] == pytest.approx([100 + 10 * (first + 2 / 48), 10 * first, 10 * first])


def test_the_table_is_what_was_measured_less_its_margins() -> None:
    assert {target["kind"] for target in TARGETS.values()} == {TARGETS[name]["kind"] for name in FAST}
    assert len(TARGETS) == len(TABLE["targets"]) and {target["signal"] for target in TARGETS.values()} <= SIGNALS.keys()
    for target in TARGETS.values():
        assert target["least"] == pytest.approx(target["measured"] - TABLE["margins"][target["metric"]], abs=6e-4)
        assert target["most_bytes"] == int(target["bytes"] * (1 + TABLE["margins"]["bytes"]))
        assert target["least"] > (0.9 if target["metric"] == "iou" else 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"metric": "ssim"}, "metric"), ({"least": "30"}, "least"), ({"fast": 1}, "fast"), ({"extra": 1}, "extra"), ({"bytes": 0}, "bytes")],
)
def test_the_table_is_held_to_its_schema(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "targets.json"
    path.write_text(json.dumps({**TABLE, "targets": [{**TABLE["targets"][0], **change}]}))
    with pytest.raises(ValueError, match=message):
        runner.load(path)


def test_the_command(made: runner.Encode, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    monkeypatch.setattr(runner.judged, "__defaults__", (made,))
    assert runner.main(["--fast", "--only", "image-waves"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2 passed, 0 failed"
    path = tmp_path / "targets.json"
    path.write_text(json.dumps({**TABLE, "targets": [{**TARGETS["image-waves"], "least": 99.0}]}))
    assert runner.main(["--table", str(path)]) == 1
    assert capsys.readouterr().out.startswith("FAIL image-waves: torch ")
    assert runner.main(["--only", "no such target"]) == 1
