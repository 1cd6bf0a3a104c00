"""The ASGI application."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio.to_thread
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from inrcodec.errors import InrError, UsageError
from inrcodec.serve import decoding, iiif_routes, jobs, objects, site, status, tile_routes
from inrcodec.serve.guard import Guard
from inrcodec.serve.metrics import Metrics
from inrcodec.serve.problems import Refused, answer, handle
from inrcodec.serve.service import Shown, make_service
from inrcodec.serve.settings import Settings
from inrcodec.serve.watched import Watched
from inrcodec.version import VERSION

DESCRIPTION = "Signals as small neural networks: .inr files kept, encoded, and decoded at any resolution."

ROUTERS = (objects.router, decoding.router, iiif_routes.router, tile_routes.router, jobs.router, status.router, site.router)


def create_app(settings: Settings, shown: Sequence[Shown] = ()) -> Watched:
    """The application over `settings.folder`, and over files that are `shown` from where they lie."""
    app = FastAPI(title="inrcodec", version=VERSION, description=DESCRIPTION, lifespan=_lifespan, docs_url=None, redoc_url=None)
    app.state.service, app.state.metrics = make_service(settings, shown), Metrics()
    for kind in (InrError, Refused, HTTPException, MemoryError, Exception):
        app.add_exception_handler(kind, handle)
    app.add_exception_handler(RequestValidationError, _invalid)
    for router in ROUTERS:
        app.include_router(router)
    return Watched(Guard(app, settings), app.state.metrics)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service = app.state.service
    if not service.settings.read_only:
        service.jobs.start()
    yield
    service.watch.close()
    await anyio.to_thread.run_sync(service.jobs.stop)
    service.workers.close()


async def _invalid(request: Request, error: Exception) -> Response:
    """A parameter that is not what the document says: in one line, like every error."""
    assert isinstance(error, RequestValidationError)
    told = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:4])
    return answer(UsageError(told), request_id=request.scope.get("request_id"))
