"""What is stored is encrypted, recoverable, private, and expires when it should."""

import json

from outpost.store import schema
from tests.infra.assembly import Assembly

TABLES = (schema.DISPATCHES, schema.TENANTS, schema.WORKERS, schema.QUEUES, schema.WORKSPACES)


def test_tables_are_exactly_those_of_the_schema(assembly: Assembly, environment: str) -> None:
    deployed = sorted(
        sorted(index["IndexName"] for index in table["Properties"].get("GlobalSecondaryIndexes", []))
        for _, table in assembly.of_type("AWS::DynamoDB::Table", environment)
    )

    assert deployed == sorted(sorted(index.name for index in table.indexes) for table in TABLES)


def test_tables_are_encrypted_recoverable_and_forget(assembly: Assembly, environment: str) -> None:
    for _, table in assembly.of_type("AWS::DynamoDB::Table", environment):
        properties = table["Properties"]
        assert properties["SSESpecification"]["SSEEnabled"] is True
        assert properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
        assert properties["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
        assert properties["BillingMode"] == "PAY_PER_REQUEST"


def test_tables_stream_as_the_schema_says_with_both_images(assembly: Assembly, environment: str) -> None:
    streams = [
        table["Properties"]["StreamSpecification"]
        for _, table in assembly.of_type("AWS::DynamoDB::Table", environment)
        if "StreamSpecification" in table["Properties"]
    ]

    assert [stream["StreamViewType"] for stream in streams] == [
        "NEW_AND_OLD_IMAGES" for table in TABLES if table.stream
    ]


def test_buckets_are_private_and_encrypted(assembly: Assembly, environment: str) -> None:
    buckets = [bucket["Properties"] for _, bucket in assembly.of_type("AWS::S3::Bucket", environment)]

    assert len(buckets) == 3
    for bucket in buckets:
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]


def test_buckets_and_queues_refuse_plain_http(assembly: Assembly, environment: str) -> None:
    for kind, policy_kind in (
        ("AWS::S3::Bucket", "AWS::S3::BucketPolicy"),
        ("AWS::SQS::Queue", "AWS::SQS::QueuePolicy"),
        ("AWS::SNS::Topic", "AWS::SNS::TopicPolicy"),
    ):
        refusing = [
            policy
            for _, policy in assembly.of_type(policy_kind, environment)
            if any(
                statement["Effect"] == "Deny"
                and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
                for statement in policy["Properties"]["PolicyDocument"]["Statement"]
            )
        ]
        assert len(refusing) == len(list(assembly.of_type(kind, environment))), kind


def test_artifacts_stay_readable_until_they_expire(assembly: Assembly, environment: str) -> None:
    (bucket,) = (b for place, b in assembly.of_type("AWS::S3::Bucket", environment) if "-Data/Artifacts" in place)
    rules = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
    classes = {(t["StorageClass"], t["TransitionInDays"]) for rule in rules for t in rule.get("Transitions", [])}

    assert classes == {("STANDARD_IA", 30), ("GLACIER_IR", 90)}
    assert [rule["ExpirationInDays"] for rule in rules if "ExpirationInDays" in rule] == [180]
    assert any("AbortIncompleteMultipartUpload" in rule for rule in rules)


def test_files_are_encrypted_and_reached_through_the_access_point_only(assembly: Assembly, environment: str) -> None:
    (system,) = (s["Properties"] for _, s in assembly.of_type("AWS::EFS::FileSystem", environment))
    (point,) = (p["Properties"] for _, p in assembly.of_type("AWS::EFS::AccessPoint", environment))
    statements = system["FileSystemPolicy"]["Statement"]

    assert system["Encrypted"] is True
    assert system["ThroughputMode"] == "elastic"
    assert {statement["Effect"] for statement in statements} == {"Deny"}
    assert [statement["Condition"] for statement in statements] == [
        {"Bool": {"aws:SecureTransport": "false"}},
        {"Null": {"elasticfilesystem:AccessPointArn": "true"}},
    ]
    assert point["PosixUser"] == {"Gid": "10001", "Uid": "10001"}


def test_generated_secrets_are_64_hexadecimal_digits(assembly: Assembly, environment: str) -> None:
    generators = [
        secret["Properties"]["GenerateSecretString"]
        for _, secret in assembly.of_type("AWS::SecretsManager::Secret", environment)
        if "GenerateSecretString" in secret["Properties"]
    ]

    assert len(generators) == 2
    for generator in generators:
        printable = {chr(code) for code in range(33, 127)}
        assert printable - set(generator["ExcludeCharacters"]) == set("0123456789abcdef")
        assert (generator["PasswordLength"], generator["GenerateStringKey"]) == (64, "key_hex")


def test_wake_ups_are_short_lived_and_end_in_a_dead_letter_queue(assembly: Assembly, environment: str) -> None:
    queues = [q["Properties"] for place, q in assembly.of_type("AWS::SQS::Queue", environment) if "-Data/" in place]
    wake_ups = [queue for queue in queues if "RedrivePolicy" in queue]

    assert len(wake_ups) * 2 == len(queues)
    for queue in wake_ups:
        assert (queue["MessageRetentionPeriod"], queue["VisibilityTimeout"]) == (3600, 30)
    assert all(queue.get("SqsManagedSseEnabled") or queue["KmsMasterKeyId"] for queue in queues)


def test_the_trail_covers_all_regions_and_every_access_to_artifacts(assembly: Assembly, environment: str) -> None:
    (trail,) = (t["Properties"] for _, t in assembly.of_type("AWS::CloudTrail::Trail", environment))

    assert trail["EnableLogFileValidation"] is True
    assert trail["IsMultiRegionTrail"] is True
    assert trail["IncludeGlobalServiceEvents"] is True
    assert "CloudWatchLogsLogGroupArn" in trail
    (resources,) = trail["EventSelectors"][0]["DataResources"]
    assert resources["Type"] == "AWS::S3::Object"
    assert "Artifacts" in json.dumps(resources["Values"])


def test_every_log_group_expires(assembly: Assembly, environment: str) -> None:
    groups = [group["Properties"] for _, group in assembly.of_type("AWS::Logs::LogGroup", environment)]

    assert len(groups) >= 8
    assert all(group.get("RetentionInDays") for group in groups)
