"""Data under a customer key needs the permission for the key, in the identity that reads, writes or delivers it."""

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from outpost_local.environment import LocalEnvironment
from tests.eventually import eventually
from tests.local.accounts import allow, client_as, create_role, error_of

ACCOUNT = "000000000000"
ROOT = {"Sid": "Iam", "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}
ROOT |= {"Action": "kms:*", "Resource": "*"}

Call = Callable[[Any], object]


def admit(service: str, *actions: str, **equal: str) -> dict[str, Any]:
    """A statement of a key policy for a service."""
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": list(actions), "Resource": "*"}
    conditions = {"StringEquals": {name.replace("_", ":"): value for name, value in equal.items()}}
    return {**statement, "Condition": conditions} if equal else statement


def new_key(aws: LocalEnvironment, *statements: dict[str, Any]) -> str:
    policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements) or [ROOT]})
    arn: str = aws.client("kms").create_key(Policy=policy)["KeyMetadata"]["Arn"]
    return arn


def change_policy(aws: LocalEnvironment, key: str, *statements: dict[str, Any]) -> None:
    policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    aws.client("kms").put_key_policy(KeyId=key, PolicyName="default", Policy=policy)


def new_name() -> str:
    return f"keys-{uuid4().hex[:8]}"


def new_table(aws: LocalEnvironment, key: str) -> str:
    name = new_name()
    aws.client("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key},
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )
    return name


def of_table(aws: LocalEnvironment, key: str) -> Call:
    name = new_table(aws, key)
    return lambda client: client.put_item(TableName=name, Item={"id": {"S": "1"}})


def of_transaction(aws: LocalEnvironment, key: str) -> Call:
    put = {"Put": {"TableName": new_table(aws, key), "Item": {"id": {"S": "1"}}}}
    return lambda client: client.transact_write_items(TransactItems=[put])


def of_queue(aws: LocalEnvironment, key: str) -> Call:
    url = aws.client("sqs").create_queue(QueueName=new_name(), Attributes={"KmsMasterKeyId": key})["QueueUrl"]
    return lambda client: client.send_message(QueueUrl=url, MessageBody="m")


def of_topic(aws: LocalEnvironment, key: str) -> Call:
    arn = aws.client("sns").create_topic(Name=new_name(), Attributes={"KmsMasterKeyId": key})["TopicArn"]
    return lambda client: client.publish(TopicArn=arn, Message="m")


def of_bucket(aws: LocalEnvironment, key: str) -> Call:
    s3, name = aws.client("s3"), new_name()
    s3.create_bucket(Bucket=name)
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}]}
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration=rules)
    return lambda client: client.put_object(Bucket=name, Key="k", Body=b"b")


def of_object(aws: LocalEnvironment, key: str) -> Call:
    s3, name = aws.client("s3"), new_name()
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="k", Body=b"b", ServerSideEncryption="aws:kms", SSEKMSKeyId=key)
    return lambda client: client.get_object(Bucket=name, Key="k")


def of_secret(aws: LocalEnvironment, key: str) -> Call:
    arn = aws.client("secretsmanager").create_secret(Name=new_name(), SecretString="s", KmsKeyId=key)["ARN"]
    return lambda client: client.get_secret_value(SecretId=arn)


RESOURCES = pytest.mark.parametrize(
    ("service", "make", "code"),
    [
        ("dynamodb", of_table, "AccessDeniedException"),
        ("dynamodb", of_transaction, "AccessDeniedException"),
        ("sqs", of_queue, "KMS.AccessDeniedException"),
        ("sns", of_topic, "KMSAccessDenied"),
        ("s3", of_bucket, "AccessDenied"),
        ("s3", of_object, "AccessDenied"),
        ("secretsmanager", of_secret, "AccessDeniedException"),
    ],
)


