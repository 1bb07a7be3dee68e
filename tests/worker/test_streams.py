"""Streams of bytes: lines out of a program's output."""

from hypothesis import given, settings
from hypothesis import strategies as st

from worker.lines import MAX_LINE_BYTES, LineSplitter

KEY = "ghp_" + "k" * 36


def _lines(chunks: list[bytes]) -> list[str]:
    splitter = LineSplitter()
    return [line for chunk in chunks for line in splitter.feed(chunk)] + list(splitter.finish())


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_lines_do_not_depend_on_how_the_bytes_arrive(chunks: list[bytes]) -> None:
    assert _lines(chunks) == _lines([b"".join(chunks)])


@given(st.binary(max_size=500))
def test_every_line_is_printable_and_valid(data: bytes) -> None:
    for line in _lines([data]):
        line.encode("utf-8")
        assert not any(character < " " and character != "\t" for character in line)


def test_a_line_without_end_is_cut_into_bounded_lines() -> None:
    lines = _lines([b"x" * 100_000])
    assert "".join(lines) == "x" * 100_000
    assert max(map(len, lines)) <= MAX_LINE_BYTES


@settings(max_examples=30)
@given(st.integers(MAX_LINE_BYTES - 60, MAX_LINE_BYTES + 20), st.integers(1, 5000))
def test_a_cut_never_halves_a_key_or_a_character(position: int, step: int) -> None:
    data = b"word " * (position // 5) + "é".encode() + b" " + KEY.encode() + b" " + b"y" * 20_000
    lines = _lines([data[start : start + step] for start in range(0, len(data), step)])
    assert KEY in " ".join(lines)
    assert "\ufffd" not in "".join(lines)


def test_a_progress_bar_gives_a_line_for_each_state() -> None:
    assert _lines([b"10%\r20%\r\ndone\r\n"]) == ["10%", "20%", "done"]
