"""Whether a principal may use a KMS key: the key policy allows it, or leaves it to identity policies that allow it.

Source: AWS KMS Developer Guide, "Key policies in AWS KMS" and "Condition keys for AWS KMS". Grants of KMS do not count
here: services make them for themselves, not for those who read and write data.

Which key a request uses is that of the table, queue, topic, bucket or secret that it reads or writes. What each service
asks KMS for on behalf of its caller is in its guide: "Encryption at rest: Usage notes" and "How DynamoDB uses AWS KMS"
(Amazon DynamoDB), "Key management" (Amazon SQS, Amazon SNS), "Using server-side encryption with AWS KMS keys" (Amazon
S3), "Secret encryption and decryption in AWS Secrets Manager".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import dynamodb, kms, s3, secretsmanager, sns, sqs


@dataclass(frozen=True)
class KeyUse:
    """What a service does with the key of a resource on behalf of a principal."""

    actions: tuple[str, ...]
    key: str
    service: str
    """The service as `kms:ViaService` names it: `dynamodb`."""
    context: Mapping[str, str]
    """The encryption context, which key policies may name."""

    def conditions(self) -> dict[str, Any]:
        """Return the condition keys of the request that the service sends to KMS."""
        return {
            "kms:viaservice": f"{self.service}.{get_region()}.amazonaws.com",
            "kms:calleraccount": get_account_id(),
            "kms:encryptioncontextkeys": list(self.context),
            **{f"kms:encryptioncontext:{name}".lower(): value for name, value in self.context.items()},
        }


def customer_key(key: str | None) -> str | None:
    """Return the ARN of a key by any of its names; None for keys of AWS, which need no permission."""
    found = kms._resolve_key(key) if key else None
    return found["Arn"] if found and found.get("KeyManager", "CUSTOMER") == "CUSTOMER" else None


def refused_action(use: KeyUse, principal: iam_evaluator.PrincipalInfo) -> str | None:
    """Return the first action that the principal may not do; None if it may do all."""
    if principal.policies is None:
        return None
    for action in use.actions:
        evaluation = _evaluation(use, action, principal.arn, principal.account, principal.keys)
        identity = iam_evaluator.evaluate(evaluation, principal.policies, *principal.limits)
        policy = kms.key_policy_for_arn(use.key) or ("", None)
        result = iam_evaluator.combine_resource_policy(
            identity, evaluation, *policy, required=True, limits=principal.limits
        )
        if result.decision != "Allow":
            return action
    return None


def role(arn: str) -> iam_evaluator.PrincipalInfo:
    """Return a role as the principal of its sessions."""
    account, name = arn.split(":")[4], arn.rpartition("/")[2]
    policies = iam_evaluator._gather_role_policies(name, account)
    session = f"arn:aws:sts::{account}:assumed-role/{name}/service"
    return iam_evaluator.PrincipalInfo(session, "AssumedRole", account, policies)


def service_refused(use: KeyUse, service: str, source_arn: str) -> str | None:
    """Return the first action that the key policy does not allow to a service on behalf of a resource."""
    policy, _ = kms.key_policy_for_arn(use.key) or ("", None)
    source = {"aws:sourcearn": source_arn, "aws:sourceaccount": get_account_id()}
    for action in use.actions:
        evaluation = _evaluation(use, action, service, "", source)
        if iam_evaluator.evaluate_resource_policy(policy, evaluation, service=service).decision != "Allow":
            return action
    return None


def _evaluation(
    use: KeyUse, action: str, principal: str, account: str, keys: Mapping[str, Any]
) -> iam_evaluator.EvalContext:
    return iam_evaluator.EvalContext(
        principal_arn=principal,
        principal_type="AssumedRole",
        principal_account=account,
        action=action,
        resource_arn=use.key,
        region=get_region(),
        service_context=use.conditions(),
        principal_keys=dict(keys),
    )


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


class _DataKey(NamedTuple):
    """The key of a resource, by any of its names, and its encryption context."""

    key: str | None
    context: dict[str, str]


def key_use(action: str, resource: str) -> KeyUse | None:
    """Return how an action uses the customer key of a resource; None if it uses none."""
    actions = _ACTIONS.get(action)
    service = action.partition(":")[0]
    if not actions:
        return None
    data_key = _KEYS[service](resource)
    arn = customer_key(data_key.key)
    return KeyUse(actions, arn, service, data_key.context) if arn else None


def _of_table(arn: str) -> _DataKey:
    name = arn.partition("/")[2].partition("/")[0]
    table: dict[str, Any] = dynamodb._tables.get(name) or {}
    context = {"aws:dynamodb:tableName": name, "aws:dynamodb:subscriberId": get_account_id()}
    return _DataKey((table.get("SSEDescription") or {}).get("KMSMasterKeyArn"), context)


def _of_queue(arn: str) -> _DataKey:
    queue: dict[str, Any] = sqs._queue_by_arn(arn) or {"attributes": {}}
    return _DataKey(queue["attributes"].get("KmsMasterKeyId"), {"aws:sqs:arn": arn})


def _of_topic(arn: str) -> _DataKey:
    topic: dict[str, Any] = sns._topic_by_arn_any_scope(arn) or {}
    return _DataKey(topic.get("attributes", {}).get("KmsMasterKeyId"), {"aws:sns:topicArn": arn})


def _of_object(arn: str) -> _DataKey:
    """Return the key of an object that exists, else its bucket's; both buckets of ours have a Bucket Key."""
    bucket, _, name = arn.rpartition(":")[2].partition("/")
    stored = (s3._buckets.get(bucket) or {}).get("objects", {}).get(name)
    headers = s3._stored_sse_headers(stored) if stored else s3._bucket_default_sse_headers(bucket)
    return _DataKey(
        headers.get("x-amz-server-side-encryption-aws-kms-key-id"), {"aws:s3:arn": f"arn:aws:s3:::{bucket}"}
    )


def _of_secret(arn: str) -> _DataKey:
    _, secret = secretsmanager._resolve(arn)
    return _DataKey((secret or {}).get("KmsKeyId"), {"SecretARN": arn})


_KEYS: dict[str, Callable[[str], _DataKey]] = {
    "dynamodb": _of_table,
    "sqs": _of_queue,
    "sns": _of_topic,
    "s3": _of_object,
    "secretsmanager": _of_secret,
}
