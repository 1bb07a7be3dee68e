"""Presigned links: valid for buckets of every region, and for an S3 that is somewhere else."""

import boto3
import pytest

from outpost.names import Env
from outpost.store.artifacts import Artifacts
from tests.conftest import CREDENTIALS

BUCKET, KEY = "outpost-artifacts-3f9a", "tenants/acme/dispatches/01K9/1/output.log"


@pytest.fixture
def presign(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Presign the key as the service does, with the environment variables given."""
    for name, value in {**CREDENTIALS, Env.ARTIFACTS_BUCKET: BUCKET, **request.param}.items():
        monkeypatch.setenv(name, value)
    boto3.setup_default_session()
    return Artifacts.from_environment().presign(KEY, 60)


@pytest.mark.parametrize(
    ("presign", "region"),
    [
        ({"AWS_DEFAULT_REGION": region}, region)
        for region in ("us-east-1", "us-west-2", "eu-west-1", "eu-central-2", "ap-southeast-5", "il-central-1")
    ],
    indirect=["presign"],
)
def test_a_link_names_the_regions_own_endpoint_and_is_signed_for_it(presign: str, region: str) -> None:
    """The global host redirects for new buckets elsewhere and refuses regions opened after March 2019."""
    assert presign.startswith(f"https://{BUCKET}.s3.{region}.amazonaws.com/{KEY}?")
    assert f"%2F{region}%2Fs3%2Faws4_request" in presign


@pytest.mark.parametrize("presign", [{"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:4566"}], indirect=True)
def test_a_link_to_another_endpoint_has_the_bucket_in_its_path(presign: str) -> None:
    """A host that is an address has no subdomains."""
    assert presign.startswith(f"http://127.0.0.1:4566/{BUCKET}/{KEY}?")
