"""A dispatch's row stays below 4 KB in every state, whatever clients and agents write into it, and nothing is lost."""

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.schemas.dispatches import CancelRequest, DispatchRequest, TagKey, TagValue
from control_plane.schemas.results import MOST_SECRETS, PromotionRequest, ReleaseRequest
from outpost.domain.agents import Agent
from outpost.domain.artifacts import Artifact
from outpost.domain.collection import MAX_TEXT_LENGTH, MOST_GLOBS, Collection, KeptRef, LeftOut, NestedChange
from outpost.domain.dispatch import LOG_TAIL_BYTES, MAX_ATTEMPTS, Dispatch, Lease, Promotion, Spec, Status, Usage
from outpost.domain.findings import MAX_PATH_LENGTH, MOST_PLACES, Finding, Findings, Release
from outpost.domain.ids import new_id, now
from outpost.domain.lifecycle import (
    Cancel,
    Claim,
    Event,
    Expire,
    Finish,
    Grant,
    Lose,
    Progress,
    ReleaseWithheld,
    Report,
    Start,
    TransitionError,
    apply,
)
from outpost.domain.protocol import ClaimRequest, RenewRequest
from outpost.domain.reasons import Reason, ReasonCode
from outpost.store.database import from_attributes
from outpost.store.rows import ROW_BYTES, item_bytes, items_of, row_from

CHARACTERS = ("a", '"', "\x01", "\N{GRINNING FACE}")
"""Of one byte, and of those that JSON or UTF-8 write as two, six and four."""
DAY = timedelta(days=1)


def longest(owner: Any, field: str) -> int:  # noqa: ANN401 - a model of pydantic's
    """Return how many characters or entries a field takes."""
    limits = (getattr(each, "max_length", None) for each in owner.model_fields[field].metadata)
    return int(next(limit for limit in limits if limit))


def limit_of(annotated: Any) -> int:  # noqa: ANN401 - an annotated type
    return int(annotated.__metadata__[0].max_length)


def names(count: int, length: int, character: str) -> list[str]:
    return [f"{number:03d}".ljust(length, character) for number in range(count)]


def largest(character: str) -> Spec:
    """What the API accepts at most."""
    keys = names(longest(DispatchRequest, "tags"), limit_of(TagKey), character)
    request = DispatchRequest.model_validate(
        {
            "agent": "claude",
            "task": "x" * 50,
            "model_id": "m" * longest(DispatchRequest, "model_id"),
            "repo": "r" * longest(DispatchRequest, "repo"),
            "branch": character * longest(DispatchRequest, "branch"),
            "workspace_mode": "persistent",
            "workspace_id": new_id(),
            "workspace_init_mode": "minimal",
            "timeout_seconds": 86_400,
            "additional_secrets": [
                f"S{number:063d}" for number in range(longest(DispatchRequest, "additional_secrets"))
            ],
            "collect": [f"{number:02d}/".ljust(128, "c") for number in range(MOST_GLOBS)],
            "tags": dict.fromkeys(keys, character * limit_of(TagValue)),
            "retryable": True,
            "max_cost_usd": 12_345.678901,
        },
        by_name=True,
    )
    return Spec.model_validate(request.model_dump(exclude={"task"}))


def promoting(character: str) -> Spec:
    """A promotion with all that it takes."""
    branch = character * longest(PromotionRequest, "branch")
    return Spec(
        kind="promote",
        agent=Agent.CLAUDE,
        repo="r" * longest(DispatchRequest, "repo"),
        branch=branch,
        promotes=Promotion(
            dispatch_id=new_id(),
            attempt=MAX_ATTEMPTS,
            base_commit="c" * 40,
            branch=branch,
            committed_at=now(),
            withheld=True,
            findings=findings(character),
            fingerprint="f" * 64,
        ),
    )


def findings(character: str) -> Findings | None:
    place = Finding(artifact=Artifact.PATCH, path=character * MAX_PATH_LENGTH, line=1, kind="K" * 64, known=True)
    secrets = dict.fromkeys((f"S{number:063d}" for number in range(MOST_SECRETS)), 1_000_000)
    return Findings(secrets=secrets, formats=secrets, places=(place,) * MOST_PLACES, withheld=tuple(Artifact)).brief()


def collection(character: str) -> Collection:
    text = character * MAX_TEXT_LENGTH
    return Collection.of(
        [LeftOut(path=text, reason=text, files=10)] * 500,
        [KeptRef(name=text, commit="c" * 40, subject=text)] * 500,
        [NestedChange(path=text, kind="submodule", base="b" * 40, files_changed=10)] * 500,
    ).brief()


