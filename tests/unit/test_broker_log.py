"""What the broker logs of its responses shows what was decided, and no credentials, tokens or tasks."""

from datetime import UTC, datetime

from broker.handler import _LOGGED
from outpost.domain.agents import Agent
from outpost.domain.dispatch import Lease, Spec
from outpost.domain.protocol import Assignment, ClaimResponse, Credentials, ForgeTokenResponse, GrantResponse

CREDENTIALS = Credentials(
    access_key_id="A" * 16, secret_access_key="hidden", session_token="hidden", expires_at=datetime.now(UTC)
)


def test_an_assignment_is_logged_by_its_id() -> None:
    assignment = Assignment(
        dispatch_id="d",
        tenant_id="acme",
        lease=Lease(worker_id="w", token=1),
        spec=Spec(agent=Agent.SHELL),
        task="hidden",
        bucket="b",
        prefix="p",
        credentials=CREDENTIALS,
    )
    response = ClaimResponse(assignment=assignment)
    assert response.model_dump(include=_LOGGED) == {"assignment": {"dispatch_id": "d"}, "retire": False}


def test_why_a_request_is_refused_is_logged_and_no_token() -> None:
    token = ForgeTokenResponse(live=True, token="hidden", refused="no right").model_dump(include=_LOGGED)
    assert token == {"live": True, "refused": "no right"}
    grant = GrantResponse(live=True, allowed=5).model_dump(include=_LOGGED)
    assert grant == {"live": True, "allowed": 5, "refused": None}
