"""Dev as it is shipped, and later changes to it."""

from collections.abc import Callable

import pytest

from tests.e2e.changing import Changing
from tests.environments.conftest import Factory, certificate

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def dev(new: Factory) -> Changing:
    return new("dev")


def test_dev_runs_a_dispatch(dev: Changing) -> None:
    dev.settle()

    dev.works()


def test_an_agent_is_added_and_removed(dev: Changing) -> None:
    dev.settle()
    added = "[agents.shell]", '[agents.claude]\nmodels = { flagship = "claude-opus-5-5" }\n\n[agents.shell]'

    dev.deploy(added)
    dev.works()
    dev.deploy(added[::-1])

    dev.works()
    assert not dev.environment.client("ecs").list_task_definitions(familyPrefix="outpost-dev-claude")[
        "taskDefinitionArns"
    ]


def test_a_private_environment_becomes_public_and_private_again(
    dev: Changing, trusting: Callable[[Changing], None]
) -> None:
    trusting(dev)
    dev.settle()
    tls = f'[tls]\ncertificate_arn = "{certificate(dev)}"\ndomain = "outpost.dev.example.com"'
    public = 'cidrs = ["10.0.0.0/8"]', f'cidrs = ["0.0.0.0/0"]\nwaf = true\n\n{tls}'

    dev.deploy(public)
    dev.works()
    dev.deploy(public[::-1])

    dev.works()


def test_the_migration_is_switched_on_and_off(dev: Changing) -> None:
    dev.settle()
    switched = "[agents.shell]", "[migration]\nenabled = true\n\n[agents.shell]"

    dev.deploy(switched)
    assert dev.state("Migration") == "CREATE_COMPLETE"
    dev.deploy(switched[::-1])

    dev.works()
