"""Puts every extension in place; MiniStack must not have served a request yet."""

import os
from collections.abc import Callable

from ministack.services import ecs

from outpost_local.container_engine import ContainerEngine
from outpost_local.extensions import (
    access_logs,
    application_scaling,
    bucket_encryption,
    container_options,
    document_limits,
    exports,
    file_system,
    function_logs,
    function_placement,
    generated_names,
    iam_cloudwatch,
    iam_denials,
    iam_ecs,
    iam_keys,
    iam_kms,
    iam_object_writes,
    iam_resources,
    iam_sts,
    iam_transport,
    key_admissions,
    key_deliveries,
    lambda_workers,
    load_balancer_listeners,
    load_balancer_metrics,
    load_balancer_paths,
    load_balancer_targets,
    log_groups,
    managed_instances,
    metric_math_alarms,
    missing_data,
    network_types,
    operations_types,
    prerequisites,
    property_validation,
    protected_deletes,
    public_parameters,
    recovery_points,
    replacement,
    resource_checks,
    scaling_types,
    secret_references,
    send_command,
    service_capacity,
    service_deployments,
    stack_conditions,
    steady_services,
    table_protection,
    taken_names,
    target_health,
    task_definitions,
    task_lifecycle,
    task_logs,
    trail_delivery,
    trail_lookup,
    virtual_clock,
    web_acl,
)
from outpost_local.extensions.iam_task_roles import AsgiApp, TaskCredentials
from outpost_local.extensions.strictness import install_strictness
from outpost_local.extensions.task_events import TaskEvents
from outpost_local.process_engine import SELF_NAME, ProcessEngine
from outpost_local.settings import Settings


def install_extensions(settings: Settings) -> tuple[ProcessEngine | ContainerEngine, Callable[[AsgiApp], AsgiApp]]:
    """Install all; answers the engine and the wrapper for MiniStack's app."""
    for module in (network_types, operations_types, scaling_types, secret_references, task_definitions):
        module.install()
    for module in (
        iam_denials,
        iam_transport,
        iam_resources,
        iam_ecs,
        application_scaling,
        iam_cloudwatch,
        iam_sts,
        iam_keys,
        iam_kms,
        iam_object_writes,
        key_deliveries,
        lambda_workers,
        load_balancer_paths,
        load_balancer_listeners,
        load_balancer_targets,
        target_health,  # chooses a target for what is installed above
        load_balancer_metrics,
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
        stack_conditions,
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
    return engine, lambda app: load_balancer_listeners.serving(credentials.serving(app))
