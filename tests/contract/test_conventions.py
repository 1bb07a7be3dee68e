"""What holds for every answer of the API, whatever was asked."""

import json
import re
from urllib.parse import urljoin

import httpx
import jsonschema_rs
import pytest

from outpost.domain.ids import is_id, new_id
from outpost.domain.tenants import OPERATOR, Scope
from tests.contract.running import TASK, Api, fields, refused


def test_every_answer_has_a_request_id(client: httpx.Client) -> None:
    response = client.get("/dispatch")
    assert is_id(response.headers["X-Request-ID"])
    assert response.json()["meta"]["requestId"] == response.headers["X-Request-ID"]
    assert response.json()["success"] is True


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
def test_documents_have_a_request_id_too(api: Api, path: str) -> None:
    with api.client() as client:
        response = client.get(path)
    assert response.status_code == 200
    assert is_id(response.headers["X-Request-ID"])


def test_the_page_for_people_loads_nothing_from_elsewhere(api: Api) -> None:
    with api.client() as client:
        page = client.get("/docs").text
        loaded = re.findall(r"""(?:src|href)="([^"]+)""", page)
        assert len(loaded) == 3
        for address in loaded:
            assert client.get(urljoin("/docs", address)).status_code == 200
            assert not address.startswith("/")  # the service may be behind a path of a proxy
    assert set(re.findall(r"https?://[^\s'\"]+", page)) == set()
    assert "'openapi.json'" in page


def test_every_body_shows_an_example_that_its_schema_allows(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    shown = 0
    for operation in (operation for item in document["paths"].values() for operation in item.values()):
        responses = [response for code, response in operation["responses"].items() if code.startswith("2")]
        for body in [operation.get("requestBody", {}), *responses]:
            for media in body.get("content", {}).values():
                schema = media["schema"] | {"components": document["components"]}
                jsonschema_rs.validator_for(schema, validate_formats=True).validate(media["example"])
                shown += 1
    assert shown > len(document["paths"])


@pytest.mark.parametrize("offered", ["a", "trace:1/2.3_4-5=@+", "x" * 128])
def test_a_clients_own_safe_request_id_is_taken_over(client: httpx.Client, offered: str) -> None:
    assert client.get("/health/live", headers={"X-Request-ID": offered}).headers["X-Request-ID"] == offered


@pytest.mark.parametrize("offered", ["x" * 129, "two words", 'quote"', ""])
def test_an_unsafe_request_id_is_replaced(client: httpx.Client, offered: str) -> None:
    assert is_id(client.get("/health/live", headers={"X-Request-ID": offered}).headers["X-Request-ID"])


def test_an_unknown_route_is_told_in_the_envelope(client: httpx.Client) -> None:
    refused(client.get("/no/such/route"), 404, "NOT_FOUND")


def test_a_method_that_is_not_possible_names_those_that_are(client: httpx.Client) -> None:
    response = client.put("/dispatch", json=TASK)
    refused(response, 405, "METHOD_NOT_ALLOWED")
    assert response.headers["Allow"]


@pytest.mark.parametrize("body", ["{", "nonsense", '{"agent": "shell",}', "[" * 100_000, '"\\ud800', ""])
def test_malformed_json_is_a_validation_error(client: httpx.Client, body: str) -> None:
    response = client.post("/dispatch", content=body, headers={"Content-Type": "application/json"})
    refused(response, 400, "VALIDATION_ERROR")


def test_a_body_of_another_type_is_told_which_one_to_send(client: httpx.Client) -> None:
    response = client.post("/dispatch", content=json.dumps(TASK), headers={"Content-Type": "text/plain"})
    assert "Content-Type: application/json" in refused(response, 400, "VALIDATION_ERROR")["details"][0]["message"]


def test_a_body_that_is_not_utf_8_is_a_validation_error(client: httpx.Client) -> None:
    response = client.post("/dispatch", content=b'{"a": "\xff\xfe"}', headers={"Content-Type": "application/json"})
    refused(response, 400, "VALIDATION_ERROR")


@pytest.mark.parametrize("body", [[], 1, "text", None, [TASK]])
def test_json_that_is_no_object_is_a_validation_error(client: httpx.Client, body: object) -> None:
    response = client.post("/dispatch", content=json.dumps(body), headers={"Content-Type": "application/json"})
    refused(response, 400, "VALIDATION_ERROR")


def test_a_body_of_another_media_type_is_a_validation_error(client: httpx.Client) -> None:
    response = client.post("/dispatch", content=json.dumps(TASK), headers={"Content-Type": "text/plain"})
    refused(response, 400, "VALIDATION_ERROR")


def test_a_lone_surrogate_in_the_task_is_a_validation_error(client: httpx.Client) -> None:
    body = '{"agent": "shell", "task": "echo \\ud800 echo"}'
    response = client.post("/dispatch", content=body, headers={"Content-Type": "application/json"})
    assert fields(refused(response, 400, "VALIDATION_ERROR")) == {"task"}


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"task": "echo one\0 echo two"}, "task"),
        ({"repo": "acme/web\0site"}, "repo"),
        ({"repo": "acme/website", "branch": "ma\0in"}, "branch"),
        ({"modelId": "flag\0ship"}, "modelId"),
        ({"tags": {"team": "w\0b"}}, "tags"),
        ({"tags": {"te\0m": "web"}}, "tags"),
        ({"additionalSecrets": ["NPM\0TOKEN"]}, "additionalSecrets"),
        ({"context": "full\0"}, "context"),
    ],
)
def test_nul_is_refused_in_every_text_of_a_dispatch(client: httpx.Client, sent: dict[str, object], field: str) -> None:
    error = refused(client.post("/dispatch", json=TASK | sent), 400, "VALIDATION_ERROR")
    assert fields(error) == {field}
    assert "NUL" in error["details"][0]["message"]


