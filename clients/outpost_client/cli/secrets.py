"""The commands for a tenant's secrets. They need an admin key: of the tenant itself, or of the operator."""

import sys
from typing import Annotated

import typer

from outpost_client.cli.connection import connect
from outpost_client.cli.dispatches import Json
from outpost_client.cli.output import err, out, print_json, print_table, since

app = typer.Typer(help="Set what a tenant's agents may be given (admin).", no_args_is_help=True)

TenantId = Annotated[str, typer.Argument(metavar="TENANT", help="Id of a tenant")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the secret, such as NPM_TOKEN")]


@app.command("set")
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


@app.command("list")
def list_secrets(context: typer.Context, tenant_id: TenantId, as_json: Json = False) -> None:
    """List the names of a tenant's secrets."""
    with connect(context) as client:
        page = client.secrets(tenant_id)
        if as_json:
            print_json(page)
            return
        rows = [(item.name, since(item.updated_at), "yes" if item.searched else "no") for item in page.items]
        print_table("NAME", "SET", "SEARCHED", rows=rows)


@app.command("delete")
def delete_secret(context: typer.Context, tenant_id: TenantId, name: Name, as_json: Json = False) -> None:
    """Delete a secret for good."""
    with connect(context) as client:
        secret = client.delete_secret(tenant_id, name)
        print_json(secret) if as_json else out.print(f"{secret.name} is deleted.")
