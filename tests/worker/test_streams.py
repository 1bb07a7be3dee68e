"""Streams of bytes: lines out of a program's output, secrets out of a patch."""

import subprocess
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from outpost.redaction.redactor import Redactor
from worker.lines import MAX_LINE_BYTES, LineSplitter
from worker.patch import PatchScrubber, pieces_of

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


@settings(deadline=None, max_examples=30)
@given(st.integers(MAX_LINE_BYTES - 60, MAX_LINE_BYTES + 20), st.integers(1, 5000))
def test_a_cut_never_halves_a_key_or_a_character(position: int, step: int) -> None:
    data = b"word " * (position // 5) + "é".encode() + b" " + KEY.encode() + b" " + b"y" * 20_000
    lines = _lines([data[start : start + step] for start in range(0, len(data), step)])
    assert KEY in " ".join(lines)
    assert "\ufffd" not in "".join(lines)


def test_a_progress_bar_gives_a_line_for_each_state() -> None:
    assert _lines([b"10%\r20%\r\ndone\r\n"]) == ["10%", "20%", "done"]


def _scrub(patch: bytes) -> tuple[bytes, PatchScrubber]:
    scrubber = PatchScrubber(Redactor())
    return b"".join(scrubber.scrub(pieces_of([patch]))), scrubber


def test_only_added_lines_of_a_patch_are_scrubbed() -> None:
    patch = (
        f"diff --git a/f b/f\nindex 1111111..2222222 100644\n--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n"
        f" kept {KEY}\n-old {KEY}\n+new {KEY}\n \n\\ No newline at end of file\n"
    ).encode()
    clean, scrubber = _scrub(patch)
    assert clean == patch.replace(f"+new {KEY}".encode(), b"+new [REDACTED:github-token]")
    assert scrubber.files == 1


def test_an_added_line_that_looks_like_a_header_is_still_an_added_line() -> None:
    patch = f"diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -0,0 +1,2 @@\n+++ b/{KEY}\n+@@ -1 +1 @@ {KEY}\n".encode()
    clean, scrubber = _scrub(patch)
    assert KEY.encode() not in clean
    assert not scrubber.secret_in_header


@given(
    st.binary(max_size=300).filter(lambda data: b"\n" not in data),
    st.binary(max_size=300).filter(lambda data: b"\n" not in data),
)
def test_bytes_that_are_not_utf8_pass_unchanged(first: bytes, second: bytes) -> None:
    patch = b"diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-" + first + b"\n+" + second + b"\n"
    assert _scrub(patch)[0] == patch


def test_a_scrubbed_patch_still_applies(tmp_path: Path) -> None:
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "file").write_text("one\n")
    subprocess.run([*git, "add", "file"], cwd=tmp_path, check=True)
    (tmp_path / "file").write_text(f"one\ntoken = {KEY}\n-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0\n")
    patch = subprocess.run([*git, "diff", "--full-index"], cwd=tmp_path, check=True, capture_output=True).stdout
    (tmp_path / "file").write_text("one\n")
    clean = _scrub(patch)[0]
    subprocess.run([*git, "apply"], cwd=tmp_path, input=clean, check=True)
    assert (tmp_path / "file").read_text() == (
        "one\ntoken = [REDACTED:github-token]\n[REDACTED:private-key]\n[REDACTED:private-key]\n"
    )


def test_a_line_of_megabytes_is_scrubbed_in_pieces() -> None:
    body = b"x" * 700_000 + b" " + KEY.encode() + b" " + b"y" * 700_000
    patch = b"diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -0,0 +1 @@\n+" + body + b" " + body + b"\n"
    assert _scrub(patch)[0] == patch.replace(KEY.encode(), b"[REDACTED:github-token]")
