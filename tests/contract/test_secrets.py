"""Tenants' secrets: set, listed by name, deleted, given to whom the tenant says; the values never come out."""

import logging
from collections.abc import Iterator

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError

from outpost.domain.secrets import MAX_SECRETS
from outpost.domain.tenants import Scope, Tenant
from tests.contract.running import TASK, Api, fields, refused

VALUE = "s3cret-value-of-the-tenant"


@pytest.fixture
def admin(api: Api, tenant: Tenant) -> Iterator[httpx.Client]:
    """A client with an admin key of the tenant itself."""
    with api.client(api.key(tenant, Scope.ADMIN)) as client:
        yield client


def path(tenant: Tenant, name: str = "NPM_TOKEN") -> str:
    return f"/tenants/{tenant.id}/secrets/{name}"


def stored(tenant: Tenant, name: str = "NPM_TOKEN") -> str:
    secrets = boto3.client("secretsmanager")
    return secrets.get_secret_value(SecretId=f"outpost/test/tenants/{tenant.id}/{name}")["SecretString"]


@pytest.mark.usefixtures("environment")
def test_a_secret_is_set_replaced_listed_by_name_and_deleted(admin: httpx.Client, tenant: Tenant) -> None:
    first = admin.put(path(tenant), json={"value": "the-first-value"})
    assert first.status_code == 200
    assert stored(tenant) == "the-first-value"
    second = admin.put(path(tenant), json={"value": VALUE})
    assert stored(tenant) == VALUE
    listing = admin.get(f"/tenants/{tenant.id}/secrets")
    assert listing.json()["data"] == [second.json()["data"]]
    assert second.json()["data"]["name"] == "NPM_TOKEN"
    gone = admin.delete(path(tenant))
    assert gone.json()["data"] == second.json()["data"]
    assert admin.get(f"/tenants/{tenant.id}/secrets").json()["data"] == []
    refused(admin.delete(path(tenant)), 404, "NOT_FOUND")
    with pytest.raises(ClientError):
        stored(tenant)
    responses = (first, second, listing, gone)
    assert not [response.text for response in responses if VALUE in response.text or "arn:" in response.text]


def test_the_operator_administers_every_tenants_secrets(operator: httpx.Client, tenant: Tenant) -> None:
    assert operator.put(path(tenant), json={"value": VALUE}).status_code == 200
    assert [each["name"] for each in operator.get(f"/tenants/{tenant.id}/secrets").json()["data"]] == ["NPM_TOKEN"]
    refused(operator.put("/tenants/nobody/secrets/NPM_TOKEN", json={"value": VALUE}), 404, "NOT_FOUND")


def test_a_foreign_tenant_is_answered_as_an_unknown_one(api: Api, admin: httpx.Client, operator: httpx.Client) -> None:
    other = api.tenant()
    operator.put(path(other), json={"value": VALUE})
    for tenant_id in (other.id, "nobody"):
        base = f"/tenants/{tenant_id}/secrets"
        responses = [
            admin.get(base),
            admin.put(f"{base}/NPM_TOKEN", json={"value": VALUE}),
            admin.delete(f"{base}/NPM_TOKEN"),
        ]
        assert {str(refused(response, 404, "NOT_FOUND")) for response in responses} == {
            "{'code': 'NOT_FOUND', 'message': 'There is no tenant of this id.'}"
        }


def test_a_key_without_the_scope_admin_does_not_administer_its_own_tenant(client: httpx.Client, tenant: Tenant) -> None:
    for response in (client.get(f"/tenants/{tenant.id}/secrets"), client.put(path(tenant), json={"value": VALUE})):
        refused(response, 403, "AUTHORIZATION_ERROR")


@pytest.mark.parametrize(
    "name",
    [
        *("npm_token", "1TOKEN", "A-B", "A" * 65, "ANTHROPIC_API_KEY", "GITHUB_TOKEN", "FORGE_TOKEN", "WEBHOOK_SECRET"),
        *("PATH", "LD_PRELOAD", "AWS_SESSION_TOKEN", "GIT_SSH_COMMAND", "PYTHONPATH", "OUTPOST_X"),
    ],
)
def test_a_reserved_or_malformed_name_is_refused(admin: httpx.Client, tenant: Tenant, name: str) -> None:
    response = admin.put(path(tenant, name), json={"value": VALUE})
    assert fields(refused(response, 400, "VALIDATION_ERROR")) == {"name"}


