"""A worker runs a dispatch: what comes back is what the agent did."""

from pathlib import Path

from outpost.domain.artifacts import Artifact, LogSource
from outpost.domain.dispatch import Status
from outpost.domain.reasons import ReasonCode
from tests.worker.conftest import GitServer, Platform


def test_a_task_comes_back_with_its_patch_log_and_summary(platform: Platform, git_server: GitServer) -> None:
    repo = git_server.create("simple", {"README.md": b"hello\n"})
    row = platform.run("echo working; echo more >> README.md", repo=repo)
    assert row.status is Status.SUCCESS
    assert row.reason is not None
    assert row.reason.code is ReasonCode.COMPLETED
    assert row.exit_code == 0
    assert b"+more" in platform.read(row, Artifact.PATCH)
    assert platform.read(row, Artifact.OUTPUT) == b"working\n"
    assert [line.message for line in platform.log(row) if line.source is LogSource.AGENT] == ["working"]
    summary = platform.summary(row)
    assert (summary.outcome, summary.attempt, summary.files_changed) == (Status.SUCCESS, 1, 1)
    assert summary.commit_before == git_server.git("simple", "rev-parse", "HEAD")


def test_nothing_stays_on_disk_after_a_run(platform: Platform, tmp_path: Path) -> None:
    platform.run("touch a-file")
    assert list((tmp_path / "tmp").iterdir()) == []
