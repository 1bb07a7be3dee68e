"""How a CloudFormation resource type is added to MiniStack (gap 1).

MiniStack refuses a template that names a type it has no handler for. The services behind the types we need mostly
exist, so each handler calls the service's own function in process. A handler runs on the server's event loop: a call
back over HTTP would wait for itself.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from ministack.services.cloudformation import provisioners

type_names: set[str] = set()
"""The types our extensions added; a test compares them with what an unextended MiniStack supports."""

Properties = dict[str, Any]
Created = tuple[str, dict[str, Any]]
Create = Callable[[str, Properties, str], Created]
Delete = Callable[[str, Properties], None]
Update = Callable[[str, Properties, Properties, str, str], Created]
Response = tuple[int, dict[str, str], bytes]


def add_type(name: str, *, create: Create, delete: Delete, update: Update | None = None) -> None:
    """Register the handlers of one resource type; without `update`, every change replaces the resource.

    A replacement creates under a new physical id; CloudFormation then deletes the old one.
    """

    def replace(_id: str, _old: Properties, new: Properties, stack: str, logical_id: str) -> Created:
        return create(logical_id, new, stack)

    provisioners._RESOURCE_HANDLERS[name] = {
        "create": create,
        "delete": delete,
        "update": update or replace,
        "update_with_logical_id": True,
    }
    type_names.add(name)


def checked(response: Response) -> bytes:
    """The body of a service's answer; raises ValueError with the service's message when it refused."""
    status, _headers, body = response
    if status >= 400:
        raise ValueError(body.decode(errors="replace"))
    return body


def checked_json(response: Response) -> dict[str, Any]:
    """The JSON body of a service's answer; raises ValueError when it refused."""
    answer: dict[str, Any] = json.loads(checked(response) or b"{}")
    return answer


def element(response: Response, name: str) -> str:
    """The text of the first XML element `name` of a query-protocol answer; raises ValueError when it refused."""
    match = re.search(rf"<{name}>([^<]*)</{name}>", checked(response).decode())
    if match is None:
        raise ValueError(f"the answer has no <{name}>")
    return match.group(1)


def generated_name(stack: str, logical_id: str, max_length: int = 128) -> str:
    """The physical name CloudFormation gives a resource whose template names none; `generated_names` has its form."""
    name: str = provisioners._physical_name(stack, logical_id, max_len=max_length)
    return name


def camel_case(value: Any) -> Any:
    """A template's PascalCase member names as the API's camelCase ones, at every depth."""
    return provisioners._pascal_to_camel(value)


def only_tags_changed(old: Properties, new: Properties) -> bool:
    """Whether an update touches nothing but the resource's tags."""
    return {k: v for k, v in old.items() if k != "Tags"} == {k: v for k, v in new.items() if k != "Tags"}
