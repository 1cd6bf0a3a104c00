"""Objects: what is sent comes back, what is damaged is refused, what is asked for wrongly is said in one line."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from inrcodec.serve.settings import Bounds, Settings
from tests.served import Client, served

FILES = Path(__file__).resolve().parents[1] / "conformance" / "valid"
ONE = sorted(FILES.rglob("*.inr"))[0].read_bytes()
NOBODY = "sha256-" + "0" * 64


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with served(Settings(folder=tmp_path_factory.mktemp("service"), bounds=Bounds(file_bytes=1 << 20))) as found:
        yield found


def test_an_object_comes_back_as_it_was_sent(client: Client) -> None:
    first, second = client.post("/v1/objects?name=a.inr", ONE), client.post("/v1/objects", ONE)
    assert second.status == 200 and first.json == second.json
    file = client.get(f"/v1/objects/{first.json['id']}/file")
    assert (file.status, file.body, file.headers["etag"]) == (200, ONE, f'"{first.json["id"]}"')


def test_a_part_of_a_file_is_sent_where_only_that_is_asked_for(client: Client) -> None:
    name = client.put(ONE)
    part = client.get(f"/v1/objects/{name}/file", Range="bytes=4-9")
    assert (part.status, part.body, part.headers["content-range"]) == (206, ONE[4:10], f"bytes 4-9/{len(ONE)}")
    assert client.get(f"/v1/objects/{name}/file", Range=f"bytes={len(ONE)}-").status == 416
    assert client.get(f"/v1/objects/{name}/file", If_None_Match=f'"{name}"').status == 304


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "told"),
    [
        ("GET", f"/v1/objects/{NOBODY}", b"", 404, "no such object"),
        ("GET", "/v1/objects/..%2f..%2fetc%2fpasswd", b"", 404, "Not Found"),
        ("GET", "/v1/objects/sha256-ABC", b"", 400, "pattern"),
        ("POST", "/v1/objects", b"junk", 422, "not an .inr file"),
        ("POST", "/v1/objects", ONE[:-1], 422, "body"),
        ("POST", "/v1/objects", bytes((1 << 20) + 1), 413, "expected at most 1048576"),
        ("GET", "/v1/objects?limit=0", b"", 400, "limit"),
    ],
)
def test_what_is_wrong_is_a_problem_in_one_line(client: Client, method: str, target: str, body: bytes, status: int, told: str) -> None:
    reply = client(method, target, body or None)
    assert reply.status == status
    assert reply.headers["content-type"] == "application/problem+json"
    assert told in reply.json["detail"] and "\n" not in reply.json["detail"] and "/" + "tmp" not in reply.json["detail"]


def test_a_removed_object_is_gone(client: Client) -> None:
    name = client.put(sorted(FILES.rglob("*.inr"))[1].read_bytes())
    assert client("DELETE", f"/v1/objects/{name}").status == 204
    assert client.get(f"/v1/objects/{name}").status == 404


def test_every_object_is_listed_once(client: Client) -> None:
    names = sorted({client.put(path.read_bytes()) for path in sorted(FILES.rglob("*.inr"))[:5]})
    found, cursor = [], ""
    while cursor is not None:
        page = client.get(f"/v1/objects?limit=2&cursor={cursor}").json
        found += [each["id"] for each in page["objects"]]
        cursor = page["cursor"]
    assert [name for name in found if name in names] == names and found == sorted(set(found))


def test_another_host_and_another_origin_are_refused(client: Client) -> None:
    assert client.get("/v1/objects", Host="evil.example").status == 421
    assert client.post("/v1/objects", ONE, Origin="https://evil.example").status == 403
    assert client.post("/v1/objects", ONE, Origin=f"http://127.0.0.1:{client.port}").status in (200, 201)


def test_a_token_is_asked_for(tmp_path: Path) -> None:
    with served(Settings(folder=tmp_path, token="secret-of-the-test")) as client:
        assert client.get("/v1/objects").status == 401
        assert client.get("/v1/objects", Authorization="Bearer wrong").status == 401
        assert client.get("/v1/objects", Authorization="Bearer secret-of-the-test").status == 200
        assert client.get("/v1/objects", Cookie="inrcodec_token=secret-of-the-test").status == 200
