"""LookupEvents in pages: MiniStack answers the newest 50 events and no NextToken, so that older ones cannot be had."""

from collections import deque
from itertools import dropwhile, islice
from typing import Any

from ministack.services import cloudtrail

from outpost_local.extensions.cloudformation.handlers import checked_json

_PAGE = 50


def install() -> None:
    """Answer a token with each full page: the id of its last event."""
    lookup = cloudtrail._DISPATCH["LookupEvents"]
    queue = cloudtrail._get_event_queue

    def lookup_page(body: dict[str, Any]) -> Any:
        token = body.get("NextToken")
        if token:
            newest_first = dropwhile(lambda event: event["EventId"] != token, reversed(list(queue())))
            older = deque(reversed(list(islice(newest_first, 1, None))))
            cloudtrail._get_event_queue = lambda: older
        try:
            answer = lookup(body)
        finally:
            cloudtrail._get_event_queue = queue
        if answer[0] >= 400:
            return answer
        page = checked_json(answer)
        if len(page["Events"]) == min(int(body.get("MaxResults") or _PAGE), _PAGE):
            page["NextToken"] = page["Events"][-1]["EventId"]
        return cloudtrail._ok(page)

    cloudtrail._DISPATCH["LookupEvents"] = lookup_page
