"""Pages of `convert a.inr a.html` in a headless Chromium: what is seen is what `inrcodec decode` gives; nothing asks for a network."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import inrcodec
from inrcodec.cli import main
from inrcodec.container import dump, load
from inrcodec.html import html_page
from inrcodec.surface import box_of
from tests.browser import CHROMIUM, Page, browser, silent
from tools import small_files

VALID = Path(__file__).resolve().parents[1] / "conformance" / "valid" / "1"
MOST = 1 / 255  # of the mean difference
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Page]:
    with browser() as page:
        yield page


@pytest.fixture
def page(chromium: Page) -> Iterator[Page]:
    yield from silent(chromium)


def command(*arguments: str | Path) -> None:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    assert not caught.value.code


def opened(page: Page, folder: Path, name: str, data: bytes | None = None, **window: Any) -> Path:
    """The file, shown."""
    file = folder / f"{name}.inr"
    file.write_bytes((VALID / name / "input.inr").read_bytes() if data is None else data)
    command("convert", file, folder / f"{name}.html")
    page.open(folder / f"{name}.html", **window)
    return file


def decoded(file: Path, placed: dict[str, Any], seen: tuple[int, int]) -> tuple[np.ndarray, tuple[slice, slice]]:
    """What `inrcodec decode` gives of the part of the grid that is on a canvas of (height, width), and where it is there."""
    nominal = inrcodec.open(file).grid_shape
    size, region = list(nominal), [[i, i + 1] for i in placed["index"]]
    place = []
    for axis, m, origin, extent in zip(placed["axes"], placed["size"], placed["origin"], seen, strict=True):
        first, last = max(origin, 0), min(origin + extent, m)
        size[axis], region[axis] = m, [first / m * nominal[axis], last / m * nominal[axis]]
        place.append(slice(first - origin, last - origin))
    if inrcodec.open(file).head["kind"] == "video":
        found = inrcodec.open(file, backend="numpy").decode(size=size, region=region)
        return found.reshape(*(s.stop - s.start for s in place), -1), (place[0], place[1])
    flat = len(nominal) == 2
    out = file.with_suffix(".png" if flat else ".npy")
    asked = "x".join(map(str, reversed(size) if flat else size))
    command("decode", file, "-o", out, "--size", asked, "--region", ",".join(f"{a!r}:{b!r}" for a, b in region), "--backend", "numpy")
    found = np.asarray(Image.open(out)) if flat else np.load(out)
    return found.reshape(*(s.stop - s.start for s in place), -1), (place[0], place[1])


def colours(file: Path, samples: np.ndarray) -> np.ndarray:
    """Codes of 8 bits, grey or as they are; numbers as grey, between low and high."""
    if inrcodec.open(file).head["out"].get("dtype") is None:
        codes = samples / (257 if samples.dtype == np.uint16 else 1)
        return codes if codes.shape[-1] == 3 else np.repeat(codes, 3, axis=-1)
    channel = inrcodec.open(file).head["out"]["channels"][0]
    low, high = channel.get("low", 0.0), channel.get("high", 1.0)
    return np.repeat((samples.astype(float) - low) / (high - low) * 255, 3, axis=-1)


def difference(page: Page, file: Path, *, least: float = 0.2) -> float:
    """The mean absolute difference of what is seen to what is decoded, of 1; over at least this part of the canvas."""
    page.settle()
    pixels, placed = page.pixels().astype(float), page.evaluate("inrViewer.placed")
    expected, place = decoded(file, placed, pixels.shape[:2])
    expected = colours(file, expected)
    assert pixels[place].size >= least * pixels.size
    assert expected.std() > 1
    return float(np.abs(pixels[place] - expected).mean() / 255)


def test_an_image_zooms_and_moves(page: Page, tmp_path: Path) -> None:
    file = opened(page, tmp_path, "sasnet.2-rgb")
    left, top, width, height = page.box()
    assert difference(page, file) < MOST
    size = page.evaluate("inrViewer.placed.size")
    assert height - 31 < size[0] <= height
    under = page.evaluate(f"inrViewer.under({width / 3}, {height / 4}).index")
    for _ in range(4):
        page.wheel(left + width / 3, top + height / 4, -240)
    page.settle()
    larger = page.evaluate("inrViewer.placed.size")
    assert larger[0] / size[0] == pytest.approx(math.exp(4 * 240 / 400), rel=0.01)
    assert page.evaluate(f"inrViewer.under({width / 3}, {height / 4}).index") == pytest.approx(under, abs=0.07)
    assert difference(page, file, least=1) < MOST
    origin = page.evaluate("inrViewer.placed.origin")
    page.drag(left + 300, top + 200, left + 187, top + 271)
    page.settle()
    assert page.evaluate("inrViewer.placed.origin") == pytest.approx([origin[0] - 71, origin[1] + 113], abs=1)
    assert difference(page, file, least=1) < MOST
    page.drag(left + 10, top + 10, left + 30, top + 30)
    assert difference(page, file, least=1) < MOST


def test_keys_and_buttons(page: Page, tmp_path: Path) -> None:
    file = opened(page, tmp_path, "residual-lossless")
    nominal = list(inrcodec.open(file).grid_shape)
    fitting = page.evaluate("inrViewer.placed.size")
    page.evaluate("document.querySelector('canvas').focus()")
    page.press("1")
    page.settle()
    assert page.evaluate("inrViewer.placed.size") == nominal
    assert difference(page, file, least=0) == 0
    page.press("+")
    page.press("ArrowLeft", 37)
    page.settle()
    assert page.evaluate("inrViewer.placed.size")[0] == pytest.approx(1.25 * nominal[0], abs=1)
    assert difference(page, file, least=0) < MOST
    page.click("#fit")
    page.settle()
    assert page.evaluate("inrViewer.placed.size") == fitting
    page.click("#out")
    page.settle()
    assert page.evaluate("inrViewer.placed.size")[0] == pytest.approx(fitting[0] / 1.25, abs=1)
    page.press("0")
    page.settle()
    assert page.evaluate("inrViewer.placed.size") == fitting


def test_two_device_pixels_a_pixel(page: Page, tmp_path: Path) -> None:
    file = opened(page, tmp_path, "sasnet.2-rgb", width=420, height=360, ratio=2.0, dark=True)
    _, _, width, height = page.box()
    assert page.pixels().shape[:2] == (2 * height, 2 * width)
    page.wheel(200, 200, -100)
    assert difference(page, file) < MOST


def test_the_comparison_sees_another_place(page: Page, tmp_path: Path) -> None:
    file = opened(page, tmp_path, "sasnet.2-rgb")
    pixels, placed = page.pixels().astype(float), page.evaluate("inrViewer.placed")
    expected, place = decoded(file, {**placed, "origin": [placed["origin"][0] + 9, placed["origin"][1]]}, pixels.shape[:2])
    rows = min(expected.shape[0], pixels[place].shape[0])
    assert np.abs(pixels[place][:rows] - expected[:rows]).mean() / 255 > MOST


def test_slices_of_a_volume(page: Page, tmp_path: Path) -> None:
    file = opened(page, tmp_path, "volume-float32")
    left, top, _, _ = page.box()
    assert page.evaluate("inrViewer.index") == [5, 6, 12]
    assert difference(page, file) < MOST
    page.wheel(left + 50, top + 50, 100)
    page.settle()
    assert page.evaluate("inrViewer.index") == [7, 6, 12]
    assert difference(page, file) < MOST
    page.press("PageUp", 33)
    page.press("PageDown", 34)
    page.press("PageDown", 34)
    page.press("PageUp", 33)
    assert page.evaluate("inrViewer.index")[0] == 7
    for axes, index in (("0,2", [7, 3, 12]), ("0,1", [7, 3, 20])):
        page.evaluate(f"(s => {{ s.value = '{axes}'; s.dispatchEvent(new Event('change')) }})(document.getElementById('axes'))")
        moved = f"(s => {{ s.value = {index[3 - sum(map(int, axes.split(',')))]}; s.dispatchEvent(new Event('input')) }})"
        page.evaluate(moved + "(document.querySelector('#sliders input'))")
        page.settle()
        assert page.evaluate("inrViewer.index") == index
        assert difference(page, file, least=0.1) < MOST
    page.evaluate("inrViewer.zoom(3, 400, 200)")
    assert difference(page, file) < MOST


def test_missing_samples_are_not_drawn(page: Page, tmp_path: Path) -> None:
    file = opened(page, tmp_path, "volume-missing")
    page.evaluate("inrViewer.step(0, 4)")
    page.settle()
    pixels, placed = page.pixels().astype(float), page.evaluate("inrViewer.placed")
    samples, place = decoded(file, placed, pixels.shape[:2])
    missing = np.isnan(samples[..., 0])
    assert 0.01 < missing.mean() < 0.99
    found = pixels[place]
    assert np.abs(found - colours(file, samples))[~missing].mean() / 255 < MOST
    assert {tuple(map(int, colour)) for colour in np.unique(found[missing], axis=0)} <= {(0xE6, 0xE6, 0xE2), (0xFF, 0xFF, 0xFF)}


def test_what_is_transparent_shows_the_ground(page: Page, tmp_path: Path) -> None:
    file = opened(page, tmp_path, "sasnet.1-rgba")
    pixels, placed = page.pixels().astype(float), page.evaluate("inrViewer.placed")
    rgba, place = decoded(file, placed, pixels.shape[:2])
    alpha = rgba[..., 3:].astype(float) / 255
    assert 0.05 < alpha.mean() < 0.95
    over = [
        np.abs(pixels[place] - (alpha * rgba[..., :3] + (1 - alpha) * np.array(ground))) for ground in ((0xE6, 0xE6, 0xE2), (255, 255, 255))
    ]
    assert np.minimum(*over).mean() / 255 < MOST


def test_a_field_of_four_axes(page: Page, tmp_path: Path) -> None:
    file = opened(page, tmp_path, "small-four", small_files.four().bytes())
    assert page.evaluate("document.querySelectorAll('#sliders input').length") == 2
    page.evaluate("inrViewer.step(1, 2)")
    assert difference(page, file) < MOST


def test_a_video_steps_and_plays(page: Page, tmp_path: Path) -> None:
    container = load((VALID / "volume-float32" / "input.inr").read_bytes())
    head = {**container.head, "kind": "video", "space": {"spacing": [0.05, 0.0, 0.0], "units": "s"}}
    file = opened(page, tmp_path, "video", dump(replace(container, head=head)), width=300, height=260)
    page.evaluate("inrViewer.step(0, 2)")
    assert difference(page, file) < MOST
    page.click("#play")
    page.wait("inrViewer.index[0] > 4")
    page.click("#play")
    assert difference(page, file) < MOST


def rays_of(camera: dict[str, Any], rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    u, v = (columns + 0.5 - camera["middle"][0]) * camera["pixel"], (rows + 0.5 - camera["middle"][1]) * camera["pixel"]
    ways = np.array(camera["ahead"]) + u[..., None] * np.array(camera["right"]) + v[..., None] * np.array(camera["down"])
    return ways / np.linalg.norm(ways, axis=-1, keepdims=True)


def sphere_traced(file: Path, camera: dict[str, Any], rays: np.ndarray) -> np.ndarray:
    """How far the surface is along each ray (n, 3) of the world, inf beside it; by careful steps of the decoded distance alone."""
    inr = inrcodec.open(file, backend="numpy", device="cpu")
    box, back = box_of(inr.head), np.linalg.inv(box_of(inr.head).matrix)
    eye, t = np.array(camera["eye"]), np.zeros(len(rays))
    with np.errstate(divide="ignore"):
        inside = np.stack([(s * 0.5 - back @ (eye - box.origin)) / (rays @ back.T) for s in (-1, 1)])
    t, end = inside.min(axis=0).max(axis=-1), inside.max(axis=0).min(axis=-1)
    active = np.flatnonzero(t < end)
    found = np.full(len(rays), np.inf)
    for _ in range(400):
        places = (eye + t[active, None] * rays[active] - box.origin) @ back.T
        distance = inr.at(box.coordinates(places))[:, 0]
        near = distance < 1e-4 * box.side
        found[active[near]] = t[active[near]]
        t[active] += 0.6 * np.abs(distance)
        active = active[~near & (t[active] < end[active])]
        if not len(active):
            break
    return found


@pytest.mark.parametrize("turned", [False, True])
def test_a_shape_has_its_silhouette_and_its_depth(page: Page, tmp_path: Path, turned: bool) -> None:
    file = opened(page, tmp_path, "shape-sdf", width=320, height=300)
    left, top, width, height = page.box()
    if turned:
        page.drag(left + 100, top + 90, left + 160, top + 70)
        page.wheel(left + 200, top + 60, -160)
        page.settle()
    camera = page.evaluate("inrViewer.camera()")
    rows, columns = np.mgrid[0 : int(height) : 3, 0 : int(width) : 3]
    depth = sphere_traced(file, camera, rays_of(camera, rows, columns).reshape(-1, 3)).reshape(rows.shape)
    every = f"Array.from({{ length: {rows.size} }}, (_, i) => [i % {rows.shape[1]} * 3, Math.floor(i / {rows.shape[1]}) * 3])"
    seen = page.evaluate(f"{every}.map(place => inrViewer.depth(...place)).map(d => d === Infinity ? -1 : d)")
    drawn = np.array(seen, dtype=float).reshape(rows.shape)
    hit, met = np.isfinite(depth), drawn >= 0
    shown = (page.pixels()[::3, ::3][: rows.shape[0], : rows.shape[1]].astype(int) != (0xF4, 0xF4, 0xF2)).any(axis=-1)
    assert 0.1 < hit.mean() < 0.9
    assert (shown == met).mean() == 1
    rim = 2 * math.sqrt(math.pi * hit.sum())  # samples around a disc of this area
    assert (met != hit).sum() < 0.05 * rim
    side = box_of(inrcodec.open(file).head).side
    assert np.median(np.abs(drawn - depth)[hit & met]) < 1e-3 * side
    assert (np.abs(drawn - depth)[hit & met] > 0.01 * side).mean() < 0.01


def test_a_point_of_the_surface_is_told(page: Page, tmp_path: Path) -> None:
    file = opened(page, tmp_path, "shape-sdf", width=320, height=300)
    left, top, width, height = page.box()
    page.hover(left + width / 2, top + height / 2)
    assert page.evaluate("document.getElementById('place').textContent").startswith("x ")
    box = box_of(inrcodec.open(file).head)
    point = page.evaluate(f"inrViewer.under({width / 2}, {height / 2}).point")
    place = (np.array(point) - box.origin) @ np.linalg.inv(box.matrix).T
    assert abs(inrcodec.open(file, backend="numpy").at([box.coordinates(place)])[0, 0]) < 2e-3 * box.side


def test_sound_is_what_is_decoded_and_plays(page: Page, tmp_path: Path) -> None:
    container = load((VALID / "audio-windows" / "input.inr").read_bytes())
    file = opened(
        page, tmp_path, "sound", dump(replace(container, head={**container.head, "space": {"spacing": [1 / 8000], "units": "s"}}))
    )
    expected = inrcodec.open(file, backend="numpy").decode()
    found = np.array(page.evaluate("inrViewer.samples.map(channel => [...channel])")).T
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()
    pixels = page.pixels()
    assert (pixels != pixels[0, 0]).any(axis=-1).mean() > 0.05
    page.click("#play")
    page.wait("inrViewer.time > 0.05")
    page.wait("!inrViewer.playing")


def test_a_curve_of_another_signal(page: Page, tmp_path: Path) -> None:
    container = load((VALID / "audio-windows" / "input.inr").read_bytes())
    opened(page, tmp_path, "curve", dump(replace(container, head={**container.head, "kind": "field"})))
    assert page.evaluate("document.getElementById('play').hidden") is True
    page.hover(400, 300)
    page.wait("document.getElementById('place').textContent.includes('ch0')")


def test_names_are_text(page: Page, tmp_path: Path) -> None:
    wicked = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
    container = load((VALID / "sasnet.2-rgb" / "input.inr").read_bytes())
    axes, (red, *others) = container.head["axes"], container.head["out"]["channels"]
    out = {**container.head["out"], "channels": [{**red, "name": wicked}, *others]}
    head = {**container.head, "axes": [{**axes[0], "name": wicked}, axes[1]], "out": out}
    name = "<b onclick=x>&amp;'\".inr"
    (tmp_path / "wicked.html").write_bytes(html_page(dump(replace(container, head=head)), name=name))
    page.open(tmp_path / "wicked.html")
    assert page.evaluate("document.title") == name.removesuffix(".inr")
    assert wicked in page.evaluate("document.querySelector('dl').textContent")
    assert page.evaluate("document.querySelectorAll('img, b, dl script').length") == 0
    page.hover(400, 300)
    page.wait("document.getElementById('place').textContent.includes('onerror')")


def test_damage_is_told(page: Page, tmp_path: Path) -> None:
    opened(page, tmp_path, "sasnet.2-rgb")
    text = (tmp_path / "sasnet.2-rgb.html").read_text()
    at = text.index('<script id="file" type="text/plain">') + 400
    (tmp_path / "damaged.html").write_text(text[:at] + ("B" if text[at] == "A" else "A") + text[at + 1 :])
    page.open(tmp_path / "damaged.html")
    assert "CRC" in page.evaluate("document.querySelector('[role=alert]').textContent")
    assert page.evaluate("document.querySelector('[role=alert]').hidden") is False


def test_requests_and_errors_are_seen(chromium: Page, tmp_path: Path) -> None:
    image = f"<img src={json.dumps((tmp_path / 'none.png').as_uri())}>"
    (tmp_path / "talks.html").write_text(f"<canvas aria-busy=false></canvas>{image}<script>throw 1</script>")
    chromium.open(tmp_path / "talks.html")
    assert len(chromium.requests) == 1
    assert chromium.errors
