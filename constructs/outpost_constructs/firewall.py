"""AWS WAF before the load balancer (docs/adr/0017-firewall-and-our-routes.md)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aws_cdk import ArnFormat, RemovalPolicy, Stack
from aws_cdk import aws_logs as logs
from aws_cdk import aws_wafv2 as waf
from constructs import Construct

from outpost_constructs.environment_key import key_of
from outpost_constructs.log_group import expire
from outpost_constructs.stack import config_of
from outpost_ops.config.model import IngressConfig

_CORE = "AWSManagedRulesCommonRuleSet"
_BAD_INPUTS = "AWSManagedRulesKnownBadInputsRuleSet"
_LINUX = "AWSManagedRulesLinuxRuleSet"
GROUPS = {
    "AWSManagedRulesAmazonIpReputationList": "",
    _CORE: "awswaf:managed:aws:core-rule-set",
    _BAD_INPUTS: "awswaf:managed:aws:known-bad-inputs",
    _LINUX: "awswaf:managed:aws:linux-os",
}
"""Managed rule groups -> what their labels begin with. Without SQL and PHP groups: there is nothing of either."""


@dataclass(frozen=True)
class FreeText:
    """A part of requests in which people may write anything, on some paths; elsewhere the rules for it block."""

    name: str
    rules: Mapping[str, tuple[str, ...]]
    """Group -> its rules that inspect this part."""
    label_end: Mapping[str, str]
    """How the name of a rule ends -> how its label does."""
    paths: tuple[str, ...]
    whole: bool = False
    """Whether `paths` are whole paths, not beginnings."""


BODIES = FreeText(
    "bodies",
    {
        _CORE: (
            *("SizeRestrictions_BODY", "EC2MetaDataSSRF_BODY", "GenericLFI_BODY", "GenericRFI_BODY"),
            "CrossSiteScripting_BODY",
        ),
        _BAD_INPUTS: ("JavaDeserializationRCE_BODY", "Log4JRCE_BODY", "ReactJSRCE_BODY"),
    },
    {"BODY": "Body"},
    # Tasks, reasons and texts of pull requests; tool calls with the same; secrets and names of tenants and keys.
    ("/dispatch", "/mcp", "/tenants"),
)
"""Up to 50,000 characters full of shell, HTML and paths, of which WAF sees 8 KB."""
QUERIES = FreeText(
    "queries",
    {
        _CORE: (
            *("SizeRestrictions_QUERYSTRING", "EC2MetaDataSSRF_QUERYARGUMENTS", "GenericLFI_QUERYARGUMENTS"),
            *("RestrictedExtensions_QUERYARGUMENTS", "GenericRFI_QUERYARGUMENTS", "CrossSiteScripting_QUERYARGUMENTS"),
        ),
        _BAD_INPUTS: ("JavaDeserializationRCE_QUERYSTRING", "Log4JRCE_QUERYSTRING"),
        _LINUX: ("LFI_QUERYSTRING",),
    },
    {"QUERYARGUMENTS": "QueryArguments", "QUERYSTRING": "QueryString"},
    ("/dispatch", "/usage", "/usage.csv"),
    whole=True,
)
"""Filters of the list of dispatches and of usage: a repository `acme/website.com`, up to 20 tags of 320 characters."""
UNBLOCKED = {_CORE: ("NoUserAgent_HEADER",)}
"""Rules that only count: HTTP clients of some languages send no User-Agent, and the API has no browsers to protect."""


class Firewall(Construct):
    """Limits each address and applies managed rules, but not to what people may write freely."""

    def __init__(self, scope: Construct, construct_id: str, *, load_balancer_arn: str, ingress: IngressConfig) -> None:
        super().__init__(scope, construct_id)
        managed = [_managed(priority, name) for priority, name in enumerate(GROUPS, start=1)]
        self.acl = waf.CfnWebACL(
            self,
            "Acl",
            scope="REGIONAL",
            default_action=waf.CfnWebACL.DefaultActionProperty(allow=waf.CfnWebACL.AllowActionProperty()),
            visibility_config=_visibility("all"),
            rules=[
                _rate_limit(0, ingress.requests_per_address),
                *managed,
                *(_blocked_elsewhere(len(GROUPS) + 1 + place, part) for place, part in enumerate((BODIES, QUERIES))),
            ],
        )
        waf.CfnWebACLAssociation(self, "Association", resource_arn=load_balancer_arn, web_acl_arn=self.acl.attr_arn)
        self._log()

    def _log(self) -> None:
        name = f"aws-waf-logs-outpost-{config_of(self).name}"  # WAF delivers to no other names
        group = logs.LogGroup(
            self,
            "Logs",
            log_group_name=name,
            removal_policy=RemovalPolicy.DESTROY,
            encryption_key=key_of(self),
        )
        expire(group, config_of(self).retention.logs_days)
        destination = Stack.of(self).format_arn(
            service="logs", resource="log-group", resource_name=name, arn_format=ArnFormat.COLON_RESOURCE_NAME
        )
        secrets = ("authorization", "x-api-key")
        logging = waf.CfnLoggingConfiguration(
            self,
            "Logging",
            resource_arn=self.acl.attr_arn,
            log_destination_configs=[destination],
            redacted_fields=[
                waf.CfnLoggingConfiguration.FieldToMatchProperty(query_string={}),  # tokens of artifact links
                *(waf.CfnLoggingConfiguration.FieldToMatchProperty(single_header={"Name": name}) for name in secrets),
            ],
        )
        logging.node.add_dependency(group)


def _rate_limit(priority: int, limit: int) -> waf.CfnWebACL.RuleProperty:
    statement = waf.CfnWebACL.RateBasedStatementProperty(
        limit=limit, aggregate_key_type="IP", evaluation_window_sec=300
    )
    return _blocking(priority, "requests-per-address", waf.CfnWebACL.StatementProperty(rate_based_statement=statement))


def _managed(priority: int, name: str) -> waf.CfnWebACL.RuleProperty:
    counted = waf.CfnWebACL.RuleActionProperty(count=waf.CfnWebACL.CountActionProperty())
    statement = waf.CfnWebACL.ManagedRuleGroupStatementProperty(
        vendor_name="AWS",
        name=name,
        rule_action_overrides=[
            waf.CfnWebACL.RuleActionOverrideProperty(name=rule, action_to_use=counted)
            for rules in (BODIES.rules, QUERIES.rules, UNBLOCKED)
            for rule in rules.get(name, ())
        ],
    )
    return waf.CfnWebACL.RuleProperty(
        name=name,
        priority=priority,
        statement=waf.CfnWebACL.StatementProperty(managed_rule_group_statement=statement),
        override_action=waf.CfnWebACL.OverrideActionProperty(none={}),
        visibility_config=_visibility(name),
    )


def _blocked_elsewhere(priority: int, part: FreeText) -> waf.CfnWebACL.RuleProperty:
    """Block what a counting rule for this part has labelled, except where people may write anything into it."""
    labelled = waf.CfnWebACL.OrStatementProperty(
        statements=[
            waf.CfnWebACL.StatementProperty(
                label_match_statement=waf.CfnWebACL.LabelMatchStatementProperty(scope="LABEL", key=label)
            )
            for label in _labels(part)
        ]
    )
    elsewhere = [
        waf.CfnWebACL.StatementProperty(
            not_statement=waf.CfnWebACL.NotStatementProperty(statement=_path_is(path, whole=part.whole))
        )
        for path in part.paths
    ]
    both = waf.CfnWebACL.AndStatementProperty(
        statements=[waf.CfnWebACL.StatementProperty(or_statement=labelled), *elsewhere]
    )
    return _blocking(priority, f"{part.name}-elsewhere", waf.CfnWebACL.StatementProperty(and_statement=both))


def _labels(part: FreeText) -> Iterator[str]:
    for group, rules in part.rules.items():
        for rule in rules:
            stem, _, end = rule.rpartition("_")
            yield f"{GROUPS[group]}:{stem}_{part.label_end[end]}"


def _path_is(path: str, *, whole: bool) -> waf.CfnWebACL.StatementProperty:
    return waf.CfnWebACL.StatementProperty(
        byte_match_statement=waf.CfnWebACL.ByteMatchStatementProperty(
            field_to_match=waf.CfnWebACL.FieldToMatchProperty(uri_path={}),
            positional_constraint="EXACTLY" if whole else "STARTS_WITH",
            search_string=path,
            text_transformations=[waf.CfnWebACL.TextTransformationProperty(priority=0, type="NONE")],
        )
    )


def _blocking(priority: int, name: str, statement: waf.CfnWebACL.StatementProperty) -> waf.CfnWebACL.RuleProperty:
    return waf.CfnWebACL.RuleProperty(
        name=name,
        priority=priority,
        statement=statement,
        action=waf.CfnWebACL.RuleActionProperty(block=waf.CfnWebACL.BlockActionProperty()),
        visibility_config=_visibility(name),
    )


def _visibility(name: str) -> waf.CfnWebACL.VisibilityConfigProperty:
    return waf.CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True, metric_name=name, sampled_requests_enabled=False
    )
