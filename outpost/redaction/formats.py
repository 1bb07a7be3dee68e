"""Finds texts that have the format of a secret."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from outpost.redaction.match import Match


@dataclass(frozen=True)
class Format:
    """A format of secrets: the group `secret` of the pattern is the secret, or all of it when there is no such group.

    No pattern matches a line break: many lines are searched at once. A pattern that begins with plain text is fast.
    """

    name: str
    hints: tuple[str, ...]
    """One or two lower-case texts that every match contains; looking for them first keeps ordinary text fast."""
    pattern: re.Pattern[str]

    def find(self, text: str) -> Iterator[Match]:
        """Yield where a secret of this format stands."""
        group = "secret" if "secret" in self.pattern.groupindex else 0
        for match in self.pattern.finditer(text):
            yield Match(self.name, *match.span(group))


_ASSIGNED = r"""["']?[ \t]*(?:[:=]|=>)[ \t]*["']?"""

FORMATS = (
    Format("outpost-key", ("otp_",), re.compile(r"otp_[0-9A-Za-z]{32,}")),
    Format("anthropic-key", ("sk-ant-",), re.compile(r"sk-ant-[A-Za-z0-9_-]{16,}")),
    Format("openai-key", ("sk-",), re.compile(r"sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{16,}")),
    # Without the look-behind, `task-` and `disk-` would begin keys.
    Format("api-key", ("sk-",), re.compile(r"sk-(?<![A-Za-z0-9]sk-)[A-Za-z0-9_]{20,}")),
    Format("xai-key", ("xai-",), re.compile(r"xai-[A-Za-z0-9_-]{20,}")),
    Format("google-key", ("aiza",), re.compile(r"AIza[0-9A-Za-z_-]{30,}")),
    Format("github-token", ("gh", "_"), re.compile(r"gh[pousr]_[A-Za-z0-9_]{30,}")),
    Format("github-token", ("github_pat_",), re.compile(r"github_pat_[A-Za-z0-9_]{22,}")),
    Format("gitlab-token", ("glpat-",), re.compile(r"glpat-[A-Za-z0-9_-]{20,}")),
    Format("aws-access-key", ("akia",), re.compile(r"AKIA[A-Z0-9]{16}")),
    Format("aws-access-key", ("asia",), re.compile(r"ASIA[A-Z0-9]{16}")),
    Format(
        "aws-secret-key",
        ("secret", "key"),
        re.compile(rf"(?i:secret_?(?:access_?)?key){_ASSIGNED}(?P<secret>[A-Za-z0-9/+]{{40}})"),
    ),
    Format(
        "aws-session-token",
        ("session", "token"),
        re.compile(rf"(?i:session_?token){_ASSIGNED}(?P<secret>[A-Za-z0-9/+=]{{64,}})"),
    ),
    Format("jwt", ("eyj", "."), re.compile(r"eyJ[A-Za-z0-9_-]{6,}\.eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+")),
    Format("bearer-token", ("bearer",), re.compile(r"(?i:bearer)[ \t]+(?P<secret>[A-Za-z0-9._~+/=-]{20,})")),
    Format("url-password", ("://", "@"), re.compile(r"://[^/\s:@]*:(?P<secret>(?!\[REDACTED)[^/\s@]+)@")),
)

_HINTED = [(format_.hints[0], format_.hints[-1], format_) for format_ in FORMATS]


def find_formats(text: str) -> Iterator[Match]:
    """Yield where a text has the format of a secret; the matches may overlap. `kind` is the name of the format."""
    lowered = text.lower()
    for hint, other, format_ in _HINTED:
        if hint in lowered and other in lowered:
            yield from format_.find(text)
