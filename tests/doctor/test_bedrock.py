"""The doctor reads whether the configured models are at Bedrock; its control plane here is on loopback."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import boto3
import pytest

from outpost_ops.config import load
from outpost_ops.doctor.finding import Finding, Level
from outpost_ops.doctor.models import check_bedrock
from outpost_ops.verify.deployed import Account
from tests.infra.conftest import ROOT
from tests.loopback import serving

PROFILE, MODEL = "us.anthropic.claude-opus-5-5", "anthropic.claude-haiku-5-5"
AVAILABLE = {"authorizationStatus": "AUTHORIZED", "entitlementAvailability": "AVAILABLE"}


class ControlPlane(ThreadingHTTPServer):
    """Bedrock's, with these profiles, and these models as the account has them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.profiles = {PROFILE}
        self.models: dict[str, dict[str, str]] = {
            "anthropic.claude-opus-5-5": {**AVAILABLE},
            MODEL: {**AVAILABLE},
        }
        self.region = ""
        """Of the last request's signature."""


class _Handler(BaseHTTPRequestHandler):
    server: ControlPlane

    def do_GET(self) -> None:
        self.server.region = str(self.headers["Authorization"]).split("/")[2]
        _, kind, name = unquote(self.path).split("/")
        body: dict[str, Any] = {}
        if kind == "inference-profiles" and name in self.server.profiles:
            body = {"inferenceProfileId": name, "status": "ACTIVE"}
        elif kind == "foundation-model-availability" and name in self.server.models:
            body = {"modelId": name, **self.server.models[name]}
        content = json.dumps(body or {"message": "not found"}).encode()
        self.send_response(200 if body else 404)
        if not body:
            self.send_header("x-amzn-ErrorType", "ResourceNotFoundException")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Keep standard error for failures."""


@pytest.fixture
def plane(monkeypatch: pytest.MonkeyPatch) -> Iterator[ControlPlane]:
    with serving(ControlPlane()) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK", f"http://127.0.0.1:{server.server_port}")
        yield server


def findings(folder: Path) -> list[Finding]:
    text = (ROOT / "config" / "dev.toml").read_text(encoding="utf-8")
    text += '\n[bedrock]\nregion = "us-west-2"\n[agents.claude]\nprovider = "bedrock"\n'
    (folder / "dev.toml").write_text(f'{text}models = {{ flagship = "{PROFILE}", fast = "{MODEL}" }}\n')
    session = boto3.Session("AKID", "secret", region_name="us-east-1")
    return list(check_bedrock(Account(load(folder / "dev.toml"), session)))


def test_models_and_profiles_that_can_be_called_are_well(plane: ControlPlane, tmp_path: Path) -> None:
    assert [finding.level for finding in findings(tmp_path)] == [Level.OK, Level.OK]
    assert plane.region == "us-west-2"


def test_a_profile_that_is_not_there_is_named_with_the_remedy(plane: ControlPlane, tmp_path: Path) -> None:
    plane.profiles.clear()
    (missing,) = (finding for finding in findings(tmp_path) if finding.level is Level.WARNING)
    assert missing.message == f"{PROFILE} is not at Bedrock in us-west-2"
    assert "aws bedrock list-inference-profiles --region us-west-2" in missing.remedy


def test_a_model_whose_terms_nobody_accepted_is_named(plane: ControlPlane, tmp_path: Path) -> None:
    plane.models[MODEL]["authorizationStatus"] = "NOT_AUTHORIZED"
    (refused,) = (finding for finding in findings(tmp_path) if finding.level is Level.WARNING)
    assert refused.message == f"{MODEL}: the account may not call it (authorizationStatus)"
    assert "accept the model's terms" in refused.remedy
