"""Refusing SendCommand to v1's callers, and taking the refusal back."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

POLICY = "OutpostV1IsOutOfUse"
"""Name of the inline policy."""


@dataclass(frozen=True)
class Principal:
    """An IAM user or role."""

    kind: str
    name: str


def principal_of(arn: str) -> Principal | None:
    """Return who stands behind a caller's ARN; None for the root user, whom no policy binds."""
    user = re.fullmatch(r"arn:aws:iam::\d+:user/(?:.*/)?([^/]+)", arn)
    role = re.fullmatch(r"arn:aws:sts::\d+:assumed-role/([^/]+)/.+|arn:aws:iam::\d+:role/(?:.*/)?([^/]+)", arn)
    if user:
        return Principal("user", user[1])
    return Principal("role", role[1] or role[2]) if role else None


def deny(iam: Any, principal: Principal, region: str, account: str, instance_id: str) -> None:
    """Refuse commands to that instance."""
    statement = {
        "Effect": "Deny",
        "Action": "ssm:SendCommand",
        "Resource": f"arn:aws:ssm:{region}:{account}:managed-instance/{instance_id}",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    put = iam.put_user_policy if principal.kind == "user" else iam.put_role_policy
    put(**_named(principal), PolicyName=POLICY, PolicyDocument=document)


def allow(iam: Any, principal: Principal) -> None:
    """Take the refusal back; again is no fault."""
    delete = iam.delete_user_policy if principal.kind == "user" else iam.delete_role_policy
    try:
        delete(**_named(principal), PolicyName=POLICY)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchEntity":
            raise


def _named(principal: Principal) -> dict[str, str]:
    return {"UserName" if principal.kind == "user" else "RoleName": principal.name}


def principals(arns: list[str]) -> Iterator[Principal]:
    """Yield each principal behind the callers once."""
    yield from dict.fromkeys(found for arn in arns if (found := principal_of(arn)))
