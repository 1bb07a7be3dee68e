"""The patch is byte for byte git's diff of what the agent made; the secrets in it are reported, file and line."""

import base64
import os
import shutil
import sqlite3
import subprocess
import sysconfig
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outpost.domain.agents import Agent
from outpost.domain.dispatch import Spec
from outpost.domain.findings import MOST_PLACES, Finding, Findings
from outpost.domain.ids import new_id
from tests.worker.collecting import settings_at
from tests.worker.conftest import GitServer
from worker.collect import Collector, Patch
from worker.collection.leftovers import leftover
from worker.isolation import NoIsolation
from worker.patch import PatchReader
from worker.secret_scan import BLOCK_BYTES, CARRY_BYTES, SecretScan
from worker.settings import Settings
from worker.stop import StopSignal
from worker.workspace import Workspace

VALUE = "Xq7-vault-Zp93kd"
KNOWN = {"NPM_TOKEN": VALUE}
TOKEN = "ghp_" + "k8Zq" * 9
Tree = dict[bytes, bytes]
PACKAGES = (
    *("botocore", "pydantic", "fastapi", "_pytest", "httpx", "requests", "cryptography", "aiohttp", "werkzeug"),
    *("urllib3", "docker", "starlette", "aws_cdk", "pygments", "ministack", "virtualenv", "jwt", "pre_commit"),
)


@dataclass(frozen=True)
class Repositories:
    """A git server, and workspaces that begin with trees of files on it."""

    server: GitServer
    settings: Settings

    def patch(self, before: Tree, after: Tree, known: Mapping[str, str] = KNOWN) -> tuple[Patch, str]:
        """Return the collected patch of an agent that makes `after` of `before`, and the repository's name."""
        name = new_id()
        self.server.create(name, {os.fsdecode(path): content for path, content in before.items()} or {"x": b""})
        workspace = self.workspace(name)
        for entry in workspace.path.iterdir():
            if entry.name != ".git":
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        write(workspace.path, after)
        return Collector(workspace, SecretScan(known), seconds=60).collect(), name

    def workspace(self, name: str) -> Workspace:
        """Return a workspace that begins with a repository."""
        workspace = Workspace(self.settings, NoIsolation())
        workspace.prepare(Spec(agent=Agent.SHELL, repo=f"owner/{name}"), StopSignal(), lambda: None)
        return workspace

    def applied(self, patch: Patch, name: str, folder: Path) -> Tree:
        """Return the files that the patch makes of a fresh clone."""
        source = self.server.folder / "owner" / name
        command = ["git", "clone", "--quiet", str(source), str(folder)]
        subprocess.run(command, check=True, capture_output=True)
        if patch.file.stat().st_size:
            command = ["git", "-C", str(folder), "apply", "--binary", "--whitespace=nowarn", str(patch.file)]
            subprocess.run(command, check=True, capture_output=True)
        return read(folder)


