"""What surrounds every route: who may ask, from where, and what every answer says."""

import hmac
import re
import secrets
from collections.abc import Iterable
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

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
_REQUEST_ID = re.compile(r"[\w.-]{1,64}")


class Guard:
    """The application behind checks of the host, the origin and the token."""

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
        foreign = scope["path"].startswith(FOREIGN)

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                add_headers(MutableHeaders(scope=message), scope["request_id"], foreign=foreign)
            await send(message)

        try:
            self._check(scope, headers)
        except Refused as error:
            admitted = self._admitted(scope, headers) if error.status == 401 else None
            await (admitted or answer(error, request_id=scope["request_id"]))(scope, receive, sent)
            return
        await self._app(scope, receive, sent)

    def _check(self, scope: Scope, headers: Headers) -> None:
        host = host_of(headers.get("host", ""))
        if "*" not in self._hosts and host not in self._hosts:
            raise Refused(421, f"host: expected one of {', '.join(sorted(self._hosts))}, got {host[:80]!r}; see --allow-host")
        if scope["method"] not in SAFE and not same_origin(headers):
            raise Refused(403, f"origin: expected this server's own, got {headers['origin'][:80]!r}")
        token = self._settings.token
        if token is None or scope["path"] in OPEN or scope["method"] == "OPTIONS":
            return
        if not any(hmac.compare_digest(each.encode(), token.encode()) for each in tokens(headers)):
            raise Refused(401, "token: expected one, as Authorization: Bearer TOKEN")

    def _admitted(self, scope: Scope, headers: Headers) -> Response | None:
        """Whoever opens a page with ?token= and the right one has it as a cookie from then on, and out of the address."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = [value for name, value in query if name == "token"]
        token = self._settings.token
        if scope["method"] != "GET" or token is None or not any(hmac.compare_digest(each.encode(), token.encode()) for each in given):
            return None
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        # One slash at the start: two would name another server.
        target = "/" + quote(scope["path"].lstrip("/"), safe="/:,.!^~") + (f"?{rest}" if rest else "")
        reply = Response(status_code=303, headers={"Location": target})
        reply.set_cookie(
            cookie_of(headers.get("host", "")), token, path="/", httponly=True, samesite="strict", secure=scope.get("scheme") == "https"
        )
        return reply


def host_of(name: str) -> str:
    """Of a Host header without its port, in lower case; an IPv6 address without its brackets."""
    try:
        return (urlsplit(f"//{name}").hostname or "").lower()
    except ValueError:
        return ""


def same_origin(headers: Headers) -> bool:
    """Whether the page that asks, if it is one, came from here: browsers tell the origin with every request that is not safe."""
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == headers.get("host", "").lower()


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
    """The name of a server's cookie: browsers give those of one port to all ports of a host, where several servers may run."""
    try:
        port = urlsplit(f"//{host}").port
    except ValueError:
        port = None
    return COOKIE if port is None else f"{COOKIE}_{port}"


def add_headers(headers: MutableHeaders, request_id: str, *, foreign: bool) -> None:
    headers["X-Request-Id"] = request_id
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "no-referrer")
    headers.setdefault("Content-Security-Policy", POLICY)
    headers.setdefault("Cross-Origin-Resource-Policy", "cross-origin" if foreign else "same-origin")
    headers.setdefault("Cache-Control", "no-store")
    if foreign:
        headers["Access-Control-Allow-Origin"] = "*"
