"""What POST /dispatch/{id}/promote takes."""

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, StrictBool

from control_plane.envelope import Body
from outpost.domain.repository import MAX_BRANCH_LENGTH, short_branch

NAME = r"^[^<>\x00-\x1f\x7f]+$"
EMAIL = r"^[^<>@\s\x00-\x1f\x7f]+@[^<>@\s\x00-\x1f\x7f]+$"


class PromotionRequest(Body):
    """Where a result is pushed, and in whose words."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"branch": "outpost/greeting", "createPr": True, "prTitle": "Greet the visitor"}],
        },
    )

    branch: Annotated[str, AfterValidator(short_branch)] = Field(
        min_length=1, max_length=MAX_BRANCH_LENGTH, description="Branch to push; created if missing."
    )
    to_default: StrictBool = Field(
        default=False, description="Whether the branch may be the repository's default one; refused otherwise."
    )
    create_pr: StrictBool = Field(default=False, description="Whether to open a pull request to the branch worked on.")
    pr_title: str | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        description="Needs `createPr`. Default: the first line of the message.",
    )
    pr_body: str | None = Field(
        default=None, max_length=50_000, description="Needs `createPr`. Default: the dispatch's id."
    )
    message: str | None = Field(
        default=None,
        min_length=1,
        max_length=10_000,
        description="The commit's message. Default: names the dispatch.",
    )
    author_name: str = Field(default="Outpost", max_length=100, pattern=NAME, description="The commit's author.")
    author_email: str = Field(
        default="outpost@outpost.invalid", max_length=254, pattern=EMAIL, description="The author's address."
    )
