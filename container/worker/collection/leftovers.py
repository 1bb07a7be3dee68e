"""Files that programs leave behind for themselves: nobody's work, and made again when they are needed."""

import re
from collections.abc import Set as AbstractSet
from typing import NamedTuple

CACHE = "a cache, by its CACHEDIR.TAG"
ENVIRONMENT = "a Python environment, by its pyvenv.cfg"

# Folder -> what is in it, as the templates of github.com/github/gitignore have them. Names with another meaning
# anywhere (`target`, `build`, `dist`, `out`, `vendor`) are not here: such a folder is left out when a CACHEDIR.TAG
# (bford.info/cachedir) is in it, or the repository ignores it.
_FOLDERS = {
    b"__pycache__": "Python byte code",
    b".pytest_cache": "cache of pytest",
    b".mypy_cache": "cache of mypy",
    b".ruff_cache": "cache of Ruff",
    b".hypothesis": "examples of Hypothesis",
    b".tox": "environments of tox",
    b".nox": "environments of nox",
    b".ipynb_checkpoints": "checkpoints of Jupyter",
    b"node_modules": "packages of npm",
    b".nyc_output": "data of a coverage run",
    b".gradle": "cache of Gradle",
    b".terraform": "providers of Terraform",
    b".dart_tool": "files of Dart's tools",
    b".eggs": "packages of setuptools",
    b".kotlin": "files of Kotlin's compiler",
    b".parcel-cache": "cache of Parcel",
    b".pytype": "cache of pytype",
    b".sass-cache": "cache of Sass",
    b".stack-work": "files of Haskell's Stack",
    b".turbo": "cache of Turborepo",
    b".zig-cache": "cache of Zig",
}
_FILES = (
    (re.compile(rb".+\.py[co]"), "Python byte code"),
    (re.compile(rb".+\.class"), "Java byte code"),
    (re.compile(rb".+\.beam"), "Erlang byte code"),
    (re.compile(rb".+\.elc"), "Emacs byte code"),
    (re.compile(rb"\.(eslint|stylelint|phpunit\.result\.|php-cs-fixer\.)cache"), "cache of a linter or of tests"),
    (re.compile(rb".+\.tsbuildinfo"), "cache of TypeScript"),
    (re.compile(rb"\.coverage(\..+)?"), "data of a coverage run"),
    (re.compile(rb"\.DS_Store"), "settings of the macOS Finder"),
    (re.compile(rb".+\.sw[op]"), "swap file of an editor"),
)
_EGG_INFO = re.compile(rb".+\.egg-info")
# What the agents' own CLIs keep in the folder that they work in; only there. People write aider's settings.
_AGENTS = ((re.compile(rb"\.aider(?!\.conf\.yml|\.model\.)(\.[^/]*)?"), "kept by aider for itself"),)


class Leftover(NamedTuple):
    """Where a left file belongs to: itself, or the folder (with a final slash) that is left out as one."""

    place: bytes
    reason: str


def leftover(path: bytes, caches: AbstractSet[bytes], environments: AbstractSet[bytes]) -> Leftover | None:
    """Return what a file is left over from, or None.

    `caches` and `environments`: folders with a CACHEDIR.TAG or a pyvenv.cfg, without a final slash.
    """
    *folders, name = path.split(b"/")
    for number, folder in enumerate(folders, start=1):
        place = b"/".join(folders[:number])
        if reason := _folder_reason(folder, place, caches, environments):
            return Leftover(place + b"/", reason)
    if found := _agents_own(path):
        return found
    return next((Leftover(path, reason) for pattern, reason in _FILES if pattern.fullmatch(name)), None)


def _folder_reason(
    name: bytes, place: bytes, caches: AbstractSet[bytes], environments: AbstractSet[bytes]
) -> str | None:
    if place in environments:
        return ENVIRONMENT
    if _EGG_INFO.fullmatch(name):
        return "metadata of setuptools"
    return _FOLDERS.get(name) or (CACHE if place in caches else None)


def _agents_own(path: bytes) -> Leftover | None:
    """Return what an agent's CLI keeps in the folder that it works in: a file, or a folder with all that is in it."""
    for pattern, reason in _AGENTS:
        if match := pattern.match(path):
            whole, rest = path[: match.end()], path[match.end() :]
            if not rest or rest.startswith(b"/"):
                return Leftover(whole + b"/" if rest else whole, reason)
    return None