@pytest.fixture
def repositories(git_server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repositories:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return Repositories(git_server, settings_at(git_server, tmp_path))


def write(folder: Path, files: Tree) -> None:
    for path, content in files.items():
        target = folder / os.fsdecode(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def read(folder: Path) -> Tree:
    files = (path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).parts[0] != ".git")
    return {os.fsencode(path.relative_to(folder)): path.read_bytes() for path in files}


def places(findings: Findings) -> list[tuple[str, int | None, str, bool]]:
    return [(each.path, each.line, each.kind, each.known) for each in findings.places]


def test_the_sources_of_well_known_packages_pass_the_collection_byte_for_byte(
    repositories: Repositories, tmp_path: Path
) -> None:
    """They are full of templates, examples and test keys, which are code."""
    library = Path(sysconfig.get_path("purelib"))
    bundled = Path("node_modules/aws-cdk")
    files: Tree = {b"node/" + os.fsencode(path.name): path.read_bytes() for path in bundled.glob("*.md")}
    for package in PACKAGES:
        sources = sorted((library / package).rglob("*.py"), key=lambda path: -path.stat().st_size)[:6]
        assert sources, package
        files |= {os.fsencode(path.relative_to(library)): path.read_bytes() for path in sources}
    assert sum(map(len, files.values())) > 2_000_000
    patch, name = repositories.patch({}, files)
    assert repositories.applied(patch, name, tmp_path / "applied") == files
    assert patch.findings.withheld == ()


@pytest.mark.parametrize(
    "line",
    [
        b'url = "postgres://%s:%s@%s/%s" % (user, password, host, name)',
        b'proxy = f"http://{user}:{password}@{host}"',
        b"DATABASE_URL=postgres://app:${DB_PASSWORD}@db/app",
        b"Authorization: Bearer authenticationScheme",
        b"uses: docker://alpine:3.20@sha256:0000000000000000000000000000000000000000000000000000000000000000",
        b"secretKey: getSecretKeyFromTheEnvironmentOfTheProcess",
        b"token = 'ghp_" + b"k8Zq" * 9 + b"'",
        b"-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----",
    ],
)
def test_what_looks_like_a_secret_stays_as_it_is_and_withholds_nothing(
    repositories: Repositories, tmp_path: Path, line: bytes
) -> None:
    files = {b"config": line + b"\n", b"docs/xai-explainability-methods.md": b"# XAI\n"}
    patch, name = repositories.patch({}, files)
    assert repositories.applied(patch, name, tmp_path / "applied") == files
    assert patch.findings.withheld == ()


def test_a_database_with_a_development_address_is_in_the_patch(repositories: Repositories, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "dev.db") as database:
        database.execute("CREATE TABLE settings (url TEXT)")
        database.execute("INSERT INTO settings VALUES ('postgres://dev:devpassword@localhost/app')")
    database.close()
    files = {b"dev.db": (tmp_path / "dev.db").read_bytes()}
    patch, name = repositories.patch({}, files)
    assert repositories.applied(patch, name, tmp_path / "applied") == files
    assert patch.findings.withheld == ()


NAMES = st.one_of(
    st.sampled_from(
        [b"a", b"b", b"dir/c", b"dir/d", b"with space", b'quo"te', b"tab\tname", b"new\nline", b"back\\slash"]
    ),
    st.binary(min_size=1, max_size=12)
    .filter(lambda name: not set(name) & set(b"/\0") and name.strip(b". ") != b"" and b"~" not in name)
    .map(lambda name: b"_" + name)
    .filter(lambda name: leftover(name, caches=frozenset(), environments=frozenset()) is None),
)
"""Paths of results: what is left out of the patch by its name (`_.elc`) is the subject of test_collect_left_out.py."""
CONTENTS = st.one_of(
    st.binary(max_size=200),
    st.lists(
        st.sampled_from(
            [b"one", b"two", b"", b"+++ b/x", b"@@ -1 +1 @@", b"diff --git a/x b/x", b"a\rb", TOKEN.encode()]
        ),
        max_size=12,
    ).map(b"\n".join),
)
TREES = st.dictionaries(NAMES, CONTENTS, max_size=6).filter(
    lambda files: b"dir" not in files and not any(path.startswith(b"_dir/") for path in files)
)


@pytest.mark.full
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TREES, TREES)
def test_the_patch_makes_the_agents_files_of_any_files(
    repositories: Repositories, tmp_path: Path, before: Tree, after: Tree
) -> None:
    patch, name = repositories.patch(before, after)
    assert repositories.applied(patch, name, tmp_path / new_id()) == after


