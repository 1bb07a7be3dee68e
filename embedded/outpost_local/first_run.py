"""What `outpost local up` does: start, deploy, issue a key, and run a first task on a sample repository."""

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from rich.text import Text

from outpost.domain.agents import CATALOGUE
from outpost.names import PROVIDER_PLACEHOLDER, Output, provider_of
from outpost_client import ApiError, Client
from outpost_client.cli.admin import WORKING_SCOPES
from outpost_client.cli.connection import Profile, ProfileError, load_profile, save_profile
from outpost_client.cli.output import err, out, patch_text, printable
from outpost_client.cli.watch import EXIT_CODES, watch
from outpost_client.models import Dispatch, DispatchRequest
from outpost_local.environment import LocalEnvironment
from outpost_local.errors import DeployError

TENANT = "demo"
READY_SECONDS = 60.0
"""How long the service may take to respond once it is deployed."""
_STACK_DONE = re.compile(r"✅\s+\S+/(\w+)")

TASK = """\
cat >> temperature.py <<'END'


def to_kelvin(celsius: float) -> float:
    \"\"\"Convert degrees Celsius to kelvin.\"\"\"
    return celsius - ABSOLUTE_ZERO
END
cat > test_kelvin.py <<'END'
import unittest

from temperature import ABSOLUTE_ZERO, to_kelvin


class Kelvin(unittest.TestCase):
    def test_absolute_zero_is_0_kelvin(self) -> None:
        self.assertEqual(to_kelvin(ABSOLUTE_ZERO), 0)
END
echo "Added to_kelvin; running the tests"
python3 -B -m unittest --verbose 2>&1
"""


@contextmanager
def step(title: str) -> Iterator[Callable[[str], None]]:
    """Show a step while it runs, and at its end how long it took; what is yielded shows a line of its progress."""
    begin = time.monotonic()
    with err.status(f"{title} ...", spinner="dots") as spinner:

        def progress(line: str) -> None:
            spinner.update(Text(f"{title}: {printable(line.strip())[: err.width - len(title) - 10]}"))
            if done := _STACK_DONE.search(line):
                err.print(Text(f"    {done[1]}{' (no changes)' if '(no changes)' in line else ''}", style="dim"))

        try:
            yield progress
        except Exception:
            err.print(Text.assemble(("✗", "red"), f" {title}"))
            raise
    err.print(Text.assemble(("✓", "green"), f" {title} ", (f"{time.monotonic() - begin:.1f} s", "dim")))


def bring_up(environment: LocalEnvironment) -> Profile:
    """Start and deploy what is not up yet, and return a working connection, which is also saved as the profile.

    Raises `LocalError` and `ApiError`.
    """
    was_up = " (was up)" if environment.runs() else ""
    with step(f"Embedded AWS on port {environment.settings.port}{was_up}"):
        environment.start()
    with step("Stacks deployed by the CDK") as progress:
        environment.deploy(progress)
    _store_keys(environment)
    url = api_url(environment)
    with step("Service ready"):
        _wait_until_ready(url)
    with step(f"API key of the tenant {TENANT}"):
        return _working_profile(url) or _new_profile(environment, url)


def _store_keys(environment: LocalEnvironment) -> None:
    """Store the keys of model providers that are in variables of their usual names; name those that are not."""
    variables = {entry.provider: entry.token_variables for entry in reversed(CATALOGUE.values()) if entry.provider}
    secrets = environment.client("secretsmanager")
    for secret in secrets.list_secrets()["SecretList"]:
        provider = provider_of(secret.get("Description", ""))
        if provider is None:
            continue
        names = variables[provider]
        if name := next((name for name in names if os.environ.get(name)), None):
            with step(f"Key of {provider}, from {name}"):
                secrets.put_secret_value(SecretId=secret["ARN"], SecretString=os.environ[name])
        elif secrets.get_secret_value(SecretId=secret["ARN"])["SecretString"] == PROVIDER_PLACEHOLDER:
            message = f" There is no key of {provider}: set {' or '.join(names)} and repeat make up"
            err.print(Text.assemble(("!", "yellow"), message))


