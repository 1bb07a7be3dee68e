"""Ages of what is stored: lifecycles of buckets and backups."""

from collections.abc import Iterator

from outpost_ops.aws_rules.model import Finding, rule
from outpost_ops.templates import Templates

_IN_STANDARD = 30
"""Days that an object stays in STANDARD before STANDARD_IA or ONEZONE_IA, and in those before a colder class."""
_INFREQUENT = {"STANDARD_IA", "ONEZONE_IA"}
_COLD_DAYS = 90
_WINDOW_MINUTES = 60


@rule("bucket-lifecycle", "S3 User Guide: Transitioning objects using Amazon S3 Lifecycle, constraints (2026-11)")
def bucket_lifecycles(templates: Templates) -> Iterator[Finding]:
    """The transitions of a bucket are as far apart as S3 demands, and before the expiration."""
    for bucket in templates.of_type("AWS::S3::Bucket"):
        for n, body in enumerate(bucket.properties.get("LifecycleConfiguration", {}).get("Rules", [])):
            place = f"LifecycleConfiguration.Rules[{n}]"
            moves = sorted(body.get("Transitions", []), key=lambda each: int(each.get("TransitionInDays", 0)))
            earliest = 0
            for move in moves:
                days, kind = int(move.get("TransitionInDays", 0)), move["StorageClass"]
                least = max(earliest, _IN_STANDARD if kind in _INFREQUENT else 0)
                if days < least:
                    yield Finding(
                        bucket, f"{place}.Transitions", f"{kind} after {days} days", f"Allowed: {least} or more"
                    )
                earliest = days + (_IN_STANDARD if kind in _INFREQUENT else 1)
            ends = body.get("ExpirationInDays")
            if ends is not None and moves and int(ends) <= int(moves[-1].get("TransitionInDays", 0)):
                remedy = f"Allowed: more than {moves[-1]['TransitionInDays']}, the last transition"
                yield Finding(bucket, f"{place}.ExpirationInDays", ends, remedy)


@rule("object-lock", "S3 User Guide: Object Lock considerations (2026-11)")
def object_locks(templates: Templates) -> Iterator[Finding]:
    """A bucket with Object Lock keeps versions."""
    for bucket in templates.of_type("AWS::S3::Bucket"):
        if "ObjectLockConfiguration" in bucket.properties:
            versioning = bucket.properties.get("VersioningConfiguration", {}).get("Status")
            if versioning != "Enabled" or bucket.properties.get("ObjectLockEnabled") is not True:
                remedy = "Set VersioningConfiguration.Status Enabled and ObjectLockEnabled true"
                yield Finding(bucket, "ObjectLockConfiguration", versioning, remedy)


@rule("backup-lifecycle", "AWS Backup API: Lifecycle, BackupRule (2026-11)")
def backup_lifecycles(templates: Templates) -> Iterator[Finding]:
    """A backup stays 90 days in cold storage, and has an hour between the ends of its two windows."""
    for plan in templates.of_type("AWS::Backup::BackupPlan"):
        for n, body in enumerate(plan.properties.get("BackupPlan", {}).get("BackupPlanRule", [])):
            place = f"BackupPlan.BackupPlanRule[{n}]"
            lifecycle = body.get("Lifecycle", {})
            cold, ends = lifecycle.get("MoveToColdStorageAfterDays"), lifecycle.get("DeleteAfterDays")
            if cold is not None and ends is not None and int(ends) < int(cold) + _COLD_DAYS:
                yield Finding(
                    plan, f"{place}.Lifecycle.DeleteAfterDays", ends, f"Allowed: {int(cold) + _COLD_DAYS} or more"
                )
            start, done = int(body.get("StartWindowMinutes", 480)), int(body.get("CompletionWindowMinutes", 10_080))
            if start < _WINDOW_MINUTES or done < start + _WINDOW_MINUTES:
                remedy = f"Allowed: a start window of {_WINDOW_MINUTES} or more, completion {_WINDOW_MINUTES} later"
                yield Finding(plan, f"{place}.StartWindowMinutes", f"{start}, completion {done}", remedy)
