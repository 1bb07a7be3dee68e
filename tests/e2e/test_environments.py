"""The environments as they are shipped, each deployed into an empty account of its own, and later changes to them."""

from collections.abc import Callable, Iterator

import pytest

from outpost.client.models import DispatchRequest
from outpost.domain.agents import Agent
from outpost.local.errors import DeployError
from outpost.names import Env
from tests.e2e.changing import Changing, ended
from tests.real_clis import path_with_cli
from tests.worker.conftest import PROVIDER_KEY
from tests.worker.model_server import ModelServer, model_server

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

STACKS = ("Network", "Data", "Audit", "Fleet", "ControlPlane", "Migration", "Observability")
TRIES = (*((stack,) for stack in STACKS[:5]), STACKS[5:])
"""Stacks that fail in each try of a first deploy; the last two are created at the same time."""
Factory = Callable[..., Changing]


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory, unused_port: Callable[[], int]) -> Iterator[Factory]:
    """Make environments in empty accounts, which end with the module."""
    made: list[Changing] = []

    def make(name: str, *edits: tuple[str, str], tasks: dict[str, str] | None = None) -> Changing:
        ports = (unused_port(), unused_port(), unused_port())
        found = Changing(tmp_path_factory.mktemp(name), ports, name, tasks)
        made.append(found)
        found.edit(*edits)
        found.environment.start()
        return found

    yield make
    for each in made:
        each.environment.stop()


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> Callable[[Changing], None]:
    """Let clients of this process trust an environment's HTTPS listener."""
    return lambda changing: monkeypatch.setenv("SSL_CERT_FILE", str(changing.environment.settings.certificate))


@pytest.fixture(scope="module")
def dev(new: Factory) -> Changing:
    return new("dev")


@pytest.fixture(scope="module")
def staging(new: Factory) -> Changing:
    found = new("staging")
    found.edit(
        ("arn:aws:acm:us-east-1:222222222222:certificate/00000000-0000-0000-0000-000000000000", certificate(found))
    )
    return found


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
        assert any("/taken already exists" in line for line in found.lines), found.lines
        states |= {stack: found.state(stack) for stack in stacks}
    found.deploy()
    return found, states


def certificate(changing: Changing) -> str:
    """Request a certificate in the account; the embedded AWS issues it at once."""
    arn: str = changing.environment.client("acm").request_certificate(
        DomainName="outpost.staging.example.com", ValidationMethod="DNS"
    )["CertificateArn"]
    return arn


def test_dev_runs_a_dispatch(dev: Changing) -> None:
    dev.settle()

    dev.works()


def test_staging_runs_a_dispatch_over_tls(staging: Changing, trusting: Callable[[Changing], None]) -> None:
    trusting(staging)
    staging.settle()

    staging.works()


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
        names = {artifact.name for artifact in client.artifacts(accepted.id)}

    assert {"changes.patch", "output.log", "summary.json"} <= names


def test_an_agent_is_added_and_removed(dev: Changing) -> None:
    dev.settle()
    added = "[agents.shell]", '[agents.claude]\nmodels = { flagship = "claude-opus-4-5-20251101" }\n\n[agents.shell]'

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


def test_dev_is_deployed_in_another_region_destroyed_and_deployed_again(new: Factory) -> None:
    changing = new("dev", ("us-east-1", "eu-central-1"))
    changing.deploy()
    changing.works()
    changing.empty_buckets()

    changing.environment.destroy(changing.lines.append)

    assert set(changing.changed()) == {"CDKToolkit"}
    changing.deploy()
    changing.works()
