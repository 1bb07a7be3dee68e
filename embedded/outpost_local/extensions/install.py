"""The one function that puts the patches of all extensions in place."""

from collections.abc import Iterable
from graphlib import TopologicalSorter
from importlib import import_module
from pkgutil import walk_packages
from types import ModuleType

from outpost_local import extensions
from outpost_local.extensions.patch import Patch
from outpost_local.settings import Settings

_PREFIX = f"{extensions.__name__}."

STRICTNESS = (
    "dynamodb.index_lag",
    "dynamodb.tables",
    "dynamodb.transactions",
    "ecs.late_tasks",
    "events.event_delivery",
    "iam.service_linked_roles",
    "iam.sessions",
    "lambda_.limits",
    "logs.log_groups",
    "s3.buckets",
    "secretsmanager.secrets",
    "servicequotas.quotas",
    "sqs.message_delivery",
)
"""Modules that make single services as lagging and as strict as AWS, for `outpost_local.emulator`.

Each is installed whole, with what it adds to its service beside that.
"""


def all_extensions() -> list[str]:
    """Return the modules of all services, by their names below this package."""
    found = (module.name.removeprefix(_PREFIX) for module in walk_packages(extensions.__path__, _PREFIX))
    return [name for name in found if "." in name]


def install(names: Iterable[str], settings: Settings) -> None:
    """Install the patches of extensions, each later than those that its AFTER names.

    Of two patches of a function, the later one wraps the earlier one. After its patches an extension's `start`, if it
    has one, begins what runs in the background. MiniStack must not have served a request yet.
    """
    for extension in in_order({name: import_module(_PREFIX + name) for name in names}):
        for patch in patches_of(extension, settings):
            patch.install()
        if hasattr(extension, "start"):
            extension.start()


def in_order(named: dict[str, ModuleType]) -> list[ModuleType]:
    """Return extensions so that each is later than those it declares; raises CycleError."""
    graph = {
        name: [earlier for earlier in getattr(extension, "AFTER", ()) if earlier in named]
        for name, extension in named.items()
    }
    return [named[name] for name in TopologicalSorter(graph).static_order()]


def patches_of(extension: ModuleType, settings: Settings) -> Iterable[Patch]:
    """Return an extension's PATCHES, and what its `patches` returns for the settings."""
    of_settings = extension.patches(settings) if hasattr(extension, "patches") else ()
    return (*getattr(extension, "PATCHES", ()), *of_settings)
