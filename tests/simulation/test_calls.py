"""What functions call under faults, their roles allow: the simulation itself knows no IAM."""

from collections.abc import Iterator

from tests.infra.table_permissions import TABLE_PERMISSIONS
from tests.simulation.aws import Recorded
from tests.simulation.simulate import simulator
from tests.simulation.workers import BROKER
from tests.simulation.world import PLANNER, RECONCILER, TASK_EVENTS, USAGE_EVENTS

SEEDS, MOST_SEEDS = 15, 300
RARE = ("BrokerFunctionRole", "Workers", "DeleteItem")
"""A failure to launch is forgotten: schedules are run until one does it."""
ROLES = {
    BROKER: "BrokerFunctionRole",
    PLANNER: "PlannerFunctionRole",
    RECONCILER: "SweepFunctionRole",
    TASK_EVENTS: "TaskEventsFunctionRole",
    USAGE_EVENTS: "UsageEventsFunctionRole",
}
TABLES = {
    "dispatches": "Dispatches",
    "tenants": "Tenants",
    "workers": "Workers",
    "queues": "Pending",
    "workspaces": "WorkspaceRows",
}
ACTIONS = {
    "get_item": "GetItem",
    "query": "Query",
    "put_item": "PutItem",
    "update_item": "UpdateItem",
    "delete_item": "DeleteItem",
    "batch_get_item": "BatchGetItem",
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}

Access = tuple[str, str, str]
"""Role, table, action."""


def accesses(each: Recorded) -> Iterator[Access]:
    """Yield what a function's request does to tables, as IAM sees it."""
    role = ROLES.get(each.function)
    if role is None or each.service != "dynamodb":
        return
    if each.operation == "transact_write_items":
        for kind, part in ((kind, part) for write in each.request["TransactItems"] for kind, part in write.items()):
            yield role, TABLES[part["TableName"]], ACTIONS[kind]
    else:
        for table in each.request.get("RequestItems") or [each.request["TableName"]]:
            yield role, TABLES[table], ACTIONS[each.operation]


def test_every_role_allows_what_its_function_does_to_tables() -> None:
    found: set[Access] = set()
    with simulator() as simulated:
        for seed in range(MOST_SEEDS):
            if seed >= SEEDS and RARE in found:
                break
            recorded: list[Recorded] = []
            simulated.run(seed, recorded=recorded)
            found.update(access for each in recorded for access in accesses(each))
    allowed = {(role, table, action) for role, table, actions in TABLE_PERMISSIONS for action in actions}
    assert found <= allowed, sorted(found - allowed)
    assert RARE in found
