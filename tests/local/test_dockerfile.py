"""What the process engine reads from a Dockerfile."""

from pathlib import Path

import pytest

from outpost_local.dockerfile import DockerfileError, ImageConfig, read_image_config
from outpost_local.settings import REPOSITORY_ROOT

TEXT = r"""
# syntax=docker/dockerfile:1
ARG BASE=python:3
ARG VERSION=1.0
FROM ${BASE} AS packages
RUN echo one \
    && echo two
ENTRYPOINT ["not", "this"]

FROM ${BASE} AS base
ARG VERSION
ENV ONE=1 TWO="two words" \
    NOT_YET=${ONE}
ENV THREE=${ONE}${VERSION} UNDECLARED=$BASE
ENV LEGACY a b
WORKDIR /app
WORKDIR sub
# ENTRYPOINT ["commented", "out"]
ENTRYPOINT ["python", "-m", "worker"]
CMD ["--default"]

FROM base AS shell
LABEL a=b
CMD ["--shell"]

FROM base AS other
ENTRYPOINT exec other --flag
"""


@pytest.fixture
def dockerfile(tmp_path: Path) -> Path:
    path = tmp_path / "Dockerfile"
    path.write_text(TEXT)
    return path


def test_a_stage_inherits_from_the_stage_it_is_built_from(dockerfile: Path) -> None:
    shell = read_image_config(dockerfile, "shell", {})
    assert (shell.entrypoint, shell.command) == (("python", "-m", "worker"), ("--shell",))
    assert shell.environment == {
        "ONE": "1",
        "TWO": "two words",
        "NOT_YET": "",
        "THREE": "11.0",
        "UNDECLARED": "",
        "LEGACY": "a b",
    }
    assert shell.workdir == "/app/sub"


def test_a_build_argument_overrides_its_default(dockerfile: Path) -> None:
    assert read_image_config(dockerfile, "shell", {"VERSION": "2"}).environment["THREE"] == "12"


def test_the_shell_form_runs_in_a_shell_and_a_new_entry_point_drops_the_command(dockerfile: Path) -> None:
    other = read_image_config(dockerfile, "other", {})
    assert (other.entrypoint, other.command) == (("/bin/sh", "-c", "exec other --flag"), ())


def test_without_a_target_the_last_stage_counts(dockerfile: Path) -> None:
    assert read_image_config(dockerfile, None, {}).entrypoint[0] == "/bin/sh"


def test_an_unknown_stage_is_named_with_those_that_exist(dockerfile: Path) -> None:
    with pytest.raises(DockerfileError, match=r"'absent'.*packages, base, shell, other"):
        read_image_config(dockerfile, "absent", {})


def test_a_base_image_from_elsewhere_contributes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "Dockerfile"
    path.write_text("FROM python:3\n")
    assert read_image_config(path, None, {}) == ImageConfig()


@pytest.mark.parametrize(("image", "target"), [("control_plane", None), ("worker", "shell")])
def test_our_images_start_a_python_module_of_the_checkout(image: str, target: str | None) -> None:
    config = read_image_config(REPOSITORY_ROOT / "container" / image / "Dockerfile", target, {})
    python, option, module = [*config.entrypoint, *config.command][:3]
    assert Path(python).name.startswith("python")
    assert option == "-m"
    assert (REPOSITORY_ROOT / "container" / module / "__main__.py").exists()
