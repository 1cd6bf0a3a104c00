"""What a client does that means no good: it gets an answer that says so or a closed connection, and the others get theirs."""

import json
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from inrcodec.serve.settings import Bounds, Settings
from tests.served import Client, served
from tests.test_serve import NOBODY, ONE
from tools import small_tiles
from tools.faulty_tensors import work_cases
from tools.small_files import sasnet, siren, stream
from tools.small_residuals import stated

LATE = 20  # seconds after which a test gives up
BOUNDS = Bounds(file_bytes=1 << 20, idle_seconds=0.5, rate=100_000, connections=80)
FOLDER = Path(__file__).resolve().parents[1] / "conformance"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[Client]:
    with served(Settings(folder=folder, bounds=BOUNDS, threads=2)) as found:
        yield found


def opened(client: Client) -> socket.socket:
    return socket.create_connection(("127.0.0.1", client.port), timeout=LATE)


def until_closed(connection: socket.socket) -> bytes:
    """What comes until the other side closes. Raises TimeoutError where it does not."""
    found = b""
    while True:
        try:
            part = connection.recv(1 << 16)
        except ConnectionError:
            return found
        if not part:
            return found
        found += part


def sent(client: Client, *parts: bytes, pause: float = 0.0) -> bytes:
    """All that comes back until the connection is closed, which takes no longer than LATE."""
    with opened(client) as connection:
        for part in parts:
            try:
                connection.sendall(part)
            except ConnectionError:
                break
            time.sleep(pause)
        return until_closed(connection)


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def head(method: str, target: str, *lines: str, host: str = "localhost", close: bool = True) -> bytes:
    found = [f"{method} {target} HTTP/1.1", f"Host: {host}", *lines, *(["Connection: close"] if close else [])]
    return ("\r\n".join(found) + "\r\n\r\n").encode("latin-1")


def test_heads_that_do_not_end_are_cut_while_others_are_served(client: Client) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(opened(client)) for _ in range(60)]
        for connection in slow:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-")
        assert client.get("/healthz").status == 200
        for _ in range(3):
            for connection in slow:
                connection.sendall(b"a")
            assert client.get("/v1/objects").status == 200
        answers = [until_closed(connection) for connection in slow]
    assert {status_of(answer) for answer in answers} == {408}
    assert all(b"connection: close" in answer.lower() and b"problem+json" in answer for answer in answers)


def test_a_head_in_small_parts_is_read_if_it_comes_in_time(client: Client) -> None:
    request = head("GET", "/healthz")
    assert status_of(sent(client, *(request[k : k + 9] for k in range(0, len(request), 9)), pause=0.001)) == 200


def test_a_connection_at_rest_is_closed(client: Client) -> None:
    assert sent(client) == b""
    answer = sent(client, head("GET", "/healthz", close=False))
    assert status_of(answer) == 200 and answer.count(b"HTTP/1.1") == 1


def test_a_second_request_of_a_connection_has_its_own_time(client: Client) -> None:
    one = head("GET", "/healthz", close=False)
    answer = sent(client, one, one + b"GET / HT")
    assert answer.count(b"HTTP/1.1 200") == 2 and b"HTTP/1.1 408" in answer


def test_a_body_that_stops_and_one_that_trickles_are_cut(client: Client) -> None:
    start = head("POST", "/v1/objects", "Content-Length: 500000", close=False)
    assert status_of(sent(client, start, ONE[:100])) == 408
    assert status_of(sent(client, start, *[b"a"] * 40, pause=0.05)) == 408
    chunked = head("POST", "/v1/objects", "Transfer-Encoding: chunked", close=False)
    assert status_of(sent(client, chunked, *[b"1\r\na\r\n"] * 40, pause=0.05)) == 408
    assert client.put(ONE)


def test_an_answer_that_nobody_takes_does_not_stay(tmp_path: Path) -> None:
    with served(Settings(folder=tmp_path, bounds=BOUNDS)) as client:
        name = client.put(ONE)
        (tmp_path / "objects" / name[7:9] / f"{name}.inr").write_bytes(bytes(64 << 20))
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(LATE)
            connection.connect(("127.0.0.1", client.port))
            connection.sendall(head("GET", f"/v1/objects/{name}/file"))
            until = time.monotonic() + LATE
            while 'route="/v1/objects/{id}/file"' not in client.get("/metrics").body.decode() and time.monotonic() < until:
                time.sleep(0.1)
            assert len(until_closed(connection)) < 64 << 20


