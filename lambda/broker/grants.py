"""Grants of money to attempts, and the events of monthly budgets that are nearly used up."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import boto3
from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from broker.clients import OTHERS
from outpost.domain.budgets import WARNING_PERCENT, Budget, month_of, to_usd
from outpost.domain.dispatch import Dispatch
from outpost.domain.lifecycle import TransitionError
from outpost.domain.protocol import GrantRequest, GrantResponse
from outpost.domain.tenants import Tenant
from outpost.domain.usage_event import SOURCE
from outpost.names import Env
from outpost.store.budgets import ENVIRONMENT, Budgets, Granted
from outpost.store.tenants import Tenants

if TYPE_CHECKING:
    from types_boto3_events.client import EventBridgeClient

logger = Logger(service="broker")

EXCEEDED_PERCENT = 100
DETAIL_TYPE = "Outpost Budget Threshold"


class BudgetThreshold(BaseModel):
    """The event's detail: 80, when so many percent are spent or reserved; 100, when a model call was refused for it.

    It is sent at least once a month for each budget and threshold; `id` is that of its repetitions.
    """

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    schema_version: Literal["1.0"] = "1.0"
    id: str
    environment: str
    scope: Literal["tenant", "environment"]
    tenant_id: str | None
    """None for the budget of the environment."""
    month: str
    """UTC, `YYYY-MM`."""
    percent: int
    budget_usd: float
    committed_usd: float
    """Spent by ended dispatches, and reserved by live ones."""
    dispatch_id: str
    """The dispatch whose request passed the threshold."""


class EventNotSentError(Exception):
    """The bus did not take an event."""


def send_to_bus(event: BudgetThreshold) -> None:
    """Put an event on the account's default bus. Raises `EventNotSentError`, botocore's errors."""
    bus: EventBridgeClient = boto3.client("events", config=OTHERS)
    detail = event.model_dump_json(by_alias=True)
    response = bus.put_events(Entries=[{"Source": SOURCE, "DetailType": DETAIL_TYPE, "Detail": detail}])
    if response["FailedEntryCount"]:
        raise EventNotSentError(response["Entries"][0].get("ErrorCode", "unknown"))


@dataclass(frozen=True)
class Grants:
    """Handles requests for money."""

    budgets: Budgets
    send: Callable[[BudgetThreshold], None] = send_to_bus

    def needed(self, row: Dispatch, tenants: Tenants) -> bool:
        """Return whether the dispatch's model calls have a budget in dollars."""
        if row.spec.model_id is None or row.spec.promotes is not None:
            return False
        if row.spec.max_cost_usd is not None:
            return True
        tenant = tenants.get(row.tenant_id)
        return tenant is not None and self.budgets.limits.apply_to(tenant)

    def handle(self, request: GrantRequest, row: Dispatch | None, tenant: Tenant | None, at: datetime) -> GrantResponse:
        """Grant what is requested, or return which budget has no room."""
        if row is None or tenant is None or row.lease != request.lease:
            return GrantResponse(live=False)
        if tenant.status != "active" and not request.final:
            return GrantResponse(live=True, allowed=row.spending.allowed, refused=f"suspended tenant {tenant.id}")
        try:
            if request.final:
                changed = self.budgets.give_back(row, request.lease, request.micros, at)
                return GrantResponse(live=True, allowed=changed.spending.allowed)
            granted = self.budgets.grant(row, request.lease, request.micros, tenant, at)
        except TransitionError:
            return GrantResponse(live=False)
        short = granted.shortage
        self._report(granted, at)
        return GrantResponse(
            live=True,
            allowed=granted.row.spending.allowed,
            left=short.room if short else 0,
            refused=short.name if short else None,
            warnings=tuple(_warnings(granted)),
        )

    def _report(self, granted: Granted, at: datetime) -> None:
        """Send the events of the thresholds that are passed, each once a month; a failure refuses no grant."""
        row, month = granted.row, month_of(at)
        for budget, percent in _passed(granted):
            if percent in budget.reported:
                continue
            event = _event(budget, percent, row, month)
            try:
                self.send(event)
                self.budgets.note_reported(event.tenant_id or ENVIRONMENT, month, percent)
            except (BotoCoreError, ClientError, EventNotSentError):
                logger.exception("the event of a budget was not sent", extra={"event": event.id})


def _event(budget: Budget, percent: int, row: Dispatch, month: str) -> BudgetThreshold:
    environment, owner = os.environ[Env.ENVIRONMENT], row.tenant_id if budget.scope == "tenant" else None
    return BudgetThreshold(
        id=f"{environment}:{owner or '*'}:{month}:{percent}",
        environment=environment,
        scope="environment" if owner is None else "tenant",
        tenant_id=owner,
        month=month,
        percent=percent,
        budget_usd=to_usd(budget.limit),
        committed_usd=to_usd(budget.committed),
        dispatch_id=row.id,
    )


def _passed(granted: Granted) -> Iterator[tuple[Budget, int]]:
    """Yield the monthly budgets and the thresholds that they have passed."""
    for budget in granted.budgets:
        if budget.scope == "dispatch":
            continue  # the worker reports it, which knows what is spent
        if budget.percent >= WARNING_PERCENT:
            yield budget, WARNING_PERCENT
        if granted.shortage == budget:
            yield budget, EXCEEDED_PERCENT


def _warnings(granted: Granted) -> Iterator[str]:
    for budget, percent in _passed(granted):
        if percent == WARNING_PERCENT:
            yield f"{WARNING_PERCENT} % or more of {budget.name} is spent or reserved"