def test_nul_is_refused_in_what_else_reaches_programs_and_people(api: Api, client: httpx.Client) -> None:
    tenant = api.tenant()
    with api.client(api.key(OPERATOR, Scope.ADMIN)) as admin:
        secret = admin.put(f"/tenants/{tenant.id}/secrets/NPM_TOKEN", json={"value": "a\0b"})
        assert fields(refused(secret, 400, "VALIDATION_ERROR")) == {"value"}
        key = admin.post(f"/tenants/{tenant.id}/keys", json={"name": "c\0i", "scopes": ["list"]})
        assert fields(refused(key, 400, "VALIDATION_ERROR")) == {"name"}
    assert fields(refused(client.get("/dispatch?tag=a%00b:c"), 400, "VALIDATION_ERROR")) == {"tag"}


@pytest.mark.parametrize("chunked", [False, True])
def test_an_oversize_body_is_refused_before_it_is_parsed(client: httpx.Client, chunked: bool) -> None:
    body = b"{" + b" " * (1024 * 1024)
    content = iter([body[:100_000], body[100_000:]]) if chunked else body
    response = client.post("/dispatch", content=content, headers={"Content-Type": "application/json"})
    refused(response, 413, "PAYLOAD_TOO_LARGE")


def test_every_refused_field_is_named_as_the_client_spells_it(client: httpx.Client) -> None:
    body = {"agent": "nobody", "task": "short", "timeoutSeconds": -5, "tags": {"a": 1}, "modelID": "x"}
    error = refused(client.post("/dispatch", json=body), 400, "VALIDATION_ERROR")
    assert fields(error) == {"agent", "task", "timeoutSeconds", "tags.a", "modelID"}
    assert all(detail["message"] for detail in error["details"])


