"""The service as a process: how it begins, what it writes, how it ends."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import inrcodec
from inrcodec.serve import objects
from inrcodec.serve.metrics import Metrics
from inrcodec.serve.settings import Bounds, Settings
from tests.served import Client, served
from tests.test_cli import assert_fails, run
from tests.test_serve import ONE

TOKEN = "a-token-of-the-tests"
ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def process(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`inrcodec serve` and the line that it begins with."""
    environment = {**os.environ, "PYTHONPATH": str(Path(inrcodec.__file__).parents[1]), "PYTHONWARNINGS": "error", "INRCODEC_TOKEN": TOKEN}
    command = [sys.executable, "-m", "inrcodec", "serve", str(folder), "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as found:
        assert found.stdout is not None
        try:
            yield found, found.stdout.readline()
        finally:
            found.kill()


def port_of(line: str) -> int:
    return int(re.findall(r"http://127\.0\.0\.1:(\d+)/", line)[0])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_begins_with_a_line_and_ends_by_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    with process(tmp_path / "new", "--log-format", "json") as (server, line):
        client = Client(port_of(line))
        assert str(tmp_path / "new") in line and TOKEN not in line
        assert client.get(f"/v1/objects?token={TOKEN}&limit=1").status == 303
        assert client.get("/v1/objects", Cookie=f"inrcodec_token={TOKEN}").status == 200
        assert client.get("/v1/objects?token=a-wrong-secret", Authorization="Bearer another-secret").status == 401
        assert client.post("/v1/objects?name=a%22%0Ab", ONE, Authorization=f"Bearer {TOKEN}").status == 201
        with socket.create_connection(("127.0.0.1", client.port)) as held:  # which does not keep it from ending
            held.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert held.recv(1 << 16).startswith(b"HTTP/1.1 200")
            server.send_signal(number)
            out, told = server.communicate(timeout=60)
    assert server.returncode == 0 and out == ""
    assert TOKEN not in told and "secret" not in told
    lines = [json.loads(line) for line in told.splitlines()]
    assert [each["status"] for each in lines] == [303, 200, 401, 201, 200]
    assert lines[0]["path"] == "/v1/objects?limit=1" and lines[3]["path"] == "/v1/objects?name=a%22%0Ab"
    assert all(
        set(each) == {"time", "level", "message", "request_id", "method", "path", "status", "bytes", "ms", "client"} for each in lines
    )


def test_a_line_of_text_for_every_request(tmp_path: Path) -> None:
    with process(tmp_path) as (server, line):
        client = Client(port_of(line))
        assert client.get("/nothing", Authorization=f"Bearer {TOKEN}").status == 404
        server.send_signal(signal.SIGTERM)
        _, told = server.communicate(timeout=60)
    assert re.fullmatch(
        r"\S+Z?\+00:00 info request request_id=\w+ method=GET path=/nothing status=404 bytes=\d+ ms=[\d.]+ client=127.0.0.1\n", told
    )


def test_a_socket_of_the_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with process(tmp_path / "f", "--socket", str(path)) as (server, line):
        assert f"unix:{path}" in line and path.stat().st_mode & 0o077 == 0
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(1 << 16).startswith(b"HTTP/1.1 200")
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0 and not path.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], ["--host 0.0.0.0", "token", "--insecure"]),
        (["--host", "example.invalid", "--insecure"], ["--host example.invalid"]),
        (["--token", "short"], ["at least 16"]),
        (["--token", "with spaces in the middle"], ["at least 16"]),
        (["--token-file", "nothing"], ["--token-file nothing"]),
        (["--max-file", "x"], ["--max-file", "'x'"]),
        (["--timeout", "nan"], ["--timeout", "above 0"]),
        (["--queue", "-1"], ["--queue", "above 0"]),
        (["--devices", ","], ["--devices"]),
        (["--socket", "nothing/here"], ["--socket nothing/here"]),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    assert_fails(run("serve", "folder", *arguments, cwd=tmp_path), 2, *words)


