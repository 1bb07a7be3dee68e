"""The models' data: valid, unambiguous, and found by every name under which a CLI may call them."""

import pytest

from outpost.domain.models import Model, ModelsError, find_model, models, read_models
from outpost.domain.providers import PROVIDERS

ENTRY = """
[[models]]
provider = "anthropic"
id = "claude-x"
price = { input = 4, output = 20, cached = 0.2 }
context_window = 1_000
largest_output = 100
released = 2026-01-01
source = "https://example.com/"
checked = 2026-01-02
"""


def found(name: str) -> Model:
    model = find_model(name)
    assert model is not None, name
    return model


@pytest.mark.parametrize(
    "name",
    [
        "claude-opus-5-5",
        "claude-opus-5-5-20260922",
        "claude-opus-5-5[1m]",
        "claude-opus-5-5-20260922[1m]",
        "anthropic/claude-opus-5-5",
    ],
)
def test_a_model_is_found_by_the_names_that_clis_use(name: str) -> None:
    assert found(name).id == "claude-opus-5-5"


def test_an_alias_and_a_name_with_its_provider_are_found() -> None:
    assert found("deepseek/deepseek-v4-flash") is found("deepseek-flash")
    assert found("models/gemini-3.8-flash-001") is found("gemini-3.8-flash")


@pytest.mark.parametrize(
    "name", ["claude-opus-5-50", "claude-opus-5-5-7", "claude-opus-5", "opus", "", "gpt-6.1-sol-mini"]
)
def test_a_similar_name_is_no_name_of_it(name: str) -> None:
    assert find_model(name) is None


def test_every_provider_has_models_and_every_model_a_provider() -> None:
    assert {model.provider for model in models()} - {"bedrock"} == set(PROVIDERS)


@pytest.mark.parametrize(
    ("change", "explained"),
    [
        (("input = 4", "input = -4"), r"claude-x: price\.input: is -4: give 0 or more"),
        (
            ("cached = 0.2", "cashed = 0.2"),
            r"claude-x: price\.cached: is missing: add it(.|\n)*price\.cashed: is 0\.2: remove it",
        ),
        (("released = 2026-01-01", 'released = "soon"'), r'claude-x: released: is "soon": give a day'),
        (("released = 2026-01-01\n", ""), "claude-x: released: is missing: add it"),
        (('id = "claude-x"', 'id = "claude-x"\nretires = 2026-01-01'), "claude-x: .*retires is 2026-01-01: name a day"),
        (('"https://', '"http://'), r'claude-x: source: is "http://example.com/": give a text that matches'),
        (('"claude-x"', '"claude-y"\naliases = ["claude-y"]'), "id or aliases name claude-y twice: remove one"),
    ],
)
def test_a_wrong_entry_is_named_with_field_and_value(change: tuple[str, str], explained: str) -> None:
    assert read_models(ENTRY)
    with pytest.raises(ModelsError, match=explained):
        read_models(ENTRY.replace(*change))
