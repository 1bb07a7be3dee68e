"""A shard of a DynamoDB stream has at most two readers: MiniStack serves any number.

"No more than two processes at most should be reading from the same stream's shard at the same time. Having more than
two readers per shard can result in throttling." (Amazon DynamoDB Developer Guide: "Change data capture for DynamoDB
Streams".) Here the third event source mapping of a stream, and each further one, is throttled for good: its function is
never called.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from ministack.services import lambda_svc

from outpost_local.realism import Realism

Mappings = Iterator[tuple[str, str, dict[str, Any]]]

_RESULT = "PROBLEM: the stream's shard has more than {} readers; GetRecords is throttled"


def install(realism: Realism) -> None:
    """Leave mappings beyond the limit out of what is polled."""
    if realism.stream_readers:
        lambda_svc._iter_all_esms = limited(lambda_svc._iter_all_esms, realism.stream_readers)


def limited(mappings: Callable[[], Mappings], most: int) -> Callable[[], Mappings]:
    """Return the mappings without those that are throttled; they are in the order of their creation."""

    def limited() -> Mappings:
        readers: Counter[str] = Counter()
        for account, region, mapping in mappings():
            source = mapping.get("EventSourceArn", "")
            if mapping.get("Enabled", True) and ":dynamodb:" in source:
                readers[source] += 1
                if readers[source] > most:
                    mapping["LastProcessingResult"] = _RESULT.format(most)
                    continue
            yield account, region, mapping

    return limited
