"""AWS WAF before the load balancer."""

from aws_cdk import ArnFormat, RemovalPolicy, Stack
from aws_cdk import aws_logs as logs
from aws_cdk import aws_wafv2 as waf
from constructs import Construct

from outpost.config import EnvironmentConfig
from outpost_constructs.environment_key import key_of
from outpost_constructs.translation import log_retention

TASK_PATHS = ("/dispatch", "/mcp")
"""Where tasks arrive: prompts full of shell, HTML and paths, up to 50,000 characters, of which WAF sees 8 KB."""
GROUPS = {
    "AWSManagedRulesAmazonIpReputationList": (),
    "AWSManagedRulesCommonRuleSet": (
        *("SizeRestrictions_BODY", "EC2MetaDataSSRF_BODY", "GenericLFI_BODY", "GenericRFI_BODY"),
        "CrossSiteScripting_BODY",
    ),
    "AWSManagedRulesKnownBadInputsRuleSet": (*("JavaDeserializationRCE_BODY", "Log4JRCE_BODY", "ReactJSRCE_BODY"),),
    "AWSManagedRulesLinuxRuleSet": (),
}
"""Managed rule groups -> their rules that inspect bodies. Without SQL and PHP groups: there is nothing of either."""
_LABELS = {
    "AWSManagedRulesCommonRuleSet": "awswaf:managed:aws:core-rule-set:",
    "AWSManagedRulesKnownBadInputsRuleSet": "awswaf:managed:aws:known-bad-inputs:",
}


class Firewall(Construct):
    """Limits each address, applies managed rules; those that inspect bodies only count where tasks arrive."""

    def __init__(
        self, scope: Construct, construct_id: str, *, load_balancer_arn: str, config: EnvironmentConfig
    ) -> None:
        super().__init__(scope, construct_id)
        managed = [_managed(priority, name) for priority, name in enumerate(GROUPS, start=1)]
        self.acl = waf.CfnWebACL(
            self,
            "Acl",
            scope="REGIONAL",
            default_action=waf.CfnWebACL.DefaultActionProperty(allow=waf.CfnWebACL.AllowActionProperty()),
            visibility_config=_visibility("all"),
            rules=[_rate_limit(0, config), *managed, _blocked_bodies(len(GROUPS) + 1)],
        )
        waf.CfnWebACLAssociation(self, "Association", resource_arn=load_balancer_arn, web_acl_arn=self.acl.attr_arn)
        self._log(config)

    def _log(self, config: EnvironmentConfig) -> None:
        name = f"aws-waf-logs-outpost-{config.name}"  # WAF delivers to no other names
        group = logs.LogGroup(
            self,
            "Logs",
            log_group_name=name,
            retention=log_retention(config),
            removal_policy=RemovalPolicy.DESTROY,
            encryption_key=key_of(self),
        )
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
                waf.CfnLoggingConfiguration.FieldToMatchProperty(single_header={"Name": header}) for header in secrets
            ],
        )
        logging.node.add_dependency(group)


def _rate_limit(priority: int, config: EnvironmentConfig) -> waf.CfnWebACL.RuleProperty:
    statement = waf.CfnWebACL.RateBasedStatementProperty(
        limit=config.ingress.requests_per_address, aggregate_key_type="IP", evaluation_window_sec=300
    )
    return _blocking(priority, "requests-per-address", waf.CfnWebACL.StatementProperty(rate_based_statement=statement))


def _managed(priority: int, name: str) -> waf.CfnWebACL.RuleProperty:
    counted = waf.CfnWebACL.RuleActionProperty(count=waf.CfnWebACL.CountActionProperty())
    statement = waf.CfnWebACL.ManagedRuleGroupStatementProperty(
        vendor_name="AWS",
        name=name,
        rule_action_overrides=[
            waf.CfnWebACL.RuleActionOverrideProperty(name=rule, action_to_use=counted) for rule in GROUPS[name]
        ],
    )
    return waf.CfnWebACL.RuleProperty(
        name=name,
        priority=priority,
        statement=waf.CfnWebACL.StatementProperty(managed_rule_group_statement=statement),
        override_action=waf.CfnWebACL.OverrideActionProperty(none={}),
        visibility_config=_visibility(name),
    )


def _blocked_bodies(priority: int) -> waf.CfnWebACL.RuleProperty:
    """Block what a counting rule has labelled, but not where tasks arrive."""
    labels = [f"{_LABELS[group]}{rule.replace('_BODY', '_Body')}" for group, rules in GROUPS.items() for rule in rules]
    labelled = waf.CfnWebACL.OrStatementProperty(
        statements=[
            waf.CfnWebACL.StatementProperty(
                label_match_statement=waf.CfnWebACL.LabelMatchStatementProperty(scope="LABEL", key=label)
            )
            for label in labels
        ]
    )
    elsewhere = [
        waf.CfnWebACL.StatementProperty(not_statement=waf.CfnWebACL.NotStatementProperty(statement=_starts_with(path)))
        for path in TASK_PATHS
    ]
    both = waf.CfnWebACL.AndStatementProperty(
        statements=[waf.CfnWebACL.StatementProperty(or_statement=labelled), *elsewhere]
    )
    return _blocking(priority, "bodies-elsewhere", waf.CfnWebACL.StatementProperty(and_statement=both))


def _starts_with(path: str) -> waf.CfnWebACL.StatementProperty:
    return waf.CfnWebACL.StatementProperty(
        byte_match_statement=waf.CfnWebACL.ByteMatchStatementProperty(
            field_to_match=waf.CfnWebACL.FieldToMatchProperty(uri_path={}),
            positional_constraint="STARTS_WITH",
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
