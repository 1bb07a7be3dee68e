"""Prod as it is shipped, after first deploys that failed."""

from collections.abc import Callable, Iterator

import pytest

from outpost.domain.agents import Agent
from outpost.names import Env
from outpost_client.models import DispatchRequest
from outpost_local.errors import DeployError
from tests.e2e.changing import Changing, ended
from tests.environments.conftest import Factory
from tests.real_clis import path_with_cli
from tests.worker.conftest import PROVIDER_KEY
from tests.worker.model_server import ModelServer, model_server

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]

STACKS = ("Network", "Data", "Audit", "Fleet", "ControlPlane", "Migration", "Observability")
TRIES = (*((stack,) for stack in STACKS[:5]), STACKS[5:])
"""Stacks that fail in each try of a first deploy; the last two are created at the same time."""


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with model_server(PROVIDER_KEY) as server:
        yield server


@pytest.fixture(scope="module")
def prod(new: Factory, model: ModelServer) -> tuple[Changing, dict[str, str]]:
    """Prod, and how each stack's first deploy ended: stack -> its state after a try that failed in it."""
    found = new("prod", tasks={"PATH": path_with_cli(Agent.CLAUDE), Env.MODEL_URL: model.url})
    zone = found.environment.client("route53").create_hosted_zone(Name="example.com", CallerReference="outpost")
    found.edit(("Z0000000000000000000", zone["HostedZone"]["Id"].rpartition("/")[2]))
    states: dict[str, str] = {}
    for stacks in TRIES:
        with found.broken(" ".join(stacks)), pytest.raises(DeployError):
            found.deploy()
        assert any("/taken/" in line and "already exists" in line for line in found.lines), [
            line for line in found.lines if "FAILED" in line
        ]
        states |= {stack: found.state(stack) for stack in stacks}
    found.deploy()
    return found, states


def test_a_first_deploy_of_prod_that_fails_in_any_stack_leaves_nothing_in_the_way_of_the_next(
    prod: tuple[Changing, dict[str, str]],
) -> None:
    changing, states = prod

    assert states == dict.fromkeys(STACKS, "ROLLBACK_COMPLETE")
    assert {changing.state(stack) for stack in STACKS} == {"CREATE_COMPLETE"}


def test_prod_runs_a_dispatch_of_a_real_cli(
    prod: tuple[Changing, dict[str, str]], trusting: Callable[[Changing], None]
) -> None:
    changing, _ = prod
    trusting(changing)
    environment = changing.environment
    secrets = environment.client("secretsmanager")
    (anthropic,) = [each for each in secrets.list_secrets()["SecretList"] if "ProviderAnthropic" in each["Name"]]
    secrets.put_secret_value(SecretId=anthropic["ARN"], SecretString=PROVIDER_KEY)
    environment.git.create_repository("acme/widget", {"README.md": "# widget\n"})

    with changing.client() as client:
        task = "Please write the file made-by-the-model.txt."
        accepted = client.dispatch(DispatchRequest(agent="claude", task=task, repo="acme/widget"))
        ended(client, accepted.id, within=240)
        names = {artifact.name for artifact in client.artifacts(accepted.id).artifacts}

    assert {"changes.patch", "output.log", "summary.json"} <= names
