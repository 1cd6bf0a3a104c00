"""Files behind addresses: what is asked of the server, servers that send no parts, and errors that keep secrets."""

import pickle
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import inrcodec
from inrcodec import spec
from inrcodec.container import Container, dump
from inrcodec.errors import BackendMissing, CorruptFile, InputError, LimitExceeded
from inrcodec.limits import Limits
from inrcodec.networks.siren import SirenConfig
from inrcodec.remote import FIRST, RemoteRanges, is_address, shown
from tests.test_decoder import file_bytes
from tests.test_tiles import SIREN, tiled_file

fsspec = pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")


@dataclass
class Server:
    """Files by name, how they are sent, and what was asked for: (method, range or None, bytes sent)."""

    files: dict[str, bytes]
    parts: bool = True
    sizes: bool = True
    status: int = 200
    asked: list[tuple[str, str | None, int]] = field(default_factory=list)
    address: str = ""

    @property
    def sent(self) -> int:
        return sum(n for _, _, n in self.asked)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"
    state: Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        state, asked = self.state, self.headers.get("Range")
        data = state.files.get(self.path.split("?")[0].lstrip("/"))
        if data is None or state.status != 200:
            state.asked.append((self.command, asked, 0))
            return self.send_error(404 if data is None else state.status)
        start, stop = 0, len(data)
        if asked is not None and state.parts:
            first, last = asked.removeprefix("bytes=").split("-")
            start, stop = int(first), min(int(last) + 1, len(data))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}")
        else:
            self.send_response(200)
        if state.sizes:
            self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        sent = data[start:stop] if body else b""
        state.asked.append((self.command, asked, len(sent)))
        try:
            self.wfile.write(sent)
        except ConnectionError:
            pass
        return None


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server({})
    listener = ThreadingHTTPServer(("127.0.0.1", 0), type("One", (Handler,), {"state": state}))
    thread = threading.Thread(target=listener.serve_forever)
    thread.start()
    state.address = f"http://127.0.0.1:{listener.server_port}"
    yield state
    listener.shutdown()
    thread.join()
    listener.server_close()


def large_tiles() -> tuple[Container, bytes]:
    """A tiled file that is longer than what is taken at once."""
    container = tiled_file(SIREN[0], SirenConfig(2, 3, 128, 1, 12.0, 12.0))
    data = dump(container)
    assert len(data) > 2 * FIRST and len(container.parts[3]) < FIRST
    return container, data


def test_a_region_takes_the_head_and_its_tile(server: Server) -> None:
    container, data = large_tiles()
    server.files["a.inr"] = data
    inr = inrcodec.open(f"{server.address}/a.inr", backend="numpy")
    end = len(data) - spec.CHUNK_BYTES
    wanted = [None, f"bytes=0-{FIRST - 1}", f"bytes={end}-{end + 7}", f"bytes={end + 8}-{end + 11}"]
    assert [asked for _, asked, _ in server.asked] == wanted and server.asked[0][0] == "HEAD"
    assert server.sent == FIRST + spec.CHUNK_BYTES
    server.asked.clear()
    part = inr.decode(region=((17, 20), (25, 30)))
    np.testing.assert_array_equal(part, inrcodec.open(data, backend="numpy").decode(region=((17, 20), (25, 30))))
    assert [n for _, _, n in server.asked] == [len(container.parts[3]) + spec.CHUNK_BYTES]


@pytest.mark.parametrize("parts", [True, False])
def test_a_small_file_takes_one_request(server: Server, parts: bool) -> None:
    server.files["a.inr"], server.parts = dump(tiled_file(*SIREN)), parts
    assert len(server.files["a.inr"]) < FIRST
    inr = inrcodec.open(f"{server.address}/a.inr", backend="numpy")
    inr.decode()
    assert [(method, n) for method, _, n in server.asked] == [("HEAD", 0), ("GET", len(server.files["a.inr"]))]


def test_a_server_that_sends_no_parts(server: Server) -> None:
    _, data = large_tiles()
    server.files["a.inr"], server.parts = data, False
    inr = inrcodec.open(f"{server.address}/a.inr", backend="numpy")
    np.testing.assert_array_equal(inr.decode(), inrcodec.open(data, backend="numpy").decode())
    assert server.sent <= 3 * len(data)
    with pytest.raises(LimitExceeded, match=r"a\.inr: the server sends no parts of it: expected at most 20000 bytes"):
        inrcodec.open(f"{server.address}/a.inr", limits=Limits(remote_bytes=20000)).decode()


