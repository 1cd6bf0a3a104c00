"""What requests and answers look like, for the OpenAPI document."""

from typing import Any

from pydantic import BaseModel, Field

ID = r"^sha256-[0-9a-f]{64}$"


class Problem(BaseModel):
    """RFC 9457; error and exit_code are those of the command line."""

    type: str
    title: str
    status: int
    detail: str
    error: str | None = None
    exit_code: int | None = None
    request_id: str | None = None


class ObjectEntry(BaseModel):
    id: str = Field(pattern=ID)
    name: str
    bytes: int
    created: float = Field(description="Seconds since 1970.")
    source: str | None = Field(default=None, description="Id of what it was encoded from, where that is here.")
    links: dict[str, str]


class ObjectList(BaseModel):
    objects: list[ObjectEntry]
    cursor: str | None = Field(default=None, description="Where the rest begins; null at the end.")


class ObjectDescription(ObjectEntry):
    info: dict[str, Any] = Field(description="What `inrcodec info --json` tells.")


PROBLEMS: dict[int | str, dict[str, Any]] = {
    "default": {"model": Problem, "description": "A problem (RFC 9457).", "content": {"application/problem+json": {}}}
}
