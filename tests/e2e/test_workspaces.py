"""Persistent workspaces and context through the whole platform: dispatched twice, deleted, and the files are gone."""

from pathlib import Path
from typing import Any

from outpost_client.results import Status
from tests.eventually import eventually

Outpost = Any


def files_of(outpost: Outpost, workspace_id: str) -> list[Path]:
    return list(outpost.environment.settings.workspaces_dir.glob(f"*/{workspace_id}.*"))


def persistent(outpost: Outpost, task: str, **fields: str) -> dict[str, Any]:
    sent = {"agent": "shell", "task": task, "workspaceMode": "persistent"} | fields
    answer = outpost.http.post("/dispatch", json=sent)
    assert answer.status_code == 201, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def test_a_workspace_lives_from_dispatch_to_dispatch_until_it_is_deleted(outpost: Outpost, repository: str) -> None:
    first = persistent(outpost, "echo remembered > kept.txt; echo first done", repo=repository)
    id_ = first["workspaceId"]
    assert (
        outpost.http.post(
            "/dispatch",
            json={"agent": "shell", "task": "echo too early", "workspaceMode": "persistent", "workspaceId": id_},
        ).status_code
        == 409
    )
    assert outpost.ends(first["id"], within=120).status is Status.SUCCESS
    again = persistent(outpost, "cat kept.txt src/widget.py; echo second done", workspaceId=id_)
    assert outpost.ends(again["id"], within=120).status is Status.SUCCESS
    assert {"remembered", "SIZE = 1"} <= set(outpost.log(again["id"]))
    shown = outpost.http.get(f"/workspaces/{id_}").json()["data"]
    assert (shown["dispatchId"], shown["repo"]) == (None, repository)
    assert shown["sizeBytes"] == sum(file.stat().st_size for file in files_of(outpost, id_) if file.suffix == ".zst")
    assert outpost.http.delete(f"/workspaces/{id_}").status_code == 200
    eventually(lambda: not files_of(outpost, id_), within=60, what="the reaper removes the files")
    assert outpost.http.get(f"/workspaces/{id_}").status_code == 404


def test_context_of_the_repository_and_the_tenant_reaches_the_agent(outpost: Outpost) -> None:
    outpost.environment.git.create_repository("acme/noted", {".outpost/context/10-build.md": "Run make test.\n"})
    tenant = outpost.row(outpost.dispatch("echo whose am I").id)["tenant_id"]
    bucket = next(
        value
        for outputs in outpost.environment.outputs().values()
        for name, value in outputs.items()
        if name == "ArtifactsBucket"
    )
    outpost.environment.client("s3").put_object(Bucket=bucket, Key=f"context/{tenant}/00-team.md", Body=b"Use tabs.\n")
    dispatch = outpost.dispatch('cat "$OUTPOST_CONTEXT"; echo read it', repo="acme/noted", context="minimal")
    assert outpost.ends(dispatch.id, within=120).status is Status.SUCCESS
    said = outpost.log(dispatch.id)
    assert said.index("Run make test.") < said.index("Use tabs.")


def test_a_failed_dispatch_shows_its_last_lines_in_its_status(outpost: Outpost) -> None:
    dispatch = outpost.dispatch("echo the last words; exit 4")
    assert outpost.ends(dispatch.id, within=120).status is Status.FAILED
    assert "the last words" in outpost.http.get(f"/dispatch/{dispatch.id}").json()["data"]["logTail"]
