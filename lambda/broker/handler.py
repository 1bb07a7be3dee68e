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
from outpost.domain.protocol import REQUEST
from outpost.fleet.store import Store

logger = Logger(service="broker")

_LOGGED: dict[str, Any] = {
    **dict.fromkeys(("live", "retire", "cancel", "room", "allowed", "refused"), True),
    "assignment": {"dispatch_id"},
}
"""What of a response is logged: the rest is credentials, tokens and the task's text."""


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
    # Without what proves who sent it.
    logged = request.model_dump(mode="json", exclude={"proof", "secret"})
    logger.info("handled", extra={"request": logged, "response": response.model_dump(include=_LOGGED)})
    return response.model_dump(mode="json")
