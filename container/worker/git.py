"""How git is called: nothing of the machine's or the user's configuration counts, and no hook or helper runs."""

import base64
from collections.abc import Mapping
from pathlib import Path

from worker.lines import beginning, printable

# The configuration of every call. Filters, diff drivers and credential helpers exist only by configuration: none is.
SAFE_CONFIG = (
    "core.hooksPath=/dev/null",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.fsmonitor=false",
    "core.autocrlf=false",
    "core.symlinks=true",
    "core.fileMode=true",
    "core.quotePath=true",
    "advice.detachedHead=false",
    "credential.helper=",
    "protocol.ext.allow=never",
    "gc.auto=0",
)

RAW_CONTENT = "* !text !eol !crlf !ident !filter !working-tree-encoding !diff\n"
"""For `info/attributes`, which outranks the repository's own: files are checked out and compared byte by byte."""


def git(*arguments: str) -> list[str]:
    """Return the argv of a git call."""
    return ["git", *(word for setting in SAFE_CONFIG for word in ("-c", setting)), *arguments]


def git_environment(path: str, **variables: str | Path) -> Mapping[str, str]:
    """Return the whole environment of a git call; `variables` are git's own, such as GIT_DIR."""
    return {
        "PATH": path,
        "HOME": "/nonexistent",
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
        "GIT_SSH_COMMAND": "/bin/false",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        **{name: str(value) for name, value in variables.items()},
    }


def basic_credentials(token: str) -> str:
    """Return the value of a header `Authorization` (GitHub Docs, "Authenticating as a GitHub App installation")."""
    return f"Basic {base64.b64encode(f'x-access-token:{token}'.encode()).decode()}"


def authorization(base_url: str, token: str | None) -> Mapping[str, str]:
    """Return the forge's token as configuration in git's environment, for URLs below `base_url` only.

    There no file, argument or URL holds it. A redirect is refused: git would take the header along to another host.
    """
    if token is None:
        return {}
    return {
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": f"http.{base_url.rstrip('/')}/.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: {basic_credentials(token)}",
        "GIT_CONFIG_KEY_1": "http.followRedirects",
        "GIT_CONFIG_VALUE_1": "false",
    }


def allowed_protocols(base_url: str) -> str:
    """Return git's protocol allow-list: https, and what the platform's own git server speaks."""
    scheme = base_url.partition("://")[0]
    return "https" if scheme == "https" else f"https:{scheme}"


def last_line(output: bytes) -> str:
    """Return the line in which git gives the reason for its failure."""
    lines = [printable(line).strip() for line in output.splitlines() if line.strip()]
    reasons = [line for line in lines if line.startswith(("fatal:", "remote:", "error:"))] or lines
    return beginning(reasons[-1], 500) if reasons else "git gave no reason"
