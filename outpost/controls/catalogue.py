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


_DEMANDS = {
    Control.TRAIL: "CloudTrail logs every region, with validation, and delivers",
    Control.ENCRYPTION: "Every bucket encrypts by default",
    Control.PUBLIC_ACCESS: "No bucket can be reached by the public",
    Control.FLOW_LOGS: "VPC flow logs record all traffic in CloudWatch",
    Control.SECURITY_GROUPS: "Only the load balancer can be reached from outside",
    Control.PRIVATE_TASKS: "Tasks have no public address and no way in",
    Control.TABLES: "Every table is encrypted and recoverable",
}
