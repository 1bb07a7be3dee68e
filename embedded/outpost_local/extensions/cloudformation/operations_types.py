"""Audit and operations resource types CloudFormation lacks in MiniStack.

The services exist, apart from WAF logging, which is only recorded here: nothing is ever written to its destination.
"""

from typing import Any

from ministack.core.responses import get_account_id
from ministack.services import backup, budgets, cloudtrail, cloudwatch, waf
from ministack.services.cloudformation import provisioners

from outpost_local.extensions.cloudformation.handlers import (
    Created,
    Properties,
    checked,
    checked_json,
    new_type,
)

_waf_logging: dict[str, Properties] = {}
"""Recorded WAF logging configurations by web ACL ARN."""


# Trail: CreateTrail ignores the CloudWatch Logs members, UpdateTrail takes them.
def _create_trail(logical_id: str, props: Properties, stack: str) -> Created:
    name = str(props.get("TrailName") or provisioners._physical_name(stack, logical_id))
    checked(cloudtrail._create_trail({**props, "Name": name}))
    return name, _configure_trail(name, props)


def _configure_trail(name: str, props: Properties) -> dict[str, Any]:
    trail = checked_json(cloudtrail._update_trail({**props, "Name": name}))
    selectors = {key: props[key] for key in ("EventSelectors", "AdvancedEventSelectors") if props.get(key)}
    if selectors:
        checked(cloudtrail._put_event_selectors({"TrailName": name, **selectors}))
    switch = (
        cloudtrail._start_logging if provisioners._cfn_bool(props.get("IsLogging", True)) else cloudtrail._stop_logging
    )
    checked(switch({"Name": name}))
    if props.get("Tags"):
        checked(cloudtrail._add_tags({"ResourceId": trail["TrailARN"], "TagsList": props["Tags"]}))
    return {"Arn": trail["TrailARN"], "SnsTopicArn": trail.get("SnsTopicARN", "")}


def _update_trail(physical_id: str, _old: Properties, new: Properties, _stack: str, _logical_id: str) -> Created:
    return physical_id, _configure_trail(physical_id, new)


def _delete_trail(physical_id: str, _props: Properties) -> None:
    if physical_id in cloudtrail._trails:
        checked(cloudtrail._delete_trail({"Name": physical_id}))


def _associate_web_acl(_logical_id: str, props: Properties, _stack: str) -> Created:
    checked(waf._associate_web_acl(props))
    return f"{props['WebACLArn']}|{props['ResourceArn']}", {}


def _disassociate_web_acl(physical_id: str, props: Properties) -> None:
    # A replacement has already put another ACL in front of the same resource: leave that one.
    if waf._associations.get(props["ResourceArn"]) == physical_id.partition("|")[0]:
        checked(waf._disassociate_web_acl(props))


def _record_waf_logging(_logical_id: str, props: Properties, _stack: str) -> Created:
    _waf_logging[props["ResourceArn"]] = props
    return str(props["ResourceArn"]), {}


def _forget_waf_logging(physical_id: str, props: Properties) -> None:
    if _waf_logging.get(physical_id) == props:
        del _waf_logging[physical_id]


def _create_budget(logical_id: str, props: Properties, stack: str) -> Created:
    budget = {**props["Budget"]}
    name = str(budget.setdefault("BudgetName", provisioners._physical_name(stack, logical_id, max_len=100)))
    if "BudgetLimit" in budget:
        # The API's amounts are decimal strings, the template's are numbers.
        budget["BudgetLimit"] = {**budget["BudgetLimit"], "Amount": str(budget["BudgetLimit"]["Amount"])}
    notifications = props.get("NotificationsWithSubscribers") or []
    request = {"AccountId": get_account_id(), "Budget": budget, "NotificationsWithSubscribers": notifications}
    checked(budgets._DISPATCH["CreateBudget"](request))
    return name, {}


def _update_budget(physical_id: str, old: Properties, new: Properties, stack: str, logical_id: str) -> Created:
    _delete_budget(physical_id, old)
    return _create_budget(logical_id, new, stack)


def _delete_budget(physical_id: str, _props: Properties) -> None:
    if physical_id in budgets._budgets:
        checked(budgets._DISPATCH["DeleteBudget"]({"AccountId": get_account_id(), "BudgetName": physical_id}))


def _create_selection(_logical_id: str, props: Properties, _stack: str) -> Created:
    plan = props["BackupPlanId"]
    created = checked_json(backup._create_selection(plan, {"BackupSelection": props["BackupSelection"]}))
    selection = created["SelectionId"]
    physical_id = f"{selection}_{plan}"
    return physical_id, {"BackupPlanId": plan, "Id": physical_id, "SelectionId": selection}


def _delete_selection(physical_id: str, _props: Properties) -> None:
    backup._selections.pop(physical_id.partition("_")[0], None)


# PutCompositeAlarm overwrites under the same name and keeps the state.
def _put_composite(logical_id: str, props: Properties, stack: str) -> Created:
    name = str(props.get("AlarmName") or provisioners._physical_name(stack, logical_id, max_len=255))
    checked(cloudwatch._put_composite_alarm({}, {**props, "AlarmName": name}, is_cbor=False, is_json=True))
    return name, {"Arn": cloudwatch._composite_alarms[name]["AlarmArn"]}


def _delete_composite(physical_id: str, _props: Properties) -> None:
    alarm = cloudwatch._composite_alarms.pop(physical_id, None)
    if alarm is not None:
        cloudwatch._resource_tags.pop(alarm["AlarmArn"], None)


PATCHES = (
    new_type("AWS::CloudTrail::Trail", create=_create_trail, delete=_delete_trail, update=_update_trail),
    new_type("AWS::WAFv2::WebACLAssociation", create=_associate_web_acl, delete=_disassociate_web_acl),
    new_type("AWS::WAFv2::LoggingConfiguration", create=_record_waf_logging, delete=_forget_waf_logging),
    new_type("AWS::Budgets::Budget", create=_create_budget, delete=_delete_budget, update=_update_budget),
    new_type("AWS::Backup::BackupSelection", create=_create_selection, delete=_delete_selection),
    new_type("AWS::CloudWatch::CompositeAlarm", create=_put_composite, delete=_delete_composite),
)
