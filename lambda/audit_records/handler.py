"""Writes each change of a dispatch's state down: one JSON line in the audit log group, which is this function's own.

The dispatches' stream tells every change, whoever made it, so that none of the writers has to.
"""

import json
import sys
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from audit_records.changes import state_change


def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Write down the changes of a batch. A batch that is delivered again repeats its records, with the same `id`."""
    for record in event["Records"]:
        change = state_change(record)
        if change is not None:
            sys.stdout.write(json.dumps(change) + "\n")
    sys.stdout.flush()
