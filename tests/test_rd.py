"""Rate and distortion beside other codecs: the codecs, the items, a whole run on pictures of this file's own, the command."""

import csv
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import inrcodec.bench.run as run_module
import inrcodec.codec
from inrcodec.bench import OURS, rate_distortion
from inrcodec.bench.base import Missing, Peer, Row, Trial
from inrcodec.bench.curves import Point, front
from inrcodec.bench.items import find_items, read_item
from inrcodec.bench.peers import LABELS, image_peers
from inrcodec.bench.quality import code_psnr
from inrcodec.bench.report import plain_row, row_of
from inrcodec.bench.summary import averages, distances
from inrcodec.bench.volume_peers import volume_peers
from inrcodec.cli import main
from inrcodec.codec import Encoded
from inrcodec.errors import InputError, Interrupted, UsageError
from tests.nets import smooth_picture

FAST = {"steps": 12, "hidden_features": 16, "levels": 2, "finest": 12, "frequencies": 16}


def row(codec: str, size: int, psnr: float | None, item: str = "a") -> Row:
    return Row(item=item, codec=codec, parameter=f"at={size}", bytes=size, rate=size / 100, psnr=psnr, encode_seconds=1, decode_seconds=2)


def test_rows_keep_their_values_in_json() -> None:
    for kind, rate in (("image", "bpp"), ("volume", "ratio")):
        for one in (row(OURS, 100, 30.5), replace(row(OURS, 7, None), target_met=False)):
            assert row_of(json.loads(json.dumps(plain_row(one, kind))), kind) == one and plain_row(one, kind)[rate] == one.rate


def test_distances_and_averages() -> None:
    rows = [row(codec, size * 2**k, 30.0 + 3 * k) for codec, size in ((OURS, 500), ("peer", 1000)) for k in range(4)]
    rows += [row(OURS, 100, 20.0, "b"), row(OURS, 9000, None, "b"), row("peer", 50, 18.0, "b"), row("peer", 200, 22.0, "b")]
    found = {(d["item"], d["bytes"]): d["peers"]["peer"] for d in distances(rows, ["a", "b"], ["peer"])}
    assert found["a", 1000]["distance_db"] == pytest.approx(3) and found["b", 100]["distance_db"] == pytest.approx(0)
    assert found["a", 500]["distance_db"] is None and "outside the measured range" in found["a", 500]["why"]
    assert found["b", 9000]["why"] is not None
    both = averages(rows, ["a", "b"], ["peer"])
    assert both["mean"]["peer"]["bd_rate_percent"]["value"] == pytest.approx(-50) and both["mean"]["peer"]["bd_rate_percent"]["items"] == 1
    assert "too few points" in both["mean"]["peer"]["bd_rate_percent"]["left_out"]["b"]
    assert [one["item"] for one in both["per_item"]] == ["a", "b"]


def pixels(height: int = 40, width: int = 52) -> np.ndarray:
    return (smooth_picture(height, width) * 255 + 0.5).astype(np.uint8)


@pytest.mark.parametrize("name", list(LABELS))
def test_image_codecs_there_and_back(name: str) -> None:
    peer = next(peer for peer in image_peers() if peer.name == name)
    if isinstance(peer, Missing):
        pytest.skip(peer.reason)
    source, sizes, levels = pixels(), [], []
    for trial in peer.trials(source)[::6]:
        stream = trial.encode()
        decoded = trial.decode(stream)
        assert decoded.shape == source.shape and decoded.dtype == np.uint8
        sizes.append(len(stream))
        levels.append(code_psnr(source, decoded))
    assert sizes == sorted(sizes) and len(set(sizes)) == len(sizes)
    assert 15 < levels[0] < levels[-1] < 60 and levels[-1] > 28
    assert any(character.isdigit() for character in peer.version)


def test_full_chroma_is_a_codec_of_its_own() -> None:
    peers = {peer.name: peer for peer in image_peers() if isinstance(peer, Peer)}
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    half, full = (peers[name].trials(noise)[-1] for name in ("jpeg", "jpeg-444"))
    assert code_psnr(noise, full.decode(full.encode())) > code_psnr(noise, half.decode(half.encode())) + 5


def volume(dtype: Any = np.uint8) -> np.ndarray:
    z, y, x = np.mgrid[:12, :10, :14] / 6.0
    return (100 + 90 * np.sin(z) * np.cos(y + x)).astype(dtype)