def events(row: Dispatch, character: str) -> list[Event]:
    """All that can happen to a dispatch, each with the longest texts."""
    lease = row.lease or Lease(worker_id="w", token=1)
    at = row.queued_at + DAY
    worker = "w" * longest(ClaimRequest, "worker_id")
    reason = Reason(code=ReasonCode.SECRET_IN_OUTPUT, message=character * 9_000, remedy=character * 2_000)
    late = Reason(code=ReasonCode.TIME_LIMIT, message=character * 9_000, remedy=character * 2_000)
    tail = character * (LOG_TAIL_BYTES // len(character.encode()))
    left = {"log_tail": tail, "findings": findings(character), "collection": collection(character)}
    usage = Usage(
        **dict.fromkeys(("duration_seconds", "model_cost_usd", "vcpu_seconds", "gb_seconds"), 123_456.789012345),
        **dict.fromkeys(("input_tokens", "cached_input_tokens", "output_tokens", "model_calls"), 10**12),
        capacity="on-demand",
    )
    release = Release(by="otp_00000000", at=at, reason=character * longest(ReleaseRequest, "reason"))
    return [
        Claim(worker, 999, at, "f" * 64),
        Start(lease, at),
        Progress(lease, character * longest(RenewRequest, "progress")),
        Grant(lease, 10**12, 10**12, "2026-11"),
        Grant(lease, 10**12, 10**12, "2026-12"),
        Finish(lease, 137, at),
        *(Report(lease, end, reason, at, 1, usage, **left) for end in (Status.SUCCESS, Status.FAILED)),  # type: ignore[arg-type]
        *(Lose(lease, why, at, **left) for why in (reason, late)),  # type: ignore[arg-type]
        Cancel(character * longest(CancelRequest, "reason"), at),
        Expire(reason, at),
        ReleaseWithheld(release),
    ]


def counted_bytes(item: Mapping[str, Any]) -> int:
    """Return an item's size, at most; see "DynamoDB item sizes and formats" in its Developer Guide.

    Names and texts count in UTF-8, a number one byte for two digits and one more.
    """
    total = 0.0
    for name, value in item.items():
        ((kind, content),) = value.items()
        total += len(name.encode())
        total += len(content.encode()) if kind == "S" else len(content) / 2 + 2
    return math.ceil(total)


def check(row: Dispatch) -> None:
    item, *beside = items_of(row)
    assert counted_bytes(item) < ROW_BYTES, row.status
    found = row_from(from_attributes(item), *map(from_attributes, beside))
    lost = [name for name, value in vars(row).items() if name != "details" and getattr(found, name) != value]
    assert lost == [], row.status


@settings(max_examples=40)
@given(character=st.sampled_from(CHARACTERS), promotion=st.booleans(), data=st.data())
def test_the_largest_dispatch_has_a_small_row_in_every_state(
    character: str, promotion: bool, data: st.DataObject
) -> None:
    at = now()
    row = Dispatch(
        id=new_id(),
        tenant_id="t" * 40,
        created_by="otp_00000000",
        spec=(promoting if promotion else largest)(character),
        expires_at=2_000_000_000,
        created_at=at,
        queued_at=at,
    )
    check(row)
    for _ in range(12):
        possible = []
        for event in events(row, character):
            try:
                possible.append(apply(row, event))
            except TransitionError:
                continue
        for each in possible:
            check(each)
        if not possible:
            break
        row = possible[data.draw(st.integers(0, len(possible) - 1))]


def test_a_small_dispatch_has_one_item() -> None:
    at = now()
    spec = Spec.model_validate({"agent": "shell", "tags": {"team": "blue"}, "repo": "acme/web"})
    row = Dispatch(id=new_id(), tenant_id="acme", created_by="k", spec=spec, expires_at=1, created_at=at, queued_at=at)
    (item,) = items_of(row)
    assert item_bytes(item) < 1_000


def test_what_a_run_needs_leaves_the_row_last() -> None:
    """The release before, which knows of nothing beside rows, may claim a row again that lost its worker."""
    at = now()
    options = {"branch": "topic", "additional_secrets": ("NPM_TOKEN",), "collect": ("dist/*",), "retryable": True}
    spec = Spec(agent=Agent.CLAUDE, repo="acme/web", tags={"team": "blue"}, **options)
    row = Dispatch(id=new_id(), tenant_id="acme", created_by="k", spec=spec, expires_at=1, created_at=at, queued_at=at)
    row = apply(row, Claim("w", 0, at))
    assert row.lease is not None
    lost = Reason.of(ReasonCode.WORKER_LOST, "no heartbeat")
    row = apply(row, Lose(row.lease, lost, at, log_tail="t" * LOG_TAIL_BYTES))

    item, _ = items_of(row)

    assert row.status is Status.PENDING
    assert row_from(from_attributes(item)).spec == spec.model_copy(update={"tags": {}})
