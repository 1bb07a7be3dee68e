"""Clients' files: rewriting is idempotent, changes nothing else, and is recognised afterwards."""

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpost_migration.client_files import (
    KINDS,
    kind_of,
    rewrite_codex,
    rewrite_environment,
    rewrite_instructions,
)
from outpost_ops.errors import OperationError

URL = "https://outpost.example.com"
PATHS = (".env", "prod.env", ".mcp.json", ".claude.json", ".gemini/settings.json", ".codex/config.toml", "AGENTS.md")


@pytest.mark.parametrize("path", PATHS)
def test_every_kind_is_known_and_rewriting_again_changes_nothing(path: str) -> None:
    kind = kind_of(Path(path))
    once = kind.rewrite("", URL)
    assert kind.rewrite(once, URL) == once
    assert kind.points_at(once, URL)
    assert not kind.points_at(once, "https://elsewhere.example.com")


def test_an_unknown_file_has_no_kind() -> None:
    with pytest.raises(OperationError, match=r"settings\.json is no configuration file.*AGENTS\.md"):
        kind_of(Path("settings.json"))
    assert len(KINDS) == 5


LINES = st.lists(st.from_regex(r"[A-Z_]{1,8}=[a-z0-9 ]{0,8}|# [a-z ]{0,10}|", fullmatch=True), max_size=6)


@given(lines=LINES)
def test_an_environment_file_keeps_what_is_not_ours(lines: list[str]) -> None:
    text = "\n".join(lines)
    result = rewrite_environment(text, URL).splitlines()
    assert result[: len(text.splitlines())] == text.splitlines()
    assert f"OUTPOST_URL={URL}" in result


def test_a_variable_of_v1_is_kept_as_a_comment_and_an_old_url_replaced() -> None:
    text = "export OUTPOST_URL=http://old\nSSM_INSTANCE_ID=mi-1\nEDITOR=vi\n"
    assert rewrite_environment(text, URL) == (
        f"export OUTPOST_URL={URL}\n# v1: SSM_INSTANCE_ID=mi-1\nEDITOR=vi\nOUTPOST_PROVIDER=http\n"
    )


@given(body=st.text(alphabet="abc #\n-", max_size=60))
def test_instructions_keep_the_rest_of_the_file(body: str) -> None:
    once = rewrite_instructions(body, URL)
    assert once.startswith(body)
    again = rewrite_instructions(once, "https://other.example.com")
    assert again.startswith(body)
    assert again.count("outpost:begin") == 1


def test_other_servers_and_keys_survive_in_json_and_toml() -> None:
    kind = kind_of(Path(".mcp.json"))
    content = json.loads(kind.rewrite('{"mcpServers": {"other": {"command": "x"}}, "theme": "dark"}', URL))
    assert content["mcpServers"]["other"] == {"command": "x"}
    assert content["theme"] == "dark"
    text = (
        'model = "m"\n\n[mcp_servers.outpost]\ncommand = "old"\n\n[mcp_servers.outpost.env]\nA = "1"\n\n[tui]\nx = 1\n'
    )
    parsed = tomllib.loads(rewrite_codex(text, URL))
    assert parsed["mcp_servers"] == {"outpost": {"url": f"{URL}/mcp", "bearer_token_env_var": "OUTPOST_API_KEY"}}
    assert (parsed["model"], parsed["tui"]) == ("m", {"x": 1})


@pytest.mark.parametrize(("path", "text"), [(".mcp.json", "{"), (".mcp.json", "[]"), (".codex/config.toml", "= 1")])
def test_a_broken_file_is_refused_with_the_remedy(path: str, text: str) -> None:
    kind = kind_of(Path(path))
    with pytest.raises(OperationError, match="mend it"):
        kind.rewrite(text, URL)
