"""The errors that AWS's clients raise, made as botocore makes them."""

from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError


def client_error(operation: str, code: str, message: str = "", status: int = 400, **more: object) -> ClientError:
    """Return the error of a request that the service refused."""
    response: Any = {
        "Error": {"Code": code, "Message": message or code},
        "ResponseMetadata": {"HTTPStatusCode": status, "RetryAttempts": 0},
    }
    return ClientError(response | more, operation)


def unreachable(service: str) -> EndpointConnectionError:
    """Return the error of a service that accepts no connection."""
    return EndpointConnectionError(endpoint_url=f"https://{service}.test", error="refused")


def no_response(service: str) -> ReadTimeoutError:
    """Return the error of a response that did not come."""
    return ReadTimeoutError(endpoint_url=f"https://{service}.test", error="timed out")


RETRIED_CODES = frozenset(
    {
        "InternalServerError",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)


def is_retried(error: Exception) -> bool:
    """Return whether botocore's standard mode, or our own way to DynamoDB, tries again after this error."""
    if isinstance(error, ClientError):
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return status >= 500 or error.response["Error"]["Code"] in RETRIED_CODES
    return isinstance(error, EndpointConnectionError | ReadTimeoutError)