@pytest.mark.parametrize(
    ("sent", "field", "message"),
    [
        ({"maxCostUsd": "ten"}, "maxCostUsd", 'is "ten": give a number'),
        ({"maxCostUsd": 0}, "maxCostUsd", "is 0: give 0.01 or more"),
        ({"timeoutSeconds": 1.5}, "timeoutSeconds", "is 1.5: give a whole number"),
        ({"agent": "nobody"}, "agent", "is \"nobody\": give 'claude', "),
        ({"task": "short"}, "task", "has 5 characters: give 10 characters or more"),
        ({"collect": ["x"] * 21}, "collect", "has 21 entries: give 20 or fewer"),
        ({"retryable": "maybe"}, "retryable", 'is "maybe": give true or false'),
        ({"tags": {"a": 1}}, "tags.a", "is 1: give a text"),
        ({"tags": [1]}, "tags", "is [1]: give an object"),
        ({"additionalSecrets": ["npm"]}, "additionalSecrets.0", 'is "npm": give a text that matches ^'),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_refused_field_is_explained_with_its_value_and_the_remedy(
    client: httpx.Client, sent: dict[str, object], field: str, message: str
) -> None:
    error = refused(client.post("/dispatch", json=TASK | sent), 400, "VALIDATION_ERROR")
    assert fields(error) == {field}
    assert error["details"][0]["message"].startswith(message)
    assert error["message"] == f"{field}: {error['details'][0]['message']}"


def test_a_field_that_is_missing_is_named_without_the_rest(client: httpx.Client) -> None:
    error = refused(client.post("/dispatch", json={"agent": "shell"}), 400, "VALIDATION_ERROR")
    assert error["details"] == [{"field": "task", "message": "is missing: add it"}]


def test_snake_case_spellings_are_unknown_fields(client: httpx.Client) -> None:
    error = refused(client.post("/dispatch", json=TASK | {"timeout_seconds": 60}), 400, "VALIDATION_ERROR")
    assert fields(error) == {"timeout_seconds"}


@pytest.mark.parametrize(
    "path", ["/dispatch?agnt=shell", "/dispatch?limit=0", "/dispatch?limit=101", "/dispatch?limit=x"]
)
def test_bad_query_parameters_are_named(client: httpx.Client, path: str) -> None:
    error = refused(client.get(path), 400, "VALIDATION_ERROR")
    assert fields(error) == {path.partition("?")[2].partition("=")[0]}


def test_bad_input_is_never_repeated_in_the_error(client: httpx.Client) -> None:
    response = client.post("/dispatch", json={"agent": "shell", "task": 7, "token": "sk-very-secret"})
    assert "sk-very-secret" not in response.text


def test_an_unexpected_error_is_told_without_its_cause(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the database password is hunter2")

    monkeypatch.setattr(type(api.stores.dispatches), "page", broken)
    with api.client(api.key(api.tenant())) as client:
        response = client.get("/dispatch", headers={"X-Request-ID": "abc"})
    error = refused(response, 500, "INTERNAL_ERROR")
    assert "abc" in error["message"]
    assert "hunter2" not in response.text


def test_the_document_describes_every_route_and_every_field(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            assert operation["description"], (method, path)
            assert "422" not in operation["responses"], (method, path)
            for parameter in operation.get("parameters", []):
                assert parameter["description"], (method, path, parameter["name"])
    for name, schema in document["components"]["schemas"].items():
        for field, definition in schema.get("properties", {}).items():
            if field not in ("success", "data", "meta", "error"):
                assert "description" in definition or "const" in definition, (name, field)


def test_the_document_names_the_scope_of_every_protected_route(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    paths = document["paths"]
    assert document["components"]["securitySchemes"] == {
        "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "Bearer": {"type": "http", "scheme": "bearer"},
    }
    for operation in (operation for item in paths.values() for operation in item.values() if "security" in operation):
        either = operation["security"]
        assert either == [{"ApiKey": either[0]["ApiKey"]}, {"Bearer": either[0]["ApiKey"]}]
    scopes = {
        f"{method.upper()} {path}": operation.get("security", [{"ApiKey": None}])[0]["ApiKey"]
        for path, operations in paths.items()
        for method, operation in operations.items()
    }
    assert scopes == {
        "POST /dispatch": ["dispatch"],
        "GET /dispatch": ["list"],
        "GET /dispatch/{dispatch_id}": ["status"],
        "DELETE /dispatch/{dispatch_id}": ["cancel"],
        "GET /health/live": None,
        "GET /health/ready": None,
        "GET /health": None,
        "GET /artifacts/{dispatch_id}/download": None,
        "GET /dispatch/{dispatch_id}/logs": ["status"],
        "GET /dispatch/{dispatch_id}/events": ["status"],
        "POST /dispatch/{dispatch_id}/promote": ["promote"],
        "POST /dispatch/{dispatch_id}/release": ["release"],
        "GET /artifacts/{dispatch_id}": ["status"],
        "GET /usage": ["list"],
        "GET /usage.csv": ["list"],
        "GET /workspaces": ["list"],
        "GET /workspaces/{workspace_id}": ["status"],
        "DELETE /workspaces/{workspace_id}": ["delete"],
        "POST /tenants": ["admin"],
        "GET /tenants": ["admin"],
        "GET /tenants/{tenant_id}": ["admin"],
        "PATCH /tenants/{tenant_id}": ["admin"],
        "POST /tenants/{tenant_id}/suspend": ["admin"],
        "POST /tenants/{tenant_id}/resume": ["admin"],
        "POST /tenants/{tenant_id}/keys": ["admin"],
        "GET /tenants/{tenant_id}/keys": ["admin"],
        "POST /keys/{key_id}/rotate": ["admin"],
        "DELETE /keys/{key_id}": ["admin"],
        "PUT /tenants/{tenant_id}/secrets/{name}": ["admin"],
        "DELETE /tenants/{tenant_id}/secrets/{name}": ["admin"],
        "GET /tenants/{tenant_id}/secrets": ["admin"],
        "GET /health/fleet": ["status"],
    }


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unauthenticated_request_is_refused_before_its_body_is_looked_at(api: Api, method: str) -> None:
    with api.client() as client:
        path = "/dispatch" if method == "POST" else f"/dispatch/{new_id()}"
        response = client.request(method, path, content="{", headers={"Content-Type": "application/json"})
    refused(response, 401, "AUTHENTICATION_ERROR")
