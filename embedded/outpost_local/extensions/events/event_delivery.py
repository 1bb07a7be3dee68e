"""EventBridge and asynchronous invocations deliver at least once, and not in order: MiniStack delivers once, at once.

"EventBridge provides at-least-once event delivery to targets", in no guaranteed order (Amazon EventBridge User Guide:
"Events"; Amazon ECS Developer Guide: "Amazon ECS task state change events": "You might receive the same event more than
once"); "even if your function doesn't return an error, it's possible for it to receive the same event from Lambda
multiple times" (AWS Lambda Developer Guide: "Invoking a function asynchronously"). Here a seeded share of the events is
delivered twice, and a share late, so that later ones arrive before it.
"""

import threading
from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import eventbridge, lambda_svc

from outpost_local.realism import Realism

Deliver = Callable[..., None]


def install(realism: Realism) -> None:
    """Wrap the delivery to a rule's target, and asynchronous invocations."""
    eventbridge._invoke_target = _at_least_once(eventbridge._invoke_target, realism, "events")
    lambda_svc.invoke_async_with_retry = _at_least_once(lambda_svc.invoke_async_with_retry, realism, "invocations")


def _at_least_once(deliver: Deliver, realism: Realism, purpose: str) -> Deliver:
    random = realism.random(purpose)

    def deliver_somehow(*arguments: Any) -> None:
        late = random.random() < realism.late_deliveries
        twice = random.random() < realism.duplicates
        for later in (late, True) if twice else (late,):
            if later:
                _after(random.random() * realism.delivery_lag, deliver, *arguments)
            else:
                deliver(*arguments)

    return deliver_somehow


def _after(seconds: float, deliver: Deliver, *arguments: Any) -> None:
    account, region = get_account_id(), get_region()

    def deliver_in_scope() -> None:
        with request_scope(account, region):
            deliver(*arguments)

    timer = threading.Timer(seconds, deliver_in_scope)
    timer.daemon = True
    timer.start()
