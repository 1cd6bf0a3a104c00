"""The pages and what they are made of: types, policy, nothing from elsewhere, and nothing but the files that are listed."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from inrcodec.serve.guard import POLICY
from inrcodec.serve.problems import Refused
from inrcodec.serve.settings import Settings
from inrcodec.serve.site import GESTURES, HOME, TYPES, VIEW, asset
from tests.served import Client, served

FOLDER = Path(__file__).resolve().parents[1] / "inrcodec" / "serve" / "pages"
ONE = (FOLDER.parents[2] / "conformance" / "valid" / "1" / "small-siren" / "input.inr").read_bytes()
FOREIGN = {"openseadragon.min.js", "openseadragon.LICENSE.txt"}
# Names of XML vocabularies, which nobody asks for.
NAMES = ("http://www.w3.org/2000/svg",)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with served(Settings(folder=tmp_path_factory.mktemp("service"))) as found:
        yield found


def elsewhere(text: str) -> list[str]:
    """Addresses with a host, and what a page may not hold by its own policy: scripts, styles and listeners inside."""
    for name in NAMES:
        text = text.replace(name, "")
    inside = re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=\"|\son[a-z]+=\"", text)
    return [*re.findall(r"(?:https?:)?//[\w-]+\.[\w./-]+", text), *inside]


def modules(text: str) -> set[str]:
    """What a script imports or loads, and a page refers to."""
    return set(re.findall(r"'\./([\w.-]+)'", text)) | set(re.findall(r"/static/([\w.-]+)", text))


def test_each_file_of_the_folder_is_listed_and_the_reverse() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {*TYPES, HOME, VIEW} - {GESTURES}


@pytest.mark.parametrize("name", sorted({*TYPES, HOME, VIEW} - FOREIGN))
def test_a_page_refers_to_what_is_there_and_to_nothing_elsewhere(name: str) -> None:
    text = asset(name).body.decode()
    assert elsewhere(text) == []
    assert modules(text) <= set(TYPES)


@pytest.mark.parametrize(
    "text",
    [
        "fetch('https://example.org/a')",
        "<script>1</script>",
        '<p style="color:red">',
        '<a onclick="f()">',
        '<link href="//cdn.example.org/a.css">',
    ],
)
def test_the_search_for_what_is_elsewhere_finds_it(text: str) -> None:
    assert elsewhere(text)


@pytest.mark.parametrize(("name", "kind"), sorted(TYPES.items()))
def test_a_file_is_sent_with_its_type_and_is_not_sent_again(client: Client, name: str, kind: str) -> None:
    reply = client.get(f"/static/{name}")
    own = FOLDER.parents[1] / "html" / name if name == GESTURES else FOLDER / name
    assert (reply.status, reply.headers["content-type"]) == (200, kind) and reply.body.startswith(own.read_bytes())
    assert reply.headers["content-security-policy"] == POLICY and reply.headers["x-content-type-options"] == "nosniff"
    assert client.get(f"/static/{name}", If_None_Match=reply.headers["etag"]).status == 304
    assert client("HEAD", f"/static/{name}").headers["content-length"] == str(len(reply.body))


@pytest.mark.parametrize("name", ["home.html", "../site.py", "..%2fsite.py", "%2e%2e%2f%2e%2e%2fspec.py", "style.css%00", "nothing.js", ""])
def test_nothing_else_is_sent(client: Client, name: str) -> None:
    assert client.get(f"/static/{name}").status == 404


def test_pages_are_not_found_by_any_other_name() -> None:
    with pytest.raises(Refused, match="no such file"):
        asset("../site.py")


def test_pages_are_html_and_run_no_script_of_their_own_text(client: Client) -> None:
    for target in ("/", f"/view/{client.put(ONE)}"):
        reply = client.get(target)
        assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "default-src 'none'" in reply.headers["content-security-policy"] and "unsafe" not in reply.headers["content-security-policy"]


def test_the_page_of_what_is_not_there_is_a_page_and_says_so_in_its_status(client: Client) -> None:
    for name in ("sha256-" + "0" * 64, "nonsense"):
        reply = client.get(f"/view/{name}")
        assert (reply.status, reply.headers["content-type"]) == (404, "text/html; charset=utf-8")


def test_a_page_of_a_server_that_takes_nothing_does_not_ask_for_files(tmp_path: Path, client: Client) -> None:
    assert b'class="read-only"' not in client.get("/").body
    with served(Settings(folder=tmp_path, read_only=True)) as reader:
        assert b'<body class="read-only">' in reader.get("/").body


def test_a_token_in_the_address_becomes_a_cookie(tmp_path: Path) -> None:
    with served(Settings(folder=tmp_path, token="secret-of-the-test")) as client:
        reply = client.get("/view/a?x=1&token=secret-of-the-test&y=%2F")
        assert (reply.status, reply.headers["location"]) == (303, "/view/a?x=1&y=%2F")
        cookie = reply.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and f"inrcodec_token_{client.port}=" in cookie
        assert client.get("/", Cookie=cookie.split(";")[0]).status == 200
        assert client.get("/", Cookie=f"inrcodec_token_{client.port + 1}=wrong; {cookie.split(';')[0]}").status == 200
        assert client.get("/?token=wrong").status == 401
        assert client.get("/").status == 401
        assert client.post("/v1/objects?token=secret-of-the-test", ONE).status == 401


def test_a_token_in_the_address_leads_nowhere_else(tmp_path: Path) -> None:
    with served(Settings(folder=tmp_path, token="secret-of-the-test")) as client:
        for start in ("//evil.example/a", "/\\evil.example", "/%5cevil.example", "/%0d%0aX-Evil:1"):
            reply = client.get(f"{start}?token=secret-of-the-test")
            assert reply.status in (303, 400, 404) and "x-evil" not in reply.headers
            assert re.match(r"/(?![/\\])", reply.headers.get("location", "/a")), reply.headers