@pytest.mark.full
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TREES, TREES, st.data())
def test_a_known_value_is_found_wherever_it_is_added(
    repositories: Repositories, before: Tree, after: Tree, data: st.DataObject
) -> None:
    path = data.draw(NAMES.filter(lambda path: not path.startswith(b"dir")))
    lines = data.draw(CONTENTS).split(b"\n")
    number = data.draw(st.integers(0, len(lines)))
    lines.insert(number, b"key=" + VALUE.encode())
    patch, _ = repositories.patch(before, after | {path: b"\n".join(lines)})
    assert patch.findings.secrets == {"NPM_TOKEN": 1}
    (place,) = [place for place in patch.findings.places if place.known]
    assert place.line in (number + 1, None)
    assert (place.line is None) == (b"GIT binary patch" in patch.file.read_bytes() and place.line is None)
    assert patch.findings.withheld == ("changes.patch",)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param({}, {b"a": b"x\ny\nkey=%s\n"}, [("a", 3)], id="added line of a new file"),
        pytest.param({b"a": b"1\n2\n3\n"}, {b"a": b"1\n2\n%s\n3\n"}, [("a", 3)], id="added line"),
        pytest.param({b"a": b"1\n2\n"}, {b"a": b"1\n2\n%s"}, [("a", 3)], id="no newline at the end"),
        pytest.param({b"a": b"%s\n2\n"}, {b"a": b"2\n"}, [], id="deleted line"),
        pytest.param({b"a": b"%s\n2\n"}, {b"a": b"%s\n2\n3\n"}, [], id="context line"),
        pytest.param({b"a": b"%s\n"}, {}, [], id="deleted file"),
        pytest.param({}, {b"d/%s.txt": b"1\n"}, [("d/[REDACTED:NPM_TOKEN].txt", None)], id="name"),
        pytest.param({b"%s": b"1\n"}, {b"%s": b"2\n"}, [], id="name that was there"),
        pytest.param({b"%s": b"1\n"}, {}, [], id="name of a deleted file"),
        pytest.param({b"a": b"1\n" * 9}, {b"%s": b"1\n" * 9}, [("[REDACTED:NPM_TOKEN]", None)], id="new name"),
        pytest.param({b"%s": b"1\n" * 9}, {b"a": b"1\n" * 9}, [], id="old name"),
        pytest.param(
            {b"a": b"1\n" * 9},
            {b"gr\xc3\xbc\xc3\x9fe \xff": b"1\n" * 9 + b"%s\n"},
            [("grüße \ufffd", 10)],
            id="renamed",
        ),
        pytest.param({}, {b"a": b"\0\1%s\2"}, [("a", None)], id="binary"),
        pytest.param({b"a": b"\0\1"}, {b"a": b"\0\1%s\2"}, [("a", None)], id="changed binary"),
        pytest.param({b"a": b"\0%s"}, {b"a": b"\0\1%s"}, [], id="binary that held it before"),
        pytest.param({}, {b"a": "é%s".encode("utf-16")}, [("a", None)], id="UTF-16"),
        pytest.param(
            {}, {b".gitattributes": b"* -diff\n", b"a": b"%s\n"}, [("a", 1)], id="text that the agent calls binary"
        ),
        pytest.param({}, {b"a": b"\xff%s\xfe"}, [("a", 1)], id="neither UTF-8 nor binary"),
        pytest.param({}, {b'a\tb "c"\n': b"%s\n"}, [('a b "c" ', 1)], id="name with special characters"),
        pytest.param({}, {b"a": b"%s %s\n%s\n"}, [("a", 1), ("a", 2)], id="several"),
    ],
)
def test_a_known_value_is_reported_with_file_and_line_where_it_is_new(
    repositories: Repositories, before: Tree, after: Tree, expected: list[tuple[str, int | None]]
) -> None:
    def filled(files: Tree) -> Tree:
        value = VALUE.encode()
        return {
            path.replace(b"%s", value): content.replace("%s".encode("utf-16-le"), VALUE.encode("utf-16-le")).replace(
                b"%s", value
            )
            for path, content in files.items()
        }

    patch, _ = repositories.patch(filled(before), filled(after))
    assert [(place.path, place.line) for place in patch.findings.places if place.known] == expected
    assert patch.findings.withheld == (("changes.patch",) if expected else ())
    assert VALUE not in patch.findings.model_dump_json()


def test_a_known_value_in_base64_is_found_in_text(repositories: Repositories) -> None:
    encoded = base64.b64encode(b"user:" + VALUE.encode() + b":x").decode()
    patch, _ = repositories.patch({}, {b"a": f"1\n2\nauth: {encoded}\n".encode()})
    assert places(patch.findings) == [("a", 3, "NPM_TOKEN", True)]


def test_the_format_of_a_secret_is_a_warning_with_file_and_line(repositories: Repositories) -> None:
    patch, _ = repositories.patch({}, {b"a": f"1\ntoken: {TOKEN}\n".encode()})
    assert places(patch.findings) == [("a", 2, "github-token", False)]
    assert (patch.findings.secrets, patch.findings.withheld) == ({}, ())


