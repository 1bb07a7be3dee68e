"""Names shared by what deploys and what runs: environment variables and metric namespaces.

The constructs set these variables, the services read them; both import the name from here: they cannot disagree.
"""

from enum import StrEnum


class Env(StrEnum):
    """Environment variables set by the constructs and read by Lambdas, control plane and workers."""

    ENVIRONMENT = "OUTPOST_ENVIRONMENT"
    """Name of the environment: local, dev, staging or prod."""
    VERSION = "OUTPOST_VERSION"
    DISPATCHES_TABLE = "OUTPOST_DISPATCHES_TABLE"
    TENANTS_TABLE = "OUTPOST_TENANTS_TABLE"
    WORKERS_TABLE = "OUTPOST_WORKERS_TABLE"
    QUEUES_TABLE = "OUTPOST_QUEUES_TABLE"
    WORKSPACES_TABLE = "OUTPOST_WORKSPACES_TABLE"
    ARTIFACTS_BUCKET = "OUTPOST_ARTIFACTS_BUCKET"
    MODEL_BUDGET = "OUTPOST_MODEL_BUDGET_USD"
    """US dollars that the environment's model calls may cost in a month; not set: no limit."""
    TENANT_MODEL_BUDGET = "OUTPOST_TENANT_MODEL_BUDGET_USD"
    """The same for each tenant that has no budget of its own."""
    FILE_SYSTEM_ID = "OUTPOST_FILE_SYSTEM_ID"
    CLUSTER = "OUTPOST_CLUSTER"
    AGENTS = "OUTPOST_AGENTS"
    """JSON object: agent name -> `outpost.domain.agents.AgentSettings`. For the service; functions read parameters."""
    AGENT_PARAMETERS = "OUTPOST_AGENT_PARAMETERS"
    """Comma-separated names of SSM parameters `.../<agent>`, each the JSON of that agent's `AgentSettings`."""
    BROKER_FUNCTION = "OUTPOST_BROKER_FUNCTION"
    ATTEMPT_ROLE_ARN = "OUTPOST_ATTEMPT_ROLE_ARN"
    REVISIONS = "OUTPOST_REVISIONS"
    """JSON object: agent name -> latest revision of its task definition. The planner's only: it drains older ones."""
    WORKER_SUBNETS = "OUTPOST_WORKER_SUBNETS"
    """Comma-separated subnet ids, rotated by the planner."""
    WORKER_SECURITY_GROUP = "OUTPOST_WORKER_SECURITY_GROUP"
    BOOTSTRAP_KEY_SECRET = "OUTPOST_BOOTSTRAP_KEY_SECRET"  # noqa: S105 - the name of a variable that holds an ARN
    KEY = "OUTPOST_KEY"
    """ARN of the environment's own key, under which the control plane creates tenants' secrets; not set without one."""
    SIGNING_SECRET = "OUTPOST_SIGNING_SECRET"  # noqa: S105 - the name of a variable that holds an ARN
    GIT_BASE_URL = "OUTPOST_GIT_BASE_URL"
    FORGE_URL = "OUTPOST_FORGE_URL"
    """The forge's API, for pull requests; not set where promotions only push."""
    FORGE_TOKEN_SECRET = "OUTPOST_FORGE_TOKEN_SECRET"  # noqa: S105 - the name of a variable that holds an ARN
    FORGE_APP_ID = "OUTPOST_FORGE_APP_ID"
    FORGE_APP_KEY_SECRET = "OUTPOST_FORGE_APP_KEY_SECRET"  # noqa: S105 - the name of a variable that holds an ARN
    GIT_ALLOWED_HOSTS = "OUTPOST_GIT_ALLOWED_HOSTS"
    """Comma-separated host names that an https repository URL may name."""
    API_HOSTS = "OUTPOST_API_HOSTS"
    """Comma-separated host names under which clients reach the service."""
    AUDIT_LOG_GROUP = "OUTPOST_AUDIT_LOG_GROUP"
    """Where the control plane writes a record of each authenticated call, and `dispatch_changes` of each state."""
    AUDIT_KEY = "OUTPOST_AUDIT_KEY"
    """ARN of the key that signs checkpoints of the audit log."""
    TRUSTED_PROXIES = "OUTPOST_TRUSTED_PROXIES"
    """How many proxies in front of the service append to X-Forwarded-For; not set: none, and the peer is the client."""
    RETENTION_DAYS = "OUTPOST_RETENTION_DAYS"
    """Days that rows and artifacts are kept; the bucket's lifecycle rule says the same."""
    AUDIT_BUCKET = "OUTPOST_AUDIT_BUCKET"
    # Migration only
    LOAD_BALANCER = "OUTPOST_LOAD_BALANCER"
    """The load balancer as CloudWatch names it: `app/<name>/<id>`."""
    TARGET_GROUP = "OUTPOST_TARGET_GROUP"
    """The target group as CloudWatch names it: `targetgroup/<name>/<id>`."""
    # Worker only
    AGENT = "OUTPOST_AGENT"
    QUEUE_URL = "OUTPOST_QUEUE_URL"
    WORKSPACES_PATH = "OUTPOST_WORKSPACES_PATH"
    """Where the file system of persistent workspaces is mounted; the workspace reaper reads it as well."""
    AGENT_LAUNCHER = "OUTPOST_AGENT_LAUNCHER"
    ISOLATION = "OUTPOST_ISOLATION"
    PLANNER_FUNCTION = "OUTPOST_PLANNER_FUNCTION"
    USAGE_EVENTS_FUNCTION = "OUTPOST_USAGE_EVENTS_FUNCTION"
    """What `dispatch_changes` invokes."""
    DEAD_LETTERS = "OUTPOST_DEAD_LETTERS"
    """URL of the queue for what `dispatch_changes` could not pass on."""
    CAPACITY = "OUTPOST_CAPACITY"
    """`spot` or `on-demand`, set by the planner at launch: a Fargate task cannot find out by itself."""
    MODEL_URL = "OUTPOST_MODEL_URL"
    """Where the agent's provider is, when not at its own address."""
    BIND_HOST = "OUTPOST_BIND_HOST"


