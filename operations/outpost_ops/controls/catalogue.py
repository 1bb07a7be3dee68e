"""The seven controls: checked in the templates at every synth, and again in the deployed environment."""

from enum import StrEnum


class Control(StrEnum):
    """Each control by its id in reports."""

    TRAIL = "control-1"
    ENCRYPTION = "control-2"
    PUBLIC_ACCESS = "control-3"
    FLOW_LOGS = "control-4"
    SECURITY_GROUPS = "control-5"
    PRIVATE_TASKS = "control-6"
    TABLES = "control-7"

    @property
    def demand(self) -> str:
        """What it demands."""
        return _DEMANDS[self]

    @property
    def remedy(self) -> str:
        """What to do about a live environment that does not keep it."""
        return _REMEDIES[self]


_DEMANDS = {
    Control.TRAIL: "CloudTrail logs every region, with validation, and delivers",
    Control.ENCRYPTION: "Every bucket encrypts by default",
    Control.PUBLIC_ACCESS: "No bucket can be reached by the public",
    Control.FLOW_LOGS: "VPC flow logs record all traffic in CloudWatch",
    Control.SECURITY_GROUPS: "Only the load balancer can be reached from outside",
    Control.PRIVATE_TASKS: "Tasks have no public address and no way in",
    Control.TABLES: "Every table is encrypted and recoverable",
}

_REMEDIES = {
    Control.TRAIL: "cloudtrail start-logging, or deploy the Audit stack again; see the bucket policy of the trail",
    Control.ENCRYPTION: "deploy the stack of the bucket again: it sets the default encryption",
    Control.PUBLIC_ACCESS: "set the four flags, remove the public statement, then ask CloudTrail who changed them",
    Control.FLOW_LOGS: "deploy the Network stack again; a deleted flow log comes back with a changed template only",
    Control.SECURITY_GROUPS: "revoke the rule: every rule that belongs there is in security_groups.py",
    Control.PRIVATE_TASKS: "stop the task, deploy the ControlPlane stack again",
    Control.TABLES: "deploy the Data stack again: it sets key, recovery and deletion protection",
}
