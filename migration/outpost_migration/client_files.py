"""Clients' configuration files: how each kind is pointed at an endpoint. Pure, but for `known_files`."""

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from outpost_ops.errors import OperationError

BEGIN, END = "outpost:begin", "outpost:end"
"""Marks around what the migration wrote into a client's file."""
NAMES_OF_V1 = ("OUTPOST_INSTANCE_ID", "OUTPOST_SSM_INSTANCE", "SSM_INSTANCE_ID", "CLAUDE_EXECUTOR_INSTANCE")
"""Variables that pointed at v1's instance."""


@dataclass(frozen=True)
class Kind:
    """A kind of file: how to know it and how to rewrite it."""

    name: str
    paths: tuple[str, ...]
    """Its files, relative to a client's folder."""
    rewrite: Callable[[str, str], str]
    """(content, URL of the API) -> new content; again on its own result changes nothing."""
    uses: Callable[[str, str], bool] | None = None
    """(content, URL) -> whether a client with this file uses that URL; if None, when rewriting changes nothing."""

    def points_at(self, text: str, url: str) -> bool:
        """Return whether a client with this content uses the URL. Raises OperationError."""
        return self.uses(text, url) if self.uses else self.rewrite(text, url) == text


def kind_of(path: Path) -> Kind:
    """Return the kind of a file. Raises OperationError when it is none that clients of v1 have."""
    if path.suffix == ".env" or path.name.startswith(".env."):
        return KINDS[0]
    for kind in KINDS:
        if any(path.match(known) for known in kind.paths):
            return kind
    known = ", ".join(KNOWN_NAMES)
    raise OperationError(f"{path} is no configuration file that is known here: environment files, {known}")


def known_files(root: Path) -> list[Path]:
    """Return the configuration files in a folder (a home, a project); what is no folder is a file that is named."""
    return [root / name for name in KNOWN_NAMES if (root / name).is_file()] if root.is_dir() else [root]


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


def _parsed(text: str) -> dict[str, dict[str, object]]:
    try:
        content = json.loads(text or "{}")
    except ValueError as error:
        raise OperationError(f"is not JSON ({error}): mend it, then run the step again") from error
    if not isinstance(content, dict):
        raise OperationError("is no JSON object: mend it, then run the step again")
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
        raise OperationError(f"is not TOML ({error}): mend it, then run the step again") from error
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
    Kind("environment file", (".env",), rewrite_environment, _environment_points_at),
    Kind("Claude Code", (".mcp.json", ".claude.json"), _rewrite_json(_claude_entry)),
    Kind("Gemini", (".gemini/settings.json",), _rewrite_json(_gemini_entry)),
    Kind("Codex", (".codex/config.toml",), rewrite_codex, _codex_points_at),
    Kind("agent instructions", ("CLAUDE.md", "AGENTS.md", "GEMINI.md"), rewrite_instructions),
)
KNOWN_NAMES = tuple(path for kind in KINDS for path in kind.paths)
"""Where clients have configuration files, relative to a home or a project."""