CONTROL_PLANE_CONTAINER = "control-plane"
WORKER_CONTAINER = "worker"
"""Names of our containers in their tasks. GuardDuty Runtime Monitoring adds one of its own to every Fargate task."""
METRIC_NAMESPACE = "Outpost"
LOG_METRIC_NAMESPACE = "Outpost/Logs"
"""Errors in logs: one metric a log group, `<environment>/<log group>`, counted by CloudWatch Logs."""


class Metric(StrEnum):
    """What the functions count and measure; `METRIC_DIMENSIONS` has the dimensions of each."""

    QUEUE_DEPTH = "QueueDepth"
    """Runnable dispatches: pending, and their tenant has a free slot. The planner emits it each minute."""
    OLDEST_RUNNABLE = "OldestRunnable"
    """Seconds since the oldest runnable dispatch was created; 0 when there is none."""
    LAUNCHES = "Launches"
    """Worker tasks that ECS accepted."""
    LAUNCH_FAILURES = "LaunchFailures"
    """Batches that ECS refused, at least in part."""
    START_FAILURES = "StartFailures"
    """Workers that ended by themselves before they asked for work; emitted at the end of each worker."""
    CLAIM_LATENCY = "ClaimLatency"
    """Seconds from becoming pending to being claimed."""
    RUN_TIME = "RunTime"
    """Seconds from the agent's start to the dispatch's end."""
    OUTCOMES = "Outcomes"
    """Dispatches that ended."""
    LEASE_EXPIRIES = "LeaseExpiries"
    """Workers that fell silent."""
    FLEET_SILENCE = "FleetSilence"
    """1 for a pass of the reconciler that heard nearly no worker, 0 for the others."""
    AUDIT_WAITING = "AuditWaiting"
    """Seconds for which the oldest record of the audit log waits, while neither of its places takes it."""
    AUDIT_SET_ASIDE = "AuditSetAside"
    """Records that went to the audit bucket because CloudWatch Logs did not take them."""
    AUDIT_LOST = "AuditLost"
    """Records that came while too many waited; the chain holds a record of how many."""
    AUDIT_UNSIGNED = "AuditUnsigned"
    """Checkpoints of the audit log that could not be signed or stored in time."""


