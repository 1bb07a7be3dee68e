"""What dispatches used, and the budget of the month."""

import asyncio
from datetime import date

from control_plane.auth import Principal
from control_plane.errors import ApiError, ErrorCode, invalid, not_found
from control_plane.schemas.usage import MOST_DAYS, BudgetView, UsageFigures, UsageQuery, UsageReport, UsageRow
from control_plane.settings import Stores
from outpost.domain.budgets import month_of, to_usd
from outpost.domain.ids import now
from outpost.domain.tenants import OPERATOR, Scope, Tenant
from outpost.domain.usage_event import Totals, grouped
from outpost.store.budgets import ENVIRONMENT
from outpost.store.usage import TooManyCountersError, UsageCounters


class UsageService:
    """Adds up the counters of dispatches that have ended."""

    def __init__(self, stores: Stores) -> None:
        self.counters = UsageCounters(stores.database)
        self._tenants = stores.tenants
        self._budgets = stores.budgets

    async def report(self, query: UsageQuery, caller: Principal) -> UsageReport:
        """Return the usage of a tenant, or of the environment. Raises `ApiError`: 400, 403, 404."""
        return await asyncio.to_thread(self._report, query, caller)

    def _report(self, query: UsageQuery, caller: Principal) -> UsageReport:
        tenant, today = _tenant_of(query, caller), now().date()
        until = query.until or today
        since = query.since or until.replace(day=1)
        _check(query, tenant, since, until, today)
        known = self._tenants.get(tenant) if tenant != ENVIRONMENT else None
        if known is None and tenant != ENVIRONMENT:
            raise not_found("tenant")
        try:
            entries = self.counters.entries(tenant, since, until, query.tag)
        except TooManyCountersError as error:
            raise invalid(("since", f"{error}: ask for a shorter period")) from error
        by = [*query.group_by, *(["tag"] if query.tag else [])]
        total = sum((entry.totals for entry in entries), Totals())
        return UsageReport(
            since=since,
            until=until,
            tenant=tenant,
            rows=[UsageRow.of(entry.totals, **vars(entry)) for entry in grouped(entries, by)],
            total=UsageFigures.of(total),
            budget=self._budget(known),
        )

    def _budget(self, tenant: Tenant | None) -> BudgetView:
        """Return the budget of the month, of the environment where there is no tenant."""
        month, limits = month_of(now()), self._budgets.limits
        spent = self._budgets.month(tenant.id if tenant else ENVIRONMENT, month)
        limit = limits.of_tenant(tenant) if tenant else limits.environment
        committed, charged = to_usd(spent.committed), to_usd(spent.charged)
        return BudgetView(month=month, limit_usd=limit, committed_usd=committed, charged_usd=charged)


def _tenant_of(query: UsageQuery, caller: Principal) -> str:
    """Return the tenant whose usage is shown. Raises a 403 for another one's, whether it exists or not."""
    if query.tenant in (None, caller.tenant.id):
        return caller.tenant.id
    if caller.tenant.id != OPERATOR or not caller.key.allows(Scope.ADMIN):
        raise ApiError(ErrorCode.AUTHORIZATION_ERROR, "Only an admin key of the operator tenant may name a tenant.")
    return query.tenant or ENVIRONMENT


def _check(query: UsageQuery, tenant: str, since: date, until: date, today: date) -> None:
    """Check what no single field decides. Raises a 400."""
    if until > today:
        raise invalid(("until", f"{until} is after today, {today} (UTC): give that day or an earlier one"))
    if since > until:
        raise invalid(("since", f"{since} is after until, {until}: give an earlier day"))
    if (until - since).days >= MOST_DAYS:
        raise invalid(("since", f"{since} is {(until - since).days} days before until: at most {MOST_DAYS} are kept"))
    if query.tag is not None and tenant == ENVIRONMENT:
        raise invalid(("tag", "tags are counted for each tenant: name one in `tenant`, or leave the tag out"))
