"""All reports of a run as one HTML page: no script, no file besides, readable in ten years."""

from collections.abc import Callable, Mapping, Sequence
from html import escape

from outpost.migrate.journal import Content
from outpost.migrate.reports import ParityReport, Report
from outpost.migrate.runner import NEEDS
from outpost.monitor.judge import P95_MS
from outpost.monitor.model import Plan, Sample

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24 }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem }
th, td { text-align: left; padding: .3rem .6rem;
border-bottom: 1px solid #d8dee4; vertical-align: top } .pass { color: #1a7f37 } .fail, .error { color: #cf222e }
.inconclusive, .running, .rolled-back { color: #9a6700 }
pre { background: #f6f8fa; padding: .6rem; white-space: pre-wrap; overflow-wrap: anywhere; font-size: 13px }
svg { width: 100%; height: 9rem; background: #f6f8fa } small { color: #57606a }
"""
_WIDTH, _HEIGHT = 1000, 140


def render(content: Content, reports: Sequence[Report], plan: Plan | None, samples: Mapping[int, Sample]) -> str:
    """Return the page."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        f"<title>Migration {escape(content.run)}</title><style>{_STYLE}</style>",
        f"<h1>Migration {escape(content.run)} to {escape(content.environment)}</h1>",
        _journal(content),
    ]
    for report in reports:
        parts.append(_section(report))
        if report.step == "monitor" and plan and samples:
            parts.append(_plots(plan, samples))
    return "\n".join(parts) + "</html>\n"


def _journal(content: Content) -> str:
    rows = []
    for step in NEEDS:
        entry = content.entries.get(step)
        if entry:
            when = entry.ended_at or entry.started_at
            cells = (f"{when:%Y-%m-%d %H:%M} UTC", entry.operator, str(entry.attempts), entry.error or "")
            rows.append(_row(step, _state(entry.state), *(escape(cell) for cell in cells)))
        else:
            rows.append(_row(step, "not run", "", "", "", ""))
    return _table(("Step", "State", "When", "Operator", "Attempts", "Error"), rows)


def _section(report: Report) -> str:
    checks = [
        _row(_state(check.status), escape(check.title), "<br>".join(escape(text) for text in check.evidence))
        for check in report.checks
    ]
    common = set(Report.model_fields)
    facts = [
        _row(escape(name), f"<pre>{escape(_shown(value))}</pre>")
        for name, value in report.model_dump(mode="json").items()
        if name not in common and name not in ("criteria", "controls", "files", "pairs", "figures", "checkpoints")
    ]
    changes = "".join(f"<pre>{escape(change)}</pre>" for change in report.changes)
    pairs = _pairs(report) if isinstance(report, ParityReport) else ""
    return (
        f"<h2>{escape(report.step)}: {_state(report.status)}</h2>"
        f"<small>{report.started_at:%Y-%m-%d %H:%M:%S} to {report.finished_at:%H:%M:%S} UTC, "
        f"{escape(report.operator)}</small>"
        f"{_table(('Status', 'Check', 'Evidence'), checks)}{pairs}{_table(('Fact', 'Value'), facts)}"
        f"{'<h3>Changes</h3>' if changes else ''}{changes}"
    )


def _pairs(report: ParityReport) -> str:
    rows = [
        _row(
            escape(pair.name),
            f"{pair.v1.outcome} ({pair.v1.exit_code}), {pair.v1.seconds:.1f} s",
            f"{pair.v2.outcome} ({pair.v2.exit_code}), {pair.v2.seconds:.1f} s",
            _state("pass" if pair.agrees else "fail"),
        )
        for pair in report.pairs
    ]
    return _table(("Sample", "v1", "v2", "Agrees"), rows)


def _plots(plan: Plan, samples: Mapping[int, Sample]) -> str:
    series: dict[str, Callable[[Sample], float | None]] = {
        "Healthy targets": lambda sample: sample.healthy,
        "Requests a period": lambda sample: float(sample.requests),
        "Answers 5xx a period": lambda sample: float(sample.errors),
        f"95th percentile, ms (limit {P95_MS:.0f})": lambda sample: sample.p95_ms,
        "Dispatches by v1": lambda sample: None if sample.v1_dispatches is None else float(sample.v1_dispatches),
    }
    return "".join(
        f"<h3>{escape(title)}</h3>{_plot(plan, {i: v for i, s in samples.items() if (v := of(s)) is not None})}"
        for title, of in series.items()
    )


def _plot(plan: Plan, values: Mapping[int, float]) -> str:
    """Return a plot over the whole window; periods without a value are left empty, so that gaps are seen."""
    top = max([*values.values(), 1.0])
    width = _WIDTH / plan.expected
    bars = "".join(
        f'<rect x="{index * width:.2f}" y="{_HEIGHT - (value / top * (_HEIGHT - 20)):.1f}" '
        f'width="{max(width, 0.6):.2f}" height="{max(value / top * (_HEIGHT - 20), 0.8):.1f}" fill="#0969da"/>'
        for index, value in sorted(values.items())
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none">{bars}'
        f'<text x="4" y="14" font-size="12">{top:.1f}</text></svg>'
        f"<small>{plan.started_at:%Y-%m-%d %H:%M} to {plan.ends_at:%Y-%m-%d %H:%M} UTC, {len(values)} values</small>"
    )


def _state(state: str) -> str:
    return f'<span class="{escape(state)}">{escape(state)}</span>'


def _shown(value: object) -> str:
    if isinstance(value, list):
        return "\n".join(_shown(item) for item in value) or "none"
    if isinstance(value, dict):
        return "  ".join(f"{name}: {item}" for name, item in value.items())
    return str(value)


def _table(heads: Sequence[str], rows: Sequence[str]) -> str:
    return f"<table><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>{''.join(rows)}</table>" if rows else ""


def _row(*cells: str) -> str:
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
