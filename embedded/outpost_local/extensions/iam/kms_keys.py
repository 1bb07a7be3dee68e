"""IAM sees how a caller of KMS signs: MiniStack gives policies none of the condition keys of such a call.

`kms:SigningAlgorithm` and `kms:MessageType` have the values of the parameters of the same names, RAW for a message type
that is not given (AWS KMS Developer Guide: "AWS KMS condition keys"; AWS KMS API Reference: Sign).
"""

import json
from typing import Any

from ministack.core import iam_actions

_SIGNING = ("kms:Sign", "kms:Verify")


def install() -> None:
    """Add the keys to the context in which a call is authorized."""
    context = iam_actions.request_tag_context

    def context_of_signing(service: str, iam_action: str, body: bytes, *rest: Any) -> dict[str, Any]:
        found: dict[str, Any] = context(service, iam_action, body, *rest)
        if iam_action not in _SIGNING:
            return found
        request = json.loads(body or b"{}")
        signing = {"kms:MessageType": request.get("MessageType", "RAW")}
        if algorithm := request.get("SigningAlgorithm"):
            signing["kms:SigningAlgorithm"] = algorithm
        return found | signing

    iam_actions.request_tag_context = context_of_signing
