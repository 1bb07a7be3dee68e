"""What a resource relies on must be there when it is created: policies, permissions, certificates, listeners.

MiniStack creates each resource alone. Sources: CloudTrail API Reference, CreateTrail (InsufficientEncryptionPolicy-
Exception, InsufficientS3BucketPolicyException) with the User Guide's key policy page and aws-cdk#23391; Lambda
Developer Guide, "Using Lambda with DynamoDB" (role) and "with SQS" (visibility timeout); ECS Developer Guide, "Service
load balancing"; ELB API Reference, CreateListener; WAF Developer Guide, "Logging destinations" (prefix of the name).
"""

from collections.abc import Callable
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import acm, alb, cloudtrail, kms, lambda_svc, s3, sqs

from outpost_local.extensions.cloudformation.document_limits import Refusal
from outpost_local.extensions.cloudformation.handlers import Properties
from outpost_local.extensions.patch import around

_TRAILS = "cloudtrail.amazonaws.com"
_STREAM_ACTIONS = ("DescribeStream", "GetRecords", "GetShardIterator")
_QUEUE_ACTIONS = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")


def _create_trail(create: Callable[..., Any], body: dict[str, Any]) -> Any:
    refusal = _trail_refusal(body)
    return cloudtrail._err(*refusal) if refusal else create(body)


def check(kind: str, _logical_id: str, props: Properties) -> None:
    """Raise ValueError with what a resource needs and is not there."""
    if kind in _CHECKS and (reason := _CHECKS[kind](props)):
        raise ValueError(reason)


def _trail_refusal(body: dict[str, Any]) -> Refusal | None:
    bucket, key = body.get("S3BucketName", ""), body.get("KmsKeyId") or body.get("KMSKeyId")
    trail = f"arn:aws:cloudtrail:{get_region()}:{get_account_id()}:trail/{body.get('Name', '')}"
    if bucket not in s3._buckets:
        return Refusal("S3BucketDoesNotExistException", f"S3 bucket {bucket} does not exist!")
    files = f"arn:aws:s3:::{bucket}/AWSLogs/{get_account_id()}/x"
    policy = s3._bucket_policies.get(bucket)
    bucket_open = _admits_trails(policy, "s3:GetBucketAcl", f"arn:aws:s3:::{bucket}", trail)
    if not (bucket_open and _admits_trails(policy, "s3:PutObject", files, trail)):
        message = f"Incorrect S3 bucket policy is detected for bucket: {bucket}"
        return Refusal("InsufficientS3BucketPolicyException", message)
    if key and not _key_admits_trails(str(key), bucket, trail):
        message = f"Insufficient permissions to access S3 bucket {bucket} or KMS key {key}."
        return Refusal("InsufficientEncryptionPolicyException", message)
    return None


def _key_admits_trails(key: str, bucket: str, trail: str) -> bool:
    record = kms._resolve_key(key)
    if record is None:
        return False
    policy, arn = record.get("Policy"), record["Arn"]
    encryption = {"kms:encryptioncontext:aws:cloudtrail:arn": trail}
    # Only the encryption has a context; a Bucket Key's data key is decrypted when the log file is written.
    decrypts = "kms:Decrypt" if _has_bucket_key(bucket) else "kms:DescribeKey"
    return (
        _admits_trails(policy, "kms:GenerateDataKey", arn, trail, encryption)
        and _admits_trails(policy, "kms:DescribeKey", arn, trail)
        and _admits_trails(policy, decrypts, arn, trail)
    )


def _has_bucket_key(bucket: str) -> bool:
    return "<BucketKeyEnabled>true" in str(s3._bucket_encryption.get(bucket, "")).replace(" ", "")


def _admits_trails(policy: Any, action: str, resource: str, trail: str, keys: dict[str, str] | None = None) -> bool:
    context = iam_evaluator.EvalContext(
        _TRAILS,
        "Service",
        get_account_id(),
        action,
        resource,
        get_region(),
        service_context={
            "aws:sourcearn": trail,
            "aws:sourceaccount": get_account_id(),
            "s3:x-amz-acl": "bucket-owner-full-control",
            **(keys or {}),
        },
    )
    return bool(iam_evaluator.evaluate_resource_policy(policy, context, service=_TRAILS).decision == "Allow")


