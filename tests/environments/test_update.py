"""An environment of the previous release is updated to this one, and keeps what it holds."""

import sys
from pathlib import Path

import pytest

from outpost_local.cdk import CdkApp
from tests.e2e.changing import Changing
from tests.environments.conftest import Factory

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]
PREVIOUS = Path(__file__).with_name("previous_app.py")
KEPT = ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::EFS::FileSystem", "AWS::SecretsManager::Secret")


def kept(changing: Changing) -> dict[str, str]:
    """Return the physical ids of what holds data, by stack and logical id."""
    cloudformation = changing.environment.client("cloudformation")
    return {
        f"{stack}/{resource['LogicalResourceId']}": resource["PhysicalResourceId"]
        for stack in changing.changed()
        if stack.startswith("Outpost-")
        for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
        for resource in page["StackResourceSummaries"]
        if resource["ResourceType"] in KEPT
    }


def test_an_environment_of_the_previous_release_is_updated(new: Factory) -> None:
    changing = new("dev")
    today = changing.environment.app
    changing.environment.app = CdkApp(today.stacks, f"{sys.executable} {PREVIOUS}", today.config)
    changing.deploy()
    before = kept(changing)
    assert len(before) > 8
    changing.environment.app = today

    changing.deploy()

    assert {name: kept(changing).get(name) for name in before} == before
    changing.works()
