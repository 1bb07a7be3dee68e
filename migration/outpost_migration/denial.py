"""Refusing SendCommand to v1's callers, and taking the refusal back."""

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Literal

from outpost_migration.context import Context
from outpost_migration.steps.audit import ProviderAudit

POLICY = "OutpostV1IsOutOfUse"
"""Name of the inline policy."""


@dataclass(frozen=True)
class Principal:
    """An IAM user or role."""

    kind: Literal["user", "role"]
    name: str

    def __str__(self) -> str:
        """Return kind and name."""
        return f"{self.kind} {self.name}"

    @property
    def parameter(self) -> dict[str, str]:
        """The parameter that names it to IAM."""
        return {f"{self.kind.title()}Name": self.name}


def principal_of(arn: str) -> Principal | None:
    """Return the principal of a caller's ARN; None for the root user, whom no policy binds."""
    user = re.fullmatch(r"arn:aws:iam::\d+:user/(?:.*/)?([^/]+)", arn)
    role = re.fullmatch(r"arn:aws:sts::\d+:assumed-role/([^/]+)/.+|arn:aws:iam::\d+:role/(?:.*/)?([^/]+)", arn)
    if user:
        return Principal("user", user[1])
    return Principal("role", role[1] or role[2]) if role else None


def deny_callers(context: Context) -> list[str]:
    """Refuse commands to v1's host to each caller that the audit found; return them, as "user NAME" or "role NAME"."""
    deployment, instance_id = context.deployment, context.host.instance_id
    iam, account = deployment.client("iam"), deployment.client("sts").get_caller_identity()["Account"]
    statement = {
        "Effect": "Deny",
        "Action": "ssm:SendCommand",
        "Resource": f"arn:aws:ssm:{deployment.region}:{account}:managed-instance/{instance_id}",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    denied = []
    for principal in _principals(context):
        put = partial(getattr(iam, f"put_{principal.kind}_policy"), **principal.parameter)
        context.change(
            f"Deny ssm:SendCommand on {instance_id} to the {principal}",
            partial(put, PolicyName=POLICY, PolicyDocument=document),
        )
        denied.append(str(principal))
    return denied


def allow_callers(context: Context) -> None:
    """Take the refusal back, where it is."""
    iam = context.deployment.client("iam")

    def allow(principal: Principal) -> None:
        with suppress(iam.exceptions.NoSuchEntityException):
            getattr(iam, f"delete_{principal.kind}_policy")(**principal.parameter, PolicyName=POLICY)

    for principal in _principals(context):
        context.change(f"Remove the policy {POLICY} from the {principal}, if it is there", partial(allow, principal))


def _principals(context: Context) -> Iterable[Principal]:
    audit = context.last_report(ProviderAudit)
    found = [principal_of(caller.caller) for caller in audit.callers] if audit else []
    return dict.fromkeys(principal for principal in found if principal)
