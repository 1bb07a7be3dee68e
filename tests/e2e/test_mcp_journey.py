"""The official client against the deployed environment, through the load balancer."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from outpost_client.mcp.catalogue import CATALOGUE
from outpost_client.results import Status

Outpost = Any
TASK = "echo 'SIZE = 2' > src/widget.py\necho resized"


async def call(client: Client, tool: str, **arguments: object) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert isinstance(result.structured_content, dict)
    return result.structured_content


async def to_the_end(client: Client, dispatch_id: str) -> tuple[dict[str, Any], list[str]]:
    """Follow a dispatch as a model does; return it, and its log."""
    log: list[str] = []
    with anyio.fail_after(120):
        while True:
            seen = await call(client, "outpost_status", dispatch_id=dispatch_id, log_offset=len(log))
            log += [line["message"] for line in seen["logs"]["lines"]]
            if seen["ended_at"] and not seen["logs"]["has_more"]:
                return seen, log
            await anyio.sleep(0.5)


def test_a_client_takes_a_task_to_a_promoted_branch_with_every_tool(outpost: Outpost, repository: str) -> None:
    bare = outpost.environment.git.repositories / f"{repository}.git"
    subprocess.run(["git", "-C", str(bare), "config", "daemon.receivepack", "true"], check=True)  # noqa: S607

    async def main() -> str:
        async with (
            httpx2.AsyncClient(headers=dict(outpost.http.headers), timeout=120) as http,
            Client(streamable_http_client(f"{outpost.client.url}/mcp", http_client=http)) as client,
        ):
            assert [tool.name for tool in (await client.list_tools()).tools] == [entry.name for entry in CATALOGUE]
            health = await call(client, "outpost_health")
            assert health["fleet"]["agents"]["shell"]["available"]
            made = await call(client, "outpost_dispatch", agent="shell", task=TASK, repo=repository, user_id="ada")
            ended, log = await to_the_end(client, made["id"])
            assert (ended["status"], ended["tags"]) == ("success", {"user_id": "ada"})
            assert "resized" in log
            left = await call(client, "outpost_get_artifacts", dispatch_id=made["id"])
            assert "changes.patch" in [artifact["name"] for artifact in left["artifacts"]]
            listed = await call(client, "outpost_list_runs", user_id="ada", limit=1)
            assert [run["id"] for run in listed["items"]] == [made["id"]]
            wanted = {"dispatch_id": made["id"], "branch": "outpost/resize", "message": "Resize the widget"}
            promotion = await call(client, "outpost_promote", **wanted)
            promoted, _ = await to_the_end(client, promotion["id"])
            assert promoted["status"] == "success", promoted["reason"]
            assert isinstance((await call(client, "outpost_list_workspaces"))["items"], list)
            gone = await client.call_tool("outpost_delete_workspace", {"workspace_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV"})
            assert "NOT_FOUND" in str(gone.content)
            waiting = await call(client, "outpost_dispatch", agent="shell", task="sleep 600; echo never")
            await call(client, "outpost_cancel", dispatch_id=waiting["id"])
            return str(waiting["id"])

    outpost.reaches(anyio.run(main), Status.CANCELLED, within=60)
    show = ["git", "-C", str(bare), "log", "-1", "--format=%s", "outpost/resize"]
    assert subprocess.run(show, check=True, capture_output=True, text=True).stdout == "Resize the widget\n"


@pytest.mark.parametrize("page", ["api.md", "mcp.md"])
def test_a_stranger_gets_from_the_page_to_a_finished_dispatch(outpost: Outpost, tmp_path: Path, page: str) -> None:
    """Runs the page's first section as it stands, where `make up` would have left its profile."""
    outpost.environment.git.create_sample_repository()
    text = (Path(__file__).resolve().parents[2] / "docs" / page).read_text(encoding="utf-8")
    section = text.partition("## From nothing to a finished dispatch\n")[2].partition("\n## ")[0]
    blocks = [block.partition("```")[0] for block in section.split("```sh\n")[1:]]
    key = outpost.http.headers["Authorization"].removeprefix("Bearer ")
    (tmp_path / ".outpost").mkdir()
    (tmp_path / ".outpost" / "profile.json").write_text(json.dumps({"url": outpost.client.url, "key": key}))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(blocks)],  # noqa: S607 - the machine's bash
        cwd=tmp_path,
        env={"PATH": path, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "success" in done.stdout
    assert "changes.patch" in done.stdout or "+Hello, Outpost" in done.stdout
    assert key not in done.stdout
