"""CloudTrail hides what SendCommand ran (gap 9): MiniStack records its parameters in clear.

AWS writes HIDDEN_DUE_TO_SECURITY_REASONS in their place. Code that reads commands out of the trail works here
otherwise, and never on AWS.
"""

from typing import Any

from ministack.services import cloudtrail

HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"


def install() -> None:
    """Hide the parameters before an event is recorded."""
    record = cloudtrail.record_event

    def record_hidden(*, event_name: str, request_params: Any, **event: Any) -> None:
        if event_name == "SendCommand" and isinstance(request_params, dict):
            request_params = {
                key: HIDDEN if key.lower() == "parameters" else value for key, value in request_params.items()
            }
        record(event_name=event_name, request_params=request_params, **event)

    cloudtrail.record_event = record_hidden
