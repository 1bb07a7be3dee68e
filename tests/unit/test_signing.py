"""Tokens open for the purpose, the context and the secret that they were sealed for, and for nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.signing import BadTokenError, Signer

CONTEXTS = st.lists(st.text(max_size=10), max_size=3).map(tuple)
PAYLOADS = st.dictionaries(st.text(max_size=5), st.text(max_size=10) | st.integers(), max_size=3)


@given(st.text(max_size=10), CONTEXTS, PAYLOADS)
def test_a_token_gives_back_what_was_sealed(
    purpose: str, context: tuple[str, ...], payload: dict[str, str | int]
) -> None:
    signer = Signer("secret")
    assert signer.open(purpose, context, signer.seal(purpose, context, payload)) == payload


@given(CONTEXTS, CONTEXTS)
def test_a_token_does_not_open_in_another_context(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    signer = Signer("secret")
    token = signer.seal("list", one, {"before": "x"})
    if one != other:
        with pytest.raises(BadTokenError):
            signer.open("list", other, token)
    with pytest.raises(BadTokenError):
        signer.open("artifact", one, token)
    with pytest.raises(BadTokenError):
        Signer("another secret").open("list", one, token)


@given(st.data())
def test_a_token_with_any_character_changed_does_not_open_to_something_else(data: st.DataObject) -> None:
    signer = Signer("secret")
    token = signer.seal("list", (), {"before": "01K9ZJ3J0X4T8WB6Q1V5N7M2CD"})
    place = data.draw(st.integers(0, len(token) - 1))
    damaged = token[:place] + data.draw(st.sampled_from("AZaz09-_")) + token[place + 1 :]
    try:
        assert signer.open("list", (), damaged) == signer.open("list", (), token)
    except BadTokenError:
        assert damaged != token


@given(st.text(max_size=100))
def test_nonsense_does_not_open(token: str) -> None:
    with pytest.raises(BadTokenError):
        Signer("secret").open("list", (), token)
