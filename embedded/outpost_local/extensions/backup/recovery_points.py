"""A backup vault lists what backup jobs put into it, and is deleted when that is deleted.

MiniStack counts recovery points, lists none, and deletes a vault whatever it holds. A deleted recovery point is still
listed once, as DELETING: on AWS the deletion takes minutes. One whose role is gone is not deleted and becomes EXPIRED.
Sources: AWS Backup API Reference, DeleteBackupVault ("The
vault must be empty before it can be deleted"), DeleteRecoveryPoint, ListRecoveryPointsByBackupVault.
"""

from typing import Any
from urllib.parse import unquote

from ministack.services import backup, iam

from outpost_local.extensions.cloudformation.handlers import Response, checked_json

_points: dict[str, dict[str, dict[str, Any]]] = {}
"""Recovery points by ARN, by vault."""


def install() -> None:
    """Keep recovery points, serve DeleteRecoveryPoint, and refuse to delete a vault with some."""
    start_job, delete_vault, handle = backup._start_job, backup._delete_vault, backup.handle_request

    def start_job_kept(body: dict[str, Any]) -> Response:
        response: Response = start_job(body)
        if response[0] < 400:
            _keep(body, checked_json(response))
        return response

    def delete_vault_checked(name: str) -> Response:
        if _points.get(name):
            reason = f"Backup vault cannot be deleted because it contains recovery points: {name}"
            return _error("InvalidRequestException", reason)
        response: Response = delete_vault(name)
        return response

    async def handle_deletes(method: str, path: str, *rest: Any) -> Response:
        parts = unquote(path).strip("/").split("/", 3)
        if method == "DELETE" and len(parts) == 4 and parts[2] == "recovery-points":
            return _delete(parts[1], parts[3])
        response: Response = await handle(method, path, *rest)
        return response

    backup._start_job, backup._delete_vault, backup.handle_request = (
        start_job_kept,
        delete_vault_checked,
        handle_deletes,
    )
    backup._list_recovery_points_by_vault = _list


def _keep(body: dict[str, Any], started: dict[str, Any]) -> None:
    vault, arn = body["BackupVaultName"], started["RecoveryPointArn"]
    _points.setdefault(vault, {})[arn] = {
        "RecoveryPointArn": arn,
        "BackupVaultName": vault,
        "ResourceArn": body["ResourceArn"],
        "IamRoleArn": body["IamRoleArn"],
        "CreationDate": started["CreationDate"],
        "Status": "COMPLETED",
    }


def _list(vault: str, query: dict[str, Any]) -> Response:
    if vault not in backup._vaults:
        return _error("ResourceNotFoundException", f"Backup vault {vault} does not exist.")
    points = _points.get(vault, {})
    listed = [dict(point) for point in points.values()]
    for point in listed:
        if point["Status"] == "DELETING":
            del points[point["RecoveryPointArn"]]
    backup._vaults[vault]["NumberOfRecoveryPoints"] = len(points)
    response: Response = backup._paginate(listed, query, "RecoveryPoints")
    return response


def _delete(vault: str, arn: str) -> Response:
    point = _points.get(vault, {}).get(arn)
    if point is None:
        return _error("ResourceNotFoundException", f"Cannot find recovery point: {arn}")
    if point["Status"] == "DELETING":
        return _error("InvalidResourceStateException", f"Recovery point is being deleted: {arn}")
    point["Status"] = "DELETING" if point["IamRoleArn"].rpartition("/")[2] in iam._roles else "EXPIRED"
    response: Response = backup._no_content()
    return response


def _error(code: str, message: str) -> Response:
    response: Response = backup._err(code, message)
    return response
