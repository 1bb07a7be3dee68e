"""The commands for tenants, their keys and their secrets. They need a key with the scope admin.

Tenants and keys are for a key of the operator tenant only; a tenant's own key may set its secrets.
"""

import sys
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import typer

from outpost_client.cli.connection import connect
from outpost_client.cli.options import Cursor, Json, TenantId, dollars
from outpost_client.cli.output import err, out, print_json, print_page, print_table, since
from outpost_client.models import IssuedKey, Key, Limits, Scope, Tenant

tenants = typer.Typer(help="Create and look after tenants (operator).", no_args_is_help=True)
keys = typer.Typer(help="Issue and revoke API keys (operator).", no_args_is_help=True)
secrets = typer.Typer(help="Set what a tenant's agents may be given (admin).", no_args_is_help=True)

KeyId = Annotated[str, typer.Argument(metavar="KEY", help="Id of a key")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the secret, such as NPM_TOKEN")]
MonthlyBudget = Annotated[float | None, dollars("A month (UTC) for model calls; from 0.01", "--monthly-budget-usd")]
TIERS = ("free", "starter", "pro", "enterprise")
WORKING_SCOPES = tuple(scope for scope in Scope if scope not in (Scope.ADMIN, Scope.RELEASE))
"""What a key may do unless said otherwise: everything within its tenant."""


class OwnLimit(StrEnum):
    """A limit that a tenant can have of its own: its name in the API, by that of its option."""

    concurrent = "concurrent"
    daily = "daily"
    timeout_seconds = "timeout"
    requests_per_minute = "requests"
    monthly_budget_usd = "monthly-budget-usd"


@tenants.command("create")
def create_tenant(
    context: typer.Context,
    tenant_id: TenantId,
    name: Annotated[str | None, typer.Option(help="Display name; the id unless given")] = None,
    tier: Annotated[str, typer.Option(help=", ".join(TIERS))] = "free",
    monthly_budget: MonthlyBudget = None,
    as_json: Json = False,
) -> None:
    """Create a tenant; `outpost tenants set` gives it other limits, repositories and providers."""
    own = None if monthly_budget is None else Limits(monthly_budget_usd=monthly_budget)
    with connect(context) as client:
        tenant = client.create_tenant(tenant_id, name or tenant_id, tier, own)
        print_json(tenant) if as_json else out.print(
            f"{tenant.id} is there. A key for it: outpost keys create {tenant.id}"
        )


@tenants.command("list")
def list_tenants(context: typer.Context, cursor: Cursor = None, as_json: Json = False) -> None:
    """List the tenants."""
    with connect(context) as client:
        print_page(
            client.tenants(cursor),
            ("ID", "NAME", "TIER", "STATUS", "CREATED"),
            lambda each: (each.id, each.name, each.tier, each.status, since(each.created_at)),
            as_json=as_json,
        )


@tenants.command("show")
def show_tenant(context: typer.Context, tenant_id: TenantId, as_json: Json = False) -> None:
    """Show a tenant and its limits."""
    with connect(context) as client:
        tenant = client.tenant(tenant_id)
        print_json(tenant) if as_json else _show(tenant)


@tenants.command("set")
def set_tenant(  # noqa: PLR0913 - an option for each field of PATCH /tenants/{id}
    context: typer.Context,
    tenant_id: TenantId,
    *,
    name: Annotated[str | None, typer.Option(help="Display name")] = None,
    tier: Annotated[str | None, typer.Option(help=", ".join(TIERS))] = None,
    concurrent: Annotated[int | None, typer.Option(help="Dispatches that run at once")] = None,
    daily: Annotated[int | None, typer.Option(help="Dispatches a day (UTC)")] = None,
    timeout: Annotated[int | None, typer.Option(help="Longest time limit, in seconds")] = None,
    requests: Annotated[int | None, typer.Option(help="Requests a minute of each key")] = None,
    monthly_budget: MonthlyBudget = None,
    unset: Annotated[
        list[OwnLimit] | None,
        typer.Option(help="A limit of its own to take back, so that the tier's applies; repeatable"),
    ] = None,
    reset: Annotated[bool, typer.Option("--reset", help="First take back all limits of its own")] = False,
    repository: Annotated[
        list[str] | None,
        typer.Option(help="owner/name or owner/* to give our token for, beside those it has; repeatable"),
    ] = None,
    no_repository: Annotated[
        list[str] | None, typer.Option(help="One of its repositories to give our token for no longer; repeatable")
    ] = None,
    provider: Annotated[
        list[str] | None,
        typer.Option(help="A model provider to limit it to, such as anthropic, openai or bedrock; repeatable"),
    ] = None,
    any_provider: Annotated[bool, typer.Option("--any-provider", help="Limit it to no model provider")] = False,
    as_json: Json = False,
) -> None:
    """Change a tenant's name, tier, limits, repositories or providers. A limit once given stays, whatever the tier."""
    if provider and any_provider:
        raise typer.BadParameter("--provider limits the tenant and --any-provider ends the limit: give one of the two")
    own = zip(OwnLimit, (concurrent, daily, timeout, requests, monthly_budget), strict=True)
    given = {limit.name: value for limit, value in own if value is not None}
    with connect(context) as client:
        limits = Limits(**given) if reset else None
        if limits is None and (given or unset):
            ended = {limit.name: None for limit in unset or []}
            limits = client.tenant(tenant_id).own_limits.model_copy(update=ended | given)
        repositories = None
        if repository or no_repository:
            repositories = _regranted(client.tenant(tenant_id).repositories, repository or [], no_repository or [])
        tenant = client.change_tenant(
            tenant_id,
            name=name,
            tier=tier,
            limits=limits,
            repositories=repositories,
            providers=[] if any_provider else provider,
        )
        print_json(tenant) if as_json else _show(tenant)


def _regranted(had: list[str], given: list[str], taken: list[str]) -> list[str]:
    """Return a tenant's repositories after a change; the forge takes capitals and small letters for the same."""
    kept = {each.lower(): each for each in had}
    for each in taken:
        if kept.pop(each.lower(), None) is None:
            raise typer.BadParameter(f"{each} is none of the tenant's repositories; it has {', '.join(had) or 'none'}")
    return list((kept | {each.lower(): each for each in given}).values())


@tenants.command("suspend")
def suspend_tenant(
    context: typer.Context,
    tenant_id: TenantId,
    cancel_running: Annotated[bool, typer.Option("--cancel-running", help="Cancel what runs, too.")] = False,
    as_json: Json = False,
) -> None:
    """Refuse every key of a tenant, within 30 s. What runs gets no new credentials: it ends within the hour."""
    with connect(context) as client:
        tenant = client.suspend_tenant(tenant_id, cancel_running=cancel_running)
        print_json(tenant) if as_json else out.print(f"{tenant.id} is {tenant.status}.")


@tenants.command("resume")
def resume_tenant(context: typer.Context, tenant_id: TenantId, as_json: Json = False) -> None:
    """Admit a suspended tenant again."""
    with connect(context) as client:
        tenant = client.resume_tenant(tenant_id)
        print_json(tenant) if as_json else out.print(f"{tenant.id} is {tenant.status}.")


@keys.command("create")
def create_key(
    context: typer.Context,
    tenant_id: TenantId,
    name: Annotated[str, typer.Option(help="What the key is for")] = "cli",
    scope: Annotated[
        list[Scope] | None, typer.Option(help="Repeatable; all but release and admin unless given")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Days until it ends by itself; never unless given")] = None,
    as_json: Json = False,
) -> None:
    """Issue a key; its text is shown this once."""
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days) if days else None
    with connect(context) as client:
        _show_text(client.create_key(tenant_id, name, scope or WORKING_SCOPES, end), as_json=as_json)


@keys.command("rotate")
def rotate_key(
    context: typer.Context,
    key_id: KeyId,
    overlap: Annotated[int, typer.Option(min=0, help="Seconds for which the old key still works")] = 86_400,
    as_json: Json = False,
) -> None:
    """Issue a key like this one, which ends after the overlap; the new key's text is shown this once."""
    with connect(context) as client:
        _show_text(client.rotate_key(key_id, overlap), as_json=as_json)


@keys.command("list")
def list_keys(context: typer.Context, tenant_id: TenantId, cursor: Cursor = None, as_json: Json = False) -> None:
    """List a tenant's keys."""
    with connect(context) as client:
        columns = ("ID", "PREFIX", "NAME", "STATUS", "SCOPES", "CREATED", "LAST USED")
        print_page(client.keys(tenant_id, cursor), columns, _key_row, as_json=as_json)


def _key_row(key: Key) -> tuple[str, ...]:
    used = since(key.last_used_at) if key.last_used_at else "never"
    return key.id, key.prefix, key.name, key.status, " ".join(key.scopes), since(key.created_at), used


@keys.command("revoke")
def revoke_key(context: typer.Context, key_id: KeyId, as_json: Json = False) -> None:
    """Revoke a key: it opens nothing 30 s later."""
    with connect(context) as client:
        key = client.revoke_key(key_id)
        print_json(key) if as_json else out.print(f"{key.id} is {key.status}.")


def _show(tenant: Tenant) -> None:
    limits = tenant.limits
    budget = limits.monthly_budget_usd
    rows = [
        ("name", tenant.name),
        ("tier", tenant.tier),
        ("status", tenant.status),
        ("at once", str(limits.concurrent)),
        ("a day", str(limits.daily)),
        ("time limit", f"{limits.timeout_seconds} s"),
        ("requests a minute", str(limits.requests_per_minute)),
        ("models a month", "as the environment" if budget is None else f"{budget:,.2f} USD"),
        ("repositories", ", ".join(tenant.repositories) or "public ones"),
        ("model providers", ", ".join(tenant.providers) or "all"),
    ]
    print_table(tenant.id, "", rows=rows)


def _show_text(issued: IssuedKey, *, as_json: bool) -> None:
    if as_json:
        print_json(issued)
        return
    out.print(issued.key)
    err.print("Keep it: it is not shown again. Commands read it from OUTPOST_API_KEY.")


@secrets.command("set")
def set_secret(context: typer.Context, tenant_id: TenantId, name: Name, as_json: Json = False) -> None:
    """Set a secret; its value is asked for, or read from standard input. Never an argument: those are visible."""
    value = typer.prompt("Value", hide_input=True) if sys.stdin.isatty() else sys.stdin.read().rstrip("\n")
    with connect(context) as client:
        secret = client.set_secret(tenant_id, name, value)
        print_json(secret) if as_json else out.print(
            f"{secret.name} is set: outpost dispatch ... --secret {secret.name}"
        )
        if secret.warning:
            err.print(f"Warning: {secret.warning}")


@secrets.command("list")
def list_secrets(context: typer.Context, tenant_id: TenantId, as_json: Json = False) -> None:
    """List the names of a tenant's secrets."""
    with connect(context) as client:
        print_page(
            client.secrets(tenant_id),
            ("NAME", "SET", "SEARCHED"),
            lambda each: (each.name, since(each.updated_at), "yes" if each.searched else "no"),
            as_json=as_json,
        )


@secrets.command("delete")
def delete_secret(context: typer.Context, tenant_id: TenantId, name: Name, as_json: Json = False) -> None:
    """Delete a secret for good."""
    with connect(context) as client:
        secret = client.delete_secret(tenant_id, name)
        print_json(secret) if as_json else out.print(f"{secret.name} is deleted.")
