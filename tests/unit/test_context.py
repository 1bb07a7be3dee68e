"""The context's budget and priorities."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpost.domain.context import BUDGETS, Note, Origin, compose, tokens_of

notes = st.lists(
    st.builds(
        Note,
        st.sampled_from(Origin),
        st.text("abc0-_.", min_size=1, max_size=20),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=3_000) | st.just("line of text\n" * 400),
    ),
    max_size=6,
)


@given(notes, st.sampled_from(sorted(BUDGETS)))
def test_the_text_is_never_over_the_budget(given_notes: list[Note], level: str) -> None:
    text, record = compose(given_notes, level)  # type: ignore[arg-type]
    assert tokens_of(text) <= BUDGETS[level]  # type: ignore[index]
    assert record.used_tokens == tokens_of(text)
    assert len(record.notes) == len(given_notes)


@given(notes)
def test_nothing_is_used_behind_a_note_that_was_cut(given_notes: list[Note]) -> None:
    _, record = compose(given_notes, "standard")
    used = [note.used_tokens for note in record.notes]
    whole = [note.used_tokens > note.tokens for note in record.notes]  # its heading counts as well
    first_cut = whole.index(False) if False in whole else len(whole)
    assert all(count == 0 for count in used[first_cut + 1 :])


@pytest.mark.parametrize(("level", "budget"), [("minimal", 600), ("standard", 1_200), ("full", 1_800)])
def test_each_level_has_its_budget_and_uses_it(level: str, budget: int) -> None:
    text, record = compose([Note(Origin.REPOSITORY, "a.md", "a line of text\n" * 2_000)], level)  # type: ignore[arg-type]
    assert record.budget_tokens == budget
    assert budget - 10 <= tokens_of(text) <= budget
    assert text.endswith("[cut here: the context's budget is used up]\n")


def test_the_repository_comes_before_the_tenant_and_names_give_the_order() -> None:
    given_notes = [
        Note(Origin.TENANT, "00-first.md", "tenant"),
        Note(Origin.REPOSITORY, "20-b.md", "second"),
        Note(Origin.REPOSITORY, "10-a.md", "first"),
    ]
    text, record = compose(given_notes, "full")
    assert text.index("first") < text.index("second") < text.index("tenant")
    assert [note.name for note in record.notes] == ["10-a.md", "20-b.md", "00-first.md"]


def test_a_cut_falls_between_lines() -> None:
    text, _ = compose([Note(Origin.REPOSITORY, "a.md", "0123456789\n" * 1_000)], "minimal")
    lines = text.splitlines()[4:-1]
    assert set(lines) == {"0123456789"}


def test_without_notes_there_is_no_context() -> None:
    text, record = compose([], "full")
    assert (text, record.notes) == ("", ())
