"""The time limits that clients of AWS have unless they need others."""

from botocore.config import Config

CLIENT_CONFIG = Config(
    connect_timeout=2,
    read_timeout=10,
    max_pool_connections=64,
    retries={"mode": "standard", "total_max_attempts": 4},
    # Named after us in the audit trail; composing the default costs a tenth of a call's CPU time.
    user_agent="outpost",
)
"""A call gives up after seconds, not minutes: the client gets an error in time, and can try again."""
