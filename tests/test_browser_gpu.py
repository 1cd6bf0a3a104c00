"""Pages that draw by WebGL2, on a graphics processor in software: what is seen is what `inrcodec decode` gives, or JavaScript draws it."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inrcodec import html
from inrcodec.container import dump, load
from tests.browser import ADVICE, CHROMIUM, SOFTWARE_GPU, Page, browser, silent
from tests.test_browser import MOST, VALID, colours, decoded, difference, opened
from tools import small_files

WINDOW = {"width": 300, "height": 260}
ASKED = {**WINDOW, "fragment": "gpu=1"}
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Page]:
    with browser(*SOFTWARE_GPU) as page:
        yield page


@pytest.fixture
def page(chromium: Page) -> Iterator[Page]:
    yield from silent(chromium)


def engine(page: Page) -> tuple[str, str]:
    """What draws, and why not WebGL2."""
    found = page.evaluate("[inrViewer.engine, inrViewer.reason]")
    return found[0], found[1]


def changed(monkeypatch: pytest.MonkeyPatch, name: str, old: str, new: str) -> None:
    """Pages made from here on have another text in one of their scripts."""
    text = html._text

    def other(asked: str) -> str:
        found = text(asked)
        assert asked != name or old in found
        return found.replace(old, new) if asked == name else found

    monkeypatch.setattr(html, "_text", other)


@pytest.mark.parametrize(
    "name",
    [f"{net}.1-{kind}" for net, kind in (("sasnet", "rgb"), ("sasnet", "hashed"), ("sasnet", "grey16"), ("siren", "rgb"), ("msa", "rgb"))]
    + ["sasnet.2-rgb", "sasnet.2-cubic", "sasnet.2-context"],
)
def test_an_image_zooms_and_moves(page: Page, tmp_path: Path, name: str) -> None:
    file = opened(page, tmp_path, name, **ASKED)
    assert engine(page) == ("webgl2", "")
    assert difference(page, file) < MOST
    left, top, _, _ = page.box()
    page.wheel(left + 90, top + 60, -300)
    assert difference(page, file, least=0.5) < MOST
    page.drag(left + 100, top + 80, left + 61, top + 102)
    assert difference(page, file, least=0.4) < MOST
    assert engine(page) == ("webgl2", "")


def test_slices_of_a_volume(page: Page, tmp_path: Path) -> None:
    file = opened(page, tmp_path, "volume-float32", **ASKED)
    assert difference(page, file) < MOST
    page.evaluate("inrViewer.step(0, 8)")
    assert difference(page, file) < MOST
    page.evaluate("inrViewer.show([0, 2])")
    page.evaluate("inrViewer.step(1, 3)")
    assert difference(page, file, least=0.1) < MOST
    page.evaluate("inrViewer.zoom(3, 100, 60)")
    assert difference(page, file) < MOST
    assert engine(page) == ("webgl2", "")


def test_a_video_plays(page: Page, tmp_path: Path) -> None:
    container = load((VALID / "volume-float32" / "input.inr").read_bytes())
    head = {**container.head, "kind": "video", "space": {"spacing": [0.05, 0.0, 0.0], "units": "s"}}
    file = opened(page, tmp_path, "video", dump(replace(container, head=head)), **ASKED)
    page.evaluate("inrViewer.step(0, 2)")
    page.click("#play")
    page.wait("inrViewer.index[0] > 3")
    page.click("#play")
    assert difference(page, file) < MOST
    assert engine(page) == ("webgl2", "")


def test_a_field_of_four_axes(page: Page, tmp_path: Path) -> None:
    file = opened(page, tmp_path, "small-four", small_files.four().bytes(), **ASKED)
    page.evaluate("inrViewer.step(1, 2)")
    assert difference(page, file) < MOST
    assert engine(page) == ("webgl2", "")


def test_fewer_samples_are_averages(page: Page, tmp_path: Path) -> None:
    file = opened(page, tmp_path, "sasnet.2-context", **ASKED)
    page.evaluate("inrViewer.scale(0.55)")
    assert difference(page, file, least=0) < MOST
    assert engine(page) == ("webgl2", "")


@pytest.mark.parametrize("name", ["sasnet.1-rgba", "small-residual"])
def test_both_ways_look_alike(page: Page, tmp_path: Path, name: str) -> None:
    seen = []
    for fragment in ("gpu=0", "gpu=1"):
        opened(page, tmp_path, name, (VALID / name / "input.inr").read_bytes(), **WINDOW, fragment=fragment)
        assert engine(page)[0] == {"gpu=0": "javascript", "gpu=1": "webgl2"}[fragment]
        seen.append(page.pixels().astype(float))
        page.send("Page.navigate", url="about:blank")
    assert seen[0].std() > 1
    assert np.abs(seen[0] - seen[1]).mean() < 0.1


def siren(omega: float) -> small_files.Made:
    """One wave across the box of `omega` radians on half an axis, in grey."""
    head = {
        "kind": "image",
        "level": 1,
        "req": [],
        "axes": [{"name": "y", "n": 8}, {"name": "x", "n": 8}],
        "out": {"channels": [{"name": "v", "role": "color", "scale": 0.4, "offset": 0.5}], "bits": 8},
        "net": ["siren.1", 2, 1, 1, 0, omega, 1.0],
    }
    tensors = [np.array(v, "<f4").tobytes() for v in ([0.3, 1.0], [0.7], [1.0], [0.0])]
    return small_files.Made(head, tuple((0, tensor) for tensor in tensors))


def test_the_deepest_zoom(page: Page, tmp_path: Path) -> None:
    file = opened(page, tmp_path, "wave", siren(20000.0).bytes(), **ASKED)
    page.evaluate("inrViewer.zoom(1e9, 160, 50)")
    page.settle()
    assert page.evaluate("inrViewer.placed.size") == [2**22, 2**22]
    assert difference(page, file, least=1) < 0.1 * MOST
    assert engine(page) == ("webgl2", "")


def test_waves_too_short_for_its_sines_are_left_to_javascript(page: Page, tmp_path: Path) -> None:
    opened(page, tmp_path, "wave", siren(3e7).bytes(), **ASKED)
    assert engine(page) == ("javascript", "WebGL2: draws something else")


def test_a_residual_is_added_by_javascript(page: Page, tmp_path: Path) -> None:
    file = opened(page, tmp_path, "residual-lossless", **ASKED)
    assert engine(page)[0] == "webgl2"
    page.evaluate("inrViewer.scale(1)")
    assert difference(page, file, least=0) == 0
    assert engine(page)[0] == "javascript"
    page.evaluate("inrViewer.fit()")
    assert difference(page, file, least=0) < MOST
    assert engine(page)[0] == "webgl2"


def test_missing_samples_are_left_to_javascript(page: Page, tmp_path: Path) -> None:
    opened(page, tmp_path, "volume-missing", **ASKED)
    assert engine(page) == ("javascript", "samples are missing")


def test_without_webgl2(tmp_path: Path) -> None:
    with browser() as page:
        file = opened(page, tmp_path, "sasnet.2-rgb", **ASKED)
        assert engine(page) == ("javascript", "WebGL2: not there, or without float32 targets")
        assert difference(page, file) < MOST
        assert page.errors == []


def test_without_a_wish_the_faster_one_draws(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for factor, expected in (("1e9", "javascript"), ("1e-9", "webgl2")):
        with monkeypatch.context() as patch:
            changed(patch, "painter.js", "speed < decoded * workers", f"speed < decoded * workers * {factor}")
            file = opened(page, tmp_path, "sasnet.2-rgb", **WINDOW)
        page.wait("inrViewer.engine === 'webgl2' || inrViewer.reason")
        found, reason = engine(page)
        assert found == expected
        assert ("samples a millisecond" in reason) == (expected == "javascript")
        assert difference(page, file) < MOST
        page.send("Page.navigate", url="about:blank")


@pytest.mark.parametrize(
    ("name", "old", "new", "reason"),
    [
        ("shaders.js", "Math.PI / i", "3.0 / i", "something else"),
        ("shaders.js", "1.5 * t3", "1.6 * t3", "something else"),
        ("layers.js", "block[r] = bias[row]", "block[r] = bias[row] + 0.1", "something else"),
        ("layers.js", "at + 20 + (r & 3)", "at + 21 + (r & 3)", "something else"),
        ("gpu.js", "placed(x, grid", "placed(x + 0.05, grid", "something else"),
        ("shaders.js", "vec2 place(", "vec3 place(", "ERROR"),
        ("gpu.js", "limit('MAX_UNIFORM_BLOCK_SIZE') / 16", "4", "too wide"),
        ("gpu.js", "MEMORY = 2 ** 27", "MEMORY = 2 ** 10", "too wide"),
    ],
)
def test_what_is_wrong_or_does_not_start_is_left_to_javascript(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, old: str, new: str, reason: str
) -> None:
    changed(monkeypatch, name, old, new)
    file = opened(page, tmp_path, "sasnet.2-cubic", **ASKED)
    assert engine(page)[0] == "javascript"
    assert reason in engine(page)[1]
    assert difference(page, file) < MOST


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("painter.js", "first[k] + (i + 0.5)", "first[k] + 9 + (i + 0.5)"),
        ("layers.js", "block[r] = bias[row]", "block[r] = bias[row] + 0.1"),
    ],
)
def test_the_comparison_sees_wrong_places_and_weights(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, old: str, new: str
) -> None:
    changed(monkeypatch, name, old, new)
    changed(monkeypatch, "worker.js", "gpu.check();", "")
    file = opened(page, tmp_path, "sasnet.2-rgb", **ASKED)
    assert engine(page) == ("webgl2", "")
    assert difference(page, file) > MOST


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("limit('MAX_UNIFORM_BLOCK_SIZE') / 16", "100"),
        ("limit('MAX_DRAW_BUFFERS')", "1"),
        ("this.#fits(targets)", "false"),
        ("MEMORY = 2 ** 27", "MEMORY = 2 ** 22"),
        ("WIDE = 256", "WIDE = 24"),
    ],
)
def test_smaller_limits_draw_the_same(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> None:
    changed(monkeypatch, "gpu.js", old, new)
    file = opened(page, tmp_path, "sasnet.2-rgb", **ASKED)
    assert engine(page) == ("webgl2", "")
    assert difference(page, file) < MOST


def test_a_lost_context_is_left_to_javascript(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = "if (globalThis.lose) gl.getExtension('WEBGL_lose_context').loseContext();\n    gl.pixelStorei("
    changed(monkeypatch, "gpu.js", "gl.pixelStorei(", lost)
    changed(monkeypatch, "worker.js", "return gpu.draw(given);", "globalThis.lose = true;\n    return gpu.draw(given);")
    file = opened(page, tmp_path, "sasnet.1-rgb", **ASKED)
    assert engine(page) == ("javascript", "WebGL2: the context is lost")
    assert difference(page, file) < MOST


def test_what_moves_is_drawn_coarser(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiles = "if (this.by(placed) === 'webgl2') {"
    changed(monkeypatch, "painter.js", tiles, f"{tiles}\n      if (globalThis.still) return new Promise(() => {{}});")
    changed(monkeypatch, "painter.js", "FRAME = 12", "FRAME = 1e6")
    changed(monkeypatch, "plane.js", "this.#preview(2,", "this.#preview(1,")  # also where all is drawn in time
    file = opened(page, tmp_path, "wave", siren(300.0).bytes(), **ASKED)
    page.evaluate("globalThis.still = true")
    page.evaluate("inrViewer.zoom(12, 150, 50)")
    deadline = time.monotonic() + 60
    while True:
        pixels, placed = page.pixels().astype(float), page.evaluate("inrViewer.placed")
        expected, place = decoded(file, placed, pixels.shape[:2])
        if placed["size"][0] > 1000 and np.abs(pixels[place] - colours(file, expected)).mean() / 255 < MOST:
            break
        assert time.monotonic() < deadline


def test_what_a_page_does_wrong_is_told(page: Page, tmp_path: Path) -> None:
    opened(page, tmp_path, "sasnet.1-rgb", **ASKED)
    page.evaluate("new OffscreenCanvas(1, 1).getContext('webgl2').drawArrays(99, 0, 1)")
    page.evaluate("console.warn('a word')")
    page.wait("true")
    assert len(page.errors) == 2
    assert "WebGL: INVALID_" in "".join(page.errors) and "a word" in "".join(page.errors)
    page.errors.clear()


def test_a_slow_driver_is_no_error() -> None:
    slow = "[.WebGL-0x27bc0111d800]GL Driver Message (OpenGL, Performance, GL_CLOSE_PATH_NV, High): GPU stall due to ReadPixels"
    assert ADVICE.search(slow)
    assert not ADVICE.search(slow.replace("Performance", "Error"))
