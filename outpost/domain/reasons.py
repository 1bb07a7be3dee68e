"""Why a dispatch ended: a code for programs, a message and a remedy for people."""

from enum import StrEnum

from outpost.domain.value import Value


class ReasonCode(StrEnum):
    """The kinds of end that are distinguished."""

    COMPLETED = "COMPLETED"
    AGENT_EXIT_NONZERO = "AGENT_EXIT_NONZERO"
    AGENT_REPORTED_FAILURE = "AGENT_REPORTED_FAILURE"
    AGENT_START_FAILED = "AGENT_START_FAILED"
    BUDGET_EXCEEDED = "BUDGET_EXCEEDED"
    MODEL_KEY_UNUSABLE = "MODEL_KEY_UNUSABLE"
    MODEL_NOT_FOUND = "MODEL_NOT_FOUND"
    MODEL_OVERLOADED = "MODEL_OVERLOADED"
    MODEL_RATE_LIMITED = "MODEL_RATE_LIMITED"
    MODEL_UNAVAILABLE = "MODEL_UNAVAILABLE"
    MODEL_REQUEST_REFUSED = "MODEL_REQUEST_REFUSED"
    CONTEXT_EXCEEDED = "CONTEXT_EXCEEDED"
    QUOTA_EXHAUSTED = "QUOTA_EXHAUSTED"
    BALANCE_EXHAUSTED = "BALANCE_EXHAUSTED"
    NO_MODEL_CALL = "NO_MODEL_CALL"
    NO_RESULT = "NO_RESULT"
    TOOLS_REFUSED = "TOOLS_REFUSED"
    TURN_LIMIT = "TURN_LIMIT"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    IMAGE_PULL_FAILED = "IMAGE_PULL_FAILED"
    IMAGE_UNUSABLE = "IMAGE_UNUSABLE"
    CAPACITY_UNAVAILABLE = "CAPACITY_UNAVAILABLE"
    WORKER_LOST = "WORKER_LOST"
    WORKER_START_FAILED = "WORKER_START_FAILED"
    SPOT_INTERRUPTED = "SPOT_INTERRUPTED"
    TIME_LIMIT = "TIME_LIMIT"
    NO_PROGRESS = "NO_PROGRESS"
    CLONE_FAILED = "CLONE_FAILED"
    PATCH_FAILED = "PATCH_FAILED"
    PUSH_FAILED = "PUSH_FAILED"
    BRANCH_PROTECTED = "BRANCH_PROTECTED"
    DEFAULT_BRANCH = "DEFAULT_BRANCH"
    PULL_REQUEST_FAILED = "PULL_REQUEST_FAILED"
    UPLOAD_FAILED = "UPLOAD_FAILED"
    ARTIFACT_TOO_LARGE = "ARTIFACT_TOO_LARGE"
    DISK_FULL = "DISK_FULL"
    WORKSPACE_FULL = "WORKSPACE_FULL"
    WORKSPACE_UNAVAILABLE = "WORKSPACE_UNAVAILABLE"
    SECRET_IN_OUTPUT = "SECRET_IN_OUTPUT"  # noqa: S105 - the name of a reason
    SECRET_UNAVAILABLE = "SECRET_UNAVAILABLE"  # noqa: S105 - the name of a reason
    FORGE_TOKEN_UNAVAILABLE = "FORGE_TOKEN_UNAVAILABLE"  # noqa: S105 - the name of a reason
    CANCELLED_BY_USER = "CANCELLED_BY_USER"
    INTERNAL_ERROR = "INTERNAL_ERROR"

    @classmethod
    def _missing_(cls, value: object) -> "ReasonCode | None":
        """Read the code that rows and workers of earlier releases have."""
        return cls.BUDGET_EXCEEDED if value == "BUDGET_SPENT" else None


