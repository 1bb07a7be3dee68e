"""docs/api.md and docs/mcp.md say what the service says, and name every route and tool."""

import re
import runpy
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import from_json

from outpost_client.mcp.catalogue import CATALOGUE

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("api.md", "mcp.md")


@pytest.fixture(scope="module")
def tool() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "tools" / "reference_pages.py"))


@pytest.fixture(scope="module")
def parts(tool: dict[str, Any]) -> dict[str, str]:
    made: dict[str, str] = tool["parts"]()
    return made


def written(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_what_make_docs_writes(tool: dict[str, Any], parts: dict[str, str], name: str) -> None:
    assert written(name) == tool["rewritten"](written(name), parts), "run `make docs`"


def test_every_generated_part_is_on_a_page(parts: dict[str, str]) -> None:
    named = {part for name in PAGES for part in re.findall(r"<!-- generated: (\S+) -->", written(name))}
    assert named == set(parts)


@pytest.mark.parametrize("name", PAGES)
def test_every_link_within_a_page_leads_somewhere(name: str) -> None:
    headings = re.findall(r"^#+ (.+)$", written(name), re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9_ -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    links = set(re.findall(r"\]\(#([^)]+)\)", written(name)))
    assert links - anchors == set()


def test_a_bound_below_one_keeps_its_decimals() -> None:
    assert "(value 0.01 to 100,000)" in written("api.md")


def test_every_tool_has_its_input_and_output() -> None:
    for entry in CATALOGUE:
        section = written("mcp.md").partition(f"\n### {entry.name}\n")[2].partition("\n### ")[0]
        assert "\nInput:\n" in section, entry.name
        assert "\nOutput:\n" in section, entry.name
        assert section.count("| name | type | what |") + section.count("(#a-dispatch)") >= 2, entry.name


def test_the_clients_configurations_can_be_read() -> None:
    page = written("mcp.md")
    for language, read in (("json", from_json), ("toml", tomllib.loads)):
        blocks = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
        assert blocks
        for block in blocks:
            configured = read(block)
            assert "outpost" in (configured.get("mcpServers") or configured["mcp_servers"])