def test_a_server_that_tells_no_size(server: Server) -> None:
    data = file_bytes()
    server.files["a.inr"], server.parts, server.sizes = data, False, False
    np.testing.assert_array_equal(inrcodec.open(f"{server.address}/a.inr").decode(), inrcodec.open(data).decode())
    with pytest.raises(LimitExceeded, match="expected at most 100 bytes"):
        inrcodec.open(f"{server.address}/a.inr", limits=Limits(remote_bytes=100))


def test_ranges_are_those_of_the_bytes(server: Server) -> None:
    data = np.random.default_rng(1).bytes(3 * FIRST)
    server.files["a"] = data
    fsspec.filesystem("memory").pipe("/ranges/a", data)
    rng = np.random.default_rng(2)
    spans = [(0, 5), (FIRST - 3, FIRST + 9), (FIRST, FIRST + 1), (3 * FIRST - 2, 3 * FIRST + 9), (7, 7), (3 * FIRST, 3 * FIRST + 5)]
    spans += [tuple(sorted(rng.integers(0, 3 * FIRST, 2).tolist())) for _ in range(8)]
    for address in (f"{server.address}/a", "memory://ranges/a"):
        for parts in (True, False):
            server.parts = parts
            ranges = RemoteRanges(address)
            assert ranges.size == len(data)
            for start, stop in spans:
                assert ranges.read(start, stop) == data[start:stop]
            assert pickle.loads(pickle.dumps(ranges)).read(5, FIRST + 5) == data[5 : FIRST + 5]
    fsspec.filesystem("memory").rm("/ranges", recursive=True)


def test_a_file_in_memory() -> None:
    memory = fsspec.filesystem("memory")
    data = file_bytes()
    memory.pipe("/remote/a.inr", data)
    try:
        inr = inrcodec.open("memory://remote/a.inr", backend="numpy")
        np.testing.assert_array_equal(inr.decode(), inrcodec.open(data, backend="numpy").decode())
        assert inr.info["bytes"] == len(data)
        memory.pipe("/remote/a.inr", data[:-5])
        with pytest.raises(CorruptFile, match=r"^memory://remote/a\.inr: byte"):
            inrcodec.open("memory://remote/a.inr")
        with pytest.raises(InputError, match=r"^memory://remote/b\.inr: no such file$"):
            inrcodec.open("memory://remote/b.inr")
    finally:
        memory.rm("/remote", recursive=True)


def test_the_command_line_takes_addresses(server: Server) -> None:
    from inrcodec.cli import cli

    server.files["a.inr"] = file_bytes()
    for arguments in (["info"], ["verify"], ["query", "--at", "0,0"]):
        done = CliRunner().invoke(cli, [arguments[0], f"{server.address}/a.inr", *arguments[1:]])
        assert done.exit_code == 0, done.output


def test_errors_tell_no_secrets(server: Server) -> None:
    host = server.address.removeprefix("http://")
    with pytest.raises(InputError) as caught:
        inrcodec.open(f"http://user:word@{host}/b.inr?token=hidden#part")
    assert str(caught.value) == f"http://{host}/b.inr: cannot be read: HTTP status 404"
    server.files["b.inr"], server.status = b"something", 403
    with pytest.raises(InputError, match=r"b\.inr: cannot be read: HTTP status 403$"):
        inrcodec.open(f"{server.address}/b.inr?token=hidden")
    server.status = 200
    with pytest.raises(CorruptFile) as wrong:
        inrcodec.open(f"{server.address}/b.inr?token=hidden")
    assert str(wrong.value).startswith(f"{server.address}/b.inr: not an .inr file")
    with pytest.raises(InputError, match="expected an address that fsspec knows, got one beginning with nothing://"):
        inrcodec.open("nothing://a.inr")
    server.files["c.inr"] = large_tiles()[1]
    opened = inrcodec.open(f"{server.address}/c.inr?token=hidden", backend="numpy")
    del server.files["c.inr"]
    with pytest.raises(InputError, match=r"^http://[0-9.:]+/c\.inr: cannot be read: HTTP status 404$"):
        opened.decode()


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"^http://127\.0\.0\.1:1/a\.inr: cannot be read: "):
        inrcodec.open("http://127.0.0.1:1/a.inr?token=hidden")


def test_fsspec_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fsspec.core", None)
    with pytest.raises(BackendMissing, match=r"pip install 'inrcodec\[remote\]'"):
        inrcodec.open("https://localhost/a.inr")


def test_what_is_an_address() -> None:
    assert is_address("s3://bucket/key") and is_address("simplecache::https://a/b")
    assert not any(map(is_address, ("a.inr", "C:\\a.inr", "/a:/b", "https:/a", b"http://a", None)))
    assert shown("a::https://me:secret@host/x?key=1::s3://b") == "a::https://host/x"
