"""The service-linked roles that an environment needs in its account.

A service creates its role with the first resource of a kind. ECS assumes it at once, so that the first cluster of an
account may fail with "Unable to assume the service linked role"; `aws iam create-service-linked-role` before the deploy
avoids it. Source: IAM User Guide, "AWS services that work with IAM", and the page "Using service-linked roles" of each
service (2026-11).
"""

from typing import NamedTuple

from outpost_ops.templates import Resource, Templates


class LinkedRole(NamedTuple):
    """A role that belongs to a service."""

    service: str
    """The principal, which `create-service-linked-role --aws-service-name` takes."""
    name: str


_NEEDED = {
    "AWS::ApplicationAutoScaling::ScalableTarget": LinkedRole(
        "ecs.application-autoscaling.amazonaws.com", "AWSServiceRoleForApplicationAutoScaling_ECSService"
    ),
    "AWS::Backup::BackupSelection": LinkedRole("backup.amazonaws.com", "AWSServiceRoleForBackup"),
    "AWS::ECS::Cluster": LinkedRole("ecs.amazonaws.com", "AWSServiceRoleForECS"),
    "AWS::EFS::FileSystem": LinkedRole("elasticfilesystem.amazonaws.com", "AWSServiceRoleForAmazonElasticFileSystem"),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": LinkedRole(
        "elasticloadbalancing.amazonaws.com", "AWSServiceRoleForElasticLoadBalancing"
    ),
    "AWS::WAFv2::LoggingConfiguration": LinkedRole("wafv2.amazonaws.com", "AWSServiceRoleForWAFV2Logging"),
}


def linked_roles(templates: Templates) -> dict[LinkedRole, Resource]:
    """Return each role that the templates need, with the first resource that needs it."""
    needed: dict[LinkedRole, Resource] = {}
    for resource in templates.of_type(*_NEEDED):
        needed.setdefault(_NEEDED[resource.type], resource)
    return needed