def test_too_long_a_body_is_refused_however_it_comes(client: Client, folder: Path) -> None:
    most = BOUNDS.file_bytes
    stated_length = head("POST", "/v1/objects", f"Content-Length: {most + 1}", close=False)
    assert status_of(sent(client, stated_length)) == 413
    huge = head("POST", "/v1/objects", f"Content-Length: {10**30}", close=False)
    assert status_of(sent(client, huge)) in (400, 413)
    chunk = b"10000\r\n" + bytes(1 << 16) + b"\r\n"
    chunked = head("POST", "/v1/objects", "Transfer-Encoding: chunked", close=False)
    assert status_of(sent(client, chunked, *[chunk] * 17, b"0\r\n\r\n")) == 413
    assert client.post("/v1/objects", bytes(most + 1)).status == 413
    assert not list((folder / "objects" / "partial").iterdir())


@pytest.mark.parametrize("stated_bytes", [len(ONE) + 1, len(ONE) - 1])
def test_a_length_that_is_not_true_gives_no_object(client: Client, stated_bytes: int) -> None:
    answer = sent(client, head("POST", "/v1/objects", f"Content-Length: {stated_bytes}", close=False), ONE)
    assert status_of(answer) in (408, 422)
    assert b"HTTP/1.1 20" not in answer


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["Content-Length: 5", "Transfer-Encoding: chunked"], 400),
        (["Content-Length: 5", "Content-Length: 6"], 400),
        (["Content-Length: +5"], 400),
        (["Content-Length: -1"], 400),
        (["Content-Length: 5, 6"], 400),
        (["Transfer-Encoding: chunked, identity"], 501),
        (["Transfer-Encoding: xchunked"], 501),
        (["Transfer-Encoding : chunked"], 400),
        (["Host: other"], 400),
        (["X-A: b\0c"], 400),
    ],
)
def test_requests_that_two_readers_read_differently_are_not_read(client: Client, lines: list[str], status: int) -> None:
    smuggled = head("GET", "/v1/objects")
    answer = sent(client, head("POST", "/v1/objects", *lines, close=False) + b"0\r\n\r\n" + smuggled)
    assert status_of(answer) == status
    assert answer.count(b"HTTP/1.1") == 1


def test_long_heads_are_refused(client: Client) -> None:
    assert status_of(sent(client, head("GET", "/healthz", "X-Long: " + "a" * 20000))) == 431
    assert (
        status_of(
            sent(client, *(head("GET", "/healthz", *[f"X-{k}: {k}" for k in range(4000)])[k * 999 : (k + 1) * 999] for k in range(60)))
        )
        == 431
    )
    assert status_of(sent(client, head("GET", "/v1/objects?name=" + "a" * 20000))) == 431


def test_connections_beyond_their_number_are_sent_away(client: Client) -> None:
    with ExitStack() as stack:
        held = [stack.enter_context(opened(client)) for _ in range(BOUNDS.connections)]
        over = sent(client)
        assert status_of(over) == 503
        assert held
    until = time.monotonic() + LATE
    while time.monotonic() < until and status_of(sent(client, head("GET", "/healthz")) or b"- 503") != 200:
        time.sleep(0.05)
    assert client.get("/healthz").status == 200


@pytest.mark.parametrize(
    "target",
    [
        "/v1/objects/../../../etc/passwd",
        "/v1/objects/..%2f..%2f..%2fetc%2fpasswd/file",
        "/v1/objects/%2e%2e/%2e%2e/file",
        "/v1/objects/sha256-%00/file",
        "/v1/objects/%ff%fe/file",
        "/v1/objects/%c0%ae%c0%ae/file",
        f"/v1/objects/{NOBODY}%00/file",
        f"/v1/objects/{NOBODY}%0a/file",
        "/v1/objects/sha256-" + "%2e" * 64,
        "/v1/objects?cursor=%ff%fe&limit=%ff",
        "/static/..%2f..%2fapp.py",
        "/static/....//app.py",
        "//evil.example/",
        "/\\evil.example/",
        "http://evil.example/v1/objects",
        "*",
    ],
)
def test_no_target_leads_out_of_the_folder(client: Client, target: str) -> None:
    answer = sent(client, head("GET", target))
    assert 400 <= status_of(answer) < 500 or b'{"objects":' in answer
    assert b"root:" not in answer and b"location" not in answer.lower()


