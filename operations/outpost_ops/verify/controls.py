"""The seven controls, read from the deployed environment."""

from collections.abc import Callable

from botocore.exceptions import ClientError

from outpost.report import Check
from outpost_ops.controls.catalogue import Control
from outpost_ops.verify.controls_data import encryption, public_access, tables, trail
from outpost_ops.verify.controls_network import flow_logs, private_tasks, security_groups
from outpost_ops.verify.deployed import Deployed
from outpost_ops.verify.evidence import Evidence

CHECKS: dict[Control, Callable[[Deployed], Evidence]] = {
    Control.TRAIL: trail,
    Control.ENCRYPTION: encryption,
    Control.PUBLIC_ACCESS: public_access,
    Control.FLOW_LOGS: flow_logs,
    Control.SECURITY_GROUPS: security_groups,
    Control.PRIVATE_TASKS: private_tasks,
    Control.TABLES: tables,
}


def verify_controls(deployed: Deployed) -> list[Check]:
    """Check every control. A refused call makes a control inconclusive. Raises NotDeployedError."""
    return [_checked(control, check, deployed) for control, check in CHECKS.items()]


def _checked(control: Control, check: Callable[[Deployed], Evidence], deployed: Deployed) -> Check:
    try:
        return check(deployed).check()
    except ClientError as error:
        return Check.of(control, control.demand, None, [str(error)], control.remedy)
