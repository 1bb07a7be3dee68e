"""A backup vault lists what backup jobs put into it, and is deleted when that is deleted.

MiniStack counts recovery points, lists none, and deletes a vault whatever it holds. A deleted recovery point is still
listed once, as DELETING: on AWS the deletion takes minutes. One whose role is gone is not deleted and becomes EXPIRED.
Sources: AWS Backup API Reference, DeleteBackupVault ("The vault must
be empty before it can be deleted"), DeleteRecoveryPoint, ListRecoveryPointsByBackupVault.
"""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

from ministack.services import backup, iam

from outpost_local.extensions.cloudformation.handlers import Response, checked_json
from outpost_local.extensions.patch import Patch, around

_points: dict[str, dict[str, dict[str, Any]]] = {}
"""Recovery points by ARN, by vault."""


def _start_job(start: Callable[..., Response], body: dict[str, Any]) -> Response:
    response = start(body)
    if response[0] < 400:
        started = checked_json(response)
        vault, arn = body["BackupVaultName"], started["RecoveryPointArn"]
        _points.setdefault(vault, {})[arn] = {
            "RecoveryPointArn": arn,
            "BackupVaultName": vault,
            "ResourceArn": body["ResourceArn"],
            "IamRoleArn": body["IamRoleArn"],
            "CreationDate": started["CreationDate"],
            "Status": "COMPLETED",
        }
    return response


def _list(vault: str, query: dict[str, Any]) -> Any:
    if vault not in backup._vaults:
        return backup._err("ResourceNotFoundException", f"Backup vault {vault} does not exist.")
    points = _points.get(vault, {})
    listed = [dict(point) for point in points.values()]
    for point in listed:
        if point["Status"] == "DELETING":
            del points[point["RecoveryPointArn"]]
    backup._vaults[vault]["NumberOfRecoveryPoints"] = len(points)
    return backup._paginate(listed, query, "RecoveryPoints")


def _delete_vault(delete: Callable[[str], Any], name: str) -> Any:
    if _points.get(name):
        reason = f"Backup vault cannot be deleted because it contains recovery points: {name}"
        return backup._err("InvalidRequestException", reason)
    return delete(name)


async def _serve(handle: Callable[..., Awaitable[Any]], method: str, path: str, *rest: Any) -> Any:
    parts = unquote(path).strip("/").split("/", 3)
    if method == "DELETE" and len(parts) == 4 and parts[2] == "recovery-points":
        return _delete(parts[1], parts[3])
    return await handle(method, path, *rest)


def _delete(vault: str, arn: str) -> Any:
    point = _points.get(vault, {}).get(arn)
    if point is None:
        return backup._err("ResourceNotFoundException", f"Cannot find recovery point: {arn}")
    if point["Status"] == "DELETING":
        return backup._err("InvalidResourceStateException", f"Recovery point is being deleted: {arn}")
    point["Status"] = "DELETING" if point["IamRoleArn"].rpartition("/")[2] in iam._roles else "EXPIRED"
    return backup._no_content()


_LIST = "a vault lists no recovery points"

PATCHES = (
    around("services.backup._start_job", _start_job, _LIST),
    Patch("services.backup._list_recovery_points_by_vault", lambda _: _list, _LIST),
    around("services.backup._delete_vault", _delete_vault, "a vault with recovery points can be deleted"),
    around("services.backup.handle_request", _serve, "recovery points cannot be deleted"),
)