def test_content_that_cannot_be_searched_withholds_the_patch_and_costs_it_nothing(
    repositories: Repositories, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Iterator[bytes]:
        raise subprocess.CalledProcessError(137, "git")

    monkeypatch.setattr("worker.collection.diff._blob", fail)
    files = {b"large.bin": b"\0\1\2"}
    patch, name = repositories.patch({}, files)
    assert places(patch.findings) == [("large.bin", None, "unsearched-content", True)]
    assert patch.findings.withheld == ("changes.patch",)
    assert repositories.applied(patch, name, tmp_path / "applied") == files


@pytest.mark.parametrize(
    ("after", "withheld"),
    [(b"b hunter1-hunter1 a", False), (b"a hunter1-hunter1 hunter2-hunter2", True), (b"hunter2-hunter2", True)],
)
def test_another_line_of_a_secret_is_new_where_one_was_before(after: bytes, withheld: bool) -> None:
    scan = SecretScan({"ENV": "A_PASSWORD=hunter1-hunter1\nB_PASSWORD=hunter2-hunter2\n"})
    scan.content("commits.bundle", b"f", [after], lambda: [b"a hunter1-hunter1"])
    assert bool(scan.findings.withheld) is withheld


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    "value", ["gr\u00fc\u00df-dich-42", "pr\u00edli\u0161-\u20ac-42", "\u5bc6\u7801-\U0001f511-secret"]
)
def test_a_value_beyond_ascii_is_found_in_files_of_other_encodings(value: str, encoding: str) -> None:
    try:
        content = f"key: {value}\n".encode(encoding)
    except UnicodeEncodeError:
        content = value.encode()
    scan = SecretScan({"PASSWORD": value})
    scan.content("changes.patch", b"f", [content])
    assert scan.findings.secrets == {"PASSWORD": 1}
    other = SecretScan({"PASSWORD": value})
    other.content("changes.patch", b"f", [content.replace(b"4", b"5").replace(b"c", b"d")])
    assert other.findings.secrets == {}


def test_a_known_secret_is_no_warning_as_well() -> None:
    scan = SecretScan({"GH": TOKEN})
    scan.name("changes.patch", TOKEN.encode())
    assert (scan.findings.secrets, scan.findings.formats) == ({"GH": 1}, {})


@pytest.mark.parametrize("inside", range(0, len(VALUE) + 1, 4))
@pytest.mark.parametrize("step", [4_093, BLOCK_BYTES])
def test_a_value_on_the_border_of_two_blocks_is_found_once(inside: int, step: int) -> None:
    border = -(-(BLOCK_BYTES + CARRY_BYTES) // step) * step
    content = b"x" * (border - inside - 6) + b"\nkey: " + VALUE.encode() + b"\n" + b"y" * 3_000
    scan = SecretScan(KNOWN)
    search = scan.text("changes.patch", b"f", 5)
    for start in range(0, len(content), step):
        search.feed(content[start : start + step])
    search.finish()
    assert places(scan.findings) == [("f", 6, "NPM_TOKEN", True)]


@settings(max_examples=8)
@given(st.integers(1, 3 * BLOCK_BYTES), st.integers(1, 700_000))
def test_a_value_is_found_once_on_any_border_of_chunks(position: int, step: int) -> None:
    lines = b"some words\n" * (position // 11)
    content = lines + b"x" * (position - len(lines)) + VALUE.encode() + b"\n" + b"y" * 100_000
    patch = b"diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -0,0 +1,%d @@\n+" % (content.count(b"\n") + 1)
    patch += content.replace(b"\n", b"\n+")
    scan = SecretScan(KNOWN)
    reader = PatchReader(scan, "changes.patch")
    chunks = [patch[start : start + step] for start in range(0, len(patch), step)]
    assert b"".join(reader.passed(chunks)) == patch
    assert scan.findings.places == (
        Finding(artifact="changes.patch", path="f", line=position // 11 + 1, kind="NPM_TOKEN", known=True),
    )


def test_very_many_matches_in_a_block_cost_no_more_than_their_number() -> None:
    scan = SecretScan(KNOWN)
    begin = time.process_time()
    scan.content("changes.patch", b"f", [f"{VALUE} {TOKEN} ".encode() * 60_000])
    assert scan.findings.formats == {"github-token": 1}
    assert time.process_time() - begin < 20


def test_of_very_many_places_the_first_are_kept_and_all_are_counted() -> None:
    scan = SecretScan(KNOWN)
    search = scan.text("changes.patch", b"f", 1)
    for _ in range(300):
        search.feed(f"{TOKEN}\n{VALUE}\n".encode())
    search.finish()
    assert (scan.findings.secrets, scan.findings.formats) == ({"NPM_TOKEN": 300}, {"github-token": 300})
    assert len(scan.findings.places) == MOST_PLACES
    assert all(place.known for place in scan.findings.places)
    brief = scan.findings.brief()
    assert brief
    assert len(brief.model_dump_json()) < 2_000


def test_an_added_line_that_looks_like_a_header_is_still_an_added_line() -> None:
    patch = f"diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -0,0 +1,2 @@\n+++ b/{VALUE}\n+@@ -1 +1 @@ {VALUE}\n".encode()
    scan = SecretScan(KNOWN)
    reader = PatchReader(scan, "changes.patch")
    assert b"".join(reader.passed([patch])) == patch
    assert [(place.path, place.line) for place in scan.findings.places] == [("f", 1), ("f", 2)]
    assert reader.files == 1
