"""Which values can be searched for: a short or common value is found where it is no secret.

A value of eight characters or more that is no word of the list below, no number, date, address or region appears in a
text by chance only when it is badly chosen; a shorter one does so in any large text. The list holds what people take
for passwords and what settings hold: names of services, environments, roles, and defaults of products.
"""

import re

MIN_LENGTH = 8
"""Characters."""
_SAFE_LENGTH = 12
"""As long, a value is searched for unless it is a region: it is hardly a word, a number or a date."""

_COMMON = frozenset(
    (
        *("anonymous", "application", "certificate", "changeit", "changeme", "changeme123", "cloudflare"),
        *("cloudfront", "container", "credentials", "customer", "database", "deployment", "developer"),
        *("development", "disabled", "docker.io", "enterprise", "environment", "example.com"),
        *("example.org", "function", "github.com", "gitlab.com", "google.com", "https://", "integration"),
        *("internal", "javascript", "kubernetes", "letmein1", "letmein123", "linux/amd64", "linux/arm64"),
        *("localhost", "maintenance", "memcached", "microsoft", "minioadmin", "mypassword", "northeurope"),
        *("notasecret", "p@ssw0rd", "p@ssword", "passw0rd", "password", "password!", "password1"),
        *("password12", "password123", "pgbouncer", "placeholder", "postgres", "postgresql", "production"),
        *("prometheus", "qwerty123", "qwertyuiop", "rabbitmq", "readonly", "readwrite", "repository"),
        *("root:root", "secret123", "secretkey", "snowflake", "sqlserver", "superadmin", "supersecret"),
        *("superuser", "terraform", "test1234", "testtest", "typescript", "undefined", "username"),
        *("webmaster", "westeurope", "wordpress"),
    )
)
_REGION = re.compile(
    r"(?:us|eu|ap|sa|ca|me|af|il|mx|cn|asia|europe|northamerica|southamerica|australia|africa)"
    r"(?:-(?:gov|north|south|east|west|central|northeast|northwest|southeast|southwest))+-?\d[a-z]?",
    re.IGNORECASE,
)
_STRUCTURES = (
    (re.compile(r"[\d.,:_/ -]+"), "it is a number, a date or an address"),
    (re.compile(r"v?\d+(\.\d+)+([-+.]?[a-z]+\d*)?", re.IGNORECASE), "it is a version"),
    (re.compile(r"(.{1,2})\1+"), "it repeats a character or two"),
)


def searchable(value: str) -> str | None:
    """Return why `value` cannot be searched for, or None when it can."""
    text = value.strip()
    if len(text) < MIN_LENGTH:
        return f"it is shorter than {MIN_LENGTH} characters"
    if text.lower() in _COMMON:
        return "it is a common word or default"
    if _REGION.fullmatch(text):
        return "it is the name of a region"
    if len(text) < _SAFE_LENGTH:
        return next((reason for pattern, reason in _STRUCTURES if pattern.fullmatch(text)), None)
    return None
