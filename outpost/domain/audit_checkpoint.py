"""Checkpoints of the audit log: the head of a chain at a time, signed as a JSON Web Signature (RFC 7515).

The algorithm is PS256 (RFC 7518: RSASSA-PSS with SHA-256), whose signature is what KMS returns for
RSASSA_PSS_SHA_256 byte for byte, so that any implementation of JWS verifies it with the public key alone.
"""

import base64
import json
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

RECORDS = "audit/records/"
CHECKPOINTS = "audit/checkpoints/"
"""Prefixes in the audit bucket, each followed by `<yyyy-mm-dd>/<chain>-`."""
MEDIA_TYPE = "outpost-audit-checkpoint"


class Head(BaseModel):
    """The last record of a chain; before the first one `seq` is 0 and `at` the time of the chain's beginning."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seq: int
    sha256: str
    at: int
    """The record's time in milliseconds: no later record of the chain has an earlier one."""


class Checkpoint(BaseModel):
    """What is signed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    environment: str
    chain: str
    kind: str
    number: int
    """Counts the checkpoints of a chain, from 0."""
    at: int
    """When it was signed, in milliseconds."""
    head: Head
    previous: Head
    """The head at the checkpoint before; that of the empty chain at the first."""
    due: int | None
    """By when the next checkpoint is due, in milliseconds; none is when the chain may end here."""
    waiting: int
    """How many records the writer keeps at most that are not stored yet: what a crash loses."""

    @property
    def key(self) -> str:
        """The name of its object."""
        return f"{CHECKPOINTS}{day(self.at)}/{self.chain}-{self.number:08}.jws"


def day(at: int) -> str:
    """Return the date of a time in milliseconds, in UTC."""
    return datetime.fromtimestamp(at / 1000, UTC).date().isoformat()


def signing_input(checkpoint: Checkpoint, key: str) -> str:
    """Return what is signed: protected header and payload (RFC 7515, section 5.1)."""
    header = json.dumps({"alg": "PS256", "kid": key, "typ": MEDIA_TYPE}, separators=(",", ":"))
    return f"{encoded(header.encode())}.{encoded(checkpoint.model_dump_json().encode())}"


def encoded(content: bytes) -> str:
    """Return base64url without padding, as RFC 7515 has it."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
