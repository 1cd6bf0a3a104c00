"""The pages in a browser: what they draw is what the file says, keys and pointers do what they should, and nothing comes from elsewhere."""

import hashlib
import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import inrcodec
from inrcodec.serve.service import Shown
from inrcodec.serve.settings import Bounds, Settings
from tests.browser import SOFTWARE_GPU, Page, browser
from tests.served import Client, served

pytestmark = pytest.mark.browser

FILES = Path(__file__).resolve().parents[1] / "conformance" / "valid" / "1"
NAMES = {"image": "sasnet.2-context", "volume": "volume-float32", "shape": "shape-sdf", "audio": "audio-windows"}
PICTURE = FILES / NAMES["image"] / "input.inr"  # 72 x 64
MAGENTA = (255, 0, 255)


@dataclass(frozen=True)
class Site:
    client: Client
    ids: dict[str, str]

    def address(self, kind: str, fragment: str = "") -> str:
        return f"http://127.0.0.1:{self.client.port}/view/{self.ids[kind]}" + (fragment and f"#{fragment}")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server of one file of each kind; the picture's source is all magenta."""
    folder = tmp_path_factory.mktemp("service")
    Image.new("RGB", (72, 64), MAGENTA).save(folder / "source.png")
    (folder / "frames").mkdir()
    for k in range(6):
        Image.new("RGB", (32, 24), (40 * k, 255 - 40 * k, 128)).save(folder / "frames" / f"{k}.png")
    inrcodec.encode(folder / "frames", rate=10, settings={"steps": "20"}).save(folder / "video.inr")
    shown = [Shown(FILES / name / "input.inr", folder / "source.png" if kind == "image" else None) for kind, name in NAMES.items()]
    with served(Settings(folder=folder / "own", bounds=Bounds(request_seconds=300.0)), [*shown, Shown(folder / "video.inr")]) as client:
        entries = client.get("/v1/objects").json["objects"]
        kinds = {client.get(entry["links"]["self"]).json["info"]["kind"]: entry["id"] for entry in entries}
        yield Site(client, kinds)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Page]:
    with browser(*SOFTWARE_GPU) as page:
        yield page


@pytest.fixture
def page(chromium: Page, site: Site) -> Iterator[Page]:
    """A page that is to tell no error and to ask for nothing but of this server."""
    chromium.visit("about:blank")
    yield chromium
    assert chromium.errors == []
    assert [each for each in chromium.requests if not each.startswith(f"http://127.0.0.1:{site.client.port}/")] == []


def ready(page: Page) -> None:
    page.wait("document.querySelector('#view')?.getAttribute('aria-busy') === 'false'")


def drawn(page: Page) -> None:
    """Until all tiles in view are there and on the screen."""
    ready(page)
    page.wait("document.querySelector('#view').hasAttribute('data-loaded')")
    page.evaluate("new Promise(done => setTimeout(() => requestAnimationFrame(() => done(true)), 600))")
    page.wait("document.querySelector('#view').hasAttribute('data-loaded')")


def pressed(page: Page, title: str) -> bool:
    return bool(page.evaluate(f"document.querySelector('#tools [title*=\"{title}\"]').getAttribute('aria-pressed') === 'true'"))


def color_at(page: Page, x: float, y: float) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    """The mean of the pixels around a place in the view, in parts of its size."""
    seen = page.pixels("#view")
    row, column = int(y * seen.shape[0]), int(x * seen.shape[1])
    return np.asarray(seen[row - 2 : row + 3, column - 2 : column + 3].reshape(-1, 3).mean(0), dtype=np.float64)


def test_a_picture_is_the_function_at_sixteen_times_its_size(page: Page, site: Site) -> None:
    x, y = 30.25, 20.75
    page.visit(site.address("image", f"z=16&x={x}&y={y}&i=0"))
    drawn(page)
    assert float(page.evaluate("document.querySelector('#view').dataset.scale")) == pytest.approx(16, abs=0.01)
    expected = 255 * inrcodec.open(PICTURE).at([[y - 0.5, x - 0.5]], units="pixel")[0]
    assert np.abs(color_at(page, 0.5, 0.5) - expected).max() < 6


