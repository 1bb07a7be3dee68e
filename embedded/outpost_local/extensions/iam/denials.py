"""Every refused call is in the server's log: CloudTrail, where AWS shows them, records only what succeeds here."""

import logging
from typing import Any

from ministack.core import iam_actions

logger = logging.getLogger("outpost.iam")


def install() -> None:
    """Log before MiniStack formats the refusal."""
    respond = iam_actions.access_denied_response

    def log_and_respond(service: str, action: str, principal: str, *rest: Any, **options: Any) -> Any:
        resource = options.get("resource_arn", "*")
        logger.warning("denied %s on %s to %s", action or service, resource, principal or options.get("error_code"))
        return respond(service, action, principal, *rest, **options)

    iam_actions.access_denied_response = log_and_respond
