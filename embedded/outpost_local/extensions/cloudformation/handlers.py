"""What the handlers of CloudFormation's resource types have in common, and how a type is added to MiniStack.

MiniStack refuses a template that names a type it has no handler for. The services behind the types we need mostly
exist, so each handler calls the service's own function in process. A handler runs on the server's event loop: a call
back over HTTP would wait for itself.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from outpost_local.extensions.patch import Patch, around

Properties = dict[str, Any]
Created = tuple[str, dict[str, Any]]
"""Physical id and attributes."""
Create = Callable[[str, Properties, str], Created]
Delete = Callable[[str, Properties], None]
Update = Callable[[str, Properties, Properties, str, str], Created]
Response = tuple[int, dict[str, str], bytes]
"""Status, headers and body."""

MISSING_TYPE = "a template with the type is refused"


def handler(kind: str, operation: str) -> str:
    """Return the target of a type's handler: `create`, `update` or `delete`."""
    return f"services.cloudformation.provisioners._RESOURCE_HANDLERS[{kind}][{operation}]"


def new_type(name: str, *, create: Create, delete: Delete, update: Update | None = None) -> Patch:
    """Return the patch that adds a resource type; without `update`, a change calls `create` again.

    CloudFormation deletes the old resource if that returns another physical id.
    """

    def again(_id: str, _old: Properties, new: Properties, stack: str, logical_id: str) -> Created:
        return create(logical_id, new, stack)

    handlers = {"create": create, "delete": delete, "update": update or again, "update_with_logical_id": True}
    target = f"services.cloudformation.provisioners._RESOURCE_HANDLERS[{name}]"
    return Patch(target, lambda _missing: handlers, MISSING_TYPE)


def after_write(kind: str, apply: Callable[[str, Properties], object], reason: str) -> tuple[Patch, Patch]:
    """Return the patches that call `apply` with the physical id and the new properties after a create or update."""

    def create(original: Create, logical_id: str, props: Properties, *rest: Any) -> Created:
        created = original(logical_id, props, *rest)
        apply(created[0], props)
        return created

    def update(original: Update, physical_id: str, old: Properties, new: Properties, *rest: Any) -> Created:
        updated = original(physical_id, old, new, *rest)
        apply(updated[0], new)
        return updated

    return around(handler(kind, "create"), create, reason), around(handler(kind, "update"), update, reason)


def checked(response: Response) -> bytes:
    """Return the body of a service's response; raises ValueError with the service's message when it refused."""
    status, _headers, body = response
    if status >= 400:
        raise ValueError(body.decode(errors="replace"))
    return body


def checked_json(response: Response) -> dict[str, Any]:
    """Return the JSON body of a service's response; raises ValueError when it refused."""
    found: dict[str, Any] = json.loads(checked(response) or b"{}")
    return found


def revised(response: Response, revise: Callable[[dict[str, Any]], dict[str, Any]]) -> Response:
    """Return a JSON response of a service with the body that `revise` makes of it, or a refusal as it is."""
    status, headers, body = response
    return (status, headers, json.dumps(revise(json.loads(body))).encode()) if status < 400 else response


def element(response: Response, name: str) -> str:
    """Return the text of the first XML element `name` of a query-protocol response; raises ValueError on a refusal."""
    match = re.search(rf"<{name}>([^<]*)</{name}>", checked(response).decode())
    if match is None:
        raise ValueError(f"the response has no <{name}>")
    return match.group(1)
