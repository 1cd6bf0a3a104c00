"""inrcodec view: what it shows, to whom, and that nothing is left of it."""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

import inrcodec
from inrcodec.cli.view import files_of, source_beside
from inrcodec.errors import InputError, NotInr, UsageError
from tests.nets import smooth_picture
from tests.served import Client
from tests.test_cli import assert_fails, run
from tests.test_decoder import file_bytes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """photo.inr with its source, whose SHA-256 it states, and another file without."""
    path = tmp_path_factory.mktemp("files")
    Image.fromarray(np.floor(smooth_picture(12, 14) * 255 + 0.5).astype(np.uint8)).save(path / "photo.png")
    inrcodec.encode(path / "photo.png", settings={"steps": "2"}).save(path / "photo.inr")
    (path / "other.inr").write_bytes(file_bytes())
    return path


@contextmanager
def viewed(*arguments: str, cwd: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and the address that it prints."""
    environment = {**os.environ, "PYTHONPATH": str(Path(inrcodec.__file__).parents[1]), "TMPDIR": str(cwd / "tmp")}
    (cwd / "tmp").mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "inrcodec", "view", "--no-browser", *arguments],
        cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_file_is_shown_to_who_has_the_address_until_it_is_ended(folder: Path, tmp_path: Path, how: signal.Signals) -> None:
    with viewed(str(folder / "photo.inr"), cwd=tmp_path) as (process, address):
        place = urlsplit(address)
        assert place.hostname == "127.0.0.1" and place.port
        client = Client(place.port)
        assert client.get(place.path).status == 401
        reply = client.get(f"{place.path}?{place.query}")
        assert (reply.status, reply.headers["location"]) == (303, place.path)
        cookie = reply.headers["set-cookie"].split(";")[0]
        name = place.path.rsplit("/", 1)[1]
        found = client.get(f"/v1/objects/{name}", Cookie=cookie).json
        assert found["name"] == "photo.inr" and found["source"] == id_of(folder / "photo.png")
        assert client.get(f"/v1/objects/{name}/file", Cookie=cookie).body == (folder / "photo.inr").read_bytes()
        assert client.post("/v1/objects", file_bytes(), Cookie=cookie).status == 403
        assert client("DELETE", f"/v1/objects/{name}", Cookie=cookie).status == 403
        assert list((tmp_path / "tmp").iterdir())
        process.send_signal(how)
        assert process.wait(timeout=30) == 0
    assert list((tmp_path / "tmp").iterdir()) == []
    assert (folder / "photo.inr").exists()


def test_a_folder_is_shown_as_a_list(folder: Path, tmp_path: Path) -> None:
    with viewed(str(folder), cwd=tmp_path) as (_, address):
        place = urlsplit(address)
        assert place.path == "/" and place.port
        cookie = Client(place.port).get(f"/?{place.query}").headers["set-cookie"].split(";")[0]
        names = {each["name"]: each["source"] for each in Client(place.port).get("/v1/objects", Cookie=cookie).json["objects"]}
        assert names == {"photo.inr": id_of(folder / "photo.png"), "other.inr": None}


def id_of(path: Path) -> str:
    return f"sha256-{hashlib.sha256(path.read_bytes()).hexdigest()}"


def test_a_source_is_found_by_its_name_and_its_content(folder: Path, tmp_path: Path) -> None:
    stated = inrcodec.open(folder / "photo.inr").info["provenance"]
    assert source_beside(folder / "photo.inr", stated) == folder / "photo.png"
    copy = tmp_path / "photo.png.inr"
    copy.write_bytes((folder / "photo.inr").read_bytes())
    (tmp_path / "photo.png").write_bytes((folder / "photo.png").read_bytes())
    assert source_beside(copy, stated) == tmp_path / "photo.png"
    # A decoded picture has the name too.
    (tmp_path / "photo.png").write_bytes(b"another")
    assert source_beside(copy, stated) is None
    assert source_beside(folder / "photo.inr", {}) is None


def test_what_cannot_be_shown_is_said(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NotInr, match=r"photo\.png"):
        files_of(folder / "photo.png", None)
    with pytest.raises(InputError, match="no such file"):
        files_of(folder / "nothing.inr", None)
    with pytest.raises(InputError, match="no such file"):
        files_of(folder / "photo.inr", folder / "nothing.png")
    with pytest.raises(UsageError, match="--source"):
        files_of(folder, folder / "photo.png")
    with pytest.raises(InputError, match=r"expected \.inr files"):
        files_of(tmp_path, None)
    (tmp_path / "a.inr").write_bytes(file_bytes())
    (tmp_path / "b.inr").write_bytes(b"junk")
    assert files_of(tmp_path, None) == [(tmp_path / "a.inr", None)]
    assert "b.inr: left out: " in capsys.readouterr().err


def test_a_file_of_another_kind_is_one_line(folder: Path) -> None:
    assert_fails(run("view", "photo.png", cwd=folder), 4, "photo.png")
