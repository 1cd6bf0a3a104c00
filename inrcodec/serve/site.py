"""/, /view/{id} and /static/{file}: pages for people. What they are made of lies in pages/ and is read from there as it is."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request
from starlette.responses import Response

from inrcodec.serve.problems import Refused
from inrcodec.serve.service import service_of

SCRIPT, STYLE, PAGE, TEXT = (
    "text/javascript; charset=utf-8",
    "text/css; charset=utf-8",
    "text/html; charset=utf-8",
    "text/plain; charset=utf-8",
)
GESTURES = "gestures.js"  # of the pages that decode by themselves, where it is a part of a script
TYPES = {
    "common.js": SCRIPT,
    GESTURES: SCRIPT,
    "home.js": SCRIPT,
    "icon.svg": "image/svg+xml",
    "image.js": SCRIPT,
    "mesh.js": SCRIPT,
    "openseadragon.LICENSE.txt": TEXT,
    "openseadragon.min.js": SCRIPT,
    "panel.js": SCRIPT,
    "shape.js": SCRIPT,
    "slices.js": SCRIPT,
    "sound.js": SCRIPT,
    "stage.js": SCRIPT,
    "style.css": STYLE,
    "video.js": SCRIPT,
    "view.js": SCRIPT,
    "wave.js": SCRIPT,
}
HOME, VIEW = "home.html", "view.html"

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Asset:
    body: bytes
    media_type: str

    @property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.body).hexdigest()[:32]}"'


@cache
def asset(name: str) -> Asset:
    """A file of pages/: a page, or one of TYPES. Raises Refused (404) for any other name, which is looked up and never joined to a path."""
    types = {**TYPES, HOME: PAGE, VIEW: PAGE}
    if name not in types:
        raise Refused(404, "static: no such file")
    if name == GESTURES:
        return Asset((files("inrcodec.html") / name).read_bytes() + b"\nexport { fitted, gestures };\n", types[name])
    return Asset((files("inrcodec.serve") / "pages" / name).read_bytes(), types[name])


def sent(request: Request, found: Asset, status: int = 200) -> Response:
    """Browsers keep it, and ask each time whether it is still the same."""
    headers = {"ETag": found.etag, "Cache-Control": "no-cache"}
    if status == 200 and found.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(found.body, status, headers=headers, media_type=found.media_type)


@router.get("/")
async def home(request: Request) -> Response:
    page = asset(HOME)
    if service_of(request).settings.read_only:
        page = Asset(page.body.replace(b"<body>", b'<body class="read-only">', 1), page.media_type)
    return sent(request, page)


@router.get("/view/{id}")
async def view(request: Request, id: str) -> Response:
    """The page tells in words what is wrong with an object, so it is sent for those that are not there too."""
    try:
        service_of(request).objects.path(id)
    except Refused as error:
        return sent(request, asset(VIEW), error.status)
    return sent(request, asset(VIEW))


@router.get("/static/{file}")
async def static(request: Request, file: str) -> Response:
    return sent(request, asset(file if file in TYPES else ""))  # pages have addresses of their own
