"""EC2 resource types CloudFormation lacks in MiniStack: addresses, NAT, flow logs, single rules, instances.

A change of a create-only property replaces the resource (`cloudformation.replacement`); tags change in place.

The public parameters of the current Amazon Linux 2023 images, in every variant that AWS publishes: MiniStack knows the
x86_64 image of one kernel; a NAT instance is ARM64. Source: Amazon Linux 2023 User Guide, "Launching AL2023 using the
SSM parameter and AWS CLI".
"""

from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_region
from ministack.services import ec2
from ministack.services.cloudformation import provisioners

from outpost_local.extensions.cloudformation.handlers import (
    Created,
    Delete,
    Properties,
    Response,
    checked,
    element,
    new_type,
)
from outpost_local.extensions.patch import Patch

Attributes = dict[str, Any]


def _call(action: str, props: Properties, *names: str, **params: Any) -> Response:
    """Call EC2 with the properties of some names, where they are set, and further parameters."""
    query = {name: [str(props[name])] for name in names if props.get(name) not in (None, "")}
    query |= {name.replace("__", "."): [str(value)] for name, value in params.items() if value is not None}
    response: Response = ec2._ACTION_MAP[action](query)
    return response


def _tagged_type(
    name: str,
    create: Callable[[Properties], str],
    delete: Delete,
    attributes: Callable[[str], Attributes],
    *,
    change: Callable[[str, Properties, Properties], None] | None = None,
    tagged: Callable[[str], str] = str,
) -> Patch:
    """Return the patch that adds a type with tags.

    `create` returns the physical id, `change` makes other changes in place, `tagged` returns the id that has the tags.
    """

    def make(_logical_id: str, props: Properties, _stack: str) -> Created:
        physical_id = create(props)
        provisioners._ec2_apply_tags(tagged(physical_id), props)
        return physical_id, attributes(physical_id)

    def update(physical_id: str, old: Properties, new: Properties, _stack: str, _logical_id: str) -> Created:
        if change is not None:
            change(physical_id, old, new)
        provisioners._ec2_apply_tags(tagged(physical_id), new, old)
        return physical_id, attributes(physical_id)

    return new_type(f"AWS::EC2::{name}", create=make, delete=delete, update=update)


# Elastic IP: Ref is the address, not the allocation.
def _create_address(_props: Properties) -> str:
    return element(_call("AllocateAddress", {"Domain": "vpc"}, "Domain"), "publicIp")


def _allocation(address: str) -> str:
    return next((key for key, record in ec2._addresses.items() if record["PublicIp"] == address), "")


def _delete_address(address: str, _props: Properties) -> None:
    if allocation := _allocation(address):
        checked(_call("ReleaseAddress", {}, AllocationId=allocation))


def _create_nat(props: Properties) -> str:
    return element(_call("CreateNatGateway", props, "SubnetId", "AllocationId", "ConnectivityType"), "natGatewayId")


def _delete_nat(physical_id: str, _props: Properties) -> None:
    if physical_id in ec2._nat_gateways:
        checked(_call("DeleteNatGateway", {}, NatGatewayId=physical_id))


def _create_flow_log(props: Properties) -> str:
    names = ("ResourceType", "TrafficType", "LogDestinationType", "LogDestination", "LogGroupName")
    return element(_call("CreateFlowLogs", props, *names, ResourceId__1=props["ResourceId"]), "item")


def _delete_flow_log(physical_id: str, _props: Properties) -> None:
    checked(_call("DeleteFlowLogs", {}, FlowLogId__1=physical_id))


def _rule_type(direction: str) -> Patch:
    """Return the patch that adds single rules of a group that another resource owns; the physical id is the rule's."""
    egress = direction == "Egress"
    member = "IpPermissionsEgress" if egress else "IpPermissions"

    def create(_logical_id: str, props: Properties, _stack: str) -> Created:
        group = ec2._security_groups.get(props["GroupId"])
        if group is None:
            raise ValueError(f"GroupId: the security group {props['GroupId']} does not exist")
        (rule,) = provisioners._ec2_sg_permissions([props])
        rule_id: str = ec2._sg_rule_id(props["GroupId"], egress, rule)
        group[member].append({**rule, "SecurityGroupRuleId": rule_id})
        return rule_id, {"Id": rule_id}

    def delete(physical_id: str, props: Properties) -> None:
        rules = ec2._security_groups.get(props["GroupId"], {}).get(member, [])
        rules[:] = [rule for rule in rules if rule.get("SecurityGroupRuleId") != physical_id]

    return new_type(f"AWS::EC2::SecurityGroup{direction}", create=create, delete=delete)


