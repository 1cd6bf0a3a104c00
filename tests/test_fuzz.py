"""The fuzzer finds nothing in a few thousand inputs, finds it again by its number, and notices every kind of failure."""

import json
import time
from pathlib import Path
from random import Random

import pytest

from conformance import minidecoder
from inrcodec.errors import CorruptFile
from tools import fuzz as tool
from tools import fuzz_inr, fuzz_signals, small_tiles
from tools.fuzz_bytes import damaged, damaged_file, resealed_png, split
from tools.fuzz_run import Target, fuzz, input_of, kept, outcome_of

TARGETS = {target.name: target for target in tool.all_targets()}
COUNTS = {
    "head": 4000,
    "file": 600,
    "map": 500,
    "stream": 500,
    "rewrap": 300,
    "readers": 200,
    "images": 60,
    "volumes": 60,
    "sounds": 40,
    "meshes": 100,
}


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_nothing_is_found(name: str, count: int) -> None:
    summary, findings = fuzz(TARGETS[name], seed=0, count=count, seconds=20)
    assert findings == []
    assert summary.inputs == summary.next == sum(summary.outcomes.values()) == count
    assert summary.outcomes["accepted"] > 0
    assert len(summary.outcomes) > 1


def echo(_: Random) -> bytes:
    return b"input"


def fails(data: bytes) -> None:
    raise KeyError(data)


def refuses(data: bytes) -> None:
    raise CorruptFile("as it should")


def sleeps(data: bytes) -> None:
    time.sleep(0.3)


def allocates(data: bytes) -> None:
    assert bytearray(1 << 30)


def warns(data: bytes) -> None:
    import warnings

    warnings.warn("what nobody should see", RuntimeWarning, stacklevel=1)


def dies(data: bytes) -> None:
    import os

    os._exit(11)


def hangs(data: bytes) -> None:
    time.sleep(600)


@pytest.mark.parametrize(
    ("run", "what"),
    [(fails, "crash"), (sleeps, "slow"), (allocates, "memory"), (warns, "crash"), (dies, "died"), (hangs, "hang")],
)
def test_each_failure_is_noticed(run: object, what: str, tmp_path: Path) -> None:
    target = Target("target", echo, run)  # type: ignore[arg-type]
    summary, findings = fuzz(target, seed=7, start=3, count=2, seconds=0.1, memory=1 << 28, hang=1.5)
    assert [(finding.what, finding.number) for finding in findings] == [(what, 3), (what, 4)]
    assert (summary.inputs, summary.next, summary.outcomes[what]) == (2, 5, 2)
    kept(findings, [target], 7, tmp_path)
    assert (tmp_path / "target-7-3.bin").read_bytes() == b"input"
    assert (tmp_path / "target-7-4.txt").read_text().startswith(what)


def test_errors_of_the_package_are_no_failure() -> None:
    summary, findings = fuzz(Target("target", echo, refuses), seed=0, count=3)
    assert findings == []
    assert summary.outcomes == {"CorruptFile": 3}


def test_what_was_slow_once_only_is_no_failure() -> None:
    slept = []

    def once(data: bytes) -> None:
        if not slept:
            slept.append(data)
            time.sleep(0.2)

    assert outcome_of(Target("target", echo, once), b"", seconds=0.1)[0] == "accepted"


def test_inputs_follow_from_their_numbers() -> None:
    for target in TARGETS.values():
        if target.name != "videos":
            assert input_of(target, 1, 5) == input_of(target, 1, 5)
            assert len({input_of(target, 1, number) for number in range(20)}) > 10
            assert input_of(target, 1, 5) != input_of(target, 2, 5)


def test_damage_reaches_every_part_of_a_file() -> None:
    data, random = fuzz_inr.valid()[0], Random(0)
    made = [damaged_file(data, random, fuzz_inr.valid()) for _ in range(400)]
    sealed = []
    for found in made:
        try:
            sealed.append(dict(split(found)))
        except Exception:
            continue
    whole = dict(split(data))
    assert len(sealed) > 200
    assert {part for chunks in sealed for part in (b"HEAD", b"DATA") if chunks.get(part) != whole[part]} == {b"HEAD", b"DATA"}
    assert any(chunks.get(b"HEAD") == whole[b"HEAD"] and chunks.get(b"DATA") != whole[b"DATA"] for chunks in sealed)
    assert damaged(b"", random) is not None


def test_damage_reaches_every_part_of_a_tiled_file() -> None:
    data, random = small_tiles.files()["tiles-pair"], Random(0)
    whole, changed = split(data), set()
    for _ in range(300):
        try:
            found = split(damaged_file(data, random, fuzz_inr.valid()))
        except Exception:
            continue
        if [name for name, _ in found] == [name for name, _ in whole]:
            changed.add(tuple(i for i, part in enumerate(found) if part != whole[i]))
    assert {(0,), (1,), (3,), (4,), (1, 3), (1, 4)} <= changed


def test_readers_that_disagree_are_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    made = small_tiles.pair()
    good, bad = made.bytes(), made.with_head(level=1).bytes()
    fuzz_inr.read_alike(good)
    with pytest.raises(CorruptFile):
        fuzz_inr.read_alike(bad)
    monkeypatch.setattr(fuzz_inr.tiledecoder, "open", lambda _: None)
    with pytest.raises(AssertionError, match="accepted, 4"):
        fuzz_inr.read_alike(bad)
    monkeypatch.setattr(fuzz_inr.tiledecoder, "open", lambda _: minidecoder.need(False, "for no reason"))
    with pytest.raises(AssertionError, match="4 for no reason, 0"):
        fuzz_inr.read_alike(good)


def test_pngs_are_sealed_again() -> None:
    png = next(data for data in fuzz_signals._seeds("images") if data.startswith(b"\x89PNG"))
    assert resealed_png(png) == png
    changed = png[:20] + bytes([png[20] ^ 1]) + png[21:]
    assert resealed_png(changed)[:29] == changed[:29]
    assert resealed_png(changed)[29:33] != png[29:33]


def test_the_tool_tells_what_it_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    told = tmp_path / "sub" / "told.json"
    assert tool.main(["--count", "30", "--only", "map", "--seed", "4", "--json", str(told)]) == 0
    found = json.loads(told.read_text())
    assert (found["seed"], found["findings"]) == (4, [])
    assert found["targets"]["map"]["inputs"] == found["targets"]["map"]["next"] == 30
    monkeypatch.setattr(tool, "all_targets", lambda: (Target("bad", echo, fails),))
    assert tool.main(["--count", "1", "--out", str(tmp_path / "out")]) == 1
    assert json.loads(capsys.readouterr().out)["findings"][0]["what"] == "crash"
    assert (tmp_path / "out" / "bad-0-0.bin").read_bytes() == b"input"
    with pytest.raises(SystemExit):
        tool.main(["--only", "nothing"])


def test_the_corpus_is_small() -> None:
    assert sum(map(len, fuzz_inr.valid())) < 100_000
