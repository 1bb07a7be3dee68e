"""NAT instances: the cheapest way out of private subnets, one machine each."""

from hashlib import sha256
from pathlib import Path
from typing import cast

from aws_cdk import CfnCreationPolicy, CfnResourceSignal, Fn, Stack
from aws_cdk import aws_ec2 as ec2

from outpost_constructs.environment_key import key_of
from outpost_constructs.nag_suppressions import acknowledge

_SCRIPT = Path(__file__).with_suffix(".sh")
_READY_WITHIN = "PT15M"
"""ISO 8601: how long the stack waits for an instance's signal; a first boot takes one to three minutes."""


def nat_instances() -> ec2.NatInstanceProviderV2:
    """Return the provider of a nano for each NAT; call `prepare` when the VPC has created them."""
    return ec2.NatProvider.instance_v2(
        instance_type=ec2.InstanceType.of(ec2.InstanceClass.T4G, ec2.InstanceSize.NANO),
        associate_public_ip_address=True,
        default_allowed_traffic=ec2.NatTrafficDirection.OUTBOUND_ONLY,
    )


def prepare(provider: ec2.NatInstanceProviderV2, cidr: str) -> None:
    """Admit HTTPS of the network; require IMDSv2, encrypt the volumes, and have each instance signal that it forwards.

    The CDK's own user data needs a package at every first boot and reports no error when there is none (aws-cdk issue
    36717). An instance that does not signal success fails its stack, instead of leaving a network without a way out.
    """
    provider.connections.allow_from(ec2.Peer.ipv4(cidr), ec2.Port.HTTPS, "HTTPS on its way out")
    for each in provider.gateway_instances:
        key = key_of(each)
        instance = cast(ec2.CfnInstance, each.node.default_child)
        _start(instance, cidr)
        instance.metadata_options = ec2.CfnInstance.MetadataOptionsProperty(
            http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=1
        )
        volume = ec2.CfnInstance.EbsProperty(encrypted=True, volume_type="gp3", kms_key_id=key.key_arn if key else None)
        instance.block_device_mappings = [
            ec2.CfnInstance.BlockDeviceMappingProperty(device_name="/dev/xvda", ebs=volume)
        ]
        acknowledge(instance, "EC28", "It forwards packets; five-minute metrics show whether it is alive")
        acknowledge(instance, "EC29", "It holds no state: a deploy may replace it at any time")


def _start(instance: ec2.CfnInstance, network: str) -> None:
    """Set the user data, and make the stack wait for its signal.

    User data runs at the first boot only. Hence a change of it has to replace the instance, and its hash is part of
    the logical id: CloudFormation waits for the new instance, moves the routes to it, then deletes the old one.
    """
    stack = Stack.of(instance)
    body = _SCRIPT.read_text(encoding="utf-8")
    resource = f"{stack.get_logical_id(instance)}{sha256(f'{network} {body}'.encode()).hexdigest()[:8]}"
    instance.override_logical_id(resource)
    values = {"NETWORK": network, "STACK": stack.stack_name, "RESOURCE": resource, "REGION": stack.region}
    head = ["#!/bin/bash", *(f"{name}={value}" for name, value in values.items())]
    instance.user_data = Fn.base64("\n".join(head) + "\n" + body)
    instance.cfn_options.creation_policy = CfnCreationPolicy(
        resource_signal=CfnResourceSignal(count=1, timeout=_READY_WITHIN)
    )
