"""Task definitions from CloudFormation."""

from outpost_local.environment import LocalEnvironment
from tests.local.stacks import Stack, resource, unextended


def test_task_definitions_keep_every_member_of_the_template(aws: LocalEnvironment, stack: Stack) -> None:
    container = {
        "Name": "job",
        "Image": "i",
        "Secrets": [{"Name": "S", "ValueFrom": "arn"}],
        "LinuxParameters": {"Capabilities": {"Drop": ["SYS_PTRACE"]}},
        "DockerLabels": {"Kept.As.Is": "x"},
        "LogConfiguration": {"LogDriver": "awslogs", "Options": {"awslogs-group": "g"}},
    }
    volume = {
        "Name": "shared",
        "EFSVolumeConfiguration": {
            "FilesystemId": "fs-1",
            "TransitEncryption": "ENABLED",
            "AuthorizationConfig": {"AccessPointId": "fsap-1", "IAM": "ENABLED"},
        },
    }
    arn = stack.deploy(
        {
            "Definition": resource(
                "AWS::ECS::TaskDefinition",
                ContainerDefinitions=[container],
                Volumes=[volume],
                RuntimePlatform={"CpuArchitecture": "ARM64", "OperatingSystemFamily": "LINUX"},
            )
        }
    )["Definition"]
    found = aws.client("ecs").describe_task_definition(taskDefinition=arn)["taskDefinition"]
    job = found["containerDefinitions"][0]
    assert job["secrets"] == [{"name": "S", "valueFrom": "arn"}]
    assert job["linuxParameters"]["capabilities"]["drop"] == ["SYS_PTRACE"]
    assert job["dockerLabels"] == {"Kept.As.Is": "x"}
    assert found["runtimePlatform"]["cpuArchitecture"] == "ARM64"
    efs = found["volumes"][0]["efsVolumeConfiguration"]
    assert (efs["fileSystemId"], efs["authorizationConfig"]["iam"]) == ("fs-1", "ENABLED")


def test_ministack_still_drops_members_of_task_definitions() -> None:
    definition = '[{"Name": "job", "Secrets": [{"Name": "S", "ValueFrom": "arn"}]}]'
    converted = unextended(f"provisioners._normalize_container_defs({definition})")
    assert converted[0]["secrets"] == [{"Name": "S", "ValueFrom": "arn"}]