@RESOURCES
def test_data_under_a_key_needs_the_key(
    aws: LocalEnvironment, service: str, make: Callable[[LocalEnvironment, str], Call], code: str
) -> None:
    call = make(aws, key := new_key(aws))

    def refused_to(*statements: dict[str, Any]) -> str:
        client = client_as(aws, create_role(aws, allow(f"{service}:*"), *statements), service)
        error = error_of(call, client=client)
        assert "kms:" in error.get("Message", "kms:")
        return str(error.get("Code", ""))

    def use(of: str) -> dict[str, Any]:
        through = {"StringEquals": {"kms:ViaService": f"{of}.us-east-1.amazonaws.com"}}
        return allow("kms:Decrypt", "kms:GenerateDataKey", resource=key, condition=through)

    assert refused_to() == code
    assert refused_to(use("ecr")) == code
    assert refused_to(use(service)) == ""
    change_policy(aws, key, admit("logs.us-east-1.amazonaws.com", "kms:*"))
    assert refused_to(use(service)) == code


def test_a_session_policy_without_the_key_refuses_it(aws: LocalEnvironment) -> None:
    call = of_table(aws, new_key(aws))
    role = create_role(aws, allow("dynamodb:*", "kms:*"))
    call(client_as(aws, role, "dynamodb"))
    narrow = json.dumps({"Version": "2012-10-17", "Statement": [allow("dynamodb:*")]})
    with pytest.raises(ClientError, match="kms:Decrypt"):
        call(client_as(aws, role, "dynamodb", Policy=narrow))


def test_a_rule_needs_the_key_of_its_queue(aws: LocalEnvironment) -> None:
    events, sqs, name = aws.client("events"), aws.client("sqs"), new_name()
    key = new_key(aws, ROOT)
    queue = {"QueueUrl": sqs.create_queue(QueueName=name, Attributes={"KmsMasterKeyId": key})["QueueUrl"]}
    arn = sqs.get_queue_attributes(**queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    event = {"Source": name, "DetailType": "test", "Detail": "{}"}

    def received() -> list[dict[str, Any]]:
        events.put_events(Entries=[event])
        found: list[dict[str, Any]] = sqs.receive_message(**queue, WaitTimeSeconds=1).get("Messages", [])
        return found

    assert received() == []
    events_service = "events.amazonaws.com"
    change_policy(aws, key, ROOT, admit(events_service, "kms:GenerateDataKey", "kms:Decrypt", aws_SourceAccount="1"))
    assert received() == []
    change_policy(aws, key, ROOT, admit(events_service, "kms:GenerateDataKey*", "kms:Decrypt"))
    assert eventually(received)


def test_an_alarm_needs_the_key_of_its_topic(aws: LocalEnvironment) -> None:
    sns, sqs, cloudwatch, name = aws.client("sns"), aws.client("sqs"), aws.client("cloudwatch"), new_name()
    key = new_key(aws)
    topic = sns.create_topic(Name=name, Attributes={"KmsMasterKeyId": key})["TopicArn"]
    queue = {"QueueUrl": sqs.create_queue(QueueName=name)["QueueUrl"]}
    arn = sqs.get_queue_attributes(**queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    admitted = [allow("sqs:SendMessage", resource=arn) | {"Principal": {"Service": "sns.amazonaws.com"}}]
    policy = json.dumps({"Version": "2012-10-17", "Statement": admitted})
    sqs.set_queue_attributes(**queue, Attributes={"Policy": policy})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace=name,
        MetricName="m",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        AlarmActions=[topic],
    )

    def notified() -> list[dict[str, Any]]:
        for state in ("OK", "ALARM"):
            cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="test")
        found: list[dict[str, Any]] = sqs.receive_message(**queue, WaitTimeSeconds=1).get("Messages", [])
        return found

    assert notified() == []
    change_policy(aws, key, ROOT, admit("cloudwatch.amazonaws.com", "kms:GenerateDataKey*", "kms:Decrypt"))
    assert eventually(notified)