def _event_source(props: Properties) -> str | None:
    name = str(props["FunctionName"]).rpartition("function:")[2].partition(":")[0]
    config = lambda_svc._functions.get(name, {}).get("config")
    source = str(props.get("EventSourceArn", ""))
    if config is None:
        return f"Function not found: {props['FunctionName']}"
    service = source.split(":")[2] if source.startswith("arn:") else ""
    if service == "dynamodb" and not _may(config["Role"], "dynamodb", _STREAM_ACTIONS, source):
        actions = "GetRecords, GetShardIterator, DescribeStream, and ListStreams"
        return (
            f"Cannot access stream {source}. Please ensure the role can perform the {actions} Actions on your stream"
            " in IAM."
        )
    if service == "sqs":
        return _queue_source(config, source)
    return None


def _queue_source(config: dict[str, Any], source: str) -> str | None:
    if not _may(config["Role"], "sqs", _QUEUE_ACTIONS, source):
        return "The function execution role does not have permissions to call ReceiveMessage on SQS"
    queue = sqs._queues.get(sqs._queue_name_to_url.get(source.rpartition(":")[2]), {})
    visibility = int(queue.get("attributes", {}).get("VisibilityTimeout", 30))
    if visibility < int(config.get("Timeout", 3)):
        seconds = f"{visibility} seconds is less than Function timeout: {config['Timeout']} seconds"
        return f"Queue visibility timeout: {seconds}"
    return None


def _may(role: str, service: str, actions: tuple[str, ...], resource: str) -> bool:
    account, region = get_account_id(), get_region()
    policies = iam_evaluator._gather_role_policies(role.rpartition("/")[2], account)
    return all(
        iam_evaluator.evaluate(
            iam_evaluator.EvalContext(role, "AssumedRole", account, f"{service}:{action}", resource, region), policies
        ).decision
        == "Allow"
        for action in actions
    )


def _service(props: Properties) -> str | None:
    users = str([*alb._listeners.values(), *alb._rules.values()])
    for balancer in props.get("LoadBalancers") or ():
        group = balancer.get("TargetGroupArn")
        if group and group not in users:
            return f"The target group with targetGroupArn {group} does not have an associated load balancer."
    return None


def _listener(props: Properties) -> str | None:
    certificates = props.get("Certificates") or ()
    if props.get("Protocol") == "HTTPS" and not certificates:
        return "A certificate must be specified for HTTPS listeners"
    for certificate in certificates:
        arn = certificate["CertificateArn"]
        found = acm._certificates.get(arn)
        if found is None:
            return f"Certificate '{arn}' not found"
        if found.get("Status") != "ISSUED":
            return f"The certificate '{arn}' must have a fully-qualified domain name and be issued"
    return None


def _waf_logging(props: Properties) -> str | None:
    for destination in props["LogDestinationConfigs"]:
        name = str(destination).removesuffix(":*").rpartition(":")[2].rpartition("/")[2]
        if not name.startswith("aws-waf-logs-"):
            return f"The ARN isn't valid. A valid ARN begins with arn: and the name with aws-waf-logs-: {destination}"
    return None


_CHECKS: dict[str, Callable[[Properties], str | None]] = {
    "AWS::ECS::Service": _service,
    "AWS::ElasticLoadBalancingV2::Listener": _listener,
    "AWS::Lambda::EventSourceMapping": _event_source,
    "AWS::WAFv2::LoggingConfiguration": _waf_logging,
}
"""The reason why a resource cannot be created yet, by type."""

PATCHES = (
    # Our handler of trails calls it too.
    around(
        "services.cloudtrail._create_trail",
        _create_trail,
        "trails ask for no bucket",
        "services.cloudtrail._DISPATCH[CreateTrail]",
    ),
)
