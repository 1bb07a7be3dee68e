"""The environment variables that the functions, the service and the workers share."""

import json
from collections.abc import Mapping
from types import MappingProxyType

from outpost.domain.agents import Agent, AgentSettings, AgentTunables, worker_family
from outpost.domain.providers import BEDROCK
from outpost.names import Env
from outpost_constructs.task_definition import release
from outpost_ops.config import EnvironmentConfig
from stacks.data_stack import DataStack


def service_environment(data: DataStack, config: EnvironmentConfig) -> dict[str, str]:
    """Return what functions and service know: the release, and where rows, artifacts and tasks are."""
    return {
        Env.ENVIRONMENT: config.name,
        Env.VERSION: release(),
        Env.DISPATCHES_TABLE: data.tables.dispatches.table_name,
        Env.TENANTS_TABLE: data.tables.tenants.table_name,
        Env.WORKERS_TABLE: data.tables.workers.table_name,
        Env.QUEUES_TABLE: data.tables.pending.table_name,
        Env.WORKSPACES_TABLE: data.tables.workspace_rows.table_name,
        Env.ARTIFACTS_BUCKET: data.artifacts.bucket_name,
        Env.CLUSTER: data.cluster.cluster_name,
        **git_environment(config),
        **_budgets(config),
    }


def _budgets(config: EnvironmentConfig) -> dict[str, str]:
    """Return what model calls may cost in a month, where that is limited."""
    budgets = {Env.MODEL_BUDGET: config.cost.model_budget, Env.TENANT_MODEL_BUDGET: config.cost.tenant_model_budget}
    return {name: str(usd).removesuffix(".0") for name, usd in budgets.items() if usd is not None}


def git_environment(config: EnvironmentConfig) -> dict[str, str]:
    """Return where repositories come from."""
    return {
        Env.GIT_BASE_URL: config.git.base_url,
        Env.GIT_ALLOWED_HOSTS: ",".join(config.git.allowed_hosts),
        **({Env.FORGE_URL: config.git.forge_url} if config.git.forge_url else {}),
    }


def agent_settings(
    data: DataStack, config: EnvironmentConfig, task_roles: Mapping[Agent, str] = MappingProxyType({})
) -> dict[Agent, AgentSettings]:
    """Return the settings of each enabled agent, with what is deployed for it, and the ARNs of its tasks' roles."""
    return {
        agent: AgentSettings(
            **configured.model_dump(include=set(AgentTunables.model_fields)),
            queue_url=data.queues[agent].queue.queue_url,
            family=worker_family(agent, config.name),
            task_role_arn=task_roles.get(agent),
            provider_secret_arn=secret.secret_arn if (secret := data.secrets.providers.get(agent)) else None,
            bedrock_region=config.bedrock_region if configured.provider == BEDROCK else None,
        )
        for agent, configured in config.enabled_agents.items()
    }


def agents_json(data: DataStack, config: EnvironmentConfig) -> str:
    """Return the settings of each enabled agent as one JSON object, by agent."""
    return json.dumps({agent: each.model_dump(mode="json") for agent, each in agent_settings(data, config).items()})