def try_it(environment: LocalEnvironment, profile: Profile) -> int:
    """Run a first task on the sample repository and show what came of it; return the exit code of its outcome."""
    repository = environment.git.create_sample_repository()
    err.print(
        Text.assemble(
            "\n", ("A first task", "bold"), f" for the agent shell (a script) on the repository {repository}:"
        )
    )
    with Client(profile.url, profile.key) as client:
        accepted = client.dispatch(
            DispatchRequest(agent="shell", task=TASK, repo=repository, tags={"made-by": "make-up"})
        )
        ended = watch(client, accepted.id)
        folder = environment.settings.data_dir / "artifacts" / ended.id
        _fetch(client, ended, folder)
    _show_results(ended, folder, output(environment, Output.ARTIFACTS_BUCKET))
    return EXIT_CODES[ended.status]


def api_url(environment: LocalEnvironment) -> str:
    """Return the URL of the API: the emulator serves a load balancer under its own ports by the balancer's name."""
    url = urlsplit(output(environment, Output.API_URL))
    balancers = environment.client("elbv2").describe_load_balancers()["LoadBalancers"]
    # A domain of one's own is known to nobody here: the environment's only load balancer is behind it.
    balancer = next((each for each in balancers if each["DNSName"] == url.hostname), balancers[0])
    settings = environment.settings
    gateway = settings.endpoint if url.scheme == "http" else f"https://127.0.0.1:{settings.tls_port}"
    return f"{gateway}/_alb/{balancer['LoadBalancerName']}"


def operator_key(environment: LocalEnvironment) -> str:
    """Return the first operator key, as the deployment generated it. Raises `LocalError`."""
    secret = environment.client("secretsmanager").get_secret_value(
        SecretId=output(environment, Output.BOOTSTRAP_SECRET_ARN)
    )
    return f"otp_{json.loads(secret['SecretString'])['key_hex']}"


def output(environment: LocalEnvironment, name: Output) -> str:
    """Return an output of the deployed stacks. Raises `LocalError` before the first deployment."""
    for outputs in environment.outputs().values():
        if name in outputs:
            return outputs[name]
    raise DeployError(f"no stack has the output {name}: run `make up`")


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    with Client(url) as client:
        while not client.ready():
            if time.monotonic() > deadline:
                raise DeployError(
                    f"the service at {url} is not ready after {READY_SECONDS:.0f} s: {_fault(client)}\n"
                    f"`{command()} local status` lists the tasks, `{command()} local logs TASK` prints the log of one"
                )
            time.sleep(0.5)


def _fault(client: Client) -> str:
    try:
        return client.health().failing
    except ApiError as error:
        return error.message


def _working_profile(url: str) -> Profile | None:
    """Return the saved profile if it is for this service and its key still opens it."""
    try:
        profile = load_profile(url)
        with Client(profile.url, profile.key) as client:
            client.dispatches({}, limit=1)
    except (ProfileError, ApiError):
        return None
    return profile


def _new_profile(environment: LocalEnvironment, url: str) -> Profile:
    with Client(url, operator_key(environment)) as operator:
        try:
            operator.create_tenant(TENANT, "Demonstration", "pro")
        except ApiError as error:
            if error.code != "CONFLICT":
                raise
        issued = operator.create_key(TENANT, "make up", WORKING_SCOPES)
    profile = Profile(url=url, key=issued.key)
    save_profile(profile, environment.settings.data_dir / "profile.json")
    return profile


def _fetch(client: Client, dispatch: Dispatch, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for artifact in client.artifacts(dispatch.id).artifacts:
        client.download(artifact, folder / Path(artifact.name).name)


def _show_results(dispatch: Dispatch, folder: Path, bucket: str) -> None:
    patch = folder / "changes.patch"
    if patch.exists():
        err.print(Text("\nIts patch", style="bold"))
        out.print(patch_text(patch.read_text(encoding="utf-8", errors="replace")))
    err.print(Text("\nIts artifacts", style="bold"))
    err.print(f"  {short(folder)}/")
    err.print(f"  s3://{bucket}/tenants/{TENANT}/dispatches/{dispatch.id}/{dispatch.attempt}/")
    err.print(Text("\nTry next", style="bold"))
    for arguments in (
        "dispatch shell 'grep -rn celsius .' --repo outpost/sample --watch",
        "list",
        f"status {dispatch.id}",
    ):
        err.print(f"  {command()} {arguments}")


def command() -> Path:
    """Return the command line as it is typed here, where it is not on PATH."""
    return short(Path(sys.executable).with_name("outpost"))


def short(path: Path) -> Path:
    """Return a path as it is typed here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