def test_malformed_text_is_refused(client: Client) -> None:
    answer = sent(client, b"GET /v1/objects/\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert status_of(answer) == 400
    assert 400 <= client.post("/v1/objects?name=%ff%fe", b"\xff\xfe").status < 500
    assert client.post("/v1/objects?name=%ff%00%0d%0aX:1", ONE).status in (200, 201, 400)


def test_a_pickle_is_not_loaded(client: Client) -> None:
    file = BytesIO()
    np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    name = client.put(ONE)
    reply = client.post(f"/v1/objects/{name}/query", file.getvalue(), Content_Type="application/x-npy")
    assert 400 <= reply.status < 500


@pytest.mark.parametrize(
    "target",
    [
        "/v1/objects/{}/render?size=40000,30000",
        "/v1/objects/{}/render?size=1,100000000",
        "/v1/objects/{}/render?scale=1e9",
        "/v1/objects/{}/render?scale=nan",
        "/v1/objects/{}/render?region=0,0,1e308,1e308&size=1e9,1",
        "/v1/objects/{}/frames/1e400.png",
        "/v1/objects/{}/mesh.ply?resolution=100000",
        "/v1/objects/{}/audio.wav?rate=1e12",
        "/iiif/3/{}/full/%5E40000,30000/0/default.png",
        "/dzi/1000000000/{}.dzi",
        "/tiles/{}/64/18446744073709551615/0.png",
    ],
)
def test_a_picture_of_a_billion_samples_is_refused(client: Client, target: str) -> None:
    reply = client.get(target.format(client.put(ONE)))
    assert 400 <= reply.status < 500 and reply.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"[" * 100_000),
        ("application/json", b'{"coords": [[NaN, 0]]}'),
        ("application/json", b"\xff\xfe"),
        ("application/json", b'{"coords": [[' + b"9" * 5000 + b"]]}"),
        ("application/x-npy", b"\x93NUMPY\1\0"),
        ("application/x-npy", b"\x93NUMPY\1\0\x46\0{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 2)}\n"),
        ("application/msgpack", b"\xdd\xff\xff\xff\xff"),
        ("application/msgpack", b"\xc1"),
    ],
)
def test_points_that_are_none_are_refused(client: Client, kind: str, body: bytes) -> None:
    assert 400 <= client.post(f"/v1/objects/{client.put(ONE)}/query", body, Content_Type=kind).status < 500


def bombs() -> Iterator[tuple[str, bytes]]:
    """Small files that would take long, or much memory, to unpack."""
    yield from ((case.name, case.data) for case in work_cases())
    entries = 1 << 18
    zeros = stream([0] * entries, [(63, 0)] * entries, 0)
    one = sasnet().with_net(14, [[0.5, 2, entries, 2]]).with_tensor(2, 3, b"\xe8" + bytes((63, 0)) + zeros)
    split = small_tiles.Split
    chain = split(
        0, 16, (split(0, 8, (split(0, 4, (0, 1)), split(0, 12, (2, 3)))), split(0, 24, (split(0, 20, (4, 5)), split(0, 28, (6, 7)))))
    )
    eight = small_tiles.alike(one.with_head(axes=[{"name": "y", "n": 32}, {"name": "x", "n": 5}]), {2}, chain, 8, (2, 2))
    yield "tiles of much work", eight.bytes()
    wide = siren().with_head(axes=[{"name": "y", "n": 12000}, {"name": "x", "n": 11000}])
    yield "a residual of 640 MB", stated(wide, bound=1.0, step=3.0, tolerance=4e-5).with_residual(b"").bytes()


@pytest.mark.parametrize(("name", "data"), list(bombs()), ids=lambda each: each if isinstance(each, str) else "")
def test_files_of_much_work_are_refused(client: Client, name: str, data: bytes) -> None:
    reply = client.post("/v1/objects", data)
    assert reply.status == 413, reply.body
    assert reply.json["error"] == "LimitExceeded"


def test_every_faulty_file_is_refused(client: Client) -> None:
    for path in sorted((FOLDER / "faulty").glob("*.inr"))[::7]:
        reply = client.post("/v1/objects", path.read_bytes())
        assert reply.status in (413, 422), (path.name, reply.body)
        assert "\n" not in reply.json["detail"] and "/tmp" not in reply.json["detail"]


def test_a_server_of_many_bombs_still_answers(client: Client) -> None:
    data = dict(bombs())["tiles of much work"]
    request = head("POST", "/v1/objects", f"Content-Length: {len(data)}") + data
    with ExitStack() as stack:
        held = [stack.enter_context(opened(client)) for _ in range(40)]
        for connection in held:
            connection.sendall(request)
        assert client.get("/healthz").status == 200
        assert {status_of(until_closed(connection)) for connection in held} == {413}


def test_names_do_not_become_headers(client: Client) -> None:
    name = client.post("/v1/objects?name=" + "a%0d%0aSet-Cookie:%20b=1%22.inr", ONE)
    reply = client.get(f"/v1/objects/{name.json['id']}/file")
    assert reply.status == 200 and "set-cookie" not in reply.headers
    answer = client.get("/healthz", X_Request_Id="a b")
    assert answer.headers["x-request-id"] != "a b"


def test_lengths_of_2_to_the_64_do_not_overflow(client: Client) -> None:
    data = bytearray(ONE)
    data[8:12] = struct.pack("<I", 0xFFFFFFFF)
    assert client.post("/v1/objects", bytes(data)).status in (413, 422)
    assert json.loads(client.get("/healthz").body) == {"status": "alive"}
