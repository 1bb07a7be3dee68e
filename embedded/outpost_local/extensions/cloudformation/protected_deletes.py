"""What may not be deleted is not: protected, or holding or serving something else.

MiniStack's CloudFormation removes the records whatever they say, so that rollbacks and deletions always succeed here.
A refused delete during the rollback of a create leaves the stack in ROLLBACK_FAILED, with the resource. Sources: the
errors of DeleteTable, DeleteLoadBalancer, DeleteTargetGroup, DeleteBucket, DeleteBackupVault, DeleteCluster and
DeleteSecurityGroup in the API references; CloudFormation User Guide, "Delete stack fails" and "DeletionPolicy".
"""

from collections.abc import Awaitable, Callable
from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import alb, backup, dynamodb, ec2, ecs, s3

from outpost_local.extensions.cloudformation.handlers import Properties
from outpost_local.extensions.patch import around

Refusal = Callable[[str], str | None]
"""Takes the physical id and returns the reason, None when the resource may go."""


def refuse(kind: str, physical_id: str, _props: Properties) -> None:
    """Raise ValueError for a resource that may not be deleted."""
    refusal = _REFUSALS.get(kind)
    if refusal is not None and (reason := refusal(physical_id)):
        raise ValueError(reason)


def _delete_cluster(delete: Callable[..., Any], data: dict[str, Any]) -> Any:
    reason = _cluster(ecs._resolve_cluster_name(data.get("cluster", "default")))
    return error_response_json("ClusterContainsTasksException", reason, 400) if reason else delete(data)


def _delete_balancer(delete: Callable[..., Any], params: dict[str, Any]) -> Any:
    reason = _load_balancer(alb._p(params, "LoadBalancerArn"))
    return alb._error("OperationNotPermitted", reason) if reason else delete(params)


async def _roll_back(roll_back: Callable[..., Awaitable[None]], *arguments: Any, **options: Any) -> None:
    _name, _stack_id, stack, *_ = arguments
    await roll_back(*arguments, **options)
    if stack["StackStatus"] == "ROLLBACK_FAILED":
        # The next DeleteStack tries again what could not be deleted.
        for logical_id, record in stack["_rollback_failed"].items():
            stack["_resources"][logical_id] = {"ResourceStatus": "DELETE_FAILED", "Attributes": {}, **record}


def _table(name: str) -> str | None:
    protected = str(dynamodb._tables.get(name, {}).get("DeletionProtectionEnabled")).lower() == "true"
    return "Resource cannot be deleted as it is currently protected against deletion" if protected else None


def _load_balancer(arn: str) -> str | None:
    attributes = {attribute["Key"]: attribute["Value"] for attribute in alb._lb_attrs.get(arn, [])}
    if attributes.get("deletion_protection.enabled", "").lower() == "true":
        return f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled"
    return None


def _target_group(arn: str) -> str | None:
    users = [*alb._listeners.values(), *alb._rules.values()]
    if any(arn in str(user.get("DefaultActions") or user.get("Actions")) for user in users):
        return f"Target group '{arn}' is currently in use by a listener or a rule"
    return None


def _bucket(name: str) -> str | None:
    bucket = s3._buckets.get(name, {"objects": {}})
    if bucket["objects"] or s3._bucket_has_versions(name):
        return "The bucket you tried to delete is not empty"
    return None


def _vault(name: str) -> str | None:
    if backup._vaults.get(name, {}).get("NumberOfRecoveryPoints"):
        return f"Backup vault cannot be deleted because it contains recovery points: {name}"
    return None


def _cluster(name: str) -> str | None:
    cluster = ecs._clusters.get(name, {})
    tasks = [task for task in ecs._tasks.values() if task.get("clusterArn") == cluster.get("clusterArn")]
    # CloudFormation on AWS waits for the tasks of a deleted service; here they are still stopping.
    if any(task["desiredStatus"] != "STOPPED" for task in tasks):
        return "The Cluster cannot be deleted while Tasks are active."
    return None


def _security_group(group_id: str) -> str | None:
    others = [group for key, group in ec2._security_groups.items() if key != group_id]
    referenced = any(
        pair.get("GroupId") == group_id
        for group in others
        for rule in (*group["IpPermissions"], *group["IpPermissionsEgress"])
        for pair in rule.get("UserIdGroupPairs", [])
    )
    in_use = any(group_id in balancer.get("SecurityGroups", []) for balancer in alb._lbs.values())
    return f"resource {group_id} has a dependent object" if referenced or in_use else None


_REFUSALS: dict[str, Refusal] = {
    "AWS::Backup::BackupVault": _vault,
    "AWS::DynamoDB::Table": _table,
    "AWS::EC2::SecurityGroup": _security_group,
    "AWS::ECS::Cluster": _cluster,
    "AWS::ElasticLoadBalancingV2::LoadBalancer": _load_balancer,
    "AWS::ElasticLoadBalancingV2::TargetGroup": _target_group,
    "AWS::S3::Bucket": _bucket,
}

_GAP = "what is protected or in use can be deleted"

PATCHES = (
    around("services.ecs._ACTION_MAP[DeleteCluster]", _delete_cluster, _GAP),
    around("services.alb._ACTION_MAP[DeleteLoadBalancer]", _delete_balancer, _GAP),
    around("services.cloudformation.stacks._roll_back_operation", _roll_back, "a failed rollback forgets resources"),
)
