"""The environment variables that the functions, the service and the workers share."""

import json

from outpost.config import EnvironmentConfig
from outpost.domain.agents import AgentSettings
from outpost.names import Env
from outpost_constructs.release import release
from outpost_constructs.worker_task import worker_family
from stacks.data_stack import DataStack


def service_environment(data: DataStack, config: EnvironmentConfig) -> dict[str, str]:
    """Return what functions and service know: the release, and where rows, artifacts, tasks and agents are."""
    return {
        Env.ENVIRONMENT: config.name,
        Env.VERSION: release(),
        Env.DISPATCHES_TABLE: data.dispatches.table_name,
        Env.TENANTS_TABLE: data.tenants.table_name,
        Env.WORKERS_TABLE: data.workers.table_name,
        Env.WORKSPACES_TABLE: data.workspace_rows.table_name,
        Env.ARTIFACTS_BUCKET: data.artifacts.bucket_name,
        Env.CLUSTER: data.cluster.cluster_name,
        Env.AGENTS: agents_json(data, config),
        **git_environment(config),
    }


def git_environment(config: EnvironmentConfig) -> dict[str, str]:
    """Return where repositories come from."""
    return {
        Env.GIT_BASE_URL: config.git.base_url,
        Env.GIT_ALLOWED_HOSTS: ",".join(config.git.allowed_hosts),
        **({Env.FORGE_URL: config.git.forge_url} if config.git.forge_url else {}),
    }


def agents_json(data: DataStack, config: EnvironmentConfig) -> str:
    """Return the value of `OUTPOST_AGENTS`: the settings of each enabled agent, with what was deployed for it."""
    settings = {}
    for agent, configured in config.enabled_agents.items():
        secret = data.secrets.providers.get(agent)
        settings[str(agent)] = AgentSettings(
            models={str(alias): model for alias, model in configured.models.items()},
            warm=configured.warm,
            warm_windows=configured.warm_windows,
            limit=configured.limit,
            spot_share=configured.spot_share,
            queue_url=data.queues[agent].queue.queue_url,
            family=worker_family(agent, config),
            provider_secret_arn=None if secret is None else secret.secret_arn,
            no_progress_seconds=configured.no_progress_seconds,
            token_budget=configured.token_budget,
        ).model_dump(mode="json")
    return json.dumps(settings, sort_keys=True)
