"""Which KMS key a request uses: that of the table, queue, topic, bucket or secret that it reads or writes.

What each service asks KMS for on behalf of its caller is in its guide: "Encryption at rest: Usage notes" and "How
DynamoDB uses AWS KMS" (Amazon DynamoDB), "Key management" (Amazon SQS, Amazon SNS), "Using server-side encryption with
AWS KMS keys" (Amazon S3), "Secret encryption and decryption in AWS Secrets Manager".
"""

from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_account_id
from ministack.services import dynamodb, s3, secretsmanager, sns, sqs

from outpost_local.extensions.kms.policies import KeyUse, customer_key

READ = ("kms:Decrypt",)
WRITE = ("kms:GenerateDataKey", "kms:Decrypt")

_DYNAMODB = ("GetItem", "BatchGetItem", "Query", "Scan", "PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem")
_ACTIONS = {
    **{f"dynamodb:{name}": READ for name in (*_DYNAMODB, "ConditionCheckItem", "GetRecords")},
    "sqs:SendMessage": WRITE,
    "sqs:ReceiveMessage": READ,
    "sns:Publish": WRITE,
    "s3:GetObject": READ,
    "s3:PutObject": ("kms:GenerateDataKey",),
    "secretsmanager:GetSecretValue": READ,
    "secretsmanager:PutSecretValue": WRITE,
    "secretsmanager:UpdateSecret": WRITE,
}


def key_use(action: str, resource: str) -> KeyUse | None:
    """Return how an action uses the customer key of a resource; None if it uses none."""
    actions = _ACTIONS.get(action)
    service = action.partition(":")[0]
    key, context = _KEYS[service](resource) if actions else (None, {})
    arn = customer_key(key)
    return KeyUse(actions, arn, service, context) if actions and arn else None


def _of_table(arn: str) -> tuple[str | None, dict[str, str]]:
    name = arn.partition("/")[2].partition("/")[0]
    table: dict[str, Any] = dynamodb._tables.get(name) or {}
    context = {"aws:dynamodb:tableName": name, "aws:dynamodb:subscriberId": get_account_id()}
    return (table.get("SSEDescription") or {}).get("KMSMasterKeyArn"), context


def _of_queue(arn: str) -> tuple[str | None, dict[str, str]]:
    queue: dict[str, Any] = sqs._queue_by_arn(arn) or {"attributes": {}}
    return queue["attributes"].get("KmsMasterKeyId"), {"aws:sqs:arn": arn}


def _of_topic(arn: str) -> tuple[str | None, dict[str, str]]:
    topic: dict[str, Any] = sns._topic_by_arn_any_scope(arn) or {}
    return topic.get("attributes", {}).get("KmsMasterKeyId"), {"aws:sns:topicArn": arn}


def _of_object(arn: str) -> tuple[str | None, dict[str, str]]:
    """The key of an object that exists, else its bucket's; both buckets of ours have a Bucket Key."""
    bucket, _, name = arn.rpartition(":")[2].partition("/")
    stored = (s3._buckets.get(bucket) or {}).get("objects", {}).get(name)
    headers = s3._stored_sse_headers(stored) if stored else s3._bucket_default_sse_headers(bucket)
    return headers.get("x-amz-server-side-encryption-aws-kms-key-id"), {"aws:s3:arn": f"arn:aws:s3:::{bucket}"}


def _of_secret(arn: str) -> tuple[str | None, dict[str, str]]:
    _, secret = secretsmanager._resolve(arn)
    return (secret or {}).get("KmsKeyId"), {"SecretARN": arn}


_KEYS: dict[str, Callable[[str], tuple[str | None, dict[str, str]]]] = {
    "dynamodb": _of_table,
    "sqs": _of_queue,
    "sns": _of_topic,
    "s3": _of_object,
    "secretsmanager": _of_secret,
}
