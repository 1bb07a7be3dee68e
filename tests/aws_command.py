"""A command of the AWS command line, as the documents write it, turned into a call of boto3."""

import re
import shlex
from dataclasses import dataclass
from typing import Any

import botocore.session
from botocore import xform_name

_SERVICES = {"s3api": "s3"}


@dataclass(frozen=True)
class AwsCommand:
    """`service` and `operation` as boto3 names them; a waiter's name in `waits_for` for `aws <service> wait`."""

    service: str
    operation: str
    parameters: dict[str, str]
    waits_for: str | None = None

    @classmethod
    def parse(cls, text: str) -> "AwsCommand":
        """Raises `ValueError` for a service, operation, waiter or option that does not exist."""
        _, name, verb, *rest = shlex.split(text)
        service = _SERVICES.get(name, name)
        session = botocore.session.get_session()
        if service not in session.get_available_services():
            raise ValueError(f"there is no service {name}")
        model = session.get_service_model(service)
        operations = {xform_name(each, "-"): each for each in model.operation_names}
        waits_for = rest.pop(0) if verb == "wait" else None
        if waits_for:
            waiters = session.get_waiter_model(service)
            verb = xform_name(waiters.get_waiter(_pascal(waits_for)).operation, "-")
        if verb not in operations:
            raise ValueError(f"{name} has no operation {verb}")
        shape = model.operation_model(operations[verb]).input_shape
        options = {f"--{xform_name(member, '-')}": member for member in shape.members} if shape else {}
        given = re.findall(r"(--[a-z-]+)(?:[ =]([^-]\S*))?", " ".join(rest))
        unknown = [option for option, _ in given if option not in options]
        if unknown:
            raise ValueError(f"{name} {verb} has no option {', '.join(unknown)}")
        parameters = {options[option]: value for option, value in given}
        return cls(service, xform_name(operations[verb]), parameters, waits_for and waits_for.replace("-", "_"))

    def run(self, client: Any) -> Any:  # noqa: ANN401 - any of boto3's clients
        """Make the call; the parameters must all be text."""
        if self.waits_for:
            return client.get_waiter(self.waits_for).wait(**self.parameters)
        return getattr(client, self.operation)(**self.parameters)


def _pascal(name: str) -> str:
    return "".join(word.title() for word in name.split("-"))
