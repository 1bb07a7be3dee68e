"""Wake-ups: messages that name no dispatch, and only make a worker ask for work sooner than the reconciler would."""

import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from outpost.aws.client_config import CLIENT_CONFIG
from outpost.aws.fast_client import fast_session
from outpost.domain.agents import Agent, AgentSettings

if TYPE_CHECKING:
    from types_boto3_sqs.client import SQSClient

logger = logging.getLogger(__name__)

_CONFIG = CLIENT_CONFIG.merge(
    Config(connect_timeout=0.5, read_timeout=0.5, retries={"mode": "standard", "total_max_attempts": 2}),
)
"""A wake-up is worth a second of waiting at most: the reconciler makes up for a lost one within a minute."""


class Wakeups:
    """The agents' queues."""

    def __init__(self, client: "SQSClient", agents: Mapping[Agent, AgentSettings]) -> None:
        self._client = client
        self._agents = agents

    @classmethod
    def from_environment(cls, agents: Mapping[Agent, AgentSettings]) -> "Wakeups":
        """Connect to the queues of these agents as the environment says."""
        return cls(fast_session().client("sqs", config=_CONFIG), agents)

    @property
    def agents(self) -> list[Agent]:
        """The agents of this environment."""
        return list(self._agents)

    def send(self, agent: Agent) -> bool:
        """Wake one worker of `agent`. Returns False when the send failed: then the reconciler will wake it.

        Returns False for an agent that was disabled as well: nobody is to take its work.
        """
        if agent not in self._agents:
            return False
        try:
            self._client.send_message(QueueUrl=self._agents[agent].queue_url, MessageBody=json.dumps({"wake": agent}))
        except (BotoCoreError, ClientError):
            logger.warning("wake-up for %s was not sent; the reconciler will send one", agent, exc_info=True)
            return False
        return True
