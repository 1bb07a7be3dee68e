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
from outpost.fleet.agent_settings import load_agents
from outpost.fleet.wakeups import Wakeups
from outpost.store.artifacts import Artifacts
from outpost.store.budgets import Budgets, MonthlyLimits
from outpost.store.database import Database
from outpost.store.dispatches import Dispatches
from outpost.store.launches import Launches
from outpost.store.tenants import Tenants
from outpost.store.turns import Turns
from outpost.store.workers import Workers
from outpost.store.workspaces import Workspaces

logger = Logger(service="broker")


@cache
def _broker() -> Broker:
    database, agents = Database.from_environment(DATABASE), load_agents()
    dispatches = Dispatches(database, Wakeups.from_environment(agents))
    return Broker(
        dispatches=dispatches,
        workers=Workers(database, dispatches),
        tenants=Tenants(database),
        workspaces=Workspaces(database),
        artifacts=Artifacts.from_environment(OTHERS),
        credentials=AttemptCredentials.from_environment(OTHERS),
        launches=Launches(database),
        agents=agents,
        grants=Grants(Budgets(database, dispatches, MonthlyLimits.from_environment())),
        identities=Identities.from_environment(),
        turns=Turns(database),
        now=now,
        forge=Forge.from_environment(),
    )


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Handle one request. Raises `pydantic.ValidationError` for a request that is not of the protocol."""
    request = REQUEST.validate_python(event)
    answer = _broker().handle(request)
    # The request may be logged but for what proves who sent it; the response holds credentials and the task's text.
    logged = request.model_dump(mode="json", exclude={"proof", "secret"})
    logger.info("answered", extra={"request": logged, "kind": _kind(answer)})
    return answer.model_dump(mode="json")


def _kind(answer: ClaimResponse | LeaseResponse | ForgeTokenResponse | GrantResponse | ReserveResponse) -> str:
    match answer:
        case ClaimResponse(assignment=None, retire=retire):
            return "retire" if retire else "wait"
        case ClaimResponse(assignment=assignment):
            return f"assigned {assignment.dispatch_id}" if assignment else "wait"
        case ForgeTokenResponse(refused=str(reason)) | GrantResponse(refused=str(reason)):
            return f"refused: {reason}"
        case ReserveResponse(room=int(room)):
            return f"refused: {room} bytes are left"
    return _live_kind(answer) if answer.live else "stale"


def _live_kind(answer: LeaseResponse | ForgeTokenResponse | GrantResponse | ReserveResponse) -> str:
    match answer:
        case ForgeTokenResponse(token=token):
            return "token" if token else "no token"
        case GrantResponse(allowed=allowed):
            return f"allowed {allowed}"
        case LeaseResponse(cancel=True):
            return "cancel"
    return "live"