def _create_instance(props: Properties) -> str:
    groups = {f"SecurityGroupId__{n}": group for n, group in enumerate(props.get("SecurityGroupIds") or [], 1)}
    names = ("ImageId", "InstanceType", "SubnetId", "KeyName", "UserData")
    profile = props.get("IamInstanceProfile")
    params = {"IamInstanceProfile__Name": profile, "MinCount": 1, "MaxCount": 1, **groups}
    return element(_call("RunInstances", props, *names, **params), "instanceId")


def _instance_attributes(instance_id: str) -> Attributes:
    record = ec2._instances[instance_id]
    return {
        "InstanceId": instance_id,
        "AvailabilityZone": record.get("Placement", {}).get("AvailabilityZone", f"{get_region()}a"),
        "PrivateIp": record.get("PrivateIpAddress", ""),
        "PublicIp": record.get("PublicIpAddress", ""),
        "PrivateDnsName": record.get("PrivateDnsName", ""),
        "PublicDnsName": record.get("PublicDnsName", ""),
        "VpcId": record.get("VpcId", ""),
    }


def _change_instance(physical_id: str, old: Properties, new: Properties) -> None:
    """Change an instance on EBS in place, as AWS does after stopping it: new user data does not run again."""
    record = ec2._instances[physical_id]
    record |= {name: new[name] for name in ("InstanceType", "UserData") if name in new}
    if new.get("SecurityGroupIds") != old.get("SecurityGroupIds"):
        record["SecurityGroups"] = [{"GroupId": group, "GroupName": group} for group in new["SecurityGroupIds"]]


def _delete_instance(physical_id: str, _props: Properties) -> None:
    if physical_id in ec2._instances:
        checked(_call("TerminateInstances", {}, InstanceId__1=physical_id))


_PREFIX = "/aws/service/ami-amazon-linux-latest"
_IMAGES = {
    f"{_PREFIX}/{kind}-kernel-{kernel}-{architecture}": f"ami-0c2023{mark}{number:0>3}{digit}".ljust(21, "0")
    for kind, mark in (("al2023-ami", "0"), ("al2023-ami-minimal", "1"))
    for kernel, number in (("default", "0"), ("6.1", "61"), ("6.12", "612"))
    for architecture, digit in (("arm64", "a"), ("x86_64", "8"))
}
"""Image id by parameter."""
_DETAILS = ("Amazon Linux 2023 AMI", "", "/dev/xvda", "137112412989", "amazon")


def _image_name(parameter: str) -> str:
    return parameter.removeprefix(f"{_PREFIX}/").replace("-kernel-", "-2023.9.20261101.0-kernel-")


_GAP = "an ARM64 image of Amazon Linux is unknown"

PATCHES = (
    _tagged_type(
        "EIP",
        _create_address,
        _delete_address,
        lambda address: {"AllocationId": _allocation(address), "PublicIp": address},
        tagged=_allocation,
    ),
    _tagged_type("NatGateway", _create_nat, _delete_nat, lambda nat: {"NatGatewayId": nat}),
    _tagged_type("FlowLog", _create_flow_log, _delete_flow_log, lambda flow_log: {"Id": flow_log}),
    _tagged_type("Instance", _create_instance, _delete_instance, _instance_attributes, change=_change_instance),
    _rule_type("Ingress"),
    _rule_type("Egress"),
    Patch("services.ssm._PUBLIC_AMI_PARAMETERS", lambda known: known | _IMAGES, _GAP),
    Patch(
        "services.ec2._STUB_AMIS",
        lambda known: [*known, *((image, _image_name(parameter), *_DETAILS) for parameter, image in _IMAGES.items())],
        _GAP,
    ),
)
