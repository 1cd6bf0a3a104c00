"""Who may ask, from where, and what every answer says."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from inrcodec.serve.guard import equal, host_of, without_token
from inrcodec.serve.settings import Settings
from tests.served import Client, served
from tests.test_serve import ONE

TOKEN = "a-token-of-the-tests"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with served(Settings(folder=tmp_path_factory.mktemp("service"), token=TOKEN, hosts=("inr.example",))) as found:
        yield found


@pytest.fixture(scope="module")
def anybody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with served(Settings(folder=tmp_path_factory.mktemp("service"))) as found:
        yield found


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("localhost:8787", "localhost"),
        ("LOCALHOST", "localhost"),
        ("[::1]:80", "::1"),
        ("evil@localhost", ""),
        ("localhost/x", ""),
        ("localhost#x", ""),
        ("localhost:80:80", ""),
        ("[::1", ""),
        ("", ""),
    ],
)
def test_the_host_of_a_header(name: str, host: str) -> None:
    assert host_of(name) == host


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "x@localhost", "127.0.0.1.nip.io", "10.0.0.1", "0.0.0.0", ""])
def test_a_name_that_is_not_ours_is_refused(anybody: Client, host: str) -> None:
    assert anybody.get("/healthz", Host=host).status in (400, 421)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1", "[::1]:8787", "LocalHost"])
def test_loopback_has_several_names(anybody: Client, host: str) -> None:
    assert anybody.get("/healthz", Host=host).status == 200


def test_a_name_that_is_allowed_is_ours(client: Client) -> None:
    assert client.get("/healthz", Host="inr.example:443").status == 200


def test_beyond_loopback_addresses_are_ours_and_names_are_not(tmp_path: Path) -> None:
    with served(Settings(folder=tmp_path, host="0.0.0.0")) as client:
        assert client.get("/healthz", Host="10.1.2.3:8787").status == 200
        assert client.get("/healthz", Host="evil.example").status == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://["},
        {"Origin": ""},
        {"Origin": "file://127.0.0.1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "strange"},
    ],
)
def test_a_page_of_another_site_changes_nothing(anybody: Client, headers: dict[str, str]) -> None:
    for method, target in (("POST", "/v1/objects"), ("DELETE", "/v1/objects/x"), ("PUT", "/")):
        assert anybody(method, target, ONE, **headers).status == 403, (method, headers)
    assert anybody.get("/v1/objects").json["objects"] == []


def test_a_page_of_our_own_may_send(anybody: Client) -> None:
    own = f"http://127.0.0.1:{anybody.port}"
    name = anybody.post("/v1/objects", ONE, Origin=own, Sec_Fetch_Site="same-origin").json["id"]
    assert anybody("DELETE", f"/v1/objects/{name}", Origin=own).status == 204


def test_pages_of_other_sites_lead_here_and_load_nothing(anybody: Client) -> None:
    assert anybody.get("/v1/objects", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors").status == 403
    assert anybody.get("/v1/objects", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate").status == 200
    assert anybody.get("/iiif/3/x/info.json", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="cors").status in (400, 404)


@pytest.mark.parametrize("target", ["/iiif/3/x/info.json", "/dzi/x.dzi", "/tiles/x/tilejson.json"])
def test_preflights_are_answered_where_others_may_read(client: Client, target: str) -> None:
    reply = client("OPTIONS", target, Origin="https://viewer.example", Access_Control_Request_Method="GET")
    assert reply.status == 204 and reply.headers["access-control-allow-origin"] == "*"
    assert "authorization" in reply.headers["access-control-allow-headers"].lower()
    assert "access-control-allow-credentials" not in reply.headers


@pytest.mark.parametrize("target", ["/v1/objects", "/", "/metrics", "/iiif", "/v1/objects/../../iiif/"])
def test_preflights_are_not_answered_elsewhere(client: Client, anybody: Client, target: str) -> None:
    reply = client("OPTIONS", target, Origin="https://viewer.example", Access_Control_Request_Method="POST")
    assert reply.status == 401 and "access-control-allow-origin" not in reply.headers
    reply = anybody("OPTIONS", target, Origin="https://viewer.example", Access_Control_Request_Method="POST")
    assert reply.status in (404, 405) and "access-control-allow-origin" not in reply.headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": "Bearer \xff\xfe"},
        {"Cookie": f"other={TOKEN}"},
        {"Cookie": "inrcodec_token="},
    ],
)
def test_without_the_token_there_is_nothing(client: Client, headers: dict[str, str]) -> None:
    for method, target in (("GET", "/v1/objects"), ("HEAD", "/metrics"), ("POST", "/v1/objects?token=" + TOKEN), ("GET", "/openapi.json")):
        reply = client(method, target, **headers)
        assert reply.status == 401 and reply.headers["www-authenticate"].startswith("Bearer")
    assert client.get("/healthz", **headers).status == client.get("/readyz", **headers).status == 200


def test_a_link_with_the_token_becomes_a_cookie(client: Client) -> None:
    reply = client.get(f"/v1/objects?limit=5&%74oken={TOKEN}&token=")
    assert (reply.status, reply.headers["location"]) == (303, "/v1/objects?limit=5")
    cookie = reply.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/" in cookie
    assert client.get("/v1/objects?limit=5", Cookie=f"a=b; {cookie.split(';')[0]}").status == 200
    assert client.get(f"/view/x?token={TOKEN}").headers["location"] == "/view/x"
    wrong = client.get("/v1/objects?token=wrong")
    assert wrong.status == 401 and "set-cookie" not in wrong.headers
    away = client.get(f"//evil.example/?token={TOKEN}")
    assert away.status == 400 and "location" not in away.headers


def test_queries_without_their_token() -> None:
    assert without_token(b"a=1&token=x&b=%26token%3Dy&TOKEN=z") == ("a=1&b=%26token%3Dy&TOKEN=z", ["x"])
    assert without_token(b"%74%6fken=a+b") == ("", ["a b"])
    assert without_token(b"") == ("", [])


def test_the_token_is_the_whole_of_it() -> None:
    assert equal(["no", "yes"], "yes") and not equal(["ye", "yess", "\xff", ""], "yes") and not equal([], "yes")


def test_head_is_get_without_a_body(anybody: Client) -> None:
    anybody.put(ONE)
    for target in ("/v1/objects", "/healthz", "/metrics", f"/v1/objects/{anybody.put(ONE)}/file", "/v1/objects/x"):
        get, head = anybody.get(target), anybody("HEAD", target)
        assert (head.status, head.body) == (get.status, b"")
        assert head.headers["content-type"] == get.headers["content-type"]
    assert int(anybody("HEAD", "/v1/objects").headers["content-length"]) == len(anybody.get("/v1/objects").body)


def test_every_answer_says_what_a_browser_is_to_do(anybody: Client) -> None:
    for target in ("/healthz", "/nothing", "/v1/objects"):
        headers = anybody.get(target).headers
        assert headers["x-content-type-options"] == "nosniff" and "default-src 'none'" in headers["content-security-policy"]
        assert headers["cross-origin-resource-policy"] == "same-origin" and "server" not in headers
        assert "access-control-allow-origin" not in headers
