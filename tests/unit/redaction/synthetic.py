"""Secrets that are none: drawn at random in the shapes of real ones, and put where real ones are printed.

Nothing in this file looks like a secret to a scanner; the random parts are drawn when the tests run, from fixed seeds.
"""

import base64
import json
import random
import re
import string
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

_ALPHABETS = {
    "A": string.ascii_letters + string.digits,
    "I": string.ascii_letters + string.digits + "_-",
    "B": string.ascii_letters + string.digits + "+/",
    "h": "0123456789abcdef",
    "H": "0123456789ABCDEF",
    "l": string.ascii_lowercase + string.digits,
    "u": string.ascii_uppercase + string.digits,
    "a": string.ascii_lowercase,
    "U": string.ascii_uppercase,
    "x": string.ascii_letters,
    "5": string.ascii_lowercase + "234567",
    "d": string.digits,
    "p": string.ascii_letters + string.digits + "!@#%^*_-+=.",
}

# In angle brackets: an alphabet and how many of it.
_FOLDER = Path(__file__).parent
SHAPES = (_FOLDER / "shapes.txt").read_text().splitlines()
"""The name of a variable, a bar, and the shape of its value."""
LINES = (_FOLDER / "lines.txt").read_text().splitlines()
"""Lines with a secret in them; what stands between section signs is encoded in base64."""


@dataclass(frozen=True)
class Case:
    """A line of a log and the secret texts in it."""

    name: str
    line: str
    secrets: tuple[str, ...]


def cases(turn: int = 0) -> list[Case]:
    """Return every shape once, in one of the contexts, which differ from turn to turn; the same in every run."""
    source = random.Random(2026 + turn)
    found = []
    for number, shape in enumerate(SHAPES):
        name, _, pattern = shape.partition("|")
        value, drawn = _draw(pattern, source)
        context = _CONTEXTS[(number + turn) % len(_CONTEXTS)]
        found.append(Case(f"{name} {pattern}", *_placed(context, name, value, drawn)))
    for pattern in LINES:
        line, drawn = _draw(pattern, source)
        line, encoded = _encoded(line)
        found.append(Case(pattern, line, encoded or drawn))
    return found


def values() -> list[str]:
    """Return a value of every shape; the same in every run."""
    source = random.Random(2026)
    return [_draw(shape.partition("|")[2], source)[0] for shape in SHAPES]


def _draw(pattern: str, source: random.Random) -> tuple[str, tuple[str, ...]]:
    drawn: list[str] = []

    def fill(match: re.Match[str]) -> str:
        drawn.append("".join(source.choices(_ALPHABETS[match[1]], k=int(match[2]))))
        return drawn[-1]

    value = re.sub(r"<([A-Za-z5])(\d+)>", fill, pattern)
    return value, tuple(part for part in drawn if len(part) >= 6) or (max(drawn, key=len),)


def _encoded(line: str) -> tuple[str, tuple[str, ...]]:
    parts = line.split("§")
    encoded = [base64.b64encode(part.encode()).decode() for part in parts[1::2]]
    return "".join(a + b for a, b in zip(parts[::2], [*encoded, ""], strict=True)), tuple(encoded)


def _placed(
    context: Callable[[str, str], str], name: str, value: str, drawn: tuple[str, ...]
) -> tuple[str, tuple[str, ...]]:
    return context(name, value), tuple({escape(part) for part in drawn} | set(drawn))


def _xml(name: str, value: str) -> str:
    return f"  <{name.title().replace('_', '')}>{escape(value)}</{name.title().replace('_', '')}>"


_CONTEXTS: tuple[Callable[[str, str], str], ...] = (
    lambda name, value: f"{name}={value}",
    lambda name, value: f'export {name}="{value}"',
    lambda name, value: json.dumps({"name": "ci", name: value, "debug": True}),
    lambda name, value: f"  {name.lower()}: {value}",
    lambda name, value: f"2026-11-27T10:00:00.123Z INFO config loaded {name.lower()}={value} region=eu-west-1",
    _xml,
    lambda name, value: json.dumps({"stdout": json.dumps({name.lower(): value}) + "\n"}),
    lambda name, value: f"{name.lower()} = '{value}'  # from the console",
    lambda name, value: f"curl -sS -H 'X-{name.title().replace('_', '-')}: {value}' https://api.example.com/v1/me",
    lambda name, value: f"GET https://api.example.com/v1/items?page=2&{name.lower()}={quote(value)} 200 OK",
    lambda name, value: f"{{'{name}': '{value}', 'HOME': '/root'}}",
    lambda name, value: f"docker run --rm -e {name}={value} app:latest",
    lambda name, value: f"++ export {name}={value}",
    lambda name, value: f'            "Env": ["PATH=/usr/bin", "{name}={value}"],',
    lambda name, value: f'  + {name.lower()} = "{value}" -> (known after apply)',
    lambda name, value: f"    client = Client(url, {name.lower()}={value!r})",
    lambda name, value: (
        f"requests.exceptions.HTTPError: 401 for {{'{name.lower()}': '{value}'}} at https://api.example.com"
    ),
    lambda name, value: f"<tr><th>{name}</th><td><code>{escape(value)}</code></td></tr>",
    lambda name, value: f"> Authorization: Bearer {value}",
    lambda name, value: f"the new one for {name.split('_')[0].lower()}: {value}",
)
