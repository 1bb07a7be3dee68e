"""CloudFormation's buckets are encrypted as their template says: MiniStack drops BucketEncryption.

A trail into a bucket with a Bucket Key needs more of the key's policy than another (aws-cdk#23391), which nothing could
check without it.
"""

from collections.abc import Callable
from typing import Any

from ministack.services import s3
from ministack.services.cloudformation import provisioners

from outpost_local.extensions.cloudformation.handlers import Created, Properties, checked

_KIND = "AWS::S3::Bucket"


def install() -> None:
    """Set it after each creation and each update of a bucket."""
    handlers = provisioners._RESOURCE_HANDLERS[_KIND]
    for operation, position in (("create", 1), ("update", 2)):
        handlers[operation] = _encrypting(handlers[operation], position)


def _encrypting(handler: Callable[..., Created], position: int) -> Callable[..., Created]:
    """Wrap a handler whose argument at `position` has the bucket's new properties."""

    def handle(*arguments: Any, **options: Any) -> Created:
        name, attributes = handler(*arguments, **options)
        rules = arguments[position].get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration")
        if rules and all(map(_is_known, rules)):
            checked(s3._put_bucket_encryption(name, _configuration(rules).encode()))
        else:
            s3._bucket_encryption.pop(name, None)  # back to the default, which S3 applies itself
        return name, attributes

    return handle


def _is_known(rule: Properties) -> bool:
    """Whether MiniStack can encrypt so: it has no key `aws/s3`, which KMS means without a key's id."""
    default = rule.get("ServerSideEncryptionByDefault", {})
    return default.get("SSEAlgorithm") != "aws:kms" or "KMSMasterKeyID" in default


def _configuration(rules: list[Properties]) -> str:
    members = "".join(f"<Rule>{_default(rule)}{_bucket_key(rule)}</Rule>" for rule in rules)
    return f"<ServerSideEncryptionConfiguration>{members}</ServerSideEncryptionConfiguration>"


def _default(rule: Properties) -> str:
    default = rule.get("ServerSideEncryptionByDefault", {})
    members = "".join(f"<{name}>{value}</{name}>" for name, value in default.items())
    return f"<ApplyServerSideEncryptionByDefault>{members}</ApplyServerSideEncryptionByDefault>"


def _bucket_key(rule: Properties) -> str:
    return f"<BucketKeyEnabled>{str(rule.get('BucketKeyEnabled', False)).lower()}</BucketKeyEnabled>"
