"""update-clients: configuration files rewritten, each with a diff and a backup; both endpoints still work."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import typer

from outpost.report import Check
from outpost_client import Client
from outpost_migration.client_files import kind_of, known_files
from outpost_migration.context import Context
from outpost_migration.monitor.documents import Part
from outpost_migration.step import Report, Step
from outpost_ops.errors import OperationError

BACKUP = ".outpost-v1"
"""Suffix of a backup; the first one is kept for ever."""


class ClientFile(Part):
    """One file of a client's configuration."""

    path: str
    kind: str
    changed: bool
    backup: str | None
    diff: str


class ClientUpdateReport(Report):
    """update-clients: clients' configuration, rewritten."""

    file: ClassVar[str] = "client-update-report"
    step: Literal["update-clients"] = "update-clients"
    endpoint: str
    files: list[ClientFile]
    config_updated: bool


def run(
    context: Context,
    *,
    file: Annotated[
        list[Path] | None, typer.Option(help="File or folder of a client; home and here unless given")
    ] = None,
    revert: Annotated[bool, typer.Option("--revert", help="Put back what was there before")] = False,
) -> ClientUpdateReport:
    """Rewrite clients' configuration, with a diff shown and a backup kept.

    Raises OperationError for a file that is not understood.
    """
    paths = [path.resolve() for root in file or [Path.home(), Path.cwd()] for path in known_files(root)]
    files = [_rewrite(context, path, revert=revert) for path in paths]
    checks = [_config_check(context, files, revert=revert), _v2_works(context), _v1_works(context)]
    return context.report(
        ClientUpdateReport,
        checks,
        endpoint=context.url,
        files=files,
        config_updated=not revert and checks[0].status == "pass",
    )


STEP = Step(
    ClientUpdateReport,
    run,
    needs=("validate",),
    takes="5 s",
    changes="clients' files; backups end in `.outpost-v1`",
)


def uses_url(path: Path, url: str) -> bool:
    """Return whether a client with this file uses the URL. Raises OperationError and OSError."""
    return kind_of(path).points_at(path.read_text(encoding="utf-8"), url)


def _rewrite(context: Context, path: Path, *, revert: bool) -> ClientFile:
    kind, backup = kind_of(path), path.with_name(path.name + BACKUP)
    try:
        old = path.read_text(encoding="utf-8")
        if revert:
            new = backup.read_text(encoding="utf-8") if backup.exists() else old
        else:
            new = kind.rewrite(old, context.url)
    except (OperationError, OSError) as error:
        raise OperationError(f"{path}: {error}") from error
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), f"{path}", f"{path} (v2)", lineterm="", n=1)
    diff = "\n".join(lines)
    if new != old:
        what = f"Put back {path}" if revert else f"Rewrite {path}, backup in {backup.name}"
        context.change(f"{what}\n{diff}", lambda: _replace(path, new, backup, old))
    kept = str(backup) if backup.exists() else None
    return ClientFile(path=str(path), kind=kind.name, changed=new != old, backup=kept, diff=diff)


def _replace(path: Path, new: str, backup: Path, old: str) -> None:
    """Write the backup first and the file by renaming: whenever this is cut off, nothing is lost."""
    if not backup.exists():
        _write(backup, old, path)
    _write(path, new, path)


def _write(target: Path, text: str, like: Path) -> None:
    part = target.with_name(f"{target.name}.part")
    part.touch(mode=0o600)
    part.write_text(text, encoding="utf-8")
    part.chmod(like.stat().st_mode & 0o777)
    part.replace(target)


def _config_check(context: Context, files: Sequence[ClientFile], *, revert: bool) -> Check:
    title = "Every client's file is as it was before" if revert else "Every client's file points at v2"
    if context.dry_run or not files:
        return Check.of(
            "files",
            title,
            None,
            ["dry run" if context.dry_run else "no configuration file was found"],
            "Name files or folders with --file",
        )
    wrong = [file.path for file in files if uses_url(Path(file.path), context.url) is revert]
    evidence = [f"{len(files)} files read back", *(f"wrong: {path}" for path in wrong)]
    return Check.of("files", title, not wrong, evidence, "Run the step again")


def _v2_works(context: Context) -> Check:
    with Client(context.url) as client:
        ready = client.ready()
    return Check.of(
        "v2", "v2 is ready", ready, [f"GET {context.url}/health/ready: {'200' if ready else 'no'}"], "Deploy"
    )


def _v1_works(context: Context) -> Check:
    ping = context.host.ping()
    evidence = f"ssm:DescribeInstanceInformation {context.host.instance_id}: {ping}"
    return Check.of("v1", "v1's host is online", ping == "Online", [evidence], "Start its SSM agent")
