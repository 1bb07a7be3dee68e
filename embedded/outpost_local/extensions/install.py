"""Puts every extension in place; MiniStack must not have served a request yet."""

import os
from collections.abc import Callable

from ministack.services import ecs

from outpost_local.container_engine import ContainerEngine
from outpost_local.extensions.backup import recovery_points
from outpost_local.extensions.cloudformation import (
    conditions,
    document_limits,
    exports,
    generated_names,
    operations_types,
    prerequisites,
    property_validation,
    protected_deletes,
    replacement,
    resource_checks,
    taken_names,
)
from outpost_local.extensions.cloudtrail import send_command, trail_delivery, trail_lookup
from outpost_local.extensions.cloudwatch import metric_math_alarms, missing_data, virtual_clock
from outpost_local.extensions.dynamodb import table_protection
from outpost_local.extensions.ec2 import network_types, public_parameters
from outpost_local.extensions.ecs import (
    application_scaling,
    container_options,
    file_system,
    scaling_types,
    service_capacity,
    service_deployments,
    steady_services,
    task_definitions,
    task_lifecycle,
    task_logs,
)
from outpost_local.extensions.ecs.task_events import TaskEvents
from outpost_local.extensions.elbv2 import listeners, metrics, paths, target_health, targets, web_acl
from outpost_local.extensions.iam import (
    cloudwatch_keys,
    denials,
    ecs_calls,
    kms_keys,
    object_writes,
    resources,
    sessions,
    transport,
)
from outpost_local.extensions.iam.task_roles import AsgiApp, TaskCredentials
from outpost_local.extensions.kms import callers, deliveries
from outpost_local.extensions.lambda_ import function_logs, function_placement, workers
from outpost_local.extensions.logs import key_admissions, log_groups
from outpost_local.extensions.s3 import access_logs, bucket_encryption
from outpost_local.extensions.secretsmanager import secret_references
from outpost_local.extensions.ssm import managed_instances
from outpost_local.extensions.strictness import install_strictness
from outpost_local.process_engine import SELF_NAME, ProcessEngine
from outpost_local.settings import Settings


def install_extensions(settings: Settings) -> tuple[ProcessEngine | ContainerEngine, Callable[[AsgiApp], AsgiApp]]:
    """Install all; answers the engine and the wrapper for MiniStack's app."""
    for module in (network_types, operations_types, scaling_types, secret_references, task_definitions):
        module.install()
    for module in (
        denials,
        transport,
        resources,
        ecs_calls,
        application_scaling,
        cloudwatch_keys,
        sessions,
        callers,
        kms_keys,
        object_writes,
        deliveries,
        workers,
        paths,
        listeners,
        targets,
        target_health,  # chooses a target for what is installed above
        metrics,
        web_acl,
        missing_data,
        metric_math_alarms,
        send_command,
        service_capacity,
        service_deployments,
        steady_services,
        log_groups,
        key_admissions,
        task_logs,
        function_logs,
        table_protection,
        bucket_encryption,
        function_placement,
        public_parameters,
        access_logs,
        trail_delivery,
        trail_lookup,
        recovery_points,
        generated_names,  # around the handlers above
        resource_checks,
        conditions,
        exports,
        replacement,
        property_validation,
        protected_deletes,
        taken_names,
        document_limits,
        prerequisites,
    ):
        module.install()
    install_strictness(settings.realism)  # before what wraps RunTask again
    file_system.install(settings)
    managed_instances.install(settings)
    virtual_clock.install(settings)
    container_options.install(settings.engine)
    events = TaskEvents()
    task_lifecycle.install(events.changed)
    events.install()
    credentials = TaskCredentials(in_environment=settings.engine != "process")
    credentials.install()
    engine = ProcessEngine(settings) if settings.engine == "process" else ContainerEngine(settings)
    ecs._docker = engine
    os.environ["HOSTNAME"] = SELF_NAME
    return engine, lambda app: listeners.serving(credentials.serving(app))
