"""Takes secrets out of text: known values, and everything that has the form of a key.

Pure, and fed line by line: a private key's body spans lines, so a scrubber remembers whether it is inside one. Use one
scrubber per stream.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

MIN_ENCODED_LENGTH = 8
MIN_KNOWN_LENGTH = 6
"""Shorter known values are left alone: removing every `true` or `1234` would make the text unreadable."""


@dataclass(frozen=True)
class _Kind:
    """A kind of secret: the group `secret` of the pattern is replaced, or all of it when there is no such group."""

    name: str
    hints: tuple[str, ...]
    """One or two lower-case texts that every match contains; looking for them first keeps ordinary text fast."""
    pattern: re.Pattern[str]

    def redact(self, match: re.Match[str]) -> str:
        """Return the match with its secret replaced."""
        whole = match.group(0)
        return whole.replace(match.groupdict().get("secret", whole), f"[REDACTED:{self.name}]")


_ASSIGNED = r"""["']?[ \t]*(?:[:=]|=>)[ \t]*["']?"""

# No pattern matches a line break: many lines are searched at once. A pattern that begins with plain text is found fast.
_KINDS = (
    _Kind("outpost-key", ("otp_",), re.compile(r"otp_[0-9A-Za-z]{32,}")),
    _Kind("anthropic-key", ("sk-ant-",), re.compile(r"sk-ant-[A-Za-z0-9_-]{16,}")),
    _Kind("openai-key", ("sk-",), re.compile(r"sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{16,}")),
    # Without the look-behind, `task-` and `disk-` would begin keys.
    _Kind("api-key", ("sk-",), re.compile(r"sk-(?<![A-Za-z0-9]sk-)[A-Za-z0-9_]{20,}")),
    _Kind("xai-key", ("xai-",), re.compile(r"xai-[A-Za-z0-9_-]{20,}")),
    _Kind("google-key", ("aiza",), re.compile(r"AIza[0-9A-Za-z_-]{30,}")),
    _Kind("github-token", ("gh", "_"), re.compile(r"gh[pousr]_[A-Za-z0-9_]{30,}")),
    _Kind("github-token", ("github_pat_",), re.compile(r"github_pat_[A-Za-z0-9_]{22,}")),
    _Kind("gitlab-token", ("glpat-",), re.compile(r"glpat-[A-Za-z0-9_-]{20,}")),
    _Kind("aws-access-key", ("akia",), re.compile(r"AKIA[A-Z0-9]{16}")),
    _Kind("aws-access-key", ("asia",), re.compile(r"ASIA[A-Z0-9]{16}")),
    _Kind(
        "aws-secret-key",
        ("secret", "key"),
        re.compile(rf"(?i:secret_?(?:access_?)?key){_ASSIGNED}(?P<secret>[A-Za-z0-9/+]{{40}})"),
    ),
    _Kind(
        "aws-session-token",
        ("session", "token"),
        re.compile(rf"(?i:session_?token){_ASSIGNED}(?P<secret>[A-Za-z0-9/+=]{{64,}})"),
    ),
    _Kind("jwt", ("eyj", "."), re.compile(r"eyJ[A-Za-z0-9_-]{6,}\.eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+")),
    _Kind("bearer-token", ("bearer",), re.compile(r"(?i:bearer)[ \t]+(?P<secret>[A-Za-z0-9._~+/=-]{20,})")),
    _Kind("url-password", ("://", "@"), re.compile(r"://[^/\s:@]*:(?P<secret>(?!\[REDACTED)[^/\s@]+)@")),
)

_HINTED = [(kind.hints[0], kind.hints[-1], kind) for kind in _KINDS]

_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----")
_KEY_ENDS = re.compile(r"-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----")
_KEY_BODY = re.compile(r"[A-Za-z0-9+/=]{16,}|^[\s>|+]*[A-Za-z0-9+/=]*\s*$|^(?:Proc-Type|DEK-Info|Version|Comment): ")
_KEY_MARK = "[REDACTED:private-key]"


class Scrubber:
    """Replaces secrets by `[REDACTED:<kind>]`, a line at a time; the number of lines never changes."""

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        """`known`: name of a secret -> its value; values are also found base64- or URL-encoded."""
        forms = {form: name for name, value in (known or {}).items() for form in _forms(value)}
        # Longer ones first: a form may be part of another.
        self._known = dict(sorted(forms.items(), key=lambda item: len(item[0]), reverse=True))
        self._in_key = False

    def line(self, text: str) -> str:
        """Return one line without its secrets. `text` holds no line break."""
        if self._in_key:
            end = _KEY_ENDS.search(text)
            if end is None and _KEY_BODY.search(text):
                return _KEY_MARK
            self._in_key = False
            if end is not None:
                return _KEY_MARK + self.line(text[end.end() :])
        if "-----BEGIN" in text and (begin := _KEY_BEGINS.search(text)):
            self._in_key = True
            return self._inline(text[: begin.start()]) + self._after_begin(text[begin.end() :])
        return self._inline(text)

    def _after_begin(self, rest: str) -> str:
        end = _KEY_ENDS.search(rest)
        if end is None:
            return _KEY_MARK
        self._in_key = False
        return _KEY_MARK + self.line(rest[end.end() :])

    def text(self, text: str) -> str:
        """Return a text of several lines without its secrets."""
        if not self._in_key and "-----BEGIN" not in text:
            return self._inline(text)
        return "\n".join(self.line(line) for line in text.split("\n"))

    def restart(self) -> None:
        """Forget the lines so far: what follows is another text."""
        self._in_key = False

    def _inline(self, text: str) -> str:
        if any(map(text.__contains__, self._known)):
            for form, name in self._known.items():
                text = text.replace(form, f"[REDACTED:{name}]")
        lowered = text.lower()
        for hint, other, kind in _HINTED:
            if hint in lowered and other in lowered:
                text = kind.pattern.sub(kind.redact, text)
        return text


def _forms(value: str) -> set[str]:
    """Return the forms in which a known value can appear on a line; a value of several lines appears in parts."""
    lines = {line.strip() for line in value.splitlines()}
    quoted = {quote(value, safe=""), quote(value), quote_plus(value)}
    lower = {re.sub("%[0-9A-F]{2}", lambda code: code[0].lower(), form) for form in quoted}
    plain = {form for form in {value} | lines | quoted | lower if len(form) >= MIN_KNOWN_LENGTH and "\n" not in form}
    return plain | {form for form in _base64_forms(value.encode()) if len(form) >= MIN_ENCODED_LENGTH}


def _base64_forms(value: bytes) -> Iterator[str]:
    """Yield what a value looks like in base64, wherever in the encoded bytes it begins, but for its outermost bits."""
    for offset in range(3):
        padded = bytes(offset) + value
        beginning = (0, 2, 3)[offset]
        end = (0, 3, 2)[len(padded) % 3]
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(padded).decode()
            yield text[beginning : len(text) - end]
