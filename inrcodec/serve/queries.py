"""Points in, values out: JSON, .npy and MessagePack. What is sent is measured before it is read."""

import io
import math
from typing import Annotated, Any, Literal

import msgpack
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inrcodec.decoder import Inr
from inrcodec.errors import InputError, LimitExceeded, UsageError
from inrcodec.points import beside
from inrcodec.serve.problems import Refused
from inrcodec.serve.workers import Answer

JSON, NPY, MSGPACK = "application/json", "application/x-npy", "application/msgpack"
TYPES = (JSON, NPY, MSGPACK)
Units = Literal["domain", "pixel", "world"]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Query(BaseModel):
    """Points (n, d), axes in array order, slowest first."""

    model_config = ConfigDict(extra="ignore")

    coords: list[list[Number]]
    units: Units = "domain"
    gradient: Annotated[bool, Field(strict=True)] = False


class Values(BaseModel):
    """values (n, c), null where the nearest sample is missing; gradient (n, c, d), per unit of the coordinates asked with."""

    values: list[list[float | None]]
    gradient: list[list[list[float | None]]] | None


def type_of(content_type: str) -> str:
    """One of TYPES. Raises Refused (415)."""
    kind = content_type.partition(";")[0].strip().lower() or JSON
    if kind not in TYPES:
        raise Refused(415, f"Content-Type: expected one of {', '.join(TYPES)}, got {kind[:80]!r}")
    return kind


def answer_query(inr: Inr, kind: str, body: bytes, *, units: Units, gradient: bool, most: int) -> Answer:
    """What the file has at the points of a body, in the same type: of .npy, values beside their derivatives as columns.

    units, gradient: of .npy, which cannot say them. Raises UsageError, InputError, and LimitExceeded for more than `most` points.
    """
    d = len(inr.grid_shape)
    if kind == NPY:
        points = npy_points(body, most)
        _check_count(len(points) if points.ndim == 2 else 1, most)
    else:
        query = _parsed(kind, body)
        units, gradient = query.units, query.gradient
        _check_count(len(query.coords), most)
        points = _rectangular(query.coords, d)
    values = inr.at(points, units=units)
    slopes = inr.gradient(points, units=units) if gradient else None
    if kind == NPY:
        out = io.BytesIO()
        np.save(out, beside(values, slopes), allow_pickle=False)
        return Answer(out.getvalue(), NPY)
    if kind == MSGPACK:
        told = {"values": values.tolist(), "gradient": None if slopes is None else slopes.tolist()}
        return Answer(msgpack.packb(told), MSGPACK)
    found = Values.model_construct(values=_nulled(values), gradient=None if slopes is None else _nulled(slopes))
    return Answer(found.model_dump_json().encode(), JSON)


def npy_points(body: bytes, most: int) -> NDArray[np.float64]:
    """The array of a .npy, whose header has to state as many bytes as there are. Raises InputError, LimitExceeded."""
    file = io.BytesIO(body)
    try:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, _, dtype = read(file)
    except (ValueError, KeyError, EOFError, SyntaxError, RecursionError, MemoryError) as error:
        raise InputError(f"body: damaged .npy: {' '.join(str(error).split())[:200]}") from error
    if dtype.kind not in "iuf":
        raise InputError(f"body: expected real numbers, got {str(dtype)[:80]}")
    _check_count(shape[0] if shape else 1, most)
    stated, held = math.prod(shape) * dtype.itemsize, len(body) - file.tell()
    if stated != held:
        raise InputError(f"body: .npy of shape {shape} in {dtype}: expected {stated} bytes of samples, got {held}")
    return np.asarray(np.load(io.BytesIO(body), allow_pickle=False), dtype=np.float64)


def _parsed(kind: str, body: bytes) -> Query:
    try:
        if kind == JSON:
            return Query.model_validate_json(body)
        return Query.model_validate(msgpack.unpackb(body, strict_map_key=True))
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in error.errors(include_url=False)[:4])
        raise UsageError(told) from error
    except (ValueError, TypeError, RecursionError, msgpack.exceptions.UnpackException) as error:
        raise UsageError(f"body: expected {kind}: {' '.join(str(error).split())[:200] or type(error).__name__}") from error


def _rectangular(coords: list[list[float]], d: int) -> NDArray[np.float64]:
    wrong = next((k for k, point in enumerate(coords) if len(point) != d), None)
    if wrong is not None:
        raise UsageError(f"coords: expected points of {d} coordinates, got {len(coords[wrong])} at point {wrong}")
    return np.array(coords, dtype=np.float64).reshape(len(coords), d)


def _check_count(points: int, most: int) -> None:
    if points > most:
        raise LimitExceeded(f"coords: {points} points: expected at most {most}")


def _nulled(values: NDArray[np.float32]) -> Any:
    """Lists of numbers, None for what JSON has no word for."""
    if np.isfinite(values).all():
        return values.tolist()
    found = values.astype(object)
    found[~np.isfinite(values)] = None
    return found.tolist()
