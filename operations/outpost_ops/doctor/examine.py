"""Makes every check, each guarded: what cannot be read is a finding of its own."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    SSOError,
    TokenRetrievalError,
)

from outpost_ops.aws_rules.linked_roles import linked_roles
from outpost_ops.doctor.account import check_bootstrap, check_credentials, check_linked_roles, check_region
from outpost_ops.doctor.domain import check_certificate, check_zone
from outpost_ops.doctor.finding import Finding, Level
from outpost_ops.doctor.leftovers import check_names, check_stacks
from outpost_ops.doctor.models import check_bedrock, check_models
from outpost_ops.doctor.providers import check_keys, check_secrets, read_keys
from outpost_ops.doctor.quotas import check_quotas, needs
from outpost_ops.templates import Templates
from outpost_ops.verify.deployed import Account

_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"}
_INVALID = {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "SignatureDoesNotMatch"}
_NO_CREDENTIALS = (
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    SSOError,
    TokenRetrievalError,
)
_LOG_IN = "aws sso login, or export AWS_PROFILE=<a profile>"


def examine(
    account: Account,
    templates: Templates,
    bootstrap: int,
    now: datetime,
    provider_urls: Mapping[str, str] | None = None,
) -> Iterator[Finding]:
    """Yield the findings; `bootstrap` is the version of the bootstrap stack that the templates need.

    With credentials of another account, or none, nothing else is read; without the region, nothing in it.
    """
    for name, read in (("credentials", check_credentials), ("region", check_region)):
        found = list(_guarded(name, partial(read, account)))
        yield from found
        if any(finding.level is Level.FAILURE for finding in found):
            return
    states: dict[str, str] = {}
    keys: dict[str, str | None] = {}

    def read_states() -> Iterable[Finding]:
        states.update(account.stack_states())
        return check_stacks(states)

    def read_provider_keys() -> Iterable[Finding]:
        keys.update(read_keys(account))
        return check_keys(account.config, keys)

    checks: dict[str, Callable[[], Iterable[Finding]]] = {
        "bootstrap": lambda: check_bootstrap(account, bootstrap),
        "service-linked roles": lambda: check_linked_roles(account, linked_roles(templates)),
        "stacks": read_states,
        "quotas": lambda: check_quotas(account, needs(account.config, templates), states),
        "certificate": lambda: check_certificate(account, now),
        "hosted zone": lambda: check_zone(account, states),
        "names": lambda: check_names(account, templates, states),
        "secrets": lambda: check_secrets(account),
        "provider keys": read_provider_keys,
        "bedrock": lambda: check_bedrock(account),
        "models": lambda: check_models(account.config, keys, now.date(), provider_urls),
    }
    for name, check in checks.items():
        yield from _guarded(name, check)


def _guarded(name: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Yield a check's findings; a call that AWS refuses, or that gets no response, is a finding."""
    try:
        yield from check()
    except _NO_CREDENTIALS as error:
        yield Finding(name, Level.FAILURE, f"no credentials: {error}", _LOG_IN)
    except ClientError as error:
        code, text = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        message = f"{error.operation_name}: {code}: {text}"
        if code in _INVALID:
            yield Finding(name, Level.FAILURE, message, _LOG_IN)
            return
        remedy = "allow it (docs/operations.md has the doctor's policy)" if code in _DENIED else ""
        yield Finding(name, Level.UNCHECKED, message, remedy)
    except BotoCoreError as error:
        yield Finding(name, Level.UNCHECKED, f"AWS cannot be reached: {error}")
