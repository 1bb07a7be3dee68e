"""EC2 resource types CloudFormation lacks in MiniStack: addresses, NAT, flow logs, single rules, instances."""

from typing import Any

from ministack.core.responses import get_region
from ministack.services import ec2
from ministack.services.cloudformation import provisioners

from outpost_local.extensions.cloudformation.handlers import (
    Created,
    Properties,
    Response,
    checked,
    element,
    new_type,
    only_tags_changed,
)


def _call(action: str, **params: Any) -> Response:
    query = {name.replace("__", "."): [str(value)] for name, value in params.items() if value not in (None, "")}
    response: Response = ec2._ACTION_MAP[action](query)
    return response


def _tag(resource_id: str, props: Properties, old: Properties | None = None) -> None:
    provisioners._ec2_apply_tags(resource_id, props, old)


# Elastic IP: Ref is the address, not the allocation.
def _create_address(_logical_id: str, props: Properties, _stack: str) -> Created:
    response = _call("AllocateAddress", Domain="vpc")
    allocation = element(response, "allocationId")
    _tag(allocation, props)
    address = element(response, "publicIp")
    return address, {"AllocationId": allocation, "PublicIp": address}


def _allocation(address: str) -> str | None:
    return next((key for key, record in ec2._addresses.items() if record["PublicIp"] == address), None)


def _update_address(physical_id: str, old: Properties, new: Properties, stack: str, logical_id: str) -> Created:
    allocation = _allocation(physical_id)
    if allocation is None or not only_tags_changed(old, new):
        return _create_address(logical_id, new, stack)
    _tag(allocation, new, old)
    return physical_id, {"AllocationId": allocation, "PublicIp": physical_id}


def _delete_address(physical_id: str, _props: Properties) -> None:
    allocation = _allocation(physical_id)
    if allocation is not None:
        checked(_call("ReleaseAddress", AllocationId=allocation))


def _create_nat(_logical_id: str, props: Properties, _stack: str) -> Created:
    nat = element(
        _call(
            "CreateNatGateway",
            SubnetId=props.get("SubnetId"),
            AllocationId=props.get("AllocationId"),
            ConnectivityType=props.get("ConnectivityType"),
        ),
        "natGatewayId",
    )
    _tag(nat, props)
    return nat, {"NatGatewayId": nat}


def _update_nat(physical_id: str, old: Properties, new: Properties, stack: str, logical_id: str) -> Created:
    if not only_tags_changed(old, new):
        return _create_nat(logical_id, new, stack)
    _tag(physical_id, new, old)
    return physical_id, {"NatGatewayId": physical_id}


def _delete_nat(physical_id: str, _props: Properties) -> None:
    if physical_id in ec2._nat_gateways:
        checked(_call("DeleteNatGateway", NatGatewayId=physical_id))


def _create_flow_log(_logical_id: str, props: Properties, _stack: str) -> Created:
    response = _call(
        "CreateFlowLogs",
        ResourceId__1=props["ResourceId"],
        ResourceType=props["ResourceType"],
        TrafficType=props.get("TrafficType"),
        LogDestinationType=props.get("LogDestinationType"),
        LogDestination=props.get("LogDestination"),
        LogGroupName=props.get("LogGroupName"),
    )
    flow_log = element(response, "item")
    _tag(flow_log, props)
    return flow_log, {"Id": flow_log}


def _update_flow_log(physical_id: str, old: Properties, new: Properties, stack: str, logical_id: str) -> Created:
    if not only_tags_changed(old, new):
        return _create_flow_log(logical_id, new, stack)
    _tag(physical_id, new, old)
    return physical_id, {"Id": physical_id}


def _delete_flow_log(physical_id: str, _props: Properties) -> None:
    checked(_call("DeleteFlowLogs", FlowLogId__1=physical_id))


class _RuleHandlers:
    """A single rule of a group that another resource owns; its physical id is the rule's id."""

    def __init__(self, direction: str) -> None:
        self._egress = direction == "Egress"
        self._member = "IpPermissionsEgress" if self._egress else "IpPermissions"

    def create(self, _logical_id: str, props: Properties, _stack: str) -> Created:
        group = ec2._security_groups.get(props["GroupId"])
        if group is None:
            raise ValueError(f"GroupId: the security group {props['GroupId']} does not exist")
        (rule,) = provisioners._ec2_sg_permissions([props])
        rule_id: str = ec2._sg_rule_id(props["GroupId"], self._egress, rule)
        group[self._member].append({**rule, "SecurityGroupRuleId": rule_id})
        return rule_id, {"Id": rule_id}

    def delete(self, physical_id: str, props: Properties) -> None:
        group = ec2._security_groups.get(props["GroupId"])
        if group is not None:
            rules = group[self._member]
            rules[:] = [rule for rule in rules if rule.get("SecurityGroupRuleId") != physical_id]


def _create_instance(_logical_id: str, props: Properties, _stack: str) -> Created:
    groups = {f"SecurityGroupId__{n}": group for n, group in enumerate(props.get("SecurityGroupIds") or [], 1)}
    response = _call(
        "RunInstances",
        ImageId=props.get("ImageId"),
        InstanceType=props.get("InstanceType"),
        SubnetId=props.get("SubnetId"),
        KeyName=props.get("KeyName"),
        UserData=props.get("UserData"),
        IamInstanceProfile__Name=props.get("IamInstanceProfile"),
        MinCount=1,
        MaxCount=1,
        **groups,
    )
    instance = element(response, "instanceId")
    _tag(instance, props)
    return instance, _instance_attributes(instance)


def _instance_attributes(instance_id: str) -> dict[str, Any]:
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


def _update_instance(physical_id: str, old: Properties, new: Properties, _stack: str, _logical_id: str) -> Created:
    """Change an instance on EBS in place, as AWS does after stopping it: new user data does not run again."""
    record = ec2._instances[physical_id]
    record |= {name: new[name] for name in ("InstanceType", "UserData") if name in new}
    if new.get("SecurityGroupIds") != old.get("SecurityGroupIds"):
        record["SecurityGroups"] = [{"GroupId": group, "GroupName": group} for group in new["SecurityGroupIds"]]
    _tag(physical_id, new, old)
    return physical_id, _instance_attributes(physical_id)


def _delete_instance(physical_id: str, _props: Properties) -> None:
    if physical_id in ec2._instances:
        checked(_call("TerminateInstances", InstanceId__1=physical_id))


PATCHES = (
    new_type("AWS::EC2::EIP", create=_create_address, delete=_delete_address, update=_update_address),
    new_type("AWS::EC2::NatGateway", create=_create_nat, delete=_delete_nat, update=_update_nat),
    new_type("AWS::EC2::FlowLog", create=_create_flow_log, delete=_delete_flow_log, update=_update_flow_log),
    new_type("AWS::EC2::Instance", create=_create_instance, delete=_delete_instance, update=_update_instance),
    *(
        new_type(f"AWS::EC2::SecurityGroup{direction}", create=rules.create, delete=rules.delete)
        for direction in ("Ingress", "Egress")
        for rules in [_RuleHandlers(direction)]
    ),
)