_WITHOUT_AGENT = (Metric.LEASE_EXPIRIES, Metric.FLEET_SILENCE, Metric.AUDIT_WAITING, Metric.AUDIT_SET_ASIDE)
METRIC_DIMENSIONS: dict[Metric, tuple[str, ...]] = {
    **dict.fromkeys(Metric, ("Environment", "Agent")),
    **dict.fromkeys((*_WITHOUT_AGENT, Metric.AUDIT_LOST, Metric.AUDIT_UNSIGNED), ("Environment",)),
    Metric.OUTCOMES: ("Environment", "Reason"),
}
"""An alarm or a widget that names other dimensions would look at nothing."""
LEGACY_DISPATCHES = "LegacyDispatches"
"""Metric of the watch: dispatches that still went to v1; dimension `Environment`."""
ROLLBACK_PROPOSED = "RollbackProposed"
"""Metric of the migration's monitor: the level of the rollback that it proposes, 0 for none."""
ENDPOINT_SECRET_NAME = "outpost/api-endpoint"  # noqa: S105 - where clients look up which endpoint to use


class MigrationOutput(StrEnum):
    """Outputs of the Migration stack: all that `outpost migrate` needs to know of a deployed environment."""

    ENDPOINT_SECRET = "EndpointSecret"  # noqa: S105 - the name of an output
    AUDIT_BUCKET = "AuditBucket"
    TRAIL = "Trail"
    API_URL = "ApiUrl"
    CLUSTER = "Cluster"
    SERVICE = "Service"
    LOAD_BALANCER = "LoadBalancer"
    TARGET_GROUP = "TargetGroup"
    CAPACITY_FUNCTION = "CapacityFunction"
    MONITOR_FUNCTION = "MonitorFunction"


class Output(StrEnum):
    """Outputs of the ControlPlane stack: what a client or an operator needs to know of a deployed environment."""

    API_URL = "ApiUrl"
    BOOTSTRAP_SECRET_ARN = "BootstrapSecretArn"  # noqa: S105 - the name of an output
    ARTIFACTS_BUCKET = "ArtifactsBucket"
    AUDIT_BUCKET = "AuditBucket"
    AUDIT_KEY = "AuditKey"
    CLUSTER = "Cluster"
    CONTROL_PLANE_SERVICE = "ControlPlaneService"
    DISPATCHES_TABLE = "DispatchesTable"
    TENANTS_TABLE = "TenantsTable"
    WORKERS_TABLE = "WorkersTable"


PROVIDER_PLACEHOLDER = "replace-with-the-key-of-the-provider"
"""What a provider's secret holds until an operator sets it; a later deploy leaves the operator's value alone."""


def provider_of(description: str) -> str | None:
    """Return the provider whose key a secret holds, from the description that its construct gives it."""
    start, _, rest = description.partition("API key of ")
    return rest.partition(":")[0] if rest and not start else None


def audit_log_group(environment: str) -> str:
    """Return the name of an environment's audit log group."""
    return f"/outpost/{environment}/audit"


def tenant_secrets_prefix(environment: str) -> str:
    """Return what the names of tenants' secrets in Secrets Manager begin with: then `<tenant>/<NAME>`."""
    return f"outpost/{environment}/tenants/"
