"""WAF: what it blocks, and that it never blocks a task for what the task says (docs/infrastructure.md)."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from outpost.config import load
from outpost_constructs.firewall import GROUPS, TASK_PATHS
from tests.infra.assembly import Assembly
from tests.infra.conftest import ROOT

PROMPTS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "prompts.json").read_text(encoding="utf-8"))
SHAPES = {
    "SizeRestrictions_BODY": re.compile(r"(?s).{8193,}"),
    "EC2MetaDataSSRF_BODY": re.compile(r"169\.254\.169\.254|/latest/meta-data"),
    "GenericLFI_BODY": re.compile(r"\.\./\.\./|/etc/passwd|/proc/self"),
    "GenericRFI_BODY": re.compile(r"https?://\d{1,3}(\.\d{1,3}){3}"),
    "CrossSiteScripting_BODY": re.compile(r"(?i)<script|onerror=|onclick=|javascript:"),
    "JavaDeserializationRCE_BODY": re.compile(r"java\.lang\.Runtime|ProcessBuilder\(|rO0AB"),
    "Log4JRCE_BODY": re.compile(r"\$\{jndi:"),
    "ReactJSRCE_BODY": re.compile(r'__proto__|\$1:constructor|"then":'),
}
"""What each rule that inspects bodies looks for, as far as AWS documents it."""


def acl(assembly: Assembly, environment: str) -> dict[str, Any]:
    (found,) = (a["Properties"] for _, a in assembly.of_type("AWS::WAFv2::WebACL", environment))
    properties: dict[str, Any] = found
    return properties


PUBLIC = [path.stem for path in (ROOT / "config").glob("*.toml") if load(path).ingress.waf]


def test_public_environments_have_a_firewall_and_only_they(assembly: Assembly, environment: str) -> None:
    assert len(list(assembly.of_type("AWS::WAFv2::WebACLAssociation", environment))) == (environment in PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_these_rules_still_block_where_tasks_arrive(assembly: Assembly, name: str) -> None:
    """By address, reputation, path, query and headers; by bodies only elsewhere."""
    rules = {rule["Name"]: rule for rule in acl(assembly, name)["Rules"]}
    blocking = {rule for rule, settings in rules.items() if "Block" in settings.get("Action", {})}
    groups = {rule for rule, settings in rules.items() if settings.get("OverrideAction") == {"None": {}}}

    assert blocking == {"requests-per-address", "bodies-elsewhere"}
    assert groups == set(GROUPS)
    excluded = [
        statement["NotStatement"]["Statement"]["ByteMatchStatement"]["SearchString"]
        for statement in rules["bodies-elsewhere"]["Statement"]["AndStatement"]["Statements"]
        if "NotStatement" in statement
    ]
    assert excluded == list(TASK_PATHS) == ["/dispatch", "/mcp"]


@pytest.mark.parametrize("name", PUBLIC)
def test_every_rule_that_inspects_bodies_counts(assembly: Assembly, name: str) -> None:
    counted = {
        override["Name"]
        for rule in acl(assembly, name)["Rules"]
        for override in rule["Statement"].get("ManagedRuleGroupStatement", {}).get("RuleActionOverrides", ())
        if "Count" in override["ActionToUse"]
    }

    assert counted == set(SHAPES)


@pytest.mark.parametrize("name", PUBLIC)
def test_each_address_is_limited_and_requests_are_logged_without_keys(assembly: Assembly, name: str) -> None:
    (limit,) = (r["Statement"]["RateBasedStatement"] for r in acl(assembly, name)["Rules"] if r["Priority"] == 0)
    (logging,) = (r["Properties"] for _, r in assembly.of_type("AWS::WAFv2::LoggingConfiguration", name))
    groups = [g["Properties"]["LogGroupName"] for _, g in assembly.of_type("AWS::Logs::LogGroup", name)]
    destination = json.dumps(logging["LogDestinationConfigs"])

    assert limit["Limit"] == load(ROOT / "config" / f"{name}.toml").ingress.requests_per_address
    assert any(group in destination for group in groups if group.startswith("aws-waf-logs-"))
    assert {field["SingleHeader"]["Name"] for field in logging["RedactedFields"]} == {"authorization", "x-api-key"}


def test_there_are_fifty_realistic_prompts() -> None:
    assert len({prompt["task"] for prompt in PROMPTS}) >= 50
    assert all(20 <= len(prompt["task"]) <= 50_000 for prompt in PROMPTS)


@pytest.mark.parametrize("prompt", PROMPTS, ids=[prompt["task"][:40] for prompt in PROMPTS])
def test_a_prompt_names_the_rules_that_would_have_blocked_it(prompt: dict[str, Any]) -> None:
    body = json.dumps({"agent": "claude", "task": prompt["task"]})
    # JSON escapes quotes only: what the rules look for is still there.
    hits = {rule for rule, shape in SHAPES.items() if shape.search(body.replace('\\"', '"'))}

    assert hits == set(prompt["hits"])


def test_every_rule_that_counts_would_have_blocked_a_realistic_prompt() -> None:
    assert {hit for prompt in PROMPTS for hit in prompt["hits"]} == set(SHAPES)
