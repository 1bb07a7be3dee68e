"""Finds texts that have the format of a secret."""

import base64
import re
from collections.abc import Iterator
from functools import cache

from outpost.redaction.match import Match
from outpost.redaction.patterns import PatternSet
from outpost.redaction.products import PRODUCTS
from outpost.redaction.providers import PROVIDERS, Format
from outpost.redaction.randomness import changes, entropy, is_random
from outpost.redaction.services import SERVICES

_PLACEHOLDERS = (
    "example",
    "your",
    "placeholder",
    "changeme",
    "redacted",
    "dummy",
    "xxxx",
    "****",
    "....",
    "0123456",
    "abcdef",
)
_BY_CONTEXT = frozenset(("bearer-token", "aws-secret-key", "aws-session-token", "azure-key", "npm-token"))
"""Kinds that are known by what stands before them, not by a form of their own."""
_SHORT_PREFIX = frozenset(("gocardless-token", "litellm-key", "thunderstore-token", "val-town-token"))
"""Kinds whose format identifiers have as well."""
_TEMPLATES = ("$", "{", "<", "%s", "%(", "*", "[", "#{")
_EXPRESSION = re.compile(r"%{1,2}s|%\(\w+\)s|\$?\{{1,2}[^{}]*\}{1,2}|\$\w+|\*+|\.{3}|<[^<>]*|\[[A-Z_]+\]")
_NO_PASSWORDS = frozenset(
    (
        *("admin", "demo", "foo", "guest", "minioadmin", "mypassword", "pass", "passwd", "password", "postgres", "pw"),
        *("pwd", "root", "secret", "test", "testing", "token", "user", "username"),
    )
)

STRUCTURES = (
    Format(
        "url-password",
        r"""[A-Za-z][A-Za-z0-9+.-]*(?::|%3[Aa])(?://|\\/\\/|%2[Ff]%2[Ff])[^\s/:@"'<>\\]{0,128}(?::|%3[Aa])([^\s/"'<>\\]+)(?:@|%40)[A-Za-z0-9\[$%]""",
        "RFC 3986, 3.2.1: user information",
    ),
    Format("bearer-token", r"(?i:bearer)(?:[ \t+:]|%20|\\?[\"'])+([A-Za-z0-9._~+/=-]{16,})", "RFC 6750: bearer tokens"),
    Format("basic-credentials", r"(?i:basic)[ \t]+([A-Za-z0-9+/_-]{12,}={0,2})", "RFC 7617: Basic authentication"),
    Format(
        "private-key",
        r"(?:MII[A-Za-z0-9+/]{3}IBA|MIG[A-Za-z0-9+/]AgEAM|MHcCAQEEI|MC4CAQAwBQ|b3BlbnNzaC1rZXktdjE)"
        r"(?:[A-Za-z0-9+/=]|\\+[nr]){40,}",
        "RFC 5208, 5915, 8017, 8410 in DER; OpenSSH PROTOCOL.key",
    ),
    Format("private-key", r"-----?[ ]?BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY", "RFC 7468, RFC 4880, RFC 4716"),
    Format("private-key", r"PuTTY-User-Key-File-\d", "PuTTY manual: PPK file format"),
)


PATTERNS = tuple((format_.kind, format_.pattern) for format_ in (*PROVIDERS, *PRODUCTS, *SERVICES, *STRUCTURES))
"""Kinds and patterns of RE2."""


@cache
def _patterns() -> PatternSet:
    return PatternSet(PATTERNS)


def find_formats(text: str) -> Iterator[Match]:
    """Yield where a text has the format of a secret and looks like one, not like a placeholder or an expression.

    `kind` is the format's name. The matches may overlap.
    """
    for match in _patterns().find(text):
        if not _is_placeholder(match.kind, text[match.start : match.end], text[match.end : match.end + 8]):
            yield match


def is_user_and_password(encoded: str) -> bool:
    """Return whether a text is the credentials of Basic authentication (RFC 7617)."""
    try:
        return b":" in base64.b64decode(encoded + "==")
    except ValueError:
        return False


def is_name(kind: str, secret: str) -> bool:
    """Return whether a text in the format of a kind of secrets that has no more than a short prefix is a name."""
    return kind in _SHORT_PREFIX and changes(secret) < 0.3


def is_expression(password: str, after: str) -> bool:
    """Return whether what stands where a URL has a password is filled in later, or is the version of an image."""
    return after.startswith("@sha256") or _EXPRESSION.fullmatch(password) is not None


def _is_placeholder(kind: str, secret: str, after: str) -> bool:
    lowered = secret.lower()
    if kind == "private-key":
        return False
    if is_name(kind, secret) or any(word in lowered for word in _PLACEHOLDERS):
        return True
    if kind == "url-password":
        return _is_no_password(lowered, after)
    if kind == "basic-credentials":
        return not is_user_and_password(secret)
    if kind in _BY_CONTEXT:
        return not is_random(secret, 12)
    return entropy(secret) < 2.0


def _is_no_password(lowered: str, after: str) -> bool:
    """Return whether what stands where a URL has a password is an expression, a default or a port."""
    is_template = lowered.startswith(_TEMPLATES) or "${" in lowered or "{{" in lowered
    is_digest = after.startswith("@sha256")
    return is_template or is_digest or lowered in _NO_PASSWORDS or (lowered.isdigit() and len(lowered) < 6)
