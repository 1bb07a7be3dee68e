"""A promotion: the result of a dispatch becomes a commit on a branch of its repository, and perhaps a pull request."""

from datetime import datetime

from outpost.domain.findings import Findings
from outpost.domain.value import Value


class Promotion(Value):
    """What is promoted, and where to: part of the row of a dispatch of kind `promote`."""

    dispatch_id: str
    attempt: int
    """The attempt that succeeded: its patch is the one."""
    base_commit: str | None = None
    """None: the repository was empty, and the result is its first commit."""
    branch: str
    to_default: bool = False
    """Whether `branch` may be the repository's default branch."""
    create_pr: bool = False
    committed_at: datetime
    """The commit's time. It is the dispatch's, so that the same promotion makes the same commit each time."""
    withheld: bool = False
    """The patch was withheld, and has been released."""
    findings: Findings | None = None
    """The secrets found in the patch."""
    fingerprint: str
    """What distinguishes this request from another for the same branch."""


class Publication(Value):
    """What the tenant writes; the text of a dispatch of kind `promote` is this as JSON."""

    message: str
    author_name: str
    author_email: str
    pr_title: str
    pr_body: str