@pytest.mark.parametrize("name", ["sz3", "zfp"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_volume_codecs_there_and_back(name: str, dtype: Any) -> None:
    from inrcodec.bench.quality import value_psnr

    peer = next(peer for peer in volume_peers() if peer.name == name)
    if isinstance(peer, Missing):
        pytest.skip(peer.reason)
    trials = peer.trials(volume(dtype))
    assert len({trial.parameter for trial in trials}) == len(trials)
    points = []
    for trial in trials:
        stream = trial.encode()
        psnr = value_psnr(volume(dtype), trial.decode(stream))
        points += [] if psnr is None else [Point(len(stream), psnr)]
    best = front(points)
    assert len(best) > 5 and best[0].psnr < 20 and best[-1].psnr > 45


def test_absent_codecs_say_what_they_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pillow_jxl", "pysz", "zfpy"):
        monkeypatch.setitem(sys.modules, module, None)
    found = {peer.name: peer for peer in (*image_peers(), *volume_peers())}
    assert {name for name, peer in found.items() if isinstance(peer, Missing)} >= {"jxl", "sz3", "zfp"}
    assert "pillow-jxl-plugin" in found["jxl"].reason and "pysz" in found["sz3"].reason


def test_items_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("no signal")
    (tmp_path / ".hidden.png").write_bytes(b"")
    with pytest.raises(InputError, match="got none among 1 files"):
        find_items(tmp_path, None)
    Image.fromarray(pixels()).save(tmp_path / "b.png")
    Image.fromarray(pixels()).save(tmp_path / "b.bmp")
    Image.fromarray(pixels()[..., 0]).save(tmp_path / "a.png")
    kind, places = find_items(tmp_path, None)
    assert kind == "image" and [place.name for place in places] == ["a", "b.bmp", "b.png"]
    grey = read_item(places[0], kind, (20, 10))
    assert np.array_equal(grey.samples, np.repeat(pixels()[15:25, 16:36, :1], 3, axis=-1)) and grey.signal.values.shape == (10, 20, 3)
    assert grey.rate(100) == 4
    with pytest.raises(InputError, match="expected at least 60x10 pixels"):
        read_item(places[0], kind, (60, 10))
    np.save(tmp_path / "v.npy", volume())
    with pytest.raises(UsageError, match="--kind"):
        find_items(tmp_path, None)
    kind, places = find_items(tmp_path, "volume")
    item = read_item(places[0], kind, None)
    assert np.array_equal(item.samples, volume()) and item.samples.dtype == np.uint8 and item.rate(168) == 10


@pytest.mark.parametrize(
    ("array", "word"),
    [(np.full((4, 4, 4), np.nan, np.float32), "finite"), (np.ones((4, 4, 8), np.uint8), "differ"), (np.zeros((2, 3, 4, 5)), "z, y, x")],
)
def test_volumes_that_have_no_comparison(tmp_path: Path, array: np.ndarray, word: str) -> None:
    np.save(tmp_path / "v.npy", array)
    kind, places = find_items(tmp_path, None)
    with pytest.raises(InputError, match=word):
        read_item(places[0], kind, None)


def test_missing_samples_are_refused(tmp_path: Path) -> None:
    array = volume(np.float32)
    array[1, 2, 3] = np.nan
    np.save(tmp_path / "v.npy", array)
    with pytest.raises(InputError, match="missing samples"):
        read_item(find_items(tmp_path, None)[1][0], "volume", None)


@dataclass(frozen=True)
class Whole:
    """A finished run: its folders, what it gave, and our files by the shape of their item."""

    source: Path
    out: Path
    content: dict[str, Any]
    files: dict[tuple[int, ...], Encoded]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    source, out = tmp_path_factory.mktemp("pictures"), tmp_path_factory.mktemp("made") / "new" / "out"
    Image.fromarray(pixels(20, 26)).save(source / "a.png")
    Image.fromarray(pixels(24, 18)[::-1]).save(source / "b.png")
    files = {}
    real = inrcodec.codec.encode

    def encode(signal: Any, **options: Any) -> Encoded:
        encoded = real(signal, **options)
        files[signal.values.shape[:-1]] = encoded
        return encoded

    stages = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inrcodec.codec, "encode", encode)
        outcome = rate_distortion(source, out, quality=(60,), settings=FAST, published="kodak", progress=lambda p: stages.append(p.stage))
    assert any(stage.startswith("a inrcodec quality=60 check") for stage in stages) and "b jpeg" in stages
    return Whole(source, out, outcome.content, files)


def test_a_whole_run(whole: Whole) -> None:
    content = json.loads((whole.out / "rd.json").read_text())
    assert content == whole.content and content["complete"] and content["kind"] == "image" and content["seed"] == 0
    assert content["machine"]["cores"] >= 1 and content["versions"]["pillow"] and content["options"]["settings"]["steps"] == "12"
    assert set(content["codecs"]) | set(content["absent"]) == {OURS, *LABELS} and content["failures"] == []
    names = [(one["item"], one["codec"]) for one in content["rows"]]
    assert set(names) == {(item, codec) for item in "ab" for codec in content["codecs"]} and names[0] == ("a", OURS)
    assert {one["parameter"] for one in content["rows"] if one["codec"] == OURS} == {"quality=60"}
    ours = content["rows"][0]
    encoded = whole.files[20, 26]
    assert ours["bytes"] == len(encoded.data) and ours["psnr"] == pytest.approx(encoded.report.psnr, abs=0.05)
    assert ours["bpp"] == pytest.approx(8 * ours["bytes"] / 520) and ours["target_met"] is None
    peers = set(content["codecs"]) - {OURS}
    assert len(content["distances"]) == 2 and set(content["distances"][0]["peers"]) == peers == set(content["bd"]["mean"])
    assert content["bd"]["mean"]["jpeg"]["bd_rate_percent"]["items"] == 0
    assert set(content["bd"]["mean"]["jpeg"]["bd_rate_percent"]["left_out"]) == {"a", "b"}
    assert len(content["published"]) == 9


def test_table_and_plots_of_a_run(whole: Whole) -> None:
    with open(whole.out / "rd.csv", newline="") as file:
        table = list(csv.DictReader(file))
    told = [{key: "" if value is None else str(value) for key, value in one.items()} for one in whole.content["rows"]]
    assert table == told
    for name in ("rd.png", "items/a.png", "items/b.png"):
        with Image.open(whole.out / name) as image:
            assert image.width > 500 and len(np.unique(np.asarray(image.convert("L")))) > 20


def copy_of(whole: Whole, folder: Path) -> Path:
    (folder / "rd.json").write_bytes((whole.out / "rd.json").read_bytes())
    return folder


@pytest.fixture
def held(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Encodes give the files of the whole run; the options of each."""
    calls: list[dict[str, Any]] = []

    def encode(signal: Any, **options: Any) -> Encoded:
        calls.append(options)
        return whole.files[signal.values.shape[:-1]]

    monkeypatch.setattr(inrcodec.codec, "encode", encode)
    return calls


def test_resume_measures_what_is_new(whole: Whole, tmp_path: Path, held: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    out = copy_of(whole, tmp_path)
    tried: list[str] = []

    def failing(samples: np.ndarray) -> list[Trial]:
        def encode() -> bytes:
            tried.append("x")
            raise ValueError("no\nway")

        return [Trial("x", encode, lambda _: samples)]

    monkeypatch.setattr(
        run_module, "image_peers", lambda: (*image_peers()[:2], Peer("webp", "another", failing), Missing("avif", "not built"))
    )
    outcome = rate_distortion(whole.source, out, quality=(60, 80), settings=FAST, resume=True)
    assert [call["quality"] for call in held] == [80, 80] and tried == ["x", "x"]
    kept = [one for one in whole.content["rows"] if one["codec"] in (OURS, "jpeg", "jpeg-444")]
    assert [one for one in outcome.content["rows"] if one["parameter"] != "quality=80" or one["codec"] != OURS] == kept
    assert outcome.content["failures"][0] == {"item": "a", "codec": "webp", "parameter": "x", "error": "ValueError: no way"}
    assert any("avif is absent: not built" in note for note in outcome.notes) and any("not kept" in note for note in outcome.notes)
    assert any("webp x failed" in note for note in outcome.notes)


def test_resume_wants_the_same_options(whole: Whole, tmp_path: Path) -> None:
    out = copy_of(whole, tmp_path)
    before = (out / "rd.json").read_bytes()
    with pytest.raises(UsageError, match="measured with effort 5, got 6"):
        rate_distortion(whole.source, out, quality=(60,), settings=FAST, effort=6, resume=True)
    with pytest.raises(UsageError, match="measured with seed 0, got 1"):
        rate_distortion(whole.source, out, quality=(60,), settings=FAST, seed=1, resume=True)
    with pytest.raises(UsageError, match="not to be overwritten"):
        rate_distortion(whole.source, out, overwrite=False)
    assert (out / "rd.json").read_bytes() == before
    for damaged in (b"{", b"[]", json.dumps({**whole.content, "rows": [{"item": "a"}]}).encode()):
        (out / "rd.json").write_bytes(damaged)
        with pytest.raises(InputError, match="cannot be resumed"):
            rate_distortion(whole.source, out, quality=(60,), settings=FAST, resume=True)


def test_an_interrupted_run_leaves_its_rows(whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def encode(signal: Any, **options: Any) -> Encoded:
        if signal.values.shape[0] == 24:
            raise KeyboardInterrupt
        return whole.files[signal.values.shape[:-1]]

    monkeypatch.setattr(inrcodec.codec, "encode", encode)
    monkeypatch.setattr(run_module, "image_peers", lambda: image_peers()[:1])
    with pytest.raises(Interrupted, match="holds 22 rows"):
        rate_distortion(whole.source, tmp_path / "out", bpp=(2,), settings=FAST)
    content = json.loads((tmp_path / "out" / "rd.json").read_text())
    assert len(content["rows"]) == 22 and not content["complete"]


def test_volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "v.npy", volume())
    real, sizes = inrcodec.codec.encode, []

    def encode(signal: Any, *, size: int, settings: Any, quality: None, bpp: None, **options: Any) -> Encoded:
        sizes.append(size)
        encoded = real(signal, quality=30, settings=settings, **options)
        return replace(encoded, report=replace(encoded.report, target_met=False))

    monkeypatch.setattr(inrcodec.codec, "encode", encode)
    outcome = rate_distortion(tmp_path / "in", tmp_path / "out", ratio=(2.5,), settings=FAST)
    ours = outcome.content["rows"][0]
    assert sizes == [672] and ours["ratio"] == pytest.approx(1680 / ours["bytes"]) and ours["target_met"] is False
    assert any("v: ratio=2.5 was missed" in note for note in outcome.notes)
    assert set(outcome.content["codecs"]) | set(outcome.content["absent"]) == {OURS, "sz3", "zfp"}
    assert (tmp_path / "out" / "items" / "v.png").stat().st_size > 1000
    assert (tmp_path / "out" / "rd.csv").read_text().startswith("item,codec,parameter,bytes,ratio,psnr,")
    for options, word in (({"bpp": (1,)}, "bpp"), ({"published": "kodak"}, "published"), ({"crop": (4, 4)}, "crop")):
        with pytest.raises(UsageError, match=word):
            rate_distortion(tmp_path / "in", tmp_path / "none", **options)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["no-such-folder", "-o", "out"], 3, "no-such-folder"),
        (["empty", "-o", "out"], 3, "got none"),
        (["in/a.png", "-o", "out"], 3, "a.png"),
        (["damaged", "-o", "out"], 3, "a.png"),
        (["in"], 2, "--output"),
        (["in", "-o", "in"], 2, "another folder"),
        (["in", "-o", "in/a.png"], 2, "got a file"),
        (["in", "-o", "out", "--bpp", "1,x"], 2, "--bpp"),
        (["in", "-o", "out", "--bpp", "0,1"], 2, "positive"),
        (["in", "-o", "out", "--quality", "50,101"], 2, "0 to 100"),
        (["in", "-o", "out", "--ratio", "100"], 2, "volumes"),
        (["in", "-o", "out", "--crop", "12"], 2, "WxH"),
        (["in", "-o", "out", "--crop", "0x4"], 2, "at least 1"),
        (["in", "-o", "out", "--set", "steps"], 2, "KEY=VALUE"),
        (["in", "-o", "out", "--set", "no_such=1"], 2, "unknown setting"),
        (["in", "-o", "out", "--effort", "12"], 2, "effort"),
        (["in", "-o", "out", "--arch", "none.9"], 2, "none.9"),
        (["in", "-o", "out", "--nonsense"], 2, "--nonsense"),
    ],
)
def test_errors_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, word: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("in", "empty", "damaged"):
        Path(name).mkdir()
    Image.fromarray(pixels(8, 9)).save("in/a.png")
    Path("damaged/a.png").write_bytes(Path("in/a.png").read_bytes()[:60])
    with pytest.raises(SystemExit) as ended:
        main(["bench", "rd", *arguments])
    said = capsys.readouterr()
    assert ended.value.code == code, said.err
    assert said.out == "" and said.err.startswith("error: ") and said.err.count("\n") == 1 and word in said.err


def test_the_command(whole: Whole, tmp_path: Path, held: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    out = copy_of(whole, tmp_path)
    options = [part for key, value in FAST.items() for part in ("--set", f"{key}={value}")]
    with pytest.raises(SystemExit) as ended:
        main(["bench", "rd", str(whole.source), "-o", str(out), "--quality", "60", "--resume", "--json", *options])
    said = capsys.readouterr()
    assert ended.value.code == 0 and held == []
    assert json.loads(said.out)["rows"] == whole.content["rows"]
    assert "against jpeg: BD-rate none: too few points" in said.err and said.err.endswith("rows of 2 images in rd.json\n")
