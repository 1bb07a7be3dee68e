"""Tokens of the forge for one call of git: minted by the platform's app for one repository, or the one it was given."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import boto3
import jwt

from broker.clients import OTHERS
from outpost.domain.dispatch import Spec
from outpost.domain.ids import now
from outpost.domain.repository import forge_repository
from outpost.domain.tenants import Tenant
from outpost.fleet.forge import ForgeApi, ForgeError
from outpost.names import Env

SECONDS = 2.0
"""How long a call of the forge's API waits to connect, and for each part of the response.

There are two calls, and the function has 10 s: a forge that hangs leaves time to say so.
"""
READ = {"contents": "read"}
_BY_ID = re.compile(r"/repositories/(\d+)/installation")
_CLOCKS_APART = timedelta(minutes=1)
_PROOF_LIFETIME = timedelta(minutes=5)
"""GitHub takes at most ten minutes."""


@dataclass(frozen=True)
class Access:
    """What a token is needed for."""

    repository: str
    """`owner/name`."""
    permissions: Mapping[str, str]


def access_of(spec: Spec, base_url: str) -> Access | None:
    """Return what a dispatch needs at the forge: to read its repository, and where it promotes, to write to it.

    None when the repository is not the forge's.
    """
    repository = forge_repository(spec.repo, base_url) if spec.repo else None
    if repository is None:
        return None
    if spec.promotes is None:
        return Access(repository, READ)
    proposing = {"pull_requests": "write"} if spec.promotes.create_pr else {}
    return Access(repository, {"contents": "write", **proposing})


class NoRightError(ForgeError):
    """The platform, or the tenant, has no right to the repository; the text says how to give it."""


@dataclass(frozen=True)
class App:
    """A GitHub app. Its tokens live for an hour, reach one repository, and can do there what was asked for."""

    api_url: str
    app_id: str
    read_key: Callable[[], str]
    """Returns the private key, PEM."""

    def token(self, access: Access) -> str:
        """Mint a token. Raises `ForgeError`; `NoRightError` where the app is not installed."""
        api = ForgeApi(self.api_url, self._proof(), SECONDS)
        try:
            installation, repository = self._installation(api, access.repository)
        except ForgeError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            raise NoRightError(f"the forge's app is not installed on {access.repository}: install it there") from error
        wanted = {**repository, "permissions": access.permissions}
        return str(api.call("POST", f"/app/installations/{int(installation['id'])}/access_tokens", wanted)["token"])

    def _installation(self, api: ForgeApi, repository: str) -> tuple[Any, dict[str, list[object]]]:
        """Return the app's installation, and how a request for a token names the repository. Raises `ForgeError`.

        GitHub redirects the name of a renamed repository to its id (REST API, "Follow redirects"). One that another
        owner has now counts as missing: other owners' repositories are other grants.
        """
        owner, _, name = repository.partition("/")
        try:
            return api.call("GET", f"/repos/{quote(repository)}/installation"), {"repositories": [name]}
        except ForgeError as error:
            path = (error.location or "").removeprefix(self.api_url.rstrip("/"))
            moved = _BY_ID.fullmatch(path)
            if moved is None:
                raise
            installation = api.call("GET", path)
            if str(installation["account"]["login"]).lower() != owner.lower():
                raise ForgeError(f"{repository} has another owner now", HTTPStatus.NOT_FOUND) from error
            return installation, {"repository_ids": [int(moved[1])]}

    def _proof(self) -> str:
        """Prove that this is the app."""
        claims = {"iss": self.app_id, "iat": now() - _CLOCKS_APART, "exp": now() + _PROOF_LIFETIME}
        return jwt.encode(claims, self.read_key(), algorithm="RS256")


@dataclass(frozen=True)
class Forge:
    """The forge below `base_url`, and the platform's right to it."""

    base_url: str
    tokens: Callable[[Access], str]
    """Returns a token. Raises `ForgeError`."""

    @classmethod
    def from_environment(cls) -> "Forge | None":
        """Connect as the environment says; None where no forge is configured."""
        base_url = os.environ.get(Env.GIT_BASE_URL, "")
        if key := os.environ.get(Env.FORGE_APP_KEY_SECRET):
            app = App(os.environ[Env.FORGE_URL], os.environ[Env.FORGE_APP_ID], partial(_secret, key))
            return cls(base_url, app.token)
        if token := os.environ.get(Env.FORGE_TOKEN_SECRET):
            # One for everything, whose rights are what the operator gave it.
            return cls(base_url, lambda _: _secret(token))
        return None

    def serves(self, spec: Spec) -> bool:
        """Whether git asks for a token: for the forge's repositories, and before it pushes anywhere."""
        return spec.promotes is not None or access_of(spec, self.base_url) is not None

    def token(self, spec: Spec, tenant: Tenant) -> str | None:
        """Return a token for the dispatch's own repository; None where there is none. Raises `ForgeError`.

        Without one git reads what is public. To write it takes one: there `NoRightError` says why there is none.
        """
        access = access_of(spec, self.base_url)
        if access is None and spec.promotes:
            raise NoRightError(f"{spec.repo} is not owner/name below {self.base_url}: results are pushed only there")
        if access is None:
            return None
        try:
            return self._token(access, tenant)
        except NoRightError:
            if access.permissions == READ:
                return None
            raise

    def _token(self, access: Access, tenant: Tenant) -> str:
        if not tenant.may_use(access.repository):
            remedy = f"`outpost tenants set {tenant.id} --repository {access.repository}` gives it"
            raise NoRightError(f"tenant {tenant.id} has no right to {access.repository}: {remedy}")
        return self.tokens(access)


def _secret(arn: str) -> str:
    """Read it at each call, so that another value counts from the next call."""
    client = boto3.client("secretsmanager", config=OTHERS)
    return client.get_secret_value(SecretId=arn)["SecretString"].strip()