def new_function(aws: LocalEnvironment, role: str, key: str = "") -> str:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("index.py", "def handler(event, context):\n    return 'done'\n")
    name = new_name()
    aws.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.11",
        Handler="index.handler",
        Role=role,
        Code={"ZipFile": code.getvalue()},
        Environment={"Variables": {"NAME": "value"}},
        KMSKeyArn=key,
    )
    return name


def test_a_function_needs_the_key_of_the_stream_it_reads(aws: LocalEnvironment) -> None:
    key = new_key(aws)
    dynamodb, table = aws.client("dynamodb"), new_table(aws, key)
    role = create_role(aws, allow("dynamodb:*"), service="lambda.amazonaws.com")
    stream = dynamodb.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    mappings = aws.client("lambda")
    id_ = mappings.create_event_source_mapping(
        FunctionName=new_function(aws, role), EventSourceArn=stream, StartingPosition="TRIM_HORIZON"
    )["UUID"]
    dynamodb.put_item(TableName=table, Item={"id": {"S": "1"}})

    def result() -> str:
        return str(mappings.get_event_source_mapping(UUID=id_).get("LastProcessingResult", ""))

    eventually(lambda: "kms:Decrypt" in result())
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow("kms:Decrypt", resource=key)]})
    aws.client("iam").put_role_policy(RoleName=role.rpartition("/")[2], PolicyName="key", PolicyDocument=document)
    eventually(lambda: result().startswith("OK"))
    mappings.delete_event_source_mapping(UUID=id_)


def test_a_function_needs_the_key_of_its_environment(aws: LocalEnvironment) -> None:
    key = new_key(aws)
    for statement, error in ((allow("s3:*"), "KMSAccessDeniedException"), (allow("kms:Decrypt", resource=key), None)):
        name = new_function(aws, create_role(aws, statement, service="lambda.amazonaws.com"), key)
        response = aws.client("lambda").invoke(FunctionName=name)
        payload = json.loads(response["Payload"].read())
        assert (payload["errorType"] if error else payload) == (error or "done")


def test_a_log_group_needs_a_key_that_admits_logs(aws: LocalEnvironment) -> None:
    logs, name = aws.client("logs"), new_name()
    key = new_key(aws)
    with pytest.raises(ClientError, match=r"InvalidParameterException.*kms:Encrypt"):
        logs.create_log_group(logGroupName=name, kmsKeyId=key)
    actions = [f"kms:{action}" for action in ("Encrypt*", "Decrypt*", "ReEncrypt*", "GenerateDataKey*", "Describe*")]
    group = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:{name}"
    statement = admit("logs.us-east-1.amazonaws.com", *actions)
    of_group = {"ArnEquals": {"kms:EncryptionContext:aws:logs:arn": group}}
    change_policy(aws, key, ROOT, {**statement, "Condition": of_group})
    logs.create_log_group(logGroupName=name, kmsKeyId=key)
    with pytest.raises(ClientError, match=r"InvalidParameterException"):
        logs.create_log_group(logGroupName=f"{name}-other", kmsKeyId=key)


@pytest.mark.parametrize(
    ("algorithm", "message_type", "allowed"),
    [
        ("RSASSA_PSS_SHA_256", "DIGEST", True),
        ("RSASSA_PSS_SHA_256", "RAW", False),
        ("RSASSA_PKCS1_V1_5_SHA_256", "DIGEST", False),
    ],
)
def test_a_policy_says_how_a_key_may_sign(
    aws: LocalEnvironment, algorithm: str, message_type: str, allowed: bool
) -> None:
    key = aws.client("kms").create_key(KeySpec="RSA_3072", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    only = {"kms:SigningAlgorithm": "RSASSA_PSS_SHA_256", "kms:MessageType": "DIGEST"}
    role = create_role(aws, allow("kms:Sign", resource=key, condition={"StringEquals": only}))
    error = error_of(
        client_as(aws, role, "kms").sign,
        KeyId=key,
        Message=b"x" * 32,
        MessageType=message_type,
        SigningAlgorithm=algorithm,
    )
    assert error.get("Code") == (None if allowed else "AccessDeniedException")
