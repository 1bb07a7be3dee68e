"""A call of the broker that fails ends, with all its tries, before the function's time; workers wait until then."""

from typing import Any

import pytest
from botocore.config import Config

from broker.claim import CHOOSING
from broker.clients import DATABASE, OTHERS
from outpost.aws.caller_identity import TIMEOUTS, TRIES
from outpost.aws.fast_client import PAUSE
from outpost.domain.protocol import BROKER_SECONDS
from worker import broker as worker_side


def longest(config: Config) -> float:
    """Return the seconds that a call takes when no try connects in time, or is responded to."""
    settings: Any = config
    tries = settings.retries["total_max_attempts"]
    pauses = sum(max(PAUSE, 1.0) * 2**n for n in range(tries - 1)) / 2  # botocore's are longer than ours
    return float(tries * (settings.connect_timeout + settings.read_timeout) + pauses)


@pytest.mark.parametrize("config", [DATABASE, OTHERS])
def test_a_call_that_hangs_is_tried_again_within_the_functions_time(config: Config) -> None:
    settings: Any = config
    assert settings.retries["total_max_attempts"] >= 2
    assert longest(config) < BROKER_SECONDS


def test_a_claim_that_begins_to_prepare_another_dispatch_has_time_for_its_failure() -> None:
    assert CHOOSING.total_seconds() + longest(OTHERS) <= BROKER_SECONDS
    assert TRIES * sum(TIMEOUTS) < BROKER_SECONDS


def test_a_worker_waits_longer_than_the_function_may_run() -> None:
    settings: Any = worker_side._REQUESTS
    assert settings.read_timeout > BROKER_SECONDS
