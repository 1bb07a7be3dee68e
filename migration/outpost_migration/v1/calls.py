"""Who still calls v1: calls of SendCommand, classified. Pure.

CloudTrail hides what a command ran. The command's id is in the event's response; SSM has its text for 30 days. What
cannot be read counts as a dispatch: silence is no proof.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from outpost_migration.monitor.documents import Frozen
from outpost_migration.v1.layout import BASE, DISPATCH_SCRIPTS, READING_SCRIPTS

MARKER = "# outpost migrate"
"""First line of every command that the migration itself runs on the host."""
SHELL_DOCUMENTS = ("AWS-RunShellScript", "AWS-RunRemoteScript", "AWS-StartInteractiveCommand")
"""Documents that can run any text; others (AWS-RunPatchBaseline, for example) run only what they are for."""


class Kind(StrEnum):
    """What a call of SendCommand was."""

    DISPATCH = "dispatch"
    READ = "read"
    MIGRATION = "migration"
    OTHER = "other"
    UNKNOWN = "unknown"
    """The text could not be read; counted as a dispatch."""


class _Event(Frozen):
    time: datetime
    caller: str
    command_id: str | None
    """None when the call was refused."""
    document: str


class SendCommand(_Event):
    """One call of SendCommand as CloudTrail records it."""

    instance_ids: tuple[str, ...]
    targets: bool = False
    """Whether the instances were named by tags, so that ours may be among them."""

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> "SendCommand":
        """Read a CloudTrail record, from LookupEvents or from EventBridge's `detail`."""
        request = event.get("requestParameters") or {}
        command = (event.get("responseElements") or {}).get("command") or {}
        identity = event.get("userIdentity") or {}
        return cls(
            time=event["eventTime"],
            caller=identity.get("arn") or identity.get("principalId") or "unknown",
            command_id=command.get("commandId"),
            document=str(request.get("documentName", "")),
            instance_ids=tuple(request.get("instanceIds") or ()),
            targets=bool(request.get("targets")),
        )

    def may_reach(self, instance_id: str) -> bool:
        """Return whether it may have reached a host: it was accepted, and names the host or targets by tag."""
        return self.command_id is not None and (self.targets or instance_id in self.instance_ids)


class Call(_Event):
    """A classified call of SendCommand."""

    kind: Kind
    text: str | None = None
    """The beginning of the command's text, if it could be read."""

    @property
    def counts(self) -> bool:
        """Whether it counts as a v1 dispatch."""
        return self.kind in (Kind.DISPATCH, Kind.UNKNOWN)


def classify(event: SendCommand, text: str | None) -> Call:
    """Return what a call was; `text` is the command's, None when SSM does not know it any more."""
    return Call(
        time=event.time,
        caller=event.caller,
        command_id=event.command_id,
        document=event.document,
        kind=_kind(event.document, text),
        text=None if text is None else text[:200],
    )


def _kind(document: str, text: str | None) -> Kind:
    if document and document.startswith("AWS-") and document not in SHELL_DOCUMENTS:
        return Kind.OTHER
    if text is None:
        return Kind.UNKNOWN
    if text.startswith(MARKER):
        return Kind.MIGRATION
    if _names(text, DISPATCH_SCRIPTS):
        return Kind.DISPATCH
    if _names(text, READING_SCRIPTS):
        return Kind.READ
    return Kind.DISPATCH if BASE in text else Kind.OTHER


def _names(text: str, scripts: Sequence[str]) -> bool:
    return any(re.search(rf"(^|[\s/'\"`;&|(=]){re.escape(script)}\b", text) for script in scripts)


def text_of(parameters: Mapping[str, Sequence[str]]) -> str | None:
    """Return the text of a command from its parameters, or None when they name no commands."""
    lines = parameters.get("commands")
    return None if not lines else "\n".join(lines)


def record_of(lookup_event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the CloudTrail record inside an event of LookupEvents."""
    record: dict[str, Any] = json.loads(lookup_event["CloudTrailEvent"])
    return record
