"""Keys of KMS: everybody who reads or writes what a key encrypts may use it."""

from collections.abc import Iterable, Iterator

from outpost_ops.aws_rules.model import Finding, rule
from outpost_ops.aws_rules.policies import Kind, Policy, Statement, balancer_logs, policies_in, policies_of, statements
from outpost_ops.aws_rules.values import text_of
from outpost_ops.templates import Resource, Templates, values_at

_BUCKET = "BucketEncryption.ServerSideEncryptionConfiguration"
_KEYS = {
    "AWS::CloudTrail::Trail": "KMSKeyId",
    "AWS::DynamoDB::Table": "SSESpecification.KMSMasterKeyId",
    "AWS::Logs::LogGroup": "KmsKeyId",
    "AWS::S3::Bucket": f"{_BUCKET}.ServerSideEncryptionByDefault.KMSMasterKeyID",
    "AWS::SNS::Topic": "KmsMasterKeyId",
    "AWS::SQS::Queue": "KmsMasterKeyId",
    "AWS::SecretsManager::Secret": "KmsKeyId",
}
"""Where each type names its key."""

_READ, _WRITE = ("kms:Decrypt",), ("kms:GenerateDataKey", "kms:Decrypt")
_USES = {
    **dict.fromkeys(("dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:UpdateItem"), _READ),
    **dict.fromkeys(("dynamodb:DeleteItem", "dynamodb:GetRecords", "dynamodb:Scan", "dynamodb:BatchGetItem"), _READ),
    "s3:GetObject": _READ,
    "s3:PutObject": ("kms:GenerateDataKey",),
    "secretsmanager:GetSecretValue": _READ,
    "secretsmanager:PutSecretValue": _WRITE,
    "sns:Publish": _WRITE,
    "sqs:ReceiveMessage": _READ,
    "sqs:SendMessage": _WRITE,
}
"""What a principal needs of the key besides each action; a table's stream is encrypted with the table's key."""

_LOGS = ("kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:GenerateDataKey", "kms:DescribeKey")


@rule(
    "role-may-use-key",
    "Pages on encryption at rest of DynamoDB, S3, SQS, SNS and Secrets Manager (2026-11); aws-cdk#22796",
)
def roles_use_keys(templates: Templates) -> Iterator[Finding]:
    """A role that reads or writes encrypted data may use its key; reading a stream needs the table's."""
    for role in templates.of_type("AWS::IAM::Role"):
        own = list(policies_of(role))
        for statement in (each for policy in own for each in policy.statements if each.allows):
            for resource, needed in _needed(statement):
                key = key_of(resource)
                lacking = [action for action in needed if key and not _role_may(role, own, key, action, resource)]
                if key and lacking:
                    what = f"{', '.join(lacking)} on {key.place}, which encrypts {resource.place}"
                    remedy = f"Grant {role.place} {what}"
                    yield Finding(statement.resource, statement.path, ", ".join(statement.actions), remedy)


@rule(
    "service-may-use-key",
    "SQS and SNS Developer Guides: Compatibility between event sources and encrypted queues or topics (2026-11)",
)
def services_use_keys(templates: Templates) -> Iterator[Finding]:
    """A service that sends to an encrypted queue or topic may use its key."""
    for statement in statements(templates, Kind.RESOURCE):
        for target in (each for name in ("Queues", "Topics") for each in statement.resource.all_named(name)):
            for service in statement.services if statement.allows else ():
                yield from _unusable(target, service, _WRITE)


@rule("logs-may-use-key", "CloudWatch Logs User Guide: Encrypt log data in CloudWatch Logs using AWS KMS (2026-11)")
def logs_use_keys(templates: Templates) -> Iterator[Finding]:
    """CloudWatch Logs may use the key of each log group."""
    for group in templates.of_type("AWS::Logs::LogGroup"):
        yield from _unusable(group, "logs.<region>.amazonaws.com", _LOGS)


