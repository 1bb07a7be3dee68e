"""Providers' keys, and whether the configured models are among those that each provider offers."""

from collections.abc import Iterator
from contextlib import contextmanager

from outpost.doctor.finding import Level
from outpost.names import PROVIDER_PLACEHOLDER
from tests.doctor.conftest import Case

OPENAI = "SecretsProvideropenai"


@contextmanager
def key(case: Case, value: str) -> Iterator[None]:
    """While OpenAI's key is another."""
    secrets = case.client("secretsmanager")
    secrets.put_secret_value(SecretId=OPENAI, SecretString=value)
    try:
        yield
    finally:
        secrets.put_secret_value(SecretId=OPENAI, SecretString="key-openai")


def test_a_key_that_was_never_set(case: Case) -> None:
    with key(case, PROVIDER_PLACEHOLDER):
        found = case.found()

    assert [(each.check, each.level) for each in found] == [("provider keys", Level.WARNING)]
    assert "put-secret-value" in found[0].remedy


def test_a_key_that_the_provider_refuses(case: Case) -> None:
    with key(case, "wrong"):
        finding = case.only("models", Level.WARNING)

    assert finding.message == "openai: the key is refused with status 401"


def test_the_newline_after_a_key_is_no_part_of_it(case: Case) -> None:
    with key(case, "key-openai\n"):
        assert case.found() == []


def test_a_model_that_the_provider_does_not_offer(case: Case) -> None:
    model = "gpt-6.1-sol"
    case.provider.models["openai"] = {"gpt-6"}
    try:
        finding = case.only("models", Level.WARNING)
    finally:
        case.provider.models["openai"] = {model}
    assert model in finding.message
    assert finding.remedy.endswith(": gpt-6")


def test_a_provider_that_does_not_respond_as_documented_is_unchecked(case: Case) -> None:
    case.provider.garbled.add("openai")
    try:
        (finding,) = case.found()
    finally:
        case.provider.garbled.clear()
    assert (finding.check, finding.level) == ("models", Level.UNCHECKED)


def test_no_finding_shows_a_key(case: Case) -> None:
    with key(case, "wrong"):
        shown = "".join(each.model_dump_json() for each in case.all())

    assert "wrong" not in shown
    assert "key-anthropic" not in shown
