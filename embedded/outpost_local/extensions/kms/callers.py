"""Encrypted data needs the permission for its key: MiniStack encrypts nothing and asks for none.

On AWS a service calls KMS on behalf of the caller, who must be allowed to use the customer key of the table, queue,
topic, bucket or secret; a service that delivers something on its own must be allowed by the key policy; a function
that is called for a stream's or queue's records must be able to read them. The refusals have the codes that the
services document: KMS.AccessDeniedException (Amazon SQS API Reference: SendMessage), KMSAccessDenied (Amazon SNS API
Reference: Publish), AccessDeniedException (Amazon DynamoDB, AWS Secrets Manager) and AccessDenied (Amazon S3).
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id

from outpost_local.extensions.kms.encrypted_resources import key_use
from outpost_local.extensions.kms.policies import KeyUse, refused_action
from outpost_local.extensions.patch import around

AFTER = ("iam.denials",)

_CODES = {"sqs": "KMS.AccessDeniedException", "sns": "KMSAccessDenied"}


class _Refusal(NamedTuple):
    use: KeyUse
    action: str


_refusal: ContextVar[_Refusal | None] = ContextVar("_refusal", default=None)


def _enforce(
    enforce: Callable[..., Any],
    access_key: str,
    iam_action: str,
    service: str,
    region: str,
    resource_arn: str = "*",
    service_context: dict[str, Any] | None = None,
) -> Any:
    """Ask for the key after each call that is allowed otherwise."""
    denied = enforce(access_key, iam_action, service, region, resource_arn, service_context)
    _refusal.set(None)
    use = None if denied else key_use(iam_action, resource_arn)
    if use is None or not access_key:
        return denied
    principal = iam_evaluator.resolve_principal(access_key, get_account_id())
    refused = None if isinstance(principal, iam_evaluator.AuthError) else refused_action(use, principal)
    if refused is None:
        return None
    _refusal.set(_Refusal(use, refused))
    return iam_evaluator.EvalResult("ImplicitDeny", principal.arn)


def _respond(respond: Callable[..., Any], service: str, action: str, principal: str, *rest: Any, **options: Any) -> Any:
    """Return the response of a refusal, which names the key if the key was refused."""
    refusal = _refusal.get()
    if refusal is None:
        return respond(service, action, principal, *rest, **options)
    key, refused = refusal.use.key, refusal.action
    because = f"because no identity-based policy and no key policy allows the {refused} action"
    message = f"User: {principal} is not authorized to perform: {refused} on resource: {key} {because}"
    options |= {"message": message, "error_code": _CODES.get(service, ""), "resource_arn": key}
    return respond(service, refused, principal, *rest, **options)


_GAP = "encrypted data is read without the key"

PATCHES = (
    around("core.iam_evaluator.enforce", _enforce, _GAP),
    around("core.iam_actions.access_denied_response", _respond, _GAP),
)