@rule(
    "trail-may-use-key", "CloudTrail User Guide: Configure AWS KMS key policies for CloudTrail (2026-11); aws-cdk#23391"
)
def trails_use_keys(templates: Templates) -> Iterator[Finding]:
    """CloudTrail may use the key of a trail, see it without context, and decrypt where its bucket has a bucket key."""
    for trail in templates.of_type("AWS::CloudTrail::Trail"):
        bucket = trail.named("S3BucketName")
        bucket_key = bucket and any(values_at(bucket.properties, f"{_BUCKET}.BucketKeyEnabled"))
        needed = ("kms:GenerateDataKey", "kms:DescribeKey", *(["kms:Decrypt"] if bucket_key else []))
        yield from _unusable(trail, "cloudtrail.amazonaws.com", needed, "kms:DescribeKey")


@rule(
    "log-bucket-without-key",
    "S3 User Guide: Enabling server access logging; Elastic Load Balancing: Access logs (2026-11)",
)
def log_buckets_without_keys(templates: Templates) -> Iterator[Finding]:
    """Buckets for access logs of S3 and load balancers are encrypted with S3's own keys."""
    for user in templates.of_type("AWS::S3::Bucket", "AWS::ElasticLoadBalancingV2::LoadBalancer"):
        buckets = user.all_named("LoggingConfiguration.DestinationBucketName")
        for bucket in (*buckets, *balancer_logs(user)):
            if key_of(bucket):
                remedy = f"Set SSEAlgorithm AES256: {user.place} cannot deliver its access logs to a bucket with a key"
                yield Finding(bucket, "BucketEncryption", "aws:kms", remedy)


def key_of(resource: Resource) -> Resource | None:
    """Return the key that encrypts a resource, or None: not of these templates, or AWS's own."""
    return resource.named(_KEYS.get(resource.type, "-"))


def _needed(statement: Statement) -> Iterator[tuple[Resource, tuple[str, ...]]]:
    """Yield each resource of a statement with what is needed of its key."""
    for resource in statement.resource.targets(statement.resources):
        service = {"AWS::DynamoDB::Table": "dynamodb", "AWS::S3::Bucket": "s3"}.get(resource.type)
        service = service or resource.type.split("::")[1].lower()
        uses = {action for action in _USES if action.startswith(f"{service}:") and statement.covers(action)}
        if uses:
            yield resource, tuple(sorted({each for action in uses for each in _USES[action]}))


def _role_may(role: Resource, own: list[Policy], key: Resource, action: str, used: Resource) -> bool:
    """Return whether a role's policies, or the key's policy for this role, allow an action on a key."""
    service = used.type.split("::")[1].lower()
    for statement in (each for policy in own for each in policy.statements if each.allows and each.covers(action)):
        named = any(each == "*" or statement.resource.target(each) == key for each in statement.resources)
        if named and _via(statement, service):
            return True
    return any(
        key.target(value) == role
        for statement in _allowed_by(key, action)
        for value in values_at(statement.body, "Principal.AWS")
    )


def _via(statement: Statement, service: str) -> bool:
    """Return whether a statement's kms:ViaService, if any, names the service."""
    vias = [value for _, key, value in statement.conditions if key.lower() == "kms:viaservice"]
    names = [text_of(each, statement.resource) for value in vias for each in values_at(value, "")]
    return not vias or any(name.startswith(f"{service}.") for name in names)


def _allowed_by(key: Resource, action: str) -> list[Statement]:
    """Return the statements of a key's policy that allow an action."""
    found = (each for policy in policies_in(key, Kind.RESOURCE) for each in policy.statements)
    return [each for each in found if each.allows and each.covers(action)]


def _key_allows(key: Resource, service: str, action: str, *, plain: bool) -> bool:
    """Return whether a key's policy allows an action to a service; `plain`: without an encryption context."""
    return any(
        text_of(name, key).startswith(service.partition("<region>")[0])
        for statement in _allowed_by(key, action)
        if not plain or not any(each.lower().startswith("kms:encryptioncontext") for _, each, _ in statement.conditions)
        for name in values_at(statement.body, "Principal.Service")
    )


def _unusable(used: Resource, service: str, needed: Iterable[str], *plain: str) -> Iterator[Finding]:
    """Yield what a service lacks of a resource's key; `plain` are actions for which it sends no encryption context."""
    key = key_of(used)
    if key and (lacking := [each for each in needed if not _key_allows(key, service, each, plain=each in plain)]):
        remedy = f"Allow {', '.join(lacking)} to {service}, for {used.place}"
        yield Finding(key, "KeyPolicy", f"{service} lacks {', '.join(lacking)}", remedy)
