"""What surrounds every route: who may ask, from where, and what every answer says."""

import hmac
import ipaddress
import re
import secrets
from collections.abc import Iterable
from urllib.parse import unquote_plus, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inrcodec.serve.problems import Refused, answer
from inrcodec.serve.settings import LOOPBACK, Settings

OPEN = ("/healthz", "/readyz")  # to anybody
FOREIGN = ("/iiif/", "/dzi/", "/tiles/")  # pages of other origins may read these
SAFE = ("GET", "HEAD", "OPTIONS")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self';"
    " worker-src 'self' blob:; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
COOKIE = "inrcodec_token"
TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,}")  # what stands in a header, a cookie and an address as it is
ANY = ("0.0.0.0", "::")
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, If-None-Match, Range",
    "Access-Control-Max-Age": "86400",
    "Allow": "GET, HEAD, OPTIONS",
}
EXPOSED = "Accept-Ranges, Content-Length, Content-Range, ETag, Link, X-Request-Id"
_REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::[0-9]{1,5})?")


class Guard:
    """The application behind checks of the request's form, the host, the origin and the token."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings
        self._hosts = {host.lower() for host in (*LOOPBACK, settings.host, *settings.hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        scope["request_id"] = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        foreign, head = scope["path"].startswith(FOREIGN), scope["method"] == "HEAD"
        ended = False

        async def sent(message: Message) -> None:
            nonlocal ended
            if ended:
                return
            starts = message["type"] == "http.response.start"
            if starts:
                found = MutableHeaders(scope=message)
                add_headers(found, scope["request_id"], foreign=foreign)
                scope["endless"] = found.get("content-type", "").startswith("text/event-stream")
            await send(message)
            if head and starts:
                ended = True
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        try:
            found = self._check(scope, headers)
        except Refused as error:
            found = answer(error, request_id=scope["request_id"])
        if head:
            # Routes know GET; the answer to HEAD is that without its body.
            scope["method"] = "GET"
        await (self._app if found is None else found)(scope, receive, sent)

    def _check(self, scope: Scope, headers: Headers) -> Response | None:
        """An answer that needs no route. Raises Refused."""
        check_form(scope, self._settings.bounds.head_bytes)
        host = host_of(headers.get("host", ""))
        if not self._is_ours(host):
            raise Refused(421, f"host: expected one of {', '.join(sorted(self._hosts))}, got {host[:80]!r}; see --allow-host")
        path, method = scope["path"], scope["method"]
        foreign = path.startswith(FOREIGN)
        if foreign and method == "OPTIONS":
            return Response(status_code=204, headers=PREFLIGHT)
        if method not in SAFE:
            check_origin(headers)
        elif not foreign:
            check_site(headers)
        token = self._settings.token
        if token is None or path in OPEN:
            return None
        query, given = without_token(scope["query_string"])
        if method in ("GET", "HEAD") and equal(given, token):
            return welcomed(scope, query, token)
        if not equal(tokens(headers), token):
            raise Refused(401, "token: expected one, as Authorization: Bearer TOKEN")
        return None

    def _is_ours(self, host: str) -> bool:
        """A page can have any name lead here (DNS rebinding), but not an address that is not its own."""
        return "*" in self._hosts or host in self._hosts or (self._settings.host in ANY and is_address(host))


def check_form(scope: Scope, most: int) -> None:
    """What servers and proxies read differently is read by none. Raises Refused."""
    raw, headers = scope["raw_path"], scope["headers"]
    names = [name for name, _ in headers]
    size = len(raw) + len(scope["query_string"]) + sum(len(name) + len(value) + 4 for name, value in headers)
    if size > most:
        raise Refused(431, f"head: {size} bytes: expected at most {most}", headers={"Connection": "close"})
    if b"content-length" in names and b"transfer-encoding" in names:
        raise Refused(400, "body: expected Content-Length or Transfer-Encoding, got both", headers={"Connection": "close"})
    if not raw.startswith(b"/") or raw.startswith(b"//") or b"\\" in raw:
        raise Refused(400, "target: expected a path that begins with one /")


def host_of(name: str) -> str:
    """Of a Host header without its port, in lower case; an IPv6 address without its brackets; "" where it is none."""
    found = _HOST.fullmatch(name.lower())
    return "" if found is None else found[1] or found[2]


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def check_origin(headers: Headers) -> None:
    """Whether the page that asks, if it is one, came from here: browsers tell the origin with every request that is not safe."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Refused(403, "origin: expected this server's own, got a request of another site")
    origin = headers.get("origin")
    if origin is None:
        return
    try:
        parts = urlsplit(origin)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or parts.netloc.lower() != headers.get("host", "").lower():
        raise Refused(403, f"origin: expected this server's own, got {origin[:80]!r}")


def check_site(headers: Headers) -> None:
    """A page of another site may lead here; it does not load parts of this one."""
    if headers.get("sec-fetch-site", "none") in ("cross-site", "same-site") and headers.get("sec-fetch-mode") != "navigate":
        raise Refused(403, "origin: expected this server's own, got a request of another site")


def tokens(headers: Headers) -> Iterable[str]:
    """What a client says it knows: in its header, or in the cookie that the pages of this server have."""
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        yield value.strip()
    for part in headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name in (COOKIE, cookie_of(headers.get("host", ""))):
            yield value


def cookie_of(host: str) -> str:
    """The name of a server's cookie: browsers send those of one port to all ports of a host, where several servers may run."""
    port = host.rpartition(":")[2]
    return f"{COOKIE}_{port}" if port.isdecimal() else COOKIE


def equal(given: Iterable[str], token: str) -> bool:
    """Whether one is the token, in a time that does not tell how much of it is right."""
    return any(hmac.compare_digest(each.encode(), token.encode()) for each in given)


def without_token(query: bytes) -> tuple[str, list[str]]:
    """A query without its parameters `token`, and their values."""
    parts = query.decode("latin-1").split("&")
    named = [(part, *part.partition("=")[::2]) for part in parts if part]
    kept = [part for part, name, _ in named if unquote_plus(name) != "token"]
    return "&".join(kept), [unquote_plus(value) for _, name, value in named if unquote_plus(name) == "token"]


def welcomed(scope: Scope, query: str, token: str) -> Response:
    """The same address without the token, which the browser keeps in a cookie from now on."""
    secure = "; Secure" if scope["scheme"] == "https" else ""
    target = scope["raw_path"].decode("ascii") + ("?" + query if query else "")
    name = cookie_of(Headers(scope=scope).get("host", ""))
    cookie = f"{name}={token}; Path=/; HttpOnly; SameSite=Strict{secure}"
    return Response(status_code=303, headers={"Location": target, "Set-Cookie": cookie})


def add_headers(headers: MutableHeaders, request_id: str, *, foreign: bool) -> None:
    headers["X-Request-Id"] = request_id
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "no-referrer")
    headers.setdefault("Content-Security-Policy", POLICY)
    headers.setdefault("Cross-Origin-Resource-Policy", "cross-origin" if foreign else "same-origin")
    headers.setdefault("Cache-Control", "no-store")
    if foreign:
        headers["Access-Control-Allow-Origin"] = "*"
        headers["Access-Control-Expose-Headers"] = EXPOSED
