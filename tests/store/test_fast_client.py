"""The short way to DynamoDB and SQS does what botocore's own way does; trouble on the way is met in tests/contract."""

from unittest.mock import ANY

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from outpost.aws.client_config import CLIENT_CONFIG
from outpost.aws.fast_client import fast_session
from outpost.store.database import Database

KEY = {"pk": {"S": "a"}, "sk": {"S": "b"}}


def test_answers_and_errors_are_those_of_botocore(database: Database) -> None:
    table, plain = database.tenants, boto3.client("dynamodb")
    item = KEY | {"text": {"S": "ä \U0001f600 \n"}, "number": {"N": "7"}, "list": {"L": [{"BOOL": True}]}}
    database.client.put_item(TableName=table, Item=item)  # type: ignore[arg-type]
    quick, usual = (client.get_item(TableName=table, Key=KEY) for client in (database.client, plain))
    assert quick["Item"] == usual["Item"] == item
    assert quick == usual | {"ResponseMetadata": ANY}
    errors = []
    for client in (database.client, plain):
        with pytest.raises(client.exceptions.ConditionalCheckFailedException) as refused:
            client.put_item(TableName=table, Item=KEY, ConditionExpression="attribute_not_exists(pk)")
        errors.append((refused.value.response["Error"], refused.value.operation_name))
    assert errors[0] == errors[1]


def test_the_reasons_of_a_cancelled_transaction_are_told(database: Database) -> None:
    put = {"Put": {"TableName": database.tenants, "Item": KEY, "ConditionExpression": "attribute_exists(pk)"}}
    with pytest.raises(ClientError) as refused:
        database.client.transact_write_items(TransactItems=[put])  # type: ignore[list-item]
    assert [reason["Code"] for reason in refused.value.response["CancellationReasons"]] == ["ConditionalCheckFailed"]


def test_other_operations_go_the_usual_way(database: Database) -> None:
    described = database.client.describe_table(TableName=database.tenants)["Table"]
    assert described["CreationDateTime"].year > 2000


@pytest.mark.usefixtures("aws")
def test_credentials_of_a_session_are_signed_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-session")
    client = fast_session().client("dynamodb", config=CLIENT_CONFIG)
    sent: list[dict[str, str]] = []
    client.meta.events.register(
        "before-send", lambda request, **_: sent.append({n.lower(): v for n, v in request.headers.items()})
    )
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_item(TableName="not-there", Key=KEY)
    assert sent[0]["x-amz-security-token"] == "a-session"
    assert "x-amz-security-token" in sent[0]["authorization"]


@pytest.mark.usefixtures("aws")
def test_an_endpoint_that_is_not_there_is_told_after_all_tries() -> None:
    config = CLIENT_CONFIG.merge(Config(retries={"total_max_attempts": 2}))
    client = fast_session().client("dynamodb", config=config, endpoint_url="http://127.0.0.1:1")
    tries: list[object] = []
    client.meta.events.register("before-send", lambda **_: tries.append(1))
    with pytest.raises(EndpointConnectionError):
        client.get_item(TableName="any", Key=KEY)
    assert len(tries) == 2


@pytest.mark.usefixtures("aws")
def test_without_credentials_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(NoCredentialsError):
        fast_session().client("dynamodb", config=CLIENT_CONFIG).get_item(TableName="any", Key=KEY)