def test_keys_move_zoom_and_show_layers_and_the_address_restores_them(page: Page, site: Site) -> None:
    page.visit(site.address("image"), width=1200)
    drawn(page)
    scale = "Number(document.querySelector('#view').dataset.scale)"
    whole = page.evaluate(scale)
    page.press("+")
    page.wait(f"{scale} > {1.4 * whole}")
    for key in ("s", "e", "m", "]"):
        page.press(key)
    page.wait("document.querySelector('#tools').textContent.includes('Mask 2 of')")
    assert pressed(page, "(S)") and pressed(page, "(E)") and pressed(page, "(M)") and not pressed(page, "(P)")
    page.press("p")
    assert pressed(page, "(P)")
    page.wait("['s=', 'e=', 'm=', 'k=1', 'p=1', 'z='].every(part => location.hash.includes(part))")
    page.press("?")
    assert page.evaluate("document.querySelector('#keys').open")
    page.click("#keys button")
    hidden = page.evaluate("document.querySelector('#panel').hidden")
    page.press("i")
    assert page.evaluate("document.querySelector('#panel').hidden") != hidden
    page.press("0")
    page.wait(f"Math.abs({scale} / {whole} - 1) < 0.6")
    page.wait("location.hash.includes('i=')")
    address = page.evaluate("location.href")
    page.visit("about:blank")
    page.visit(address, width=1200)
    drawn(page)
    assert pressed(page, "(S)") and pressed(page, "(M)") and pressed(page, "(P)")
    assert page.evaluate("document.querySelector('#panel').hidden") != hidden


def test_the_source_is_left_of_the_line_which_is_dragged(page: Page, site: Site) -> None:
    page.visit(site.address("image", "s=0.5&z=10&x=36&y=32&i=0"))
    drawn(page)
    assert np.abs(color_at(page, 0.3, 0.4) - MAGENTA).max() < 3
    assert np.abs(color_at(page, 0.7, 0.4) - MAGENTA).max() > 60
    left, top, width, height = page.box("#view")
    page.drag(left + width / 2, top + height / 2, left + 0.8 * width, top + height / 2)
    page.wait("document.querySelector('[role=slider].divider').getAttribute('aria-valuenow') === '80'")
    drawn(page)
    assert np.abs(color_at(page, 0.7, 0.4) - MAGENTA).max() < 3
    page.evaluate("document.querySelector('.divider').focus()")
    page.press("ArrowLeft")
    page.wait("document.querySelector('.divider').getAttribute('aria-valuenow') === '78'")


def test_slices_follow_keys_and_the_window(page: Page, site: Site) -> None:
    page.visit(site.address("volume", "i=0&n=2"))
    ready(page)
    page.settle()
    before = page.pixels("#view")
    page.press("]")
    page.wait("location.hash.includes('n=3')")
    page.settle()
    after = page.pixels("#view")
    assert np.abs(after.astype(int) - before).max() > 3
    page.press("3")
    page.wait("document.querySelector('#tools [title*=\"(3)\"]').getAttribute('aria-pressed') === 'true' && location.hash.includes('a=2')")
    page.settle()
    assert page.pixels("#view").shape == after.shape and np.abs(page.pixels("#view").astype(int) - after).max() > 3


def test_a_frame_follows_the_keys_and_plays(page: Page, site: Site) -> None:
    page.visit(site.address("video", "i=0"))
    ready(page)
    page.settle()
    page.press("]")
    page.wait("location.hash.includes('t=1')")
    page.press(" ")
    page.wait("document.querySelector('#tools [title*=Space]').textContent === 'Pause' && !location.hash.includes('t=1')")
    page.press(" ")
    page.settle()


def test_a_shape_is_drawn_turned_and_wired(page: Page, site: Site) -> None:
    page.visit(site.address("shape", "i=0&r=64"))
    ready(page)
    page.settle()
    ground = color_at(page, 0.02, 0.02)
    assert np.abs(color_at(page, 0.5, 0.5) - ground).max() > 20
    for key in ("ArrowLeft", "w", "n"):
        before = page.pixels("#view")
        page.press(key)
        page.settle()
        assert np.abs(page.pixels("#view").astype(int) - before).max() > 20, key


def test_a_sound_has_a_curve_that_is_the_function_where_it_is_enlarged(page: Page, site: Site) -> None:
    page.visit(site.address("audio", "i=0"))
    ready(page)
    page.settle()
    whole = page.pixels("#view")
    for _ in range(6):
        page.press("+")
    page.wait("location.hash.includes('from=')")
    page.settle()
    assert np.abs(page.pixels("#view").astype(int) - whole).max() > 60
    assert any("rate=" in each and "start=" in each for each in page.requests)


