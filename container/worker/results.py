"""What an attempt leaves: its results are collected, uploaded, and summarised for the summary and the report."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from outpost.domain.artifacts import Artifact, Summary
from outpost.domain.collection import Collection
from outpost.domain.dispatch import Status, Usage
from outpost.domain.findings import Findings
from outpost.domain.ids import now
from outpost.domain.protocol import Assignment
from outpost.domain.reasons import Reason, ReasonCode
from worker.agent_process import AgentEnd
from worker.attempt_redactor import AttemptRedactor
from worker.collect import CollectError, Collector, NoRoomError, Patch
from worker.lines import lines_of
from worker.logs import RunLog
from worker.outcome import Outcome, withholding, without_results
from worker.prompt_context import PromptContext
from worker.secret_scan import SecretScan
from worker.store import AttemptStore, TooLargeError, UploadError
from worker.workspace import Workspace

FINAL_MESSAGE_LENGTH = 4_000


@dataclass
class Results:
    """Collects, uploads and describes the results of one attempt."""

    assignment: Assignment
    workspace: Workspace
    store: AttemptStore
    log: RunLog
    redactor: AttemptRedactor
    started_at: datetime | None = None
    end: AgentEnd | None = None
    """How the agent ended; None when it was never started."""
    context: PromptContext | None = None
    patch: Patch | None = None
    commit: str | None = None
    """What a promotion made."""
    pull_request: str | None = None
    """Its URL, where a promotion opened one."""
    sent: bool = False
    """Whether the summary may be stored: from then on the stored one is the outcome, for each of its readers."""
    stored: bool = False
    """Whether all of it is stored, and the summary that says so."""

    def collect(self, outcome: Outcome, seconds: float) -> Outcome:
        """Collect the patch and return the outcome with what follows from it: a run without its patch is no success."""
        scan = SecretScan(self.redactor.known)
        try:
            patch = Collector(self.workspace, scan, seconds, self.assignment.spec.collect).collect()
        except CollectError as error:
            self.log.event(f"the patch could not be collected: {error}", "error")
            code = ReasonCode.DISK_FULL if isinstance(error, NoRoomError) else ReasonCode.INTERNAL_ERROR
            return without_results(outcome, code, f"The patch could not be collected: {error}")
        self.patch = patch
        files = "1 file" if patch.files_changed == 1 else f"{patch.files_changed} files"
        self.log.event(f"{files} changed")
        for line in self.collection.describe():
            self.log.event(line, "warning")
        return self._note_findings(patch.findings, outcome)

    def _note_findings(self, findings: Findings, outcome: Outcome) -> Outcome:
        """Put into the log which results hold secrets; none is changed for it."""
        if findings.withheld:
            withheld = f"{' and '.join(findings.withheld)} withheld until released: {findings.describe(known=True)}"
            self.log.event(withheld, "warning")
        if findings.formats:
            self.log.event(f"in the format of a secret: {findings.describe(known=False)}", "warning")
        return withholding(outcome, findings)

    def upload(self, outcome: Outcome, seconds: float, summary: Callable[[], Summary] | None) -> Outcome:
        """Store patch, log and last the summary, which says that all else is there (None: leave it out).

        What fails and may pass is repeated for `seconds`; so long may the rest of the log take as well. Returns the
        outcome; a run whose results could not be stored is no success. Raises `UnconfirmedError`.
        """
        try:
            self.store.persist(seconds)
            self._upload(seconds)
            if summary is not None:
                self._send(summary())
        except UploadError as error:
            self.log.abandon()
            too_large = isinstance(error, TooLargeError)
            code = ReasonCode.ARTIFACT_TOO_LARGE if too_large else ReasonCode.UPLOAD_FAILED
            return without_results(outcome, code, f"{error}.")
        return outcome

    def _send(self, summary: Summary) -> None:
        self.sent = True
        try:
            self.store.put_summary(summary)
        except UploadError:  # S3 refused it
            self.sent = False
            raise
        self.stored = True

    def _upload(self, log_seconds: float) -> None:
        if self.patch is not None:  # before the log, which may be too slow or too large to be stored
            self._upload_patch(self.patch)
        self.log.close(log_seconds)
        if self.end is not None:
            self.store.put_file(Artifact.OUTPUT, self.workspace.private / "output.log")
        if self.context is not None and self.context.record.notes:
            self.store.put_file(Artifact.CONTEXT, self.context.file)

    def _upload_patch(self, patch: Patch) -> None:
        """Store what is known of the patch, then the patch: should the worker be killed, both are in the row."""
        if self.collection:
            self.store.put_record(Artifact.COLLECTION, self.collection)
        if patch.findings:
            self.store.put_record(Artifact.FINDINGS, patch.findings)
            self.store.confirm()  # a dispatch that was closed before has no findings, and could not be released
        for artifact, file in {Artifact.PATCH: patch.file, **patch.more}.items():
            self.store.put_file(artifact, file, withheld=artifact in patch.findings.withheld)

    def summary(self, outcome: Outcome, usage: Usage, final_message: str | None) -> Summary:
        """Return the attempt's summary."""
        assignment, patch = self.assignment, self.patch
        return Summary(
            dispatch_id=assignment.dispatch_id,
            tenant_id=assignment.tenant_id,
            attempt=assignment.lease.token,
            worker_id=assignment.lease.worker_id,
            agent=assignment.spec.agent,
            model_id=assignment.spec.model_id,
            repo=assignment.spec.repo,
            commit_before=self.workspace.commit_before,
            commit_after=patch.commit_after if patch else self.commit,
            pull_request=self.pull_request,
            outcome=outcome.status,
            reason=self.reason(outcome),
            exit_code=outcome.exit_code,
            started_at=self.started_at,
            ended_at=now(),
            usage=usage,
            final_message=self._shortened(final_message),
            log_tail=self.tail(outcome),
            files_changed=patch.files_changed if patch else 0,
            collection=self.collection,
            patch_bytes=patch.file.stat().st_size if patch else 0,
            findings=(patch.findings or None) if patch else None,
        )

    def _shortened(self, message: str | None) -> str | None:
        text = self.redactor.text("\n".join(lines_of(message or "")))
        return text[:FINAL_MESSAGE_LENGTH] or None

    def reason(self, outcome: Outcome) -> Reason:
        """Return the outcome's reason without secrets."""
        clean = self.redactor.text(outcome.reason.message)
        return outcome.reason.model_copy(update={"message": clean})

    @cached_property
    def collection(self) -> Collection:
        """What was kept and left out, without secrets: for summary and report alike."""
        collection = self.patch.collection if self.patch else Collection()
        return collection.clean(self.redactor.text)

    def tail(self, outcome: Outcome) -> str | None:
        """Return the end of the log, unless the run was a success."""
        return None if outcome.status is Status.SUCCESS else self.log.tail
