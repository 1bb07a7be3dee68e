"""A table of the store, as `outpost.store.schema` describes it."""

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from constructs import Construct

from outpost.store import keys, schema
from outpost_constructs.cdk_enums import removal_policy
from outpost_constructs.environment_key import READ, WRITE, grant_key, key_of
from outpost_constructs.permissions import allow
from outpost_constructs.queues import WakeUpQueue

ROW = {"Keys": {schema.SORT_KEY: {"S": [keys.ROW]}}}
"""Changes of a dispatch's row, not of the other items beside it."""


class StoreTable(dynamodb.Table):
    """On demand, encrypted, recoverable to any second of 35 days; keys, indexes, TTL and stream from the schema."""

    def __init__(self, scope: Construct, construct_id: str, *, table: schema.Table) -> None:
        key = key_of(scope)
        super().__init__(
            scope,
            construct_id,
            partition_key=_string(schema.PARTITION_KEY),
            sort_key=_string(schema.SORT_KEY),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED if key else dynamodb.TableEncryption.AWS_MANAGED,
            encryption_key=key,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            time_to_live_attribute=schema.TTL_ATTRIBUTE,
            stream=dynamodb.StreamViewType.NEW_AND_OLD_IMAGES if table.stream else None,
            removal_policy=removal_policy(scope),
        )
        self._indexes = [index.name for index in table.indexes]
        for index in table.indexes:
            self.add_global_secondary_index(
                index_name=index.name,
                partition_key=_string(index.hash_key),
                sort_key=_string(index.range_key),
                projection_type=dynamodb.ProjectionType.ALL,
            )

    def grant_read(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let the grantee get and query items, by key and by index; scans are for nobody."""
        grant_key(self.encryption_key, grantee, "dynamodb", READ)
        indexes = [f"{self.table_arn}/index/{name}" for name in self._indexes]
        return allow(grantee, "dynamodb:GetItem", "dynamodb:Query", on=[self.table_arn, *indexes])

    def grant_read_stream(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let the grantee read changes of items.

        A stream has its table's key (aws-cdk issue 22796): without the grant on the key it cannot be read.
        """
        stream = self.table_stream_arn
        assert stream is not None  # noqa: S101 - the schema gives the table a stream; the L2 types it as optional
        grant_key(self.encryption_key, grantee, "dynamodb", READ)
        actions = ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")
        return allow(grantee, *(f"dynamodb:{action}" for action in actions), on=[stream])

    def grant_write(self, grantee: iam.IGrantable, *actions: str) -> iam.Grant:
        """Let the grantee change items, alone or in transactions."""
        grant_key(self.encryption_key, grantee, "dynamodb", WRITE)
        return allow(grantee, *actions, on=[self.table_arn])


class Tables:
    """The tables of the store."""

    def __init__(self, scope: Construct) -> None:
        self.dispatches = StoreTable(scope, "Dispatches", table=schema.DISPATCHES)
        self.tenants = StoreTable(scope, "Tenants", table=schema.TENANTS)
        self.workers = StoreTable(scope, "Workers", table=schema.WORKERS)
        self.pending = StoreTable(scope, "Pending", table=schema.QUEUES)
        self.workspace_rows = StoreTable(scope, "WorkspaceRows", table=schema.WORKSPACES)
        self.all = [self.dispatches, self.tenants, self.workers, self.pending, self.workspace_rows]

    @property
    def of_an_end(self) -> list[StoreTable]:
        """What changes when a dispatch ends: it leaves its queue and its worker, and gives its workspace back."""
        return [self.dispatches, self.pending, self.workers, self.workspace_rows]


@dataclass(frozen=True, kw_only=True)
class Access:
    """What a role may do with tables, and which agents' workers it may wake."""

    reads: Sequence[StoreTable] = ()
    batches: Sequence[StoreTable] = ()
    """Read by many keys in one call, beside what `reads` or `writes` allow."""
    writes: Sequence[StoreTable] = ()
    """Read, put and update."""
    deletes: Sequence[StoreTable] = ()
    """Most items end by their TTL instead."""
    checks: Sequence[StoreTable] = ()
    """Transactions depend on items that they do not change."""
    wakes: Sequence[WakeUpQueue] = ()

    def grant_to(self, role: iam.IGrantable) -> None:
        """Add the statements to the role's policy."""
        for table in self.reads:
            table.grant_read(role)
        for table in self.batches:
            allow(role, "dynamodb:BatchGetItem", on=[table.table_arn])
        for table in self.writes:
            table.grant_read(role)
            table.grant_write(role, "dynamodb:PutItem", "dynamodb:UpdateItem")
        for table in self.deletes:
            table.grant_write(role, "dynamodb:DeleteItem")
        for table in self.checks:
            table.grant_write(role, "dynamodb:ConditionCheckItem")
        for queue in self.wakes:
            queue.grant_send(role)


def _string(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)
