"""How many tasks a service has follows its template and its scaling range as on AWS; MiniStack forgives both.

CloudFormation sends the template's DesiredCount with every update of a service, whatever scaling made of it meanwhile
(aws/containers-roadmap#493); without one it keeps the count. MiniStack sends it when the template's value changed only.
RegisterScalableTarget "changes the resource's current capacity to a value that is inside of this range" (Application
Auto Scaling API Reference); MiniStack has no such service.
"""

from typing import Any

from ministack.services import ecs
from ministack.services.cloudformation import provisioners

from outpost_local.extensions.cloudformation.handlers import Created, Properties, checked


def install() -> None:
    """Let each update of a service set the template's count; before `steady_services`, which waits for its tasks."""
    handlers = provisioners._RESOURCE_HANDLERS["AWS::ECS::Service"]
    update = handlers["update"]

    def update_with_count(physical_id: str, old: Properties, new: Properties, *rest: Any) -> Created:
        updated: Created = update(physical_id, old, new, *rest)
        if "DesiredCount" in new:
            _, cluster, service = updated[0].rsplit("/", 2)
            _set_count(cluster, service, int(new["DesiredCount"]))
        return updated

    handlers["update"] = update_with_count


def keep_in_range(target: Properties) -> None:
    """Change the count of a scalable target's service to the nearest one in its range; nothing for other resources."""
    _, _, place = str(target["ResourceId"]).partition("service/")
    service = ecs._services.get(place)
    if service is None or service["status"] != "ACTIVE":
        return
    count = min(max(service["desiredCount"], int(target["MinCapacity"])), int(target["MaxCapacity"]))
    if count != service["desiredCount"]:
        cluster, _, name = place.partition("/")
        _set_count(cluster, name, count)


def _set_count(cluster: str, service: str, count: int) -> None:
    checked(ecs._update_service({"cluster": cluster, "service": service, "desiredCount": count}))
