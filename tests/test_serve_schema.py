"""Every route of /openapi.json: whatever is asked, the answer is one that the document has, and none is a fault of the server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from inrcodec.serve.app import create_app
from inrcodec.serve.settings import Bounds, Settings
from tests.served import Client, served
from tests.test_serve import FILES

FEW, MANY = 4, 200
SMALL = Bounds(
    output_samples=1 << 16,
    output_side=256,
    query_points=1 << 10,
    mesh_resolution=16,
    work=1_000_000_000,
    source_bytes=1 << 16,
    body_bytes=1 << 16,
    job_seconds=10,
    jobs=8,
)
for kind in ("application/vnd.inrcodec.inr", "application/x-npy", "application/msgpack", "*/*"):
    schemathesis.serializer.alias(kind, "application/octet-stream")
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
KINDS = ("siren.1-rgb", "volume-missing", "residual-lossless")


def document(folder: Path) -> dict[str, Any]:
    app: Any = create_app(Settings(folder=folder))
    while not hasattr(app, "openapi"):
        app = app._app
    found: dict[str, Any] = app.openapi()
    return found


@pytest.fixture(scope="module")
def operations(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    paths = document(tmp_path_factory.mktemp("document"))["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with served(Settings(folder=tmp_path_factory.mktemp("service"), bounds=SMALL, devices=("cpu",))) as found:
        yield found


def known(client: Client) -> list[str]:
    return [client.put((FILES / "1" / name / "input.inr").read_bytes()) for name in KINDS]


def hold(client: Client, method: str, path: str, examples: int) -> None:
    """Ask a route so often, half of the time about objects that are there."""
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{client.port}/openapi.json")
    operation = schema[path][method]
    names = known(client)
    seen = 0

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        nonlocal seen
        seen += 1
        if "id" in (case.path_parameters or {}) and seen % 2:
            case.path_parameters["id"] = names[seen // 2 % len(names)]
        case.call_and_validate(checks=CHECKS)

    ask()


def test_every_route_is_documented(operations: list[tuple[str, str]]) -> None:
    assert ("POST", "/v1/objects") in operations and ("GET", "/metrics") in operations


def test_no_answer_is_outside_the_document(client: Client, operations: list[tuple[str, str]]) -> None:
    for method, path in operations:
        hold(client, method, path, FEW)


@pytest.mark.slow
def test_no_answer_is_outside_the_document_often(client: Client, operations: list[tuple[str, str]]) -> None:
    for method, path in operations:
        hold(client, method, path, MANY)


def test_an_answer_outside_the_document_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from inrcodec.serve import status

    monkeypatch.setattr(status, "VERSION", 5)
    with served(Settings(folder=tmp_path)) as client, pytest.raises(BaseException) as error:
        hold(client, "GET", "/version", 1)
    assert isinstance(error.value, AssertionError | ExceptionGroup) or "500" in str(error.value)
