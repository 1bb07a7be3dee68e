"""Whether the broker responds: calls it as workers do, before their silence is believed."""

import os
from typing import TYPE_CHECKING

import boto3
from aws_lambda_powertools import Logger
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from outpost.domain.dispatch import Lease
from outpost.domain.protocol import RenewRequest
from outpost.names import Env

if TYPE_CHECKING:
    from types_boto3_lambda.client import LambdaClient

logger = Logger(service="reconciler")

_CONFIG = Config(connect_timeout=1, read_timeout=3, retries={"total_max_attempts": 1})
"""As impatient as a heartbeat: a broker that is slower than this does not hear the workers in time either."""
_PROBE = RenewRequest(dispatch_id="probe", lease=Lease(worker_id="reconciler", token=0))
"""A heartbeat of nobody: the broker looks for the dispatch's row and refuses it."""


class BrokerProbe:
    """Calls the broker function."""

    def __init__(self, client: "LambdaClient", function: str) -> None:
        self._client = client
        self._function = function

    @classmethod
    def from_environment(cls) -> "BrokerProbe":
        """Connect as the environment says."""
        return cls(boto3.client("lambda", config=_CONFIG), os.environ[Env.BROKER_FUNCTION])

    def responds(self) -> bool:
        """Return whether the broker handled a request."""
        try:
            response = self._client.invoke(FunctionName=self._function, Payload=_PROBE.model_dump_json().encode())
        except (BotoCoreError, ClientError):
            logger.warning("the broker does not respond", exc_info=True)
            return False
        return "FunctionError" not in response
