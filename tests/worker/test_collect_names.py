"""Names that programs read in another way than they are meant."""

from tests.worker.collecting import Prepare, Run
from tests.worker.git_server import GitServer
from tests.worker.test_collect_left_out import left_out, names

MAGIC = (":(bad)pipe", ":!pipe", ":/pipe", ":^pipe", ":pipe", ":(glob)d/pipe")


def test_names_that_git_takes_for_patterns_cost_nothing(run: Run) -> None:
    """Of a path for `git check-ignore`, a colon in front is magic."""
    pipes = "; ".join(f"mkdir -p \"$(dirname '{name}')\"; mkfifo '{name}'" for name in MAGIC)
    run.agent(f"{pipes}; echo 1 > new; echo 2 > ':new'; mkfifo ':ignored'; echo '/:ignored' >> .gitignore")
    patch = run.collect()
    assert names(patch) == {"new", ":new", ".gitignore"}
    assert left_out(patch) == dict.fromkeys(MAGIC, "a named pipe")


def test_a_name_of_invisible_characters_is_shown(run: Run) -> None:
    run.agent(r"mkfifo $'\x01' $'\xe2\x80\xae'; mkdir $'\x02'; mkfifo $'\x02/\x1b[31m'")
    assert left_out(run.collect()) == dict.fromkeys(["?", "?/?[31m"], "a named pipe")


def test_a_name_that_git_takes_for_a_pattern_can_be_no_longer_tracked(git_server: GitServer, prepare: Prepare) -> None:
    run = prepare(
        "full", git_server.create("colons", {":(x) file": b"1", ":top": b"2", "top": b"3", ".gitignore": b""})
    )
    run.agent("git --literal-pathspecs rm -q --cached ':(x) file' :top; printf '/:top\\n/:(x)*\\n' > .gitignore")
    patch = run.collect()
    assert names(patch) == {":(x) file", ":top", ".gitignore"}


def test_a_tracked_file_that_became_what_git_refuses_is_named(git_server: GitServer, prepare: Prepare) -> None:
    """git takes no link in place of `.gitmodules`, and keeps the file without an error."""
    run = prepare("full", git_server.create("modules", {".gitmodules": b"# none\n", "a": b"1"}))
    run.agent("ln -sf a .gitmodules; echo 2 > a")
    patch = run.collect()
    assert names(patch) == {"a"}
    assert left_out(patch) == {".gitmodules": "git refuses names like its own"}
