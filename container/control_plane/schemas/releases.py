"""What POST /dispatch/{id}/release takes."""

from typing import Annotated

from pydantic import Field, StringConstraints

from control_plane.envelope import Body
from outpost.domain.secrets import MAX_NAME_LENGTH

MOST_SECRETS = 100


class ReleaseRequest(Body):
    """The acknowledgement of the secrets that are released."""

    secrets: list[Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME_LENGTH)]] = Field(
        min_length=1,
        max_length=MOST_SECRETS,
        description="Names of all known secrets that were found, as the dispatch's `findings.secrets` shows them.",
        examples=[["NPM_TOKEN"]],
    )
    reason: str = Field(
        min_length=1,
        max_length=500,
        description="Why the results may be fetched although they hold these secrets. Kept with the dispatch.",
        examples=["a token of the test registry, revoked today"],
    )
