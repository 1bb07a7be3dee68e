"""Formats of secrets: today's are found, placeholders and ordinary text are not."""

import base64
import importlib
import itertools
import random
import re
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from outpost.redaction.formats import find_formats
from outpost.redaction.products import PRODUCTS
from outpost.redaction.providers import PROVIDERS
from outpost.redaction.redactor import Redactor
from outpost.redaction.services import SERVICES
from tests.unit.redaction.synthetic import LINES, SHAPES, Case, cases, values

ROOT = Path(__file__).resolve().parents[3]
FORMATS = (*PROVIDERS, *PRODUCTS, *SERVICES)
TURNS = 4
HELD_OUT = 3
"""Every third case was never looked at while the patterns were written."""


def _survives(case: Case) -> bool:
    cleaned = Redactor().line(case.line)
    return any(secret in cleaned or quote(secret) in cleaned for secret in case.secrets)


@pytest.mark.parametrize("turn", range(TURNS))
def test_nine_of_ten_synthetic_secrets_disappear_also_of_those_held_out(turn: int) -> None:
    drawn = cases(turn)
    missed = [case for case in drawn if _survives(case)]
    missed_held_out = [case for case in drawn[HELD_OUT - 1 :: HELD_OUT] if _survives(case)]

    assert len(drawn) == len(SHAPES) + len(LINES) >= 185
    assert len(missed) <= len(drawn) * 0.05, [case.name for case in missed]
    assert len(missed_held_out) <= len(drawn) / HELD_OUT * 0.1


def test_secrets_among_ordinary_lines_disappear_as_those_that_stand_alone() -> None:
    secrets = [*(case.line for case in cases()), "  password correct!7horse"]
    lines = [line for secret in secrets for line in (*["all is well here"] * 21, secret)]
    assert Redactor().text("\n".join(lines)).split("\n") == [Redactor().line(line) for line in lines]


def test_tokens_that_begin_with_a_word_of_their_own_disappear_without_their_name() -> None:
    lines = [f"it printed {value} and ended" for value in values() if re.match(r"[A-Za-z]+[_-]", value)]
    left = [line for line in lines if Redactor().line(line) == line]
    assert len(lines) >= 120
    assert len(left) <= 3, left


def test_every_format_says_where_it_is_described() -> None:
    assert all(format_.source for format_ in FORMATS)
    assert len({format_.pattern for format_ in FORMATS}) == len(FORMATS)


@pytest.mark.parametrize(
    "text",
    [
        "postgres://%s:%s@localhost",
        'f"http://{user}:{password}@{host}"',
        "postgres://app:${DB_PASSWORD}@db/app",
        "amqp://guest:guest@localhost",
        "mongodb://<user>:<password>@cluster0.example.net",
        "redis://:$REDIS_PASSWORD@cache",
        "Authorization: Bearer authenticationScheme",
        "Bearer YOUR_ACCESS_TOKEN_GOES_HERE",
        "docker://alpine:3.20@sha256:0123456789abcdef0123456789abcdef",
        "secretKey: getSecretKeyFromTheEnvironmentOfTheProcess",
        "https://user@example.com:8080/path",
        "http://localhost:8080/@scope/package",
        "basic authentication with a user name",
        "aws_secret_access_key = os.environ['AWS_SECRET_ACCESS_KEY']",
        "export OPENAI_API_KEY=sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "ghp_" + "x" * 36,
        "AKIAIOSFODNN7EXAMPLE",
        "docs/xai-explainability-methods.md",
        "task-definition-for-the-fleet and disk-usage-report",
        "password = getpass.getpass()",
        "master_user_password=master_user_password,",
    ],
)
def test_placeholders_templates_and_code_have_no_format(text: str) -> None:
    assert list(find_formats(text)) == []


def test_a_password_with_an_at_sign_is_found_as_a_whole() -> None:
    text = "postgres://app:p@ss@w0rd@db.internal/app"
    assert [text[match.start : match.end] for match in find_formats(text)] == ["p@ss@w0rd"]