@pytest.mark.parametrize("value", ["short", "x" * 16_385, "nul\0character", 12345678, None])
def test_a_bad_value_is_refused_and_not_repeated(
    admin: httpx.Client, tenant: Tenant, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        response = admin.put(path(tenant), json={"value": value})
    assert fields(refused(response, 400, "VALIDATION_ERROR")) == {"value"}
    if value:
        assert str(value) not in response.text
        assert str(value) not in caplog.text


def test_the_refusal_of_a_short_value_says_how_long_one_has_to_be(admin: httpx.Client, tenant: Tenant) -> None:
    error = refused(admin.put(path(tenant), json={"value": "short"}), 400, "VALIDATION_ERROR")
    assert "has 5 characters; a secret needs 8 or more" in str(error)


@pytest.mark.parametrize(("value", "reason"), [("postgres", "a common word"), ("us-east-1", "the name of a region")])
def test_a_common_word_is_kept_and_marked_as_not_searched(
    admin: httpx.Client, tenant: Tenant, value: str, reason: str
) -> None:
    shown = admin.put(path(tenant), json={"value": value}).json()["data"]
    assert shown["searched"] is False
    assert reason in shown["warning"]
    assert admin.get(f"/tenants/{tenant.id}/secrets").json()["data"] == [shown]
    replaced = admin.put(path(tenant), json={"value": VALUE}).json()["data"]
    assert (replaced["searched"], replaced["warning"]) == (True, None)


def test_a_value_is_never_logged(admin: httpx.Client, tenant: Tenant, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        admin.put(path(tenant), json={"value": VALUE})
    assert "/tenants/{tenant_id}/secrets/{name}" in caplog.text
    assert VALUE not in caplog.text


def test_a_tenant_has_a_bounded_number_of_secrets(
    admin: httpx.Client, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_SECRETS == 100
    monkeypatch.setattr("outpost.store.secrets.MAX_SECRETS", 1)
    admin.put(path(tenant), json={"value": VALUE})
    assert admin.put(path(tenant), json={"value": VALUE}).status_code == 200
    refused(admin.put(path(tenant, "OTHER"), json={"value": VALUE}), 409, "CONFLICT")


def test_a_dispatch_names_secrets_that_the_tenant_has(api: Api, admin: httpx.Client, tenant: Tenant) -> None:
    admin.put(path(tenant), json={"value": VALUE})
    response = admin.post("/dispatch", json=TASK | {"additionalSecrets": ["NPM_TOKEN"]})
    assert response.json()["data"]["additionalSecrets"] == ["NPM_TOKEN"]
    assert api.row(response.json()["data"]["id"]).spec.additional_secrets == ("NPM_TOKEN",)
    unknown = admin.post("/dispatch", json=TASK | {"additionalSecrets": ["NPM_TOKEN", "OTHER"]})
    detail = refused(unknown, 400, "VALIDATION_ERROR")["details"][0]
    assert detail["field"] == "additionalSecrets"
    assert "OTHER" in detail["message"]
    assert "NPM_TOKEN" not in detail["message"]


def test_another_tenants_secret_is_none_of_ones_own(api: Api, admin: httpx.Client, stranger: httpx.Client) -> None:
    response = stranger.post("/dispatch", json=TASK | {"additionalSecrets": ["NPM_TOKEN"]})
    assert fields(refused(response, 400, "VALIDATION_ERROR")) == {"additionalSecrets"}


def test_as_many_secrets_as_a_request_may_name_are_accepted_however_long_their_names(
    admin: httpx.Client, tenant: Tenant
) -> None:
    names = [f"{'A' * 60}_{number:02d}" for number in range(20)]
    for name in names:
        admin.put(path(tenant, name), json={"value": VALUE})
    assert admin.post("/dispatch", json=TASK | {"additionalSecrets": names}).status_code == 201
    response = admin.post("/dispatch", json=TASK | {"additionalSecrets": [*names, "B"]})
    assert fields(refused(response, 400, "VALIDATION_ERROR")) == {"additionalSecrets"}
