"""Every refused call is in the server's log: CloudTrail, where AWS shows them, records only what succeeds here."""

import logging
from collections.abc import Callable
from typing import Any

from outpost_local.extensions.patch import around

logger = logging.getLogger("outpost.iam")


def _respond(respond: Callable[..., Any], service: str, action: str, principal: str, *rest: Any, **options: Any) -> Any:
    resource = options.get("resource_arn", "*")
    logger.warning("denied %s on %s to %s", action or service, resource, principal or options.get("error_code"))
    return respond(service, action, principal, *rest, **options)


PATCHES = (around("core.iam_actions.access_denied_response", _respond, "refused calls are not logged"),)
