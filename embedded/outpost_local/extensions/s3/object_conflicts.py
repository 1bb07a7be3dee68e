"""A conditional write of S3 may get 409: MiniStack runs every write at once, so that no two ever overlap.

"If a conflicting operation occurs during the upload S3 returns a 409 ConditionalRequestConflict response. On a 409
failure you should retry the upload." (Amazon S3 API Reference: PutObject, CompleteMultipartUpload.) No SDK does so by
itself. Here a seeded share of the writes with If-None-Match or If-Match gets it, and nothing is stored.
"""

from collections.abc import Callable
from typing import Any

from ministack.services import s3

from outpost_local.extensions.patch import Patch, around
from outpost_local.settings import Settings

_MESSAGE = "The conditional request cannot succeed due to a conflicting operation against this resource."


def patches(settings: Settings) -> tuple[Patch, ...]:
    """Draw before the conditions are checked."""
    realism = settings.realism
    random = realism.random("object_conflicts")

    def check_overlap(check: Callable[..., Any], headers: dict[str, str], existing: dict[str, Any] | None) -> Any:
        conditional = headers.get("if-none-match") or headers.get("if-match")
        if conditional and random.random() < realism.object_conflicts:
            return s3._error("ConditionalRequestConflict", _MESSAGE, 409)
        return check(headers, existing)

    return (around("services.s3._check_put_preconditions", check_overlap, "conditional writes never conflict"),)
