"""Which roles may do what with which tables: compared with the templates, and with what the simulation calls."""

READ, WRITE, DELETE = {"GetItem", "Query"}, {"PutItem", "UpdateItem"}, {"DeleteItem"}
CHECK, MANY = {"ConditionCheckItem"}, {"BatchGetItem"}

TABLE_PERMISSIONS = (
    ("BrokerFunctionRole", "Dispatches", READ | WRITE),
    ("BrokerFunctionRole", "Workers", READ | WRITE | DELETE | CHECK),
    ("BrokerFunctionRole", "Tenants", READ),
    ("BrokerFunctionRole", "WorkspaceRows", READ | WRITE),
    ("PlannerFunctionRole", "Dispatches", READ),
    ("PlannerFunctionRole", "Workers", READ | WRITE | DELETE | CHECK),
    ("PlannerFunctionRole", "Tenants", READ),
    ("PlannerFunctionRole", "WorkspaceRows", set[str]()),
    ("TaskEventsFunctionRole", "Dispatches", READ | WRITE),
    ("TaskEventsFunctionRole", "Workers", READ | WRITE | DELETE),
    ("TaskEventsFunctionRole", "Tenants", set[str]()),
    ("TaskEventsFunctionRole", "WorkspaceRows", READ | WRITE),
    ("SweepFunctionRole", "Dispatches", READ | MANY | WRITE | CHECK),
    ("SweepFunctionRole", "Workers", READ | MANY | WRITE | DELETE),
    ("SweepFunctionRole", "Tenants", set[str]()),
    ("SweepFunctionRole", "WorkspaceRows", READ | WRITE),
    ("ApiDefinitionTaskRole", "Dispatches", READ | MANY | WRITE),
    ("ApiDefinitionTaskRole", "Tenants", READ | WRITE | DELETE),  # names of secrets
    ("ApiDefinitionTaskRole", "Workers", READ),
    ("ApiDefinitionTaskRole", "WorkspaceRows", READ | WRITE | DELETE | CHECK),
    ("UsageEventsFunctionRole", "Dispatches", READ | WRITE),
    ("UsageEventsFunctionRole", "Workers", set[str]()),
    ("UsageEventsFunctionRole", "Tenants", set[str]()),
    ("UsageEventsFunctionRole", "Pending", set[str]()),
    ("UsageEventsFunctionRole", "WorkspaceRows", set[str]()),
    ("BrokerAttemptRole", "Dispatches", set[str]()),
    ("BrokerFunctionRole", "Pending", READ | WRITE | DELETE),
    ("PlannerFunctionRole", "Pending", READ),
    ("TaskEventsFunctionRole", "Pending", READ | WRITE | DELETE),
    ("SweepFunctionRole", "Pending", READ | MANY | WRITE | DELETE),
    ("ApiDefinitionTaskRole", "Pending", READ | WRITE | DELETE),
)
"""Role, table, and the actions of DynamoDB that the role has on it."""
