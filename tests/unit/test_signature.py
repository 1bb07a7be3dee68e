"""A request is signed as botocore signs it."""

from datetime import UTC, datetime

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from outpost.aws.signature import sign


@given(st.binary())
@pytest.mark.parametrize("token", [None, "a-session/with+signs=="])
@pytest.mark.parametrize("host", ["dynamodb.eu-central-1.amazonaws.com", "localhost:4566"])
def test_the_signature_is_botocores(host: str, token: str | None, body: bytes) -> None:
    credentials = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", token)
    headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "DynamoDB_20120810.GetItem"}
    usual = AWSRequest("POST", f"https://{host}/", headers=dict(headers), data=body)
    SigV4Auth(credentials, "dynamodb", "eu-central-1").add_auth(usual)
    at = datetime.strptime(usual.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    frozen = credentials.get_frozen_credentials()
    signed = sign(headers | {"host": host}, body, frozen, "eu-central-1", "dynamodb", at)
    assert signed == {name.lower(): value for name, value in usual.headers.items()} | {"host": host}
