"""A shard of a DynamoDB stream has at most two readers: MiniStack serves any number.

"No more than two processes at most should be reading from the same stream's shard at the same time. Having more than
two readers per shard can result in throttling." (Amazon DynamoDB Developer Guide: "Change data capture for DynamoDB
Streams".) Here the third event source mapping of a stream, and each further one, is throttled for good: its function is
never called.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from outpost_local.extensions.patch import Patch, around
from outpost_local.settings import Settings

Mappings = Iterator[tuple[str, str, dict[str, Any]]]

_RESULT = "PROBLEM: the stream's shard has more than {} readers; GetRecords is throttled"


AFTER = ("kms.deliveries",)


def patches(settings: Settings) -> tuple[Patch, ...]:
    """Leave mappings beyond the limit out of what is polled."""
    most, reason = settings.realism.stream_readers, "a stream has any number of readers"
    return (around("services.lambda_svc._iter_all_esms", partial(limited, most), reason),) if most else ()


def limited(most: int, mappings: Callable[[], Mappings]) -> Mappings:
    """Yield the mappings without those that are throttled; they are in the order of their creation."""
    readers: Counter[str] = Counter()
    for account, region, mapping in mappings():
        source = mapping.get("EventSourceArn", "")
        if mapping.get("Enabled", True) and ":dynamodb:" in source:
            readers[source] += 1
            if readers[source] > most:
                mapping["LastProcessingResult"] = _RESULT.format(most)
                continue
        yield account, region, mapping
