"""archive: v1's scripts to S3, and back from there to prove it."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from typing import ClassVar, Literal

from botocore.exceptions import ClientError

from outpost.report import Check
from outpost_migration.context import Context
from outpost_migration.host import Tool
from outpost_migration.step import Finding, Report, Step
from outpost_migration.v1.layout import BASE, SCRIPTS, SCRIPTS_FOLDER

PREFIX = "archive/dispatch-scripts/"
TAR, MANIFEST, README = "scripts.tar.gz", "manifest.json", "README.md"
_ON_HOST = f"{BASE}/.outpost-archive.tar"

_README = """# v1's dispatch scripts

`scripts.tar.gz` holds the scripts as they were on {instance} on {date}; `manifest.json` the SHA-256 of the archive and
of each file. Restore: `aws s3 cp s3://{bucket}/{prefix}scripts.tar.gz - | tar -xz`, then compare with `sha256sum`.
Written by `outpost migrate archive`, run {run}.
"""


class ArchiveReport(Report):
    """archive: v1's scripts in S3, restored and compared."""

    file: ClassVar[str] = "archive-report"
    step: Literal["archive"] = "archive"
    archive_location: str
    files: list[Tool]
    bytes: int
    sha256: str
    restore_verified: bool


def run(context: Context) -> ArchiveReport:
    """Archive v1's scripts in S3, restore them and compare."""
    tools = context.host.scripts()
    names = [tool.file for tool in tools]
    context.progress("Fetching the scripts from the host")
    content = _fetch(context, names)
    digest = hashlib.sha256(content).hexdigest()
    prefix = f"{PREFIX}{context.run}/"
    for name, body in _objects(context, prefix, tools, content, digest).items():
        _upload(context, prefix + name, body)
    dry = Finding(holds=False, evidence=["dry run: nothing was uploaded"])
    restored = dry if context.dry_run else restore(context, prefix)
    location = f"s3://{context.documents.bucket}/{prefix}"
    checks = [
        Check.of(
            "complete",
            f"The archive holds all {len(SCRIPTS)} scripts",
            {tool.name for tool in tools} == set(SCRIPTS),
            [f"{len(tools)} files: {', '.join(names)}"],
            "Run `outpost migrate audit` and look at what is missing",
        ),
        context.check(
            "restore",
            "The archive restores, byte for byte",
            *restored,
            "Run the step again; if it stays so, do not cut over",
        ),
    ]
    return context.report(
        ArchiveReport,
        checks,
        archive_location=location,
        files=tools,
        bytes=len(content),
        sha256=digest,
        restore_verified=bool(restored.holds),
    )


STEP = Step(
    ArchiveReport,
    run,
    needs=("audit",),
    takes="5 s",
    changes="`archive/dispatch-scripts/<run>/` in the audit bucket",
)


def restore(context: Context, prefix: str) -> Finding:
    """Unpack an archive from S3 and compare each file with the manifest."""
    client, bucket = context.deployment.client("s3"), context.documents.bucket
    try:
        manifest = json.loads(client.get_object(Bucket=bucket, Key=prefix + MANIFEST)["Body"].read())
        content = client.get_object(Bucket=bucket, Key=prefix + TAR)["Body"].read()
    except ClientError as error:
        return Finding(False, [f"s3:GetObject s3://{bucket}/{prefix}: {error.response['Error']['Code']}"])
    evidence = [f"s3:GetObject s3://{bucket}/{prefix}{TAR}: {len(content)} bytes"]
    if hashlib.sha256(content).hexdigest() != manifest["sha256"]:
        return Finding(False, [*evidence, "the archive's SHA-256 is not the manifest's"])
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        files = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
        found = {name: hashlib.sha256(file.read()).hexdigest() for name, file in files.items() if file}
    expected = {file["file"]: file["sha256"] for file in manifest["files"]}
    wrong = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
    evidence.append(f"restored {len(found)} files, {len(expected) - len(wrong)} of {len(expected)} equal the manifest")
    return Finding(not wrong and bool(expected), [*evidence, *(f"differs: {name}" for name in wrong)])


def _fetch(context: Context, names: list[str]) -> bytes:
    """Return a reproducible tar.gz of the files: the same files give the same bytes."""
    options = "--sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=ustar"
    context.host.checked(f"cd {SCRIPTS_FOLDER} && tar {options} -cf {_ON_HOST} -- {' '.join(names)}")
    try:
        plain = context.host.read_file(_ON_HOST)
    finally:
        context.host.checked(f"rm -f {_ON_HOST}")
    return gzip.compress(plain, mtime=0)


def _objects(context: Context, prefix: str, tools: list[Tool], content: bytes, digest: str) -> Mapping[str, bytes]:
    files = [{"file": tool.file, "size": tool.size, "sha256": tool.sha256} for tool in tools]
    manifest = {"instance": context.host.instance_id, "sha256": digest, "files": files}
    readme = _README.format(
        instance=context.host.instance_id,
        date=f"{context.now():%Y-%m-%d}",
        bucket=context.documents.bucket,
        prefix=prefix,
        run=context.run,
    )
    # The manifest comes last: an archive without one was cut off.
    return {TAR: content, README: readme.encode(), MANIFEST: json.dumps(manifest, indent=1).encode()}


def _upload(context: Context, key: str, body: bytes) -> None:
    client, bucket, digest = context.deployment.client("s3"), context.documents.bucket, hashlib.sha256(body).hexdigest()
    try:
        there = client.head_object(Bucket=bucket, Key=key)["Metadata"].get("sha256")
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchKey"):
            raise
        there = None
    if there != digest:
        context.change(
            f"Upload s3://{bucket}/{key} ({len(body)} bytes)",
            lambda: client.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"sha256": digest}),
        )
