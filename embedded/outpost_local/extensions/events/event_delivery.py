"""EventBridge and asynchronous invocations deliver at least once, and not in order: MiniStack delivers once, at once.

"EventBridge provides at-least-once event delivery to targets", in no guaranteed order (Amazon EventBridge User Guide:
"Events"; Amazon ECS Developer Guide: "Amazon ECS task state change events": "You might receive the same event more than
once"); "even if your function doesn't return an error, it's possible for it to receive the same event from Lambda
multiple times" (AWS Lambda Developer Guide: "Invoking a function asynchronously"). Here a seeded share of the events is
delivered twice, and a share late, so that later ones arrive before it.
"""

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from outpost_local.extensions.patch import Patch, around
from outpost_local.realism import Realism
from outpost_local.settings import Settings

AFTER = ("kms.permissions",)


def patches(settings: Settings) -> tuple[Patch, ...]:
    """Wrap the delivery to a rule's target, and asynchronous invocations."""
    realism, reason = settings.realism, "events are delivered once and at once"
    return (
        around("services.eventbridge._invoke_target", _at_least_once(realism, "events"), reason),
        around("services.lambda_svc.invoke_async_with_retry", _at_least_once(realism, "invocations"), reason),
    )


def _at_least_once(realism: Realism, purpose: str) -> Callable[..., None]:
    random = realism.random(purpose)

    def deliver_at_least_once(deliver: Callable[..., None], *arguments: Any) -> None:
        late = random.random() < realism.late_deliveries
        twice = random.random() < realism.duplicates
        for later in (late, True) if twice else (late,):
            if later:
                _after(random.random() * realism.delivery_lag, deliver, *arguments)
            else:
                deliver(*arguments)

    return deliver_at_least_once


def _after(seconds: float, deliver: Callable[..., None], *arguments: Any) -> None:
    timer = threading.Timer(seconds, copy_context().run, (deliver, *arguments))
    timer.daemon = True
    timer.start()
