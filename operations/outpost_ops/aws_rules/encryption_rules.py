"""Keys of KMS: everybody who reads or writes what a key encrypts may use it."""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from outpost_ops.aws_rules.model import Finding, rule
from outpost_ops.aws_rules.policies import Kind, Policy, Statement, policies, policies_of, statements
from outpost_ops.aws_rules.values import text_of, values_at
from outpost_ops.templates import Resource, Templates

_BUCKET = "BucketEncryption.ServerSideEncryptionConfiguration"
_KEYS = {
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
        own = list(policies_of(role, templates))
        for statement in (each for policy in own for each in policy.statements if each.allows):
            for resource, needed in _needed(statement, templates):
                key = key_of(resource, templates)
                lacking = [
                    action for action in needed if key and not _role_may(role, own, key, action, resource, templates)
                ]
                if key and lacking:
                    what = f"{', '.join(lacking)} on {key.place}, which encrypts {resource.place}"
                    remedy = f"Grant {role.place} {what}"
                    yield Finding(statement.policy.resource, statement.path, ", ".join(statement.actions), remedy)


@rule(
    "service-may-use-key",
    "SQS and SNS Developer Guides: Compatibility between event sources and encrypted queues or topics (2026-11)",
)
def services_use_keys(templates: Templates) -> Iterator[Finding]:
    """A service that sends to an encrypted queue or topic may use its key."""
    for statement in statements(templates, Kind.RESOURCE):
        policy = statement.policy.resource
        encrypted = [
            (target, key)
            for name in ("Queues", "Topics")
            for value in values_at(policy.properties, name)
            for target in [templates.target(value, policy.stack)]
            for key in [target and key_of(target, templates)]
            if target and key
        ]
        for target, key in encrypted if statement.allows else ():
            for service in statement.services:
                if lacking := [each for each in _WRITE if not _key_allows(key, service, each)]:
                    yield _unusable(key, service, lacking, target)


@rule("logs-may-use-key", "CloudWatch Logs User Guide: Encrypt log data in CloudWatch Logs using AWS KMS (2026-11)")
def logs_use_keys(templates: Templates) -> Iterator[Finding]:
    """CloudWatch Logs may use the key of each log group."""
    for group in templates.of_type("AWS::Logs::LogGroup"):
        key = key_of(group, templates)
        if key:
            names = {
                text_of(service, templates, key.stack)
                for policy in _policies_of_key(key)
                for statement in policy.statements
                for service in values_at(statement.body, "Principal.Service")
            }
            logs = next((name for name in sorted(names) if name.startswith("logs.")), "logs.<region>.amazonaws.com")
            if lacking := [each for each in _LOGS if not _key_allows(key, logs, each, templates)]:
                yield _unusable(key, logs, lacking, group)


@rule(
    "trail-may-use-key", "CloudTrail User Guide: Configure AWS KMS key policies for CloudTrail (2026-11); aws-cdk#23391"
)
def trails_use_keys(templates: Templates) -> Iterator[Finding]:
    """CloudTrail may use the key of a trail, see it without context, and decrypt where its bucket has a bucket key."""
    service = "cloudtrail.amazonaws.com"
    for trail in templates.of_type("AWS::CloudTrail::Trail"):
        key = templates.target(trail.properties.get("KMSKeyId"), trail.stack)
        bucket = templates.target(trail.properties.get("S3BucketName"), trail.stack)
        if key is None:
            continue
        needed = {"kms:GenerateDataKey": False, "kms:DescribeKey": True}
        if bucket and any(values_at(bucket.properties, f"{_BUCKET}.BucketKeyEnabled")):
            needed["kms:Decrypt"] = False
        lacking = [action for action, plain in needed.items() if not _key_allows(key, service, action, plain=plain)]
        if lacking:
            yield _unusable(key, service, lacking, trail)


@rule(
    "log-bucket-without-key",
    "S3 User Guide: Enabling server access logging; Elastic Load Balancing: Access logs (2026-11)",
)
def log_buckets_without_keys(templates: Templates) -> Iterator[Finding]:
    """Buckets for access logs of S3 and load balancers are encrypted with S3's own keys."""
    for user in templates.of_type("AWS::S3::Bucket", "AWS::ElasticLoadBalancingV2::LoadBalancer"):
        values = [*values_at(user.properties, "LoggingConfiguration.DestinationBucketName")]
        values += [
            attribute.get("Value")
            for attribute in user.properties.get("LoadBalancerAttributes", [])
            if attribute.get("Key") == "access_logs.s3.bucket"
        ]
        for bucket in (templates.target(value, user.stack) for value in values):
            if bucket and key_of(bucket, templates):
                remedy = f"Set SSEAlgorithm AES256: {user.place} cannot deliver its access logs to a bucket with a key"
                yield Finding(bucket, "BucketEncryption", "aws:kms", remedy)


def key_of(resource: Resource, templates: Templates) -> Resource | None:
    """Return the key that encrypts a resource, or None: not of these templates, or AWS's own."""
    for value in values_at(resource.properties, _KEYS.get(resource.type, "-")):
        return templates.target(value, resource.stack)
    return None


def _needed(statement: Statement, templates: Templates) -> Iterator[tuple[Resource, tuple[str, ...]]]:
    """Yield each resource of a statement with what is needed of its key."""
    for value in statement.resources:
        for resource in templates.targets(value, statement.policy.resource.stack):
            service = {"AWS::DynamoDB::Table": "dynamodb", "AWS::S3::Bucket": "s3"}.get(resource.type)
            service = service or resource.type.split("::")[1].lower()
            uses = {action for action in _USES if action.startswith(f"{service}:") and _covers(statement, action)}
            if uses:
                yield resource, tuple(sorted({each for action in uses for each in _USES[action]}))


def _role_may(
    role: Resource, own: list[Policy], key: Resource, action: str, used: Resource, templates: Templates
) -> bool:
    """Return whether a role's policies, or the key's policy for this role, allow an action on a key."""
    service = used.type.split("::")[1].lower()
    for policy in own:
        for statement in policy.statements:
            stack = policy.resource.stack
            named = any(each == "*" or templates.target(each, stack) == key for each in statement.resources)
            if statement.allows and named and _covers(statement, action) and _via(statement, service, templates):
                return True
    return any(
        templates.target(value, key.stack) == role
        for policy in _policies_of_key(key)
        for statement in policy.statements
        if statement.allows and _covers(statement, action)
        for value in values_at(statement.body, "Principal.AWS")
    )


def _via(statement: Statement, service: str, templates: Templates) -> bool:
    """Return whether a statement's kms:ViaService, if any, names the service."""
    vias = [value for _, key, value in statement.conditions if key.lower() == "kms:viaservice"]
    names = [
        text_of(each, templates, statement.policy.resource.stack) for value in vias for each in values_at(value, "")
    ]
    return not vias or any(name.startswith(f"{service}.") for name in names)


def _key_allows(
    key: Resource, service: str, action: str, templates: Templates | None = None, *, plain: bool = False
) -> bool:
    """Return whether a key's policy allows an action to a service; `plain`: without an encryption context."""
    for policy in _policies_of_key(key):
        for statement in policy.statements:
            names = list(values_at(statement.body, "Principal.Service"))
            if templates is not None:
                names = [text_of(name, templates, key.stack) for name in names]
            context = any(name.lower().startswith("kms:encryptioncontext") for _, name, _ in statement.conditions)
            if statement.allows and service in names and _covers(statement, action) and not (plain and context):
                return True
    return False


def _policies_of_key(key: Resource) -> list[Policy]:
    alone = Templates("", {key.stack: {"Resources": {key.logical_id: key.attributes}}})
    return list(policies(alone, Kind.RESOURCE))


def _covers(statement: Statement, action: str) -> bool:
    return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in statement.actions)


def _unusable(key: Resource, service: str, lacking: list[str], used: Resource) -> Finding:
    remedy = f"Allow {', '.join(lacking)} to {service}, for {used.place}"
    return Finding(key, "KeyPolicy", f"{service} lacks {', '.join(lacking)}", remedy)
