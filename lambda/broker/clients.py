"""Time limits of the broker's calls: one that fails ends, with its retries, while the function still runs.

A worker waits meanwhile, and the function may run for `BROKER_SECONDS`. AWS: "Tuning AWS Java SDK HTTP request settings
for latency-aware Amazon DynamoDB applications" advises timeouts of about a second.
"""

from botocore.config import Config

from outpost.aws.client_config import CLIENT_CONFIG

DATABASE = CLIENT_CONFIG.merge(
    Config(connect_timeout=1, read_timeout=1, retries={"mode": "standard", "total_max_attempts": 3})
)
"""DynamoDB responds in milliseconds."""
OTHERS = CLIENT_CONFIG.merge(
    Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})
)
"""ECS, STS, S3, Secrets Manager and EventBridge."""