def test_a_port_that_is_taken_and_a_folder_that_is_a_file(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert_fails(run("serve", "folder", "--port", port, cwd=tmp_path), 2, f"--port {port}")
    (tmp_path / "file").touch()
    assert_fails(run("serve", "file", cwd=tmp_path), 2, "expected a folder")


def test_options_set_the_bounds() -> None:
    from inrcodec.cli.serve import BOUNDS, parse_bound

    fields = set(Bounds.__dataclass_fields__)
    assert {bound.field for bound in BOUNDS} == fields and len(BOUNDS) == len(fields)
    told = {bound.field: parse_bound(bound, "2") for bound in BOUNDS}
    assert all(type(value) is type(getattr(Bounds, name)) for name, value in told.items())
    assert parse_bound(BOUNDS[0], "1.5M") == 1_500_000


def test_the_limits_of_the_documentation_are_those_of_the_program() -> None:
    from inrcodec.cli.serve import BOUNDS

    text = (ROOT / "docs" / "serve.md").read_text()
    rows = dict(re.findall(r"^\| `(--[a-z-]+)` \| ([^|]+?) \|", text, re.MULTILINE))
    assert rows == {bound.option: shown(getattr(Bounds, bound.field)) for bound in BOUNDS}
    assert shown(64 << 20) == "64 Mi" and shown(1500) == "1500" and shown(0.8) == "0.8"


def shown(value: float) -> str:
    """Powers of 2 in a short form."""
    for factor, letter in ((1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")):
        if isinstance(value, int) and factor <= value < factor << 10 and value % factor == 0:
            return f"{value // factor} {letter}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def test_what_takes_longer_than_the_end_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called, release = threading.Event(), threading.Event()

    def endless(inr: object, *, decode: bool) -> None:
        called.set()
        release.wait(60)

    monkeypatch.setattr(objects, "verify", endless)
    with socket.socket() as connection:
        with served(Settings(folder=tmp_path, bounds=Bounds(close_seconds=1))) as client:
            connection.settimeout(60)
            connection.connect(("127.0.0.1", client.port))
            connection.sendall(f"POST /v1/objects HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(ONE)}\r\n\r\n".encode() + ONE)
            assert called.wait(60)
        answer = connection.recv(1 << 16)
        release.set()
    assert answer.startswith(b"HTTP/1.1 503") and b"server: ends" in answer


def test_metrics_count_requests_by_route(tmp_path: Path) -> None:
    with served(Settings(folder=tmp_path)) as client:
        name = client.put(ONE)
        for target in (f"/v1/objects/{name}", "/v1/objects/sha256-x", "/nothing/1", "/nothing/2"):
            client.get(target)
        client("BREW", "/coffee")
        lines = dict(line.rsplit(" ", 1) for line in client.get("/metrics").body.decode().splitlines() if line[0] != "#")
        assert lines['inrcodec_requests_total{method="POST",route="/v1/objects",status="201"}'] == "1"
        assert lines['inrcodec_requests_total{method="GET",route="/v1/objects/{id}",status="200"}'] == "1"
        assert lines['inrcodec_requests_total{method="GET",route="/v1/objects/{id}",status="400"}'] == "1"
        assert lines['inrcodec_requests_total{method="GET",route="other",status="404"}'] == "2"
        assert lines['inrcodec_request_seconds_count{route="/v1/objects/{id}"}'] == "2"
        assert lines["inrcodec_opened_files"] == "1"
        assert lines['inrcodec_jobs{state="queued"}'] == "0"
        assert not any("nothing" in line or "BREW" in line for line in lines)
        assert client.get("/version").json["version"] == inrcodec.__version__


def test_a_histogram_counts_what_is_below() -> None:
    metrics = Metrics()
    for seconds in (0.004, 0.02, 100.0):
        metrics.add("GET", 'a"b', 200, seconds=seconds, nbytes=5)
    text = metrics.text({"x": [((), 2)]})
    for line in ('_bucket{route="a\\"b",le="0.005"} 1', 'le="0.025"} 2', 'le="30"} 2', 'le="+Inf"} 3', "_sent_bytes_total 15", "\nx 2\n"):
        assert line in text


def test_it_is_not_ready_without_its_folder(tmp_path: Path) -> None:
    with served(Settings(folder=tmp_path / "f")) as client:
        assert client.get("/readyz").status == 200
        (tmp_path / "f").rename(tmp_path / "elsewhere")
        assert client.get("/readyz").status == 503
        assert client.get("/healthz").status == 200