PACKAGES = ("boto3", "botocore.auth", "botocore.session", "pydantic.main", "urllib3", "httpx", "cryptography", "jwt")
COMMANDS = (
    (sys.executable, "-m", "pip", "list", "--format=columns"),
    ("git", "-C", str(ROOT), "log", "--stat", "-50"),
    ("git", "-C", str(ROOT), "show", "--stat", "-p", "HEAD"),
)


def _ordinary_lines() -> list[str]:
    folders = [Path(str(importlib.import_module(name).__file__)).parent for name in PACKAGES]
    files = [sorted(folder.glob("*.py"))[:20] for folder in folders]
    sources = [file.read_text() for file in {*itertools.chain(*files)}]
    locks = [(ROOT / name).read_text() for name in ("uv.lock", "package-lock.json")]
    pages = [page.read_text() for page in (ROOT / "docs").glob("*.md")]
    printed = [
        subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout for command in COMMANDS
    ]
    return [line for text in (*sources, *locks, *pages, *printed) for line in text.splitlines()]


def test_hardly_a_line_of_sources_logs_and_locks_is_touched() -> None:
    lines = _ordinary_lines()
    redactor = Redactor({"A": "q8Zr2LkT0vXw5MnB"})

    touched = [line for line in lines if redactor.line(line) != line]
    warned = [line for line in lines if list(find_formats(line))]

    assert len(lines) > 10_000
    assert len(touched) <= len(lines) * 0.0005, touched[:20]
    assert len(warned) <= len(lines) * 0.0005, warned[:20]


@pytest.mark.parametrize(
    "part",
    [
        *("eyJ", "eyJ.eyJ.", "sk-", "sk-ant-", "://", "://a:b@", "://a:", "a.b.c", "-----BEGIN ", "BEGIN PRIVATE KEY"),
        *("cmVmd", "ZXlK", "api_live.", "sk-a-", "token</td><td>", "<td>token", "password = a-b-", "://token:"),
        *("MIIEpAIBA", "a1B2", "A1a", "0x0", "password", "password=", "token: ", "<key>", "curl -u ", "mysql ", "\\"),
        *(
            "&amp;",
            "%25",
            "%2525",
            "\\u00",
            "AAAA",
            "aaaaaaaa",
            "a_",
            "---- BEGIN ",
            "Private-Lines: 1",
            "= ",
            '"',
            "'",
        ),
        "-----BEGIN PRIVATE KEY----------END PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\\n" + "A" * 64 + "\\n",
        "a1B2" * 16 + "\\n-----BEGIN ",
    ],
)
def test_no_line_takes_more_than_linear_time(part: str) -> None:
    """Processor time of a line of twice the length is at most about twice as long; four times would be quadratic."""
    redactor = Redactor({"A": "aaaaaaaaaaaa", "B": "\\\\\\\\\"\"''&&%%", "C": "q8Zr2LkT0vXw5MnB"})
    line = part * (32_000 // len(part))

    once = min(_seconds(redactor, line) for _ in range(3))
    twice = min(_seconds(redactor, line + line) for _ in range(3))

    assert twice <= 3 * once + 0.02


def test_base64_takes_little_more_time_than_ordinary_text() -> None:
    """It took seventy times as long while one automaton searched for all patterns: each character was a new state."""
    source = random.Random(1)
    words = [" ".join(source.choices(("the", "error", "in", "module", "task", "12345"), k=20)) for _ in range(5_000)]
    encoded = [f'"integrity": "sha512-{base64.b64encode(source.randbytes(64)).decode()}",' for _ in range(5_000)]
    redactor = Redactor({"A": "q8Zr2LkT0vXw5MnB"})
    assert _a_character(redactor, encoded) <= 15 * _a_character(redactor, words)


def _a_character(redactor: Redactor, lines: list[str]) -> float:
    """Return the processor time that a character takes in lines that the redactor sees for the first time."""
    started = time.process_time()
    for line in lines:
        redactor.line(line)
    return (time.process_time() - started) / sum(map(len, lines))


def _seconds(redactor: Redactor, line: str) -> float:
    redactor.line("-----END PRIVATE KEY-----")  # of a key that the time before began
    started = time.process_time()
    redactor.line(line)
    return time.process_time() - started
