"""An account on its first day: no service-linked roles, the lowest quotas; and an established one beside it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from outpost_local.environment import LocalEnvironment
from tests.local.conftest import NO_CHANCE, write_image_asset
from tests.local.stacks import Stack, network, resource
from tests.ports import free_port

ECS_ROLE = "AWSServiceRoleForECS"
VCPUS = ("fargate", "L-3032A538")


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEnvironment]:
    """A new account, shared by the tests of this file: each uses up something else."""
    folder = tmp_path_factory.mktemp("new") / "aws"
    local = LocalEnvironment(folder, free_port(), free_port(), realism=replace(NO_CHANCE, new_account=True))
    write_image_asset(local.settings.cdk_out)
    local.start()
    yield local
    local.stop()


@pytest.fixture
def new_stack(new: LocalEnvironment) -> Iterator[Stack]:
    stack = Stack(new)
    yield stack
    stack.delete()


def quota(account: LocalEnvironment, service: str, code: str) -> float:
    found = account.client("service-quotas").get_service_quota(ServiceCode=service, QuotaCode=code)["Quota"]
    value: float = found["Value"]
    return value


def test_the_first_cluster_fails_and_leaves_the_role_for_the_second(new: LocalEnvironment, new_stack: Stack) -> None:
    iam = new.client("iam")
    cluster = {"Cluster": resource("AWS::ECS::Cluster")}
    with pytest.raises(ClientError, match="NoSuchEntity"):
        iam.get_role(RoleName=ECS_ROLE)

    assert "Unable to assume the service linked role" in new_stack.refused(cluster)

    assert iam.get_role(RoleName=ECS_ROLE)["Role"]["Path"] == "/aws-service-role/ecs.amazonaws.com/"
    new_stack.delete()
    new_stack.deploy(cluster)


def test_other_services_create_their_role_with_the_first_resource(new: LocalEnvironment, new_stack: Stack) -> None:
    name = "AWSServiceRoleForAmazonElasticFileSystem"
    with pytest.raises(ClientError, match="NoSuchEntity"):
        new.client("iam").get_role(RoleName=name)

    new_stack.deploy({"Files": resource("AWS::EFS::FileSystem")})

    assert new.client("iam").get_role(RoleName=name)


def test_a_role_can_be_created_before_it_is_needed_but_once(new: LocalEnvironment, aws: LocalEnvironment) -> None:
    create = new.client("iam").create_service_linked_role
    assert create(AWSServiceName="spot.amazonaws.com")["Role"]["RoleName"] == "AWSServiceRoleForEC2Spot"
    with pytest.raises(ClientError, match="InvalidInput"):
        create(AWSServiceName="spot.amazonaws.com")
    assert aws.client("iam").get_role(RoleName=ECS_ROLE)["Role"]["RoleName"] == ECS_ROLE  # established


def test_service_quotas_differ_in_new_and_established_accounts(new: LocalEnvironment, aws: LocalEnvironment) -> None:
    concurrency = ("lambda", "L-B99A9384")
    client = new.client("service-quotas")

    assert (quota(new, *VCPUS), quota(aws, *VCPUS)) == (6, 4000)
    assert (quota(new, *concurrency), quota(aws, *concurrency)) == (10, 1000)
    default = client.get_aws_default_service_quota(ServiceCode="lambda", QuotaCode="L-B99A9384")["Quota"]
    listed = client.list_service_quotas(ServiceCode="fargate")["Quotas"]
    assert default["Value"] == 1000
    assert {each["QuotaCode"]: each["Value"] for each in listed} == {"L-3032A538": 6, "L-36FBB829": 6}
    with pytest.raises(ClientError, match="NoSuchResourceException"):
        quota(new, "fargate", "L-00000000")


def test_tasks_beyond_the_vcpus_are_failures_of_run_task(new: LocalEnvironment) -> None:
    ecs = new.client("ecs")
    ecs.register_task_definition(
        family="large",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="4096",
        memory="8192",
        containerDefinitions=[{"name": "job", "image": "none", "essential": True}],
    )

    def run(provider: str) -> dict[str, Any]:
        strategy = [{"capacityProvider": provider}]
        network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
        response: dict[str, Any] = ecs.run_task(
            taskDefinition="large", count=2, capacityProviderStrategy=strategy, networkConfiguration=network
        )
        return response

    for provider in ("FARGATE", "FARGATE_SPOT"):  # each has a quota of its own
        response = run(provider)
        reasons = [failure["reason"] for failure in response["failures"]]
        assert len(response["tasks"]) == 1
        assert reasons == ["You've reached the limit on the number of vCPUs you can run concurrently"]


def test_no_more_addresses_and_networks_than_the_quotas(new: LocalEnvironment, new_stack: Stack) -> None:
    ec2 = new.client("ec2")
    allocations = [ec2.allocate_address(Domain="vpc")["AllocationId"] for _ in range(5)]
    with pytest.raises(ClientError, match="AddressLimitExceeded"):
        ec2.allocate_address(Domain="vpc")
    assert "AddressLimitExceeded" in new_stack.refused({"Address": resource("AWS::EC2::EIP")})
    for allocation in allocations:
        ec2.release_address(AllocationId=allocation)

    free = 5 - len(ec2.describe_vpcs()["Vpcs"])
    networks = [ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"] for _ in range(free)]
    with pytest.raises(ClientError, match="VpcLimitExceeded"):
        ec2.create_vpc(CidrBlock="10.1.0.0/16")
    for vpc in networks:
        ec2.delete_vpc(VpcId=vpc)


def test_a_security_group_has_sixty_rules_in_each_direction(stack: Stack) -> None:
    def rules(count: int) -> list[dict[str, Any]]:
        return [
            {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "CidrIp": "10.0.0.0/8"} for port in range(count)
        ]

    def group(count: int) -> dict[str, Any]:
        properties = {"GroupDescription": "g", "VpcId": {"Ref": "Vpc"}, "SecurityGroupIngress": rules(count)}
        return network() | {"Group": resource("AWS::EC2::SecurityGroup", **properties)}

    stack.deploy(group(60))
    assert "maximum number of rules per security group" in stack.refused(group(61))
