"""/healthz, /readyz, /metrics, /version: what those ask who run a server."""

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from inrcodec import spec
from inrcodec.serve.metrics import MEDIA_TYPE, Metrics
from inrcodec.serve.problems import Refused
from inrcodec.serve.queue import STATES
from inrcodec.serve.schemas import PROBLEMS
from inrcodec.serve.service import service_of
from inrcodec.version import VERSION

router = APIRouter(tags=["status"], responses=PROBLEMS)


class Status(BaseModel):
    status: str


class Version(BaseModel):
    version: str
    format: str


@router.get("/healthz", summary="Whether the process answers")
async def alive() -> Status:
    return Status(status="alive")


@router.get("/readyz", summary="Whether it takes work")
async def ready(request: Request) -> Status:
    """503 while as many requests wait as may, or where its folder is gone."""
    service = service_of(request)
    if service.workers.inside >= service.settings.bounds.waiting:
        raise Refused(503, f"server: {service.workers.inside} requests wait", headers={"Retry-After": "1"})
    if not service.settings.folder.is_dir():
        raise Refused(503, "server: its folder is not there")
    return Status(status="ready")


@router.get("/version", summary="Of the package and of the format")
async def version() -> Version:
    return Version(version=VERSION, format=f"{spec.MAJOR}.{spec.MINOR}")


@router.get("/metrics", response_class=Response, summary="For Prometheus", responses={200: {"content": {MEDIA_TYPE: {}}}})
async def metrics(request: Request) -> Response:
    """Requests by route and status, their seconds, what waits and what is kept."""
    found: Metrics = request.app.state.metrics
    service = service_of(request)
    gauges: dict[str, Any] = {
        "inrcodec_info": [((("version", VERSION),), 1)],
        "inrcodec_decodes": [((), service.workers.inside)],
        "inrcodec_answers_bytes": [((), service.workers.kept_bytes)],
        "inrcodec_opened_files": [((), len(service.opened))],
        "inrcodec_opened_bytes": [((), service.opened.nbytes)],
    }
    counts = await service.workers.run(lambda: {state: service.jobs.queue.count(state) for state in STATES})
    gauges["inrcodec_jobs"] = [((("state", state),), count) for state, count in counts.items()]
    return Response(found.text(gauges), media_type=MEDIA_TYPE)
