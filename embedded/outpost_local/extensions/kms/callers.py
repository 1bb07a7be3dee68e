"""Encrypted data needs the permission for its key: MiniStack encrypts nothing and asks for none.

On AWS a service calls KMS on behalf of the caller, who must be allowed to use the customer key of the table, queue,
topic, bucket or secret; a service that delivers something on its own must be allowed by the key policy; a function
that is called for a stream's or queue's records must be able to read them. The refusals have the codes that the
services document: KMS.AccessDeniedException (Amazon SQS API Reference: SendMessage), KMSAccessDenied (Amazon SNS API
Reference: Publish), AccessDeniedException (Amazon DynamoDB, AWS Secrets Manager) and AccessDenied (Amazon S3).
"""

import logging
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id

from outpost_local.extensions.kms.encrypted_resources import key_use
from outpost_local.extensions.kms.policies import KeyUse, refused_action

logger = logging.getLogger("outpost.iam")

Mappings = Iterator[tuple[str, str, dict[str, Any]]]

_CODES = {"sqs": "KMS.AccessDeniedException", "sns": "KMSAccessDenied"}
_refusal: ContextVar[tuple[KeyUse, str] | None] = ContextVar("_refusal", default=None)


def install() -> None:
    """Ask for the key after each call that is allowed otherwise."""
    iam_evaluator.enforce = _with_key(iam_evaluator.enforce)
    iam_actions.access_denied_response = _naming_key(iam_actions.access_denied_response)


def _with_key(enforce: Callable[..., Any]) -> Callable[..., Any]:
    """Return the check of a call, which then asks for the key."""

    def enforce_both(
        access_key: str,
        iam_action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: dict[str, Any] | None = None,
    ) -> Any:
        denied = enforce(access_key, iam_action, service, region, resource_arn, service_context)
        _refusal.set(None)
        use = None if denied else key_use(iam_action, resource_arn)
        if use is None or not access_key:
            return denied
        principal = iam_evaluator.resolve_principal(access_key, get_account_id())
        refused = None if isinstance(principal, iam_evaluator.AuthError) else refused_action(use, principal)
        if refused is None:
            return None
        _refusal.set((use, refused))
        return iam_evaluator.EvalResult("ImplicitDeny", principal.arn)

    return enforce_both


def _naming_key(respond: Callable[..., Any]) -> Callable[..., Any]:
    """Return the response of a refusal, which says so if the key was refused."""

    def respond_with_key(service: str, action: str, principal: str, *rest: Any, **options: Any) -> Any:
        refusal = _refusal.get()
        if refusal is None:
            return respond(service, action, principal, *rest, **options)
        use, refused = refusal
        because = f"because no identity-based policy and no key policy allows the {refused} action"
        message = f"User: {principal} is not authorized to perform: {refused} on resource: {use.key} {because}"
        options |= {"message": message, "error_code": _CODES.get(service, ""), "resource_arn": use.key}
        return respond(service, refused, principal, *rest, **options)

    return respond_with_key
