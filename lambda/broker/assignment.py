"""What a worker is given with a dispatch: the task, the ARNs of secrets, limits, and credentials of the attempt."""

from collections.abc import Mapping
from dataclasses import dataclass

from broker.credentials import AttemptCredentials
from broker.forge import Forge
from broker.grants import Grants
from outpost.domain.agents import CATALOGUE, Agent, AgentSettings
from outpost.domain.artifacts import attempt_prefix
from outpost.domain.dispatch import Dispatch
from outpost.domain.protocol import Assignment, BedrockAccess, Credentials
from outpost.domain.workspaces import QUOTAS, room
from outpost.fleet.store import Store


@dataclass(frozen=True)
class Assignments:
    """Prepares assignments. Every call may fail; none changes anything."""

    store: Store
    credentials: AttemptCredentials
    agents: Mapping[Agent, AgentSettings]
    grants: Grants
    forge: Forge | None

    def of(self, row: Dispatch) -> Assignment:
        """Return what the worker that holds the row needs. Raises `PolicyRefusedError` and botocore's errors."""
        if row.lease is None:
            raise ValueError(f"dispatch {row.id} is {row.status}: nobody holds it")
        settings = self.agents[row.spec.agent]
        secrets, searched = self._secrets(row), self._searched_secrets(row)
        arns = _arns(secrets | searched)
        return Assignment(
            dispatch_id=row.id,
            tenant_id=row.tenant_id,
            lease=row.lease,
            spec=row.spec,
            task=self.store.dispatches.task(row.id),
            bucket=self.credentials.bucket,
            prefix=attempt_prefix(row.tenant_id, row.id, row.attempt),
            secrets=secrets,
            searched_secrets=searched,
            token_budget=settings.token_budget,
            dollar_budget=self.grants.needed(row, self.store.tenants),
            earlier_cost=row.spending.earlier,
            models=settings.models,
            context=self.store.artifacts.context_keys(row.tenant_id) if row.spec.kind == "task" else (),
            no_progress_seconds=settings.no_progress_seconds or CATALOGUE[row.spec.agent].no_progress_seconds,
            workspace_room=self._room(row),
            forge=self.forge is not None and self.forge.serves(row.spec),
            credentials=self.credentials.mint(row, arns),
            secret_credentials=self.credentials.mint_for_secrets(row, arns),
            bedrock=self.bedrock(row),
        )

    def renewed(self, row: Dispatch) -> tuple[Credentials, Credentials | None]:
        """Return new credentials of the attempt, and for Bedrock where it has some. Raises as `of` does."""
        bedrock = self.bedrock(row)
        return self.credentials.mint(row, _arns(self._secrets(row))), bedrock.credentials if bedrock else None

    def bedrock(self, row: Dispatch) -> BedrockAccess | None:
        """Return what the attempt's model calls are signed with, where its agent's models are at Bedrock."""
        settings = self.agents.get(row.spec.agent)  # None: disabled since the dispatch was started
        if settings is None or settings.bedrock_region is None or row.spec.promotes:
            return None
        region = settings.bedrock_region
        models = settings.models.values()
        return BedrockAccess(region=region, credentials=self.credentials.mint_for_models(row, models, region))

    def _secrets(self, row: Dispatch) -> dict[str, str]:
        if row.spec.promotes:
            return {}
        settings = self.agents.get(row.spec.agent)  # None: disabled since the dispatch was started
        arn = settings.provider_secret_arn if settings else None
        given = {CATALOGUE[row.spec.agent].token_variables[0]: arn} if arn else {}
        known = self.store.tenants.secrets(row.tenant_id) if row.spec.additional_secrets else {}
        # One that was deleted meanwhile stays in the list: the worker cannot read it, and says so.
        return given | {name: known[name].arn if name in known else name for name in row.spec.additional_secrets}

    def _searched_secrets(self, row: Dispatch) -> dict[str, str]:
        """Return the secrets that earlier dispatches in the workspace were given, and this one is not."""
        workspace = self.store.workspaces.get(row.tenant_id, row.spec.workspace_id) if row.spec.workspace_id else None
        names = workspace.secrets - set(row.spec.additional_secrets) if workspace else set()
        known = self.store.tenants.secrets(row.tenant_id) if names else {}
        return {name: known[name].arn for name in sorted(names) if name in known}

    def _room(self, row: Dispatch) -> int | None:
        tenant = self.store.tenants.get(row.tenant_id) if row.spec.workspace_id else None
        if tenant is None or row.spec.workspace_id is None:
            return None
        return room(self.store.workspaces.all(row.tenant_id), QUOTAS[tenant.tier], row.spec.workspace_id)


def _arns(secrets: Mapping[str, str]) -> list[str]:
    return [arn for arn in secrets.values() if arn.startswith("arn:")]