def test_what_is_not_there_is_said_in_words(chromium: Page, site: Site) -> None:
    chromium.visit(f"http://127.0.0.1:{site.client.port}/view/sha256-{'0' * 64}")
    chromium.wait("!document.querySelector('#message').hidden")
    assert "no such object" in chromium.evaluate("document.querySelector('#message').textContent")


def test_files_are_listed_and_dropped_ones_encoded_or_kept(page: Page, site: Site, tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (9, 7)).save(picture, "png")
    (tmp_path / "photo.png").write_bytes(picture.getvalue())
    (tmp_path / "kept.inr").write_bytes((FILES / "small-siren" / "input.inr").read_bytes())
    page.visit(f"http://127.0.0.1:{site.client.port}/", width=390)
    page.wait(f"document.querySelectorAll('#object-list li').length === {len(site.ids)}")
    page.wait("document.querySelectorAll('#object-list img').length >= 2")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    choose(page, tmp_path / "kept.inr")
    page.wait("document.querySelector('#object-list').textContent.includes('kept.inr')")
    page.evaluate("(input => { input.value = '9'; input.dispatchEvent(new Event('input')); })(document.querySelector('#effort'))")
    page.evaluate("(input => { input.value = '1'; input.dispatchEvent(new Event('input')); })(document.querySelector('#effort'))")
    choose(page, tmp_path / "photo.png")
    page.wait("document.querySelector('#job-list a[href^=\"/view/sha256-\"]') !== null")
    page.wait("document.querySelector('#job-list li').dataset.state === 'succeeded'")


def test_a_photo_is_sent_encoded_enlarged_and_downloaded(page: Page, site: Site, tmp_path: Path) -> None:
    import skimage.data

    Image.fromarray(skimage.data.astronaut()[30:158, 160:288]).save(tmp_path / "face.png")
    page.visit(f"http://127.0.0.1:{site.client.port}/", width=1200)
    page.wait("document.querySelector('#object-list li') !== null")
    page.evaluate("(input => { input.value = '1'; input.dispatchEvent(new Event('input')); })(document.querySelector('#effort'))")
    choose(page, tmp_path / "face.png")
    own = "[...document.querySelectorAll('#job-list li')].find(item => item.textContent.includes('face.png'))"
    page.wait(f"{own}?.dataset.state === 'running' && /dB/.test({own}.textContent)")
    page.wait(f"{own}.querySelector('a[href^=\"/view/sha256-\"]') !== null")
    address = page.evaluate(f"{own}.querySelector('a[href^=\"/view/sha256-\"]').href")
    page.visit(f"{address}#z=16&x=64&y=48", width=1200)
    drawn(page)
    assert float(page.evaluate("document.querySelector('#view').dataset.scale")) == pytest.approx(16, abs=0.01)
    name = address.rpartition("/")[2]
    file = site.client.get(f"/v1/objects/{name}/file").body
    expected = 255 * inrcodec.open(file).at([[47.5, 63.5]], units="pixel")[0]
    assert np.abs(color_at(page, 0.5, 0.5) - expected).max() < 12
    # No line between tiles: along a row and a column it is the function everywhere.
    seen = page.pixels("#view").astype(np.float64)
    rows, columns = (middle + (np.arange(n) + 0.5 - n / 2) / 16 - 0.5 for n, middle in zip(seen.shape, (48, 64), strict=False))
    row, column = seen.shape[0] // 4, seen.shape[1] // 4
    across = 255 * inrcodec.open(file).at([[rows[row], x] for x in columns], units="pixel")
    down = 255 * inrcodec.open(file).at([[y, columns[column]] for y in rows], units="pixel")
    assert max(np.abs(seen[row] - across.clip(0, 255)).max(), np.abs(seen[:, column] - down.clip(0, 255)).max()) < 25
    page.send("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path / "taken"))
    page.evaluate("document.querySelector('#download').click()")
    taken = tmp_path / "taken" / "face.inr"
    deadline = time.monotonic() + 30
    while not taken.is_file() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert taken.read_bytes() == file and f"sha256-{hashlib.sha256(file).hexdigest()}" == name


def choose(page: Page, path: Path) -> None:
    root = page.send("DOM.getDocument")["root"]["nodeId"]
    field = page.send("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    page.send("DOM.setFileInputFiles", nodeId=field, files=[str(path)])
