"""Reads from a Dockerfile what an image built from it would run: entry point, command, environment, working directory.

Understands what our Dockerfiles use: stages (`FROM x AS y`), `ARG`, `ENV`, `ENTRYPOINT`, `CMD`, `WORKDIR`, line
continuations and comments. Instructions that only fill the file system are skipped.
"""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path


class DockerfileError(ValueError):
    """The Dockerfile defines nothing to run."""


@dataclass(frozen=True)
class ImageConfig:
    """The part of an image's configuration that decides what runs."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    workdir: str = "/"


def read_image_config(dockerfile: Path, target: str | None, build_args: Mapping[str, str]) -> ImageConfig:
    """Return the configuration of the stage `target` (default: the last stage).

    Raises DockerfileError when the file has no such stage.
    """
    stages: dict[str, ImageConfig] = {}
    # What is declared before the first FROM counts in FROM lines, and in a stage only where it is declared again.
    outside: dict[str, str] = {}
    arguments = outside
    current, name = ImageConfig(), ""
    for keyword, rest in _instructions(dockerfile.read_text()):
        if keyword == "FROM":
            name, current = _start_stage(rest, len(stages), outside, stages)
            arguments = {}
        elif keyword == "ARG":
            key, _, default = rest.partition("=")
            declared = _expand(default.strip("\"'"), arguments) or outside.get(key, "")
            arguments[key] = build_args.get(key, declared)
        else:
            current = _apply(current, keyword, rest, arguments)
        if name:
            stages[name] = current
    wanted = target.lower() if target else name
    if wanted not in stages:
        raise DockerfileError(f"{dockerfile} has no stage {target!r}; it has {', '.join(stages) or 'none'}")
    return stages[wanted]


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    logical = re.sub(r"\\[ \t]*\n", " ", "\n".join(lines))
    for line in logical.splitlines():
        keyword, _, rest = line.strip().partition(" ")
        if keyword:
            yield keyword.upper(), rest.strip()


def _start_stage(
    rest: str, number: int, arguments: Mapping[str, str], stages: Mapping[str, ImageConfig]
) -> tuple[str, ImageConfig]:
    words = [_expand(word, arguments) for word in rest.split() if not word.startswith("--")]
    name = words[2].lower() if len(words) == 3 and words[1].lower() == "as" else str(number)
    return name, stages.get(words[0].lower(), ImageConfig())


def _apply(config: ImageConfig, keyword: str, rest: str, arguments: Mapping[str, str]) -> ImageConfig:
    if keyword == "ENTRYPOINT":
        return replace(config, entrypoint=_command(rest), command=())
    if keyword == "CMD":
        return replace(config, command=_command(rest))
    if keyword == "WORKDIR":
        return replace(config, workdir=str(Path(config.workdir, _expand(rest, arguments))))
    if keyword == "ENV":
        known = {**arguments, **config.environment}
        return replace(config, environment={**config.environment, **_environment(rest, known)})
    return config


def _command(rest: str) -> tuple[str, ...]:
    """Return the exec form as it is, the shell form as the engine runs it: through /bin/sh -c."""
    if rest.startswith("["):
        return tuple(json.loads(rest))
    return ("/bin/sh", "-c", rest)


def _environment(rest: str, known: Mapping[str, str]) -> dict[str, str]:
    if "=" not in rest.split(maxsplit=1)[0]:
        key, _, value = rest.partition(" ")  # the legacy form: ENV key value
        return {key: _expand(value.strip(), known)}
    pairs = (word.partition("=") for word in shlex.split(rest))
    return {key: _expand(value, known) for key, _, value in pairs}


def _expand(text: str, values: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        return values.get(match["plain"] or match["braced"], match["default"] or "")

    return re.sub(r"\$(?:(?P<plain>\w+)|\{(?P<braced>\w+)(?::-(?P<default>[^}]*))?\})", value, text)
