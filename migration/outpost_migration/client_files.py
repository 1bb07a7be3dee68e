"""Clients' configuration files: what each kind says about the endpoint, before and after. Pure."""

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from outpost_migration.errors import MigrationError

BEGIN, END = "outpost:begin", "outpost:end"
"""Marks around what the migration wrote into a file of somebody's."""
NAMES_OF_V1 = ("OUTPOST_INSTANCE_ID", "OUTPOST_SSM_INSTANCE", "SSM_INSTANCE_ID", "CLAUDE_EXECUTOR_INSTANCE")
"""Variables that pointed at v1's instance."""


@dataclass(frozen=True)
class Kind:
    """A kind of file: how to know it and how to rewrite it."""

    name: str
    matches: Callable[[Path], bool]
    rewrite: Callable[[str, str], str]
    """(content, URL of the API) -> new content; again on its own result changes nothing."""
    points_at: Callable[[str, str], bool]
    """(content, URL) -> whether a client with this file uses that URL."""


def kind_of(path: Path) -> Kind | None:
    """Return the kind of a file, or None when it is none that clients of v1 have."""
    return next((kind for kind in KINDS if kind.matches(path)), None)


def rewrite_environment(text: str, url: str) -> str:
    """Point an environment file at the API: variables of v1 are commented out, OUTPOST_URL and the provider set."""
    wanted = {"OUTPOST_PROVIDER": "http", "OUTPOST_URL": url}
    lines, seen = [], set()
    for line in text.splitlines():
        match = re.match(r"\s*(export\s+)?([A-Za-z_][A-Za-z0-9_]*)=", line)
        name = match[2] if match else None
        if name in NAMES_OF_V1:
            lines.append(f"# v1: {line.strip()}")
        elif match and name in wanted:
            if name not in seen:
                lines.append(f"{match[1] or ''}{name}={wanted[name]}")
            seen.add(name)
        else:
            lines.append(line)
    lines += [f"{name}={value}" for name, value in wanted.items() if name not in seen]
    return "\n".join(lines) + "\n"


def _environment_points_at(text: str, url: str) -> bool:
    values = dict(re.findall(r"^\s*(?:export\s+)?([A-Za-z_]\w*)=(.*)$", text, re.MULTILINE))
    plain = {name: value.strip().strip("'\"") for name, value in values.items()}
    return plain.get("OUTPOST_URL") == url and not set(NAMES_OF_V1) & set(plain)


def _claude_entry(url: str) -> Mapping[str, object]:
    return {"type": "http", "url": f"{url}/mcp", "headers": {"Authorization": "Bearer ${OUTPOST_API_KEY}"}}


def _gemini_entry(url: str) -> Mapping[str, object]:
    return {"httpUrl": f"{url}/mcp", "headers": {"Authorization": "Bearer $OUTPOST_API_KEY"}}


def _rewrite_json(entry: Callable[[str], Mapping[str, object]]) -> Callable[[str, str], str]:
    def rewrite(text: str, url: str) -> str:
        content = _parsed(text)
        servers = {**content.get("mcpServers", {}), "outpost": entry(url)}
        new = {**content, "mcpServers": servers}
        return text if new == content else json.dumps(new, indent=2, ensure_ascii=False) + "\n"

    return rewrite


def _json_points_at(entry: Callable[[str], Mapping[str, object]]) -> Callable[[str, str], bool]:
    return lambda text, url: _parsed(text).get("mcpServers", {}).get("outpost") == entry(url)


def _parsed(text: str) -> dict[str, dict[str, object]]:
    try:
        content = json.loads(text or "{}")
    except ValueError as error:
        raise MigrationError(f"is not JSON ({error}): mend it, then run the step again") from error
    if not isinstance(content, dict):
        raise MigrationError("is no JSON object: mend it, then run the step again")
    return content


def _codex_block(url: str) -> str:
    return f'[mcp_servers.outpost]\nurl = "{url}/mcp"\nbearer_token_env_var = "OUTPOST_API_KEY"'


def rewrite_codex(text: str, url: str) -> str:
    """Put the server into Codex's configuration as a marked block; a hand-made entry of that name is replaced."""
    without = re.sub(r"(?ms)^\[mcp_servers\.outpost(?:\.[^\]]*)?\]\n.*?(?=^\[|^# outpost:|\Z)", "", text)
    result = _with_block(without, _codex_block(url), "# {}", "")
    try:
        tomllib.loads(result)
    except tomllib.TOMLDecodeError as error:
        raise MigrationError(f"is not TOML ({error}): mend it, then run the step again") from error
    return result


def _codex_points_at(text: str, url: str) -> bool:
    server = tomllib.loads(text).get("mcp_servers", {}).get("outpost", {})
    return bool(server.get("url") == f"{url}/mcp")


def _instructions(url: str) -> str:
    return (
        "## Dispatching tasks\n\n"
        f"Tasks are dispatched with Outpost at {url}: the MCP tools `outpost_*`, or `outpost dispatch`. Do not call\n"
        "`aws ssm send-command` or the scripts in `claude-executor`: they are out of use."
    )


def rewrite_instructions(text: str, url: str) -> str:
    """Put a marked block into an agent's instruction file; the rest of the file is left as it is."""
    return _with_block(text, _instructions(url), "<!-- {} -->", "\n")


def _with_block(text: str, block: str, mark: str, space: str) -> str:
    begin, end = mark.format(BEGIN), mark.format(END)
    marked = f"{begin}\n{block}\n{end}\n"
    pattern = re.compile(rf"{re.escape(begin)}\n.*?{re.escape(end)}\n", re.DOTALL)
    if pattern.search(text):
        return pattern.sub(lambda _: marked, text, count=1)
    head = text if not text or text.endswith("\n") else f"{text}\n"
    return f"{head}{space if head else ''}{marked}"


KINDS = (
    Kind(
        "environment file",
        lambda path: path.name == ".env" or path.suffix == ".env" or path.name.startswith(".env."),
        rewrite_environment,
        _environment_points_at,
    ),
    Kind(
        "Claude Code",
        lambda path: path.name in (".mcp.json", ".claude.json"),
        _rewrite_json(_claude_entry),
        _json_points_at(_claude_entry),
    ),
    Kind(
        "Gemini",
        lambda path: path.name == "settings.json" and path.parent.name == ".gemini",
        _rewrite_json(_gemini_entry),
        _json_points_at(_gemini_entry),
    ),
    Kind(
        "Codex",
        lambda path: path.name == "config.toml" and path.parent.name == ".codex",
        rewrite_codex,
        _codex_points_at,
    ),
    Kind(
        "agent instructions",
        lambda path: path.name in ("CLAUDE.md", "AGENTS.md", "GEMINI.md"),
        rewrite_instructions,
        lambda text, url: f"<!-- {BEGIN} -->\n{_instructions(url)}\n<!-- {END} -->" in text,
    ),
)
