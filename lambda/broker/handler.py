"""The broker's Lambda: invoked synchronously by workers (`outpost.domain.protocol`)."""

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from broker.broker import Broker
from broker.clients import DATABASE, OTHERS
from broker.credentials import AttemptCredentials
from broker.forge import Forge
from broker.grants import Grants
from broker.identity import Identities
from outpost.domain.ids import now
from outpost.domain.protocol import (
    REQUEST,
    ClaimResponse,
    ForgeTokenResponse,
    GrantResponse,
    LeaseResponse,
    ReserveResponse,
)
from outpost.fleet.store import Store

logger = Logger(service="broker")


@cache
def _broker() -> Broker:
    store = Store.from_environment(DATABASE, OTHERS)
    return Broker(
        store=store,
        agents=store.agents,
        credentials=AttemptCredentials.from_environment(OTHERS),
        grants=Grants(store.budgets),
        identities=Identities.from_environment(),
        now=now,
        forge=Forge.from_environment(),
    )


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Handle one request. Raises `pydantic.ValidationError` for a request that is not of the protocol."""
    request = REQUEST.validate_python(event)
    response = _broker().handle(request)
    # The request may be logged but for what proves who sent it; the response holds credentials and the task's text.
    logged = request.model_dump(mode="json", exclude={"proof", "secret"})
    logger.info("handled", extra={"request": logged, "kind": _kind(response)})
    return response.model_dump(mode="json")


def _kind(response: ClaimResponse | LeaseResponse | ForgeTokenResponse | GrantResponse | ReserveResponse) -> str:
    match response:
        case ClaimResponse(assignment=None, retire=retire):
            return "retire" if retire else "wait"
        case ClaimResponse(assignment=assignment):
            return f"assigned {assignment.dispatch_id}" if assignment else "wait"
        case ForgeTokenResponse(refused=str(reason)) | GrantResponse(refused=str(reason)):
            return f"refused: {reason}"
        case ReserveResponse(room=int(room)):
            return f"refused: {room} bytes are left"
    return _live_kind(response) if response.live else "stale"


def _live_kind(response: LeaseResponse | ForgeTokenResponse | GrantResponse | ReserveResponse) -> str:
    match response:
        case ForgeTokenResponse(token=token):
            return "token" if token else "no token"
        case GrantResponse(allowed=allowed):
            return f"allowed {allowed}"
        case LeaseResponse(cancel=True):
            return "cancel"
    return "live"
