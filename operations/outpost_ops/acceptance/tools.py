"""Calls each of the ten MCP tools over streamable HTTP, as an assistant does."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from outpost.domain.agents import Agent
from outpost.domain.ids import new_id
from outpost.report import Check
from outpost_client.mcp.catalogue import CATALOGUE
from outpost_ops.acceptance.dispatches import MARK, task_of

_TITLE = "Each of the ten MCP tools works"
_POLL_SECONDS = 1.0
_POLLS = 900


class _ToolError(Exception):
    """A tool returned an error that its call did not ask for."""


class _Session:
    """Calls tools, and keeps a line of evidence for each."""

    def __init__(self, client: Client, evidence: dict[str, str]) -> None:
        self._client, self._evidence = client, evidence

    async def call(self, tool: str, *, wanted_error: str | None = None, **arguments: object) -> dict[str, Any]:
        """Return the structured content. Raises _ToolError, unless the error contains `wanted_error`."""
        result = await self._client.call_tool(tool, arguments)
        text = " ".join(getattr(part, "text", "") for part in result.content)
        if result.is_error != (wanted_error is not None) or (wanted_error or "") not in text:
            raise _ToolError(f"{tool} {'fails' if result.is_error else 'succeeds'}: {text[:300]}")
        self._evidence[tool] = f"{tool}: {wanted_error or 'ok'}"
        return dict(result.structured_content or {})

    async def ended(self, dispatch_id: str) -> Mapping[str, Any]:
        """Return the dispatch when it has ended. Raises _ToolError after 15 minutes."""
        for _ in range(_POLLS):
            seen = await self.call("outpost_status", dispatch_id=dispatch_id, include_logs=False)
            if seen["ended_at"]:
                return seen
            await asyncio.sleep(_POLL_SECONDS)
        raise _ToolError(f"{dispatch_id} did not end")


def check_tools(url: str, key: str, agent: Agent, workspace_id: str | None) -> Check:
    """Call every tool with the tenant's key; `workspace_id` is deleted by one of them."""
    evidence: dict[str, str] = {}
    problem = asyncio.run(_call_all(url, key, agent, workspace_id, evidence))
    missing = [entry.name for entry in CATALOGUE if entry.name not in evidence]
    lines = [*evidence.values(), problem, f"not called: {', '.join(missing)}" if missing else ""]
    return Check.of("mcp", _TITLE, not problem and not missing, lines, "read the control plane's log")


async def _call_all(url: str, key: str, agent: Agent, workspace_id: str | None, evidence: dict[str, str]) -> str:
    """Call the tools; return what failed, or an empty text."""
    headers = {"Authorization": f"Bearer {key}"}
    try:
        async with (
            httpx2.AsyncClient(headers=headers, timeout=30) as http,
            Client(streamable_http_client(f"{url}/mcp", http_client=http)) as client,
        ):
            session = _Session(client, evidence)
            await _journey(session, agent, workspace_id or new_id(), known=workspace_id is not None)
    except Exception as error:  # noqa: BLE001 - refused connections, errors of the protocol, bodies of another form
        return "; ".join(f"{type(each).__name__}: {each}" for each in _leaves(error))
    return ""


def _leaves(error: Exception) -> Iterator[Exception]:
    """Yield what a group of exceptions consists of, at any depth: the session's tasks raise groups."""
    if not isinstance(error, ExceptionGroup):
        yield error
        return
    for each in error.exceptions:
        yield from _leaves(each)


async def _journey(session: _Session, agent: Agent, workspace_id: str, *, known: bool) -> None:
    """Dispatch, follow, fetch, list, promote, cancel; what cannot succeed here has to fail as documented."""
    await session.call("outpost_health")
    made = await session.call("outpost_dispatch", agent=agent, task=task_of(agent), user_id=MARK)
    await session.ended(made["id"])
    await session.call("outpost_get_artifacts", dispatch_id=made["id"])
    await session.call("outpost_list_runs", user_id=MARK, limit=1)
    # The check of promotions has a repository; here the tool has to refuse, saying why.
    await session.call(
        "outpost_promote", wanted_error="had no repository", dispatch_id=made["id"], branch=f"outpost/{MARK}"
    )
    await session.call(
        "outpost_release", wanted_error="withholds nothing", dispatch_id=made["id"], secrets=["NONE"], reason=MARK
    )
    await session.call("outpost_cancel", wanted_error="CONFLICT", dispatch_id=made["id"])
    await session.call("outpost_list_workspaces")
    refusal = None if known else "NOT_FOUND"
    await session.call("outpost_delete_workspace", wanted_error=refusal, workspace_id=workspace_id)
