"""The picture of the architecture shows what the templates have, and is the one in docs/architecture.md."""

import re

import pytest

from outpost_ops.diagram import BOXES, draw
from outpost_ops.templates import Templates, read_assembly
from tests.infra.assembly import Assembly
from tools.diagram import PAGE, page

DRAWN = {
    "AWS::DynamoDB::Table",
    "AWS::ECS::Service",
    "AWS::ECS::TaskDefinition",
    "AWS::EFS::FileSystem",
    "AWS::ElasticLoadBalancingV2::LoadBalancer",
    "AWS::Lambda::Function",
    "AWS::S3::Bucket",
    "AWS::SecretsManager::Secret",
    "AWS::WAFv2::WebACL",
}
"""What somebody would look for: all of it is in exactly one box."""


def arrows(flowchart: str) -> set[tuple[str, str]]:
    return set(re.findall(r"^ +(\w+) --> (\w+)$", flowchart, re.MULTILINE))


@pytest.fixture
def environment_templates(assembly: Assembly, environment: str) -> Templates:
    return of(assembly, environment)


def of(assembly: Assembly, name: str) -> Templates:
    (found,) = (each for each in read_assembly(assembly.folder) if each.environment == name)
    return found


AT_DEPLOY = ("Network/NetworkDefaultGroup", "Data/DeletionProtection", "ControlPlane/DeletionProtection")
"""What acts at a deploy only: no part of the running system, not drawn."""


def test_the_picture_in_docs_is_what_the_templates_say(assembly: Assembly) -> None:
    assert PAGE.read_text(encoding="utf-8") == page(assembly.folder), "stale: run `make diagram`"


def test_everything_that_matters_is_in_exactly_one_box(environment_templates: Templates) -> None:
    boxes = {
        each.place: [name for name, box in BOXES.items() if box.holds(each)]
        for each in environment_templates.resources
        if each.type in DRAWN and not each.place.startswith(AT_DEPLOY)
    }

    assert {place: names for place, names in boxes.items() if len(names) != 1} == {}


def test_arrows_say_who_may_call_what(assembly: Assembly) -> None:
    found = arrows(draw(of(assembly, "prod")))

    assert {
        ("clients", "balancer"),
        ("balancer", "api"),
        ("api", "tables"),
        ("workers", "broker"),
        ("broker", "tables"),
        ("tables", "api"),  # with the reader of the stream
        ("api", "planner"),
        ("planner", "workers"),
        ("artifacts", "audit"),
    } <= found
    never = {("workers", "tables"), ("workers", "artifacts"), ("workers", "secrets"), ("broker", "workers")}
    assert not {*never, ("api", "balancer")} & found  # the function that protects the load balancer runs at a deploy


def test_a_right_that_is_taken_away_takes_its_arrow_along(assembly: Assembly) -> None:
    templates = of(assembly, "prod")
    kept = {
        name: {
            **stack,
            "Resources": {
                key: each
                for key, each in stack["Resources"].items()
                if each["Type"] != "AWS::IAM::Policy" or not key.startswith("Worker")
            },
        }
        for name, stack in templates.stacks.items()
    }

    before, after = arrows(draw(templates)), arrows(draw(Templates("prod", kept)))

    assert before - after == {("workers", "broker"), ("workers", "queues"), ("workers", "files")}


def test_every_arrow_has_its_nodes(environment_templates: Templates) -> None:
    """Mermaid would draw a node without a title for a name that it does not know."""
    flowchart = draw(environment_templates)
    nodes = set(re.findall(r'^ +(\w+)\["<b>[^"]+"\]$', flowchart, re.MULTILINE))

    assert {name for arrow in arrows(flowchart) for name in arrow} <= nodes
    assert flowchart.count('["') == len(nodes)