_REMEDIES: dict[ReasonCode, str] = {
    ReasonCode.COMPLETED: "Nothing to do.",
    ReasonCode.AGENT_EXIT_NONZERO: "Read the last log lines; correct the task or the repository and dispatch again.",
    ReasonCode.AGENT_REPORTED_FAILURE: "Read the last log lines; the agent itself says that it failed.",
    ReasonCode.BUDGET_EXCEEDED: (
        "Split the task, or dispatch again: with a larger maxCostUsd, or later where others have reserved what is left "
        "of the month. The operator can raise token_budget and the months' budgets."
    ),
    ReasonCode.MODEL_KEY_UNUSABLE: "Ask the operator to set the provider's key, or name your own in additionalSecrets.",
    ReasonCode.MODEL_NOT_FOUND: "Choose another modelId: the provider does not offer this one to the key in use.",
    ReasonCode.MODEL_OVERLOADED: "Dispatch again later, or with another modelId: the provider was overloaded.",
    ReasonCode.MODEL_RATE_LIMITED: "Dispatch again later, or fewer at once; the key's owner can ask for higher limits.",
    ReasonCode.MODEL_UNAVAILABLE: "Dispatch again; if it recurs, ask the operator to check the way to the provider.",
    ReasonCode.MODEL_REQUEST_REFUSED: "Read the provider's message; change the task or the modelId and dispatch again.",
    ReasonCode.CONTEXT_EXCEEDED: "Split the task, or choose a modelId with a larger context window.",
    ReasonCode.QUOTA_EXHAUSTED: "Dispatch again when the quota is renewed, or ask the key's owner to raise it.",
    ReasonCode.BALANCE_EXHAUSTED: "Ask the owner of the provider's key to pay in, or name a key of your own.",
    ReasonCode.NO_MODEL_CALL: "Read the last log lines, and the repository's settings of this agent, if it has any.",
    ReasonCode.NO_RESULT: "Read the last log lines, then dispatch again: the agent stopped before its result.",
    ReasonCode.TOOLS_REFUSED: "Allow the tools that the message names in the repository's settings of this agent.",
    ReasonCode.TURN_LIMIT: "Split the task, or raise the limit in the repository's settings of this agent.",
    ReasonCode.AGENT_START_FAILED: "Ask the operator to check the agent's image and version.",
    ReasonCode.OUT_OF_MEMORY: "Give the agent more memory in the environment's configuration, or split the task.",
    ReasonCode.IMAGE_PULL_FAILED: "Ask the operator to check that the agent's image is in the registry.",
    ReasonCode.IMAGE_UNUSABLE: "Ask the operator to check the agent's image: a worker could not run it.",
    ReasonCode.CAPACITY_UNAVAILABLE: "Dispatch again later, or with a longer queueTimeoutSeconds.",
    ReasonCode.WORKER_LOST: "Dispatch again, with retryable=true where running twice does no harm.",
    ReasonCode.WORKER_START_FAILED: "Dispatch again; if it recurs, ask the operator to read the task's stop reason.",
    ReasonCode.SPOT_INTERRUPTED: "Dispatch again, with retryable=true where running twice does no harm.",
    ReasonCode.TIME_LIMIT: "Dispatch again with a larger timeoutSeconds, or split the task.",
    ReasonCode.NO_PROGRESS: "Read the last log lines; the agent printed nothing for too long.",
    ReasonCode.CLONE_FAILED: "Check repo and branch, and that the platform may read the repository.",
    ReasonCode.PATCH_FAILED: "Check that the repository still has the commit that the dispatch began with.",
    ReasonCode.PUSH_FAILED: "Choose another branch, or ask the operator whether the platform may push there.",
    ReasonCode.BRANCH_PROTECTED: "Promote to another branch, and open a pull request from there.",
    ReasonCode.DEFAULT_BRANCH: "Promote to another branch, or repeat the promotion with toDefault=true (--to-default).",
    ReasonCode.PULL_REQUEST_FAILED: "The branch was pushed: open the pull request by hand, or promote again.",
    ReasonCode.UPLOAD_FAILED: "Dispatch again; if it recurs, ask the operator to check the artifacts bucket.",
    ReasonCode.ARTIFACT_TOO_LARGE: "Let the task leave large files out of the repository, or ignore them in git.",
    ReasonCode.DISK_FULL: "Let the task write less; a worker has 20 GiB of disk for repository and results together.",
    ReasonCode.WORKSPACE_FULL: "Delete other workspaces, or let a dispatch remove files from this one.",
    ReasonCode.WORKSPACE_UNAVAILABLE: "Dispatch again; if it recurs, ask the operator to check the file system.",
    ReasonCode.SECRET_IN_OUTPUT: (
        "Look at each place. Then release the result (POST /dispatch/{id}/release, `outpost release`, "
        "outpost_release; needs the scope release), or keep the secret out of it and dispatch again."
    ),
    ReasonCode.SECRET_UNAVAILABLE: "Store the named secrets for the tenant, then dispatch again.",
    ReasonCode.FORGE_TOKEN_UNAVAILABLE: "Ask the operator for what the message names, or dispatch or promote again.",
    ReasonCode.CANCELLED_BY_USER: "Nothing to do.",
    ReasonCode.INTERNAL_ERROR: "Report the dispatch id to the operator.",
}


class Reason(Value):
    """Why a dispatch ended, and what to do about it."""

    code: ReasonCode
    message: str
    remedy: str

    @classmethod
    def of(cls, code: ReasonCode, message: str) -> "Reason":
        """Build a reason with the code's standard remedy."""
        return cls(code=code, message=message, remedy=_REMEDIES[code])
