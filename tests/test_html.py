"""Pages of `convert a.inr a.html`, as text; what browsers make of them is in test_browser.py."""

import base64
import hashlib
import re
import shutil
import subprocess
import tomllib
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import inrcodec
from inrcodec import html
from inrcodec.cli import main
from inrcodec.container import dump, load
from inrcodec.errors import CorruptFile, LimitExceeded
from tools import small_files

ROOT = Path(__file__).resolve().parents[1]
VALID = ROOT / "conformance" / "valid" / "1"
RGB = (VALID / "sasnet.2-rgb" / "input.inr").read_bytes()


class Parts(HTMLParser):
    """The content of every script and style by its id or name, all tags, all addresses."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.parts: dict[str, str] = {}
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.policy = ""
        self._inside: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.tags.append(tag)
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href", "action", "data")]
        if known.get("http-equiv") == "Content-Security-Policy":
            self.policy = known["content"] or ""
        self._inside = (known.get("id") or known.get("type") or tag) if tag in ("script", "style", "title", "dl") else self._inside
        if self._inside:
            self.parts.setdefault(self._inside, "")

    def handle_endtag(self, tag: str) -> None:
        self._inside = None if tag in ("script", "style", "title", "dl") else self._inside

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.parts[self._inside] += data


def page_of(data: bytes, name: str = "a.inr") -> Parts:
    return Parts(html.html_page(data, name=name).decode())


@pytest.mark.parametrize("name", ["sasnet.2-rgb", "volume-float32", "shape-sdf", "audio-windows", "sasnet.1-row", "residual-lossless"])
def test_the_file_is_in_the_page_and_nothing_comes_from_elsewhere(name: str) -> None:
    data = (VALID / name / "input.inr").read_bytes()
    page = page_of(data)
    assert base64.b64decode(page.parts["file"]) == data
    assert page.parts["mask"] == ""
    assert set(page.addresses) == {"data:,"}
    assert page.policy.startswith("default-src 'none'")
    for part, rule in (("module", "script-src"), ("style", "style-src")):
        digest = base64.b64encode(hashlib.sha256(page.parts[part].encode()).digest()).decode()
        assert f"{rule} 'sha256-{digest}'" in page.policy
    assert not re.search(r"@[a-z-]+@|https?:", "".join(page.parts[part] for part in ("module", "worker", "title", "dl")))


def test_the_decoder_is_that_of_the_folder_web() -> None:
    source = (ROOT / "web" / "inr.js").read_text()
    assert source.replace("export ", "") in html.decoder_source()
    assert int(re.search(r"elements: 2 \*\* (\d+)", source)[1]) == html.ELEMENTS.bit_length() - 1  # type: ignore[index]
    assert 1 << (html.ELEMENTS.bit_length() - 1) == html.ELEMENTS


def test_a_wheel_has_the_decoder_and_every_package() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = {path.parent.relative_to(ROOT).as_posix().replace("/", ".") for path in (ROOT / "inrcodec").rglob("__init__.py")}
    assert sorted({*found, "inrcodec.web"}) == settings["packages"]
    assert settings["package-dir"]["inrcodec.web"] == "web"
    assert settings["package-data"]["inrcodec.web"] == ["inr.js"]
    for name in (*html.IN_PAGE, *html.BY_GPU, *html.IN_WORKER, "page.html", "page.css"):
        assert f"*{Path(name).suffix}" in settings["package-data"]["inrcodec.html"]


def test_only_pictures_come_with_shaders() -> None:
    for name, expected in (("sasnet.2-rgb", True), ("volume-float32", True), ("shape-sdf", False), ("audio-windows", False)):
        assert ("#version 300 es" in page_of((VALID / name / "input.inr").read_bytes()).parts["worker"]) == expected


def test_names_are_text() -> None:
    wicked = "</script><script>alert(1)</script><!--\" onload='x'"
    container = load(RGB)
    channels = [{**channel, "name": wicked} for channel in container.head["out"]["channels"]]
    axes = [{**axis, "name": wicked} for axis in container.head["axes"]]
    head = {**container.head, "axes": axes, "out": {**container.head["out"], "channels": channels}}
    data = dump(replace(container, head=head))
    plain, found = page_of(RGB), page_of(data, wicked + ".inr")
    assert found.tags == plain.tags
    assert found.parts["title"] == "script><!--\" onload='x'"  # what stands behind the last /
    assert wicked in found.parts["dl"]
    assert found.parts["module"] == plain.parts["module"]


def test_a_script_may_not_end_its_element() -> None:
    with pytest.raises(AssertionError):
        html._inlined("'</SCRIPT'")


def test_missing_samples_come_unpacked() -> None:
    data = (VALID / "volume-missing" / "input.inr").read_bytes()
    packed = np.frombuffer(zlib.decompress(base64.b64decode(page_of(data).parts["mask"])), np.uint8)
    missing = inrcodec.open(data).missing
    assert missing is not None
    bits = np.unpackbits(packed, count=missing.size).reshape(missing.shape)
    np.testing.assert_array_equal(np.bitwise_xor.accumulate(bits, axis=0) == 0, missing)


def test_what_a_page_cannot_show(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CorruptFile):
        html.html_page(RGB[:-1], name="a.inr")
    monkeypatch.setattr(html, "ELEMENTS", 100)
    with pytest.raises(LimitExceeded, match="html: .* elements"):
        html.html_page(RGB, name="a.inr")


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photo.inr").write_bytes(RGB)
    for arguments in (["photo.inr", "one.html"], ["photo.inr", "-o", "two.html", "--no-overwrite"]):
        with pytest.raises(SystemExit) as caught:
            main(["convert", *arguments])
        assert not caught.value.code
    assert Path("one.html").read_bytes() == Path("two.html").read_bytes()
    assert Parts(Path("one.html").read_text()).parts["title"] == "photo"
    Path("broken.inr").write_bytes(RGB[:-20])
    with pytest.raises(SystemExit) as caught:
        main(["convert", "broken.inr", "one.html"])
    assert caught.value.code == 4
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert Path("one.html").read_bytes() == Path("two.html").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"photo.inr", "broken.inr", "one.html", "two.html"}


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_scripts_are_javascript(tmp_path: Path) -> None:
    page = page_of(RGB)
    for name, text in (("page.mjs", page.parts["module"]), ("worker.js", page.parts["inr"] + page.parts["worker"])):
        (tmp_path / name).write_text(text)
        done = subprocess.run(["node", "--check", str(tmp_path / name)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_facts() -> None:
    shape = inrcodec.open(small_files.shape().bytes()).info
    assert html.summary_of(shape).startswith("shape · ")
    facts = dict(html.facts_of(inrcodec.open((VALID / "residual-lossless" / "input.inr").read_bytes()).info))
    assert facts["residual"] == "lossless"
