"""All extensions of MiniStack, and those of them that the single services of `outpost_local.emulator` have."""

from outpost_local.extensions.backup import recovery_points
from outpost_local.extensions.cloudformation import (
    conditions,
    document_limits,
    exports,
    generated_names,
    operations_types,
    prerequisites,
    protected_deletes,
    replacement,
    resource_checks,
    taken_names,
)
from outpost_local.extensions.cloudtrail import send_command, trails
from outpost_local.extensions.cloudwatch import alarms, virtual_clock
from outpost_local.extensions.dynamodb import table_protection
from outpost_local.extensions.ec2 import network_types, public_images
from outpost_local.extensions.ecs import (
    containers,
    deployments,
    scaling,
    task_definitions,
    task_events,
    task_lifecycle,
    task_logs,
)
from outpost_local.extensions.elbv2 import listeners, metrics, target_health, targets, web_acl
from outpost_local.extensions.iam import condition_keys, denials, ecs_calls, resources, sessions, task_roles, transport
from outpost_local.extensions.kms import callers, deliveries
from outpost_local.extensions.lambda_ import function_logs, function_placement, workers
from outpost_local.extensions.logs import key_admissions, log_groups
from outpost_local.extensions.s3 import bucket_properties
from outpost_local.extensions.secretsmanager import secret_references
from outpost_local.extensions.ssm import managed_instances
from outpost_local.extensions.strictness import STRICTNESS

EXTENSIONS = (
    alarms,
    bucket_properties,
    callers,
    condition_keys,
    conditions,
    containers,
    deliveries,
    denials,
    deployments,
    document_limits,
    ecs_calls,
    exports,
    function_logs,
    function_placement,
    generated_names,
    key_admissions,
    listeners,
    log_groups,
    managed_instances,
    metrics,
    network_types,
    operations_types,
    prerequisites,
    protected_deletes,
    public_images,
    recovery_points,
    replacement,
    resource_checks,
    resources,
    scaling,
    secret_references,
    send_command,
    sessions,
    table_protection,
    taken_names,
    target_health,
    targets,
    task_definitions,
    task_events,
    task_lifecycle,
    task_logs,
    task_roles,
    trails,
    transport,
    virtual_clock,
    web_acl,
    workers,
    *STRICTNESS,
)
"""What `outpost_local.server` installs; their order is that of what each declares in AFTER."""
