"""All reports of a run as one HTML page: no script, no file besides, readable in ten years."""

from collections.abc import Mapping, Sequence
from importlib.resources import files

from outpost_migration.journal import Content
from outpost_migration.monitor.evaluation import P95_MS
from outpost_migration.monitor.model import Plan, Sample
from outpost_migration.registry import STEPS
from outpost_migration.step import Report

_SHOWN_ELSEWHERE = {*Report.model_fields, "criteria", "controls", "files", "pairs", "figures", "checkpoints"}
_SERIES = {
    "Healthy targets": "healthy",
    "Requests a period": "requests",
    "Responses 5xx a period": "errors",
    f"95th percentile, ms (limit {P95_MS:.0f})": "p95_ms",
    "Dispatches by v1": "v1_dispatches",
}
"""Title of a plot -> field of a sample."""


def render(content: Content, reports: Sequence[Report], plan: Plan | None, samples: Mapping[int, Sample]) -> str:
    """Return the page."""
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - only this command needs it

    source = files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8")
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(source)
    series = {
        title: {index: value for index, sample in samples.items() if (value := getattr(sample, field)) is not None}
        for title, field in _SERIES.items()
    }
    return template.render(
        content=content, reports=reports, plan=plan, samples=samples, series=series, steps=STEPS, facts_of=_facts
    )


def _facts(report: Report) -> dict[str, str]:
    fields = report.model_dump(mode="json").items()
    return {name: _shown(value) for name, value in fields if name not in _SHOWN_ELSEWHERE}


def _shown(value: object) -> str:
    if isinstance(value, list):
        return "\n".join(_shown(item) for item in value) or "none"
    if isinstance(value, dict):
        return "  ".join(f"{name}: {item}" for name, item in value.items())
    return str(value)
