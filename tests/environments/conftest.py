"""The environments as they are shipped, each deployed into an empty account of its own.

Their tests take minutes: each file here is for one runner.
"""

from collections.abc import Callable, Iterator

import pytest

from tests.e2e.changing import Changing

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


def certificate(changing: Changing) -> str:
    """Request a certificate in the account; the embedded AWS issues it at once."""
    arn: str = changing.environment.client("acm").request_certificate(
        DomainName="outpost.staging.example.com", ValidationMethod="DNS"
    )["CertificateArn"]
    return arn
