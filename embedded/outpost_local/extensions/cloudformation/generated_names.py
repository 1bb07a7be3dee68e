"""CloudFormation's generated names, in the forms that policies are scoped by.

Most types are named `<stack>-<LogicalId>-<12 random characters>`; what is longer than the service allows is cut from
the stack's name first, then from the logical id. A secret is named without its stack, a parameter begins with `CFN-`.
Each create draws a new name. MiniStack puts the stack into every name, cuts the logical id and the hyphen before the
random part, gives the same stack and logical id the same name again, and adds nothing random to clusters, services,
security groups and log groups. Sources: CloudFormation Template Reference, "CloudFormation resource custom naming" and
AWS::ECS::Cluster, "Ref"; Secrets Manager User Guide, "Create an AWS Secrets Manager secret with CloudFormation";
cdklabs/cdk-enterprise-iac#124 (parameters).
"""

import hashlib
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from ministack.services.cloudformation import provisioners, stacks

from outpost_local.extensions.cloudformation.handlers import Created, Properties, generated_name

_RANDOM = 12
_FORMS: dict[str, tuple[str, str]] = {
    "AWS::EC2::SecurityGroup": ("GroupName", ""),
    "AWS::ECS::Cluster": ("ClusterName", ""),
    "AWS::ECS::Service": ("ServiceName", ""),
    "AWS::Logs::LogGroup": ("LogGroupName", ""),
    "AWS::SSM::Parameter": ("Name", "CFN-{logical_id}-{random}"),
    "AWS::SecretsManager::Secret": ("Name", "{logical_id}-{random}"),
}
"""The name property and the form, by type whose handler names it in a form of its own; empty: the common form."""


def physical_name(
    stack_name: str, logical_id: str, *, lowercase: bool = False, max_len: int = 128, seeded: bool = True
) -> str:
    """Return the common form within `max_len` characters: the same for the same resource until it is replaced."""
    seed = provisioners._NAME_SEED.get() if seeded else ""
    random = hashlib.sha256(f"{stack_name}:{logical_id}:{seed}".encode()).hexdigest()[:_RANDOM]
    room = max_len - _RANDOM - len("--")
    logical_id = logical_id[: max(room // 2, room - len(stack_name))]
    name = f"{stack_name[: room - len(logical_id)].rstrip('-')}-{logical_id}-{random.upper()}"
    return name.lower() if lowercase else name


def install() -> None:
    """Replace MiniStack's generator, and name the types whose handlers do not use it."""
    provisioners._physical_name = physical_name
    provision = provisioners._provision_resource

    def provision_under_new_name(*arguments: Any) -> Any:
        if not provisioners._NAME_SEED.get():  # CloudFormation keeps it with the resource
            provisioners._NAME_SEED.set(uuid4().hex[:8])
        return provision(*arguments)

    for module in (provisioners, stacks):
        module._provision_resource = provision_under_new_name
    for kind, (property_name, form) in _FORMS.items():
        handlers = provisioners._RESOURCE_HANDLERS[kind]
        handlers["create"] = _naming_create(handlers["create"], property_name, form)
        if handlers.get("update_with_logical_id"):
            handlers["update"] = _naming_update(handlers["update"], property_name, form)


def _named(props: Properties, property_name: str, form: str, stack: str, logical_id: str) -> Properties:
    if props.get(property_name):
        return props
    name = generated_name(stack, logical_id, 255)
    if form:
        name = form.format(logical_id=logical_id, random=name[-_RANDOM:])
    return {**props, property_name: name}


def _naming_create(create: Callable[..., Created], property_name: str, form: str) -> Callable[..., Created]:
    def named_create(logical_id: str, props: Properties, stack: str) -> Created:
        return create(logical_id, _named(props, property_name, form, stack, logical_id), stack)

    return named_create


def _naming_update(update: Callable[..., Created], property_name: str, form: str) -> Callable[..., Created]:
    def named_update(physical_id: str, old: Properties, new: Properties, stack: str, logical_id: str) -> Created:
        return update(physical_id, old, _named(new, property_name, form, stack, logical_id), stack, logical_id)

    return named_update
