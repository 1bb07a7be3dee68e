"""Commits that the agent made in submodules."""

import pytest

from outpost.domain.artifacts import Artifact
from tests.worker.collecting import Run
from tests.worker.test_collect_submodules import app, urls

__all__ = ["app", "urls"]


@pytest.mark.parametrize("commit", ["true", "git commit -qam pointer"])
def test_commits_in_a_submodule_of_a_worktree_are_in_nested_patch(app: Run, commit: str) -> None:
    app.agent(f"""
        git worktree add -q wt; cd wt; git submodule --quiet update --init
        cd vendor/lib; echo edit >> lib.txt; git commit -qam inner; cd ../..; {commit}
    """)
    patch = app.collect()
    assert "wt/vendor/lib" in {change.path for change in patch.collection.nested}
    assert "\n+edit\n" in patch.more[Artifact.NESTED].read_text()
