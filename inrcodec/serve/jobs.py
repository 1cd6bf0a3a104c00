"""/v1/jobs: signals in, .inr files out. A job has one file; a folder of slices or frames is for the command line."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Literal

import anyio.to_thread
from fastapi import APIRouter, Query, Request
from fastapi import Path as PathParameter
from pydantic import BaseModel, Field
from starlette.responses import Response, StreamingResponse

from inrcodec.errors import UsageError
from inrcodec.serve import bodies
from inrcodec.serve.job_options import JobQuery, options_of
from inrcodec.serve.library import check_room, nbytes_under, on_disk
from inrcodec.serve.problems import Refused
from inrcodec.serve.queue import Job
from inrcodec.serve.schemas import ID, PROBLEMS, Problem
from inrcodec.serve.service import Service, service_of

SILENCE_SECONDS = 15.0  # before a comment says that the stream lives
JOB_ID = r"^job-[0-9a-f]{16}$"
Id = Annotated[str, PathParameter(pattern=JOB_ID, description="job- and 16 hexadecimal digits.")]
EVENT = {
    "type": "object",
    "properties": {"event": {"enum": ["progress", "end"]}, "data": {"type": "string", "contentMediaType": "application/json"}},
    "required": ["event", "data"],
}

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], responses=PROBLEMS)


class JobProgress(BaseModel):
    """A moment of a fit."""

    stage: str
    step: int
    steps: int
    psnr: float | None = Field(description="In dB, estimated.")
    bytes: int | None = Field(description="Estimated.")
    eta: float | None = Field(description="Seconds.")


class JobEntry(BaseModel):
    """Times are in seconds since 1970."""

    id: str = Field(pattern=JOB_ID)
    state: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    name: str
    options: dict[str, Any]
    created: float
    started: float | None
    finished: float | None
    progress: JobProgress | None
    object: str | None = Field(pattern=ID, description="What came of it.")
    report: dict[str, Any] | None = Field(description="What `inrcodec encode --json` tells; target_met says whether a target was.")
    problem: Problem | None = Field(description="Why it failed.")
    links: dict[str, str]


class JobList(BaseModel):
    jobs: list[JobEntry]
    cursor: str | None = Field(default=None, description="Where the rest begins; null at the end.")


def told(job: Job) -> JobEntry:
    base = f"/v1/jobs/{job.id}"
    links = {"self": base, "events": f"{base}/events"}
    if job.object is not None:
        links |= {"object": f"/v1/objects/{job.object}", "file": f"/v1/objects/{job.object}/file"}
    return JobEntry(
        id=job.id,
        state=job.state,  # type: ignore[arg-type]
        name=job.name,
        options=dict(job.options),
        created=job.created,
        started=job.started,
        finished=job.finished,
        progress=None if job.progress is None else JobProgress(**job.progress),
        object=job.object,
        report=None if job.report is None else dict(job.report),
        problem=None if job.problem is None else Problem(**job.problem),
        links=links,
    )


@router.post(
    "",
    status_code=202,
    summary="Encode a file",
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
    },
)
async def create(request: Request, response: Response, query: Annotated[JobQuery, Query()]) -> JobEntry:
    """The body is the file, whatever its Content-Type: it is known by its content, then by the suffix of `name`. It is read when its turn
    comes; what cannot be read is a job that fails. A job that was accepted is done even if the server ends meanwhile and comes back.
    """
    service = service_of(request)
    _check_writable(service)
    options_of(query)
    bounds, jobs = service.settings.bounds, service.jobs
    await anyio.to_thread.run_sync(jobs.queue.check_waiting, bounds.jobs)
    stated = request.headers.get("content-length", "0")
    if stated.isdigit() and int(stated) <= bounds.source_bytes:
        await anyio.to_thread.run_sync(_check_room, service, int(stated))
    path = service.sources.partial()
    digest = await bodies.into(request, path, bounds.source_bytes)
    try:
        job = await anyio.to_thread.run_sync(_accept, service, path, digest, query)
    finally:
        path.unlink(missing_ok=True)
    jobs.wake()
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return told(job)


@router.get("", summary="The jobs, the newest first")
async def every(
    request: Request,
    cursor: Annotated[str, Query(pattern=r"^[0-9]{0,18}$", description="From the answer before.")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> JobList:
    queue = service_of(request).jobs.queue
    before = int(cursor) if cursor else None
    found = await anyio.to_thread.run_sync(lambda: queue.newest(before=before, most=limit))
    return JobList(jobs=[told(job) for job in found], cursor=str(found[-1].number) if len(found) == limit else None)


@router.get("/{id}", summary="How a job stands")
async def one(request: Request, id: Id) -> JobEntry:
    return told(await _found(request, id))


@router.delete("/{id}", status_code=204, summary="Cancel a job, or forget one that has ended")
async def remove(request: Request, id: Id) -> Response:
    """What a job made stays."""
    service = service_of(request)
    _check_writable(service)
    if not await anyio.to_thread.run_sync(_remove, service, id):
        raise _nobody(id)
    return Response(status_code=204)


@router.get(
    "/{id}/events",
    response_class=StreamingResponse,
    summary="A job as it goes on",
    responses={200: {"content": {"text/event-stream": {"schema": EVENT}}}},
)
async def events(request: Request, id: Id) -> Response:
    """Server-sent events: `progress` now and whenever something changes, `end` as the last; the data of both are the job. A client that
    comes back begins with how the job stands then.
    """
    job = await _found(request, id)
    headers = {"X-Accel-Buffering": "no"}
    return StreamingResponse(_events(service_of(request), job), media_type="text/event-stream", headers=headers)


async def _events(service: Service, job: Job) -> AsyncIterator[str]:
    async for seen in service.watch.changes(job, silence=SILENCE_SECONDS):
        if seen is None:
            yield ": nothing new\n\n"
        else:
            yield f"event: {'end' if seen.ended else 'progress'}\ndata: {told(seen).model_dump_json()}\n\n"


async def _found(request: Request, id: str) -> Job:
    job = await anyio.to_thread.run_sync(service_of(request).jobs.queue.get, id)
    if job is None:
        raise _nobody(id)
    return job


def _accept(service: Service, path: Path, digest: str, query: JobQuery) -> Job:
    """From here on the job is not lost: its source and then its row are on the disk."""
    size = path.stat().st_size
    if size == 0:
        raise UsageError("body: expected a file to encode, got nothing")
    _check_room(service, 0)
    on_disk(path)  # before the transaction, which others wait for
    return service.jobs.queue.add(
        name=query.name,
        source=f"sha256-{digest}",
        options=query.model_dump(exclude={"name"}, exclude_none=True),
        most=service.settings.bounds.jobs,
        keep=lambda: service.sources.take(path, digest, name=query.name),
    )


def _check_room(service: Service, more: int) -> None:
    """Raises LimitExceeded where there is none, even without the sources that no job waits for."""
    most = service.settings.bounds.disk_bytes
    over = _used(service) + more - most
    if over > 0:
        service.jobs.make_room(over)
        check_room(_used(service), more, most)


def _used(service: Service) -> int:
    return service.objects.nbytes() + service.sources.nbytes() + nbytes_under(service.settings.folder / "checkpoints")


def _remove(service: Service, id: str) -> bool:
    jobs = service.jobs
    cancelled = jobs.queue.cancel(id)
    if cancelled is None:
        return jobs.forget(id)
    jobs.cancelled(cancelled)
    return True


def _check_writable(service: Service) -> None:
    if service.settings.read_only:
        raise Refused(403, "server: takes no files and no jobs; it only shows what it has")


def _nobody(id: str) -> Refused:
    return Refused(404, f"{id}: no such job")
