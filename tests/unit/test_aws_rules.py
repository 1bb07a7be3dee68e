"""Each rule of `outpost_ops.aws_rules` with templates that break it and that keep it."""

from collections import Counter

import pytest

from outpost_ops.aws_rules.linked_roles import linked_roles
from outpost_ops.aws_rules.model import Rule
from outpost_ops.aws_rules.registry import RULES
from tests.aws_rule_cases import access_cases, create_cases, deploy_cases, service_cases
from tests.aws_rule_cases.case import Case, res, templates

CASES = [*deploy_cases.CASES, *access_cases.CASES, *create_cases.CASES, *service_cases.CASES]
BY_ID = {rule.id: rule for rule in RULES}


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{case.rule}-{n}") for n, case in enumerate(CASES)])
def test_a_rule_finds_what_breaks_it_and_nothing_else(case: Case) -> None:
    rule = BY_ID[case.rule]

    found = list(rule.check(templates(case.broken, case.parameters)))

    assert {finding.resource.logical_id for finding in found} == {case.at}
    assert all(finding.remedy and finding.text for finding in found)
    assert list(rule.check(templates(case.kept, case.parameters))) == []


def test_every_rule_has_templates_that_break_it() -> None:
    assert {case.rule for case in CASES} == set(BY_ID)


def test_ids_are_unique() -> None:
    assert [rule_id for rule_id, count in Counter(rule.id for rule in RULES).items() if count > 1] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_says_what_it_demands_and_where_aws_says_so(rule: Rule) -> None:
    assert len(rule.title.split()) >= 4
    assert len(rule.source) > 10
    assert rule.check.__doc__


def test_the_first_cluster_of_an_account_needs_the_role_of_ecs() -> None:
    needed = linked_roles(templates({"Queue": res("SQS::Queue"), "Cluster": res("ECS::Cluster")}, None))

    assert [(role.service, role.name, cause.logical_id) for role, cause in needed.items()] == [
        ("ecs.amazonaws.com", "AWSServiceRoleForECS", "Cluster")
    ]
