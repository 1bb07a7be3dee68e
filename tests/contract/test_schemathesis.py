"""Whatever the OpenAPI document admits, and much that it does not: no 5xx, and every answer as the document says."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy
from schemathesis import Case, CheckFunction, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from outpost.domain.ids import now
from outpost.domain.lifecycle import Start
from outpost.domain.tenants import OPERATOR, Scope
from tests.contract.running import TASK, Api

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
]
"""What holds for every answer; of all but a stream of events the schema is looked at as well."""


@pytest.fixture(scope="module")
def key(api: Api) -> Iterator[str]:
    """A key that may everything, as often as it likes."""
    key = api.key(OPERATOR, Scope.ADMIN)
    with api.client(key) as client:
        assert client.patch(f"/tenants/{OPERATOR}", json={"limits": {"requestsPerMinute": 1_000_000}}).is_success
        yield key
        assert client.patch(f"/tenants/{OPERATOR}", json={"limits": {}}).is_success


@pytest.fixture(scope="module")
def ids(api: Api, key: str) -> dict[str, str]:
    """What the paths may name that is there: all has ended, so that a stream of events ends too."""
    with api.client(key) as client:
        data = client.post("/dispatch", json=TASK | {"workspaceMode": "persistent"}).json()["data"]
    claimed = api.claim(data["id"])
    assert claimed.lease is not None
    api.end(api.advance(data["id"], Start(claimed.lease, now())))
    return {"dispatch_id": data["id"], "workspace_id": data["workspaceId"], "tenant_id": api.tenant().id}


def explore(api: Api, key: str, ids: dict[str, str], examples: int) -> None:
    """Try every operation: with good input on what is there, and with bad input."""
    schema: BaseSchema = schemathesis.openapi.from_url(f"{api.url}/openapi.json")
    with requests.Session() as session:
        session.headers["X-API-Key"] = key
        for found in schema.get_all_operations():
            assert isinstance(found, Ok), found
            operation = found.ok()
            named = {name: id_ for name, id_ in ids.items() if f"{{{name}}}" in operation.path}
            checks = CHECKS if operation.path.endswith("/events") else [*CHECKS, response_schema_conformance]
            validate = partial(_validate, api.url, session, checks)
            _check(operation.as_strategy(GenerationMode.POSITIVE).map(partial(_on, named)), examples, validate)
            # Some operations take nothing that could be wrong.
            with suppress(Unsatisfiable):
                _check(operation.as_strategy(GenerationMode.NEGATIVE), examples, validate)


def _on(known: dict[str, str], case: Case[Any]) -> Case[Any]:
    case.path_parameters = dict(case.path_parameters or {}) | known
    return case


def _validate(url: str, session: requests.Session, checks: list[CheckFunction], case: Case[Any]) -> None:
    case.call_and_validate(base_url=url, session=session, checks=checks, timeout=120)


def _check(cases: SearchStrategy[Case[Any]], examples: int, validate: Callable[[Case[Any]], None]) -> None:
    @settings(
        max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(case=cases)
    def answers_as_documented(case: Case[Any]) -> None:
        validate(case)

    answers_as_documented()


def test_no_input_breaks_the_service_or_its_contract(api: Api, key: str, ids: dict[str, str]) -> None:
    explore(api, key, ids, examples=3)


@pytest.mark.full
@pytest.mark.timeout(1_800)
def test_no_input_of_very_many_breaks_the_service_or_its_contract(api: Api, key: str, ids: dict[str, str]) -> None:
    explore(api, key, ids, examples=75)
