"""A change of MiniStack as a record."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class Patch:
    """What takes the place of a function, or of data, of MiniStack."""

    target: str
    """Where it is: `services.ecs._run_task`, `services.ecs._ACTION_MAP[RunTask]`."""
    wrap: Callable[[Any], Any]
    """Takes what is there, None if nothing is, and returns what takes its place."""
    reason: str
    """What MiniStack does without it. The probe in tests/local that shows this has the same name."""
    also: tuple[str, ...] = ()
    """Further names under which MiniStack looks the same function up."""

    def install(self) -> None:
        """Wrap what is there now."""
        replacement = self.wrap(_get(self.target))
        for target in (self.target, *self.also):
            _set(target, replacement)


def around(target: str, function: Callable[..., Any], reason: str, *also: str) -> Patch:
    """Return a patch that calls `function` with the function that is there, then the arguments of the call."""
    return Patch(target, partial(partial, function), reason, also)


def _get(target: str) -> Any:
    owner, name = _place(target)
    return owner.get(name) if isinstance(owner, dict) else getattr(owner, name)


def _set(target: str, value: Any) -> None:
    owner, name = _place(target)
    if isinstance(owner, dict):
        owner[name] = value
    else:
        setattr(owner, name, value)


def _place(target: str) -> tuple[Any, str]:
    """Return the module or dictionary that holds a target, and its name there."""
    path, *keys = re.findall(r"[^\[\]]+", target)
    module, _, attribute = path.rpartition(".")
    owner: Any = import_module(f"ministack.{module}")
    for key in keys:
        owner, attribute = getattr(owner, attribute) if isinstance(owner, ModuleType) else owner[attribute], key
    return owner, attribute
