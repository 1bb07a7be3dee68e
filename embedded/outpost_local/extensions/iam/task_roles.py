"""A task acts as its task role: MiniStack's credential endpoint hands out keys that nothing knows.

Each container gets a credentials URI of its own, as on ECS. The endpoint registers a session of the real task role,
which IAM then enforces; botocore asks again before it expires.
"""

import json
import secrets
import time
import urllib.parse
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from ministack.core.iam_evaluator import _service_principal_matches
from ministack.core.responses import get_account_id, get_region
from ministack.services import ecs, iam, sts

from outpost_local.extensions.patch import Patch, around
from outpost_local.settings import Settings

SESSION_SECONDS = 6 * 3600
_PATH = "/v2/credentials/"
_URI, _TOKEN = "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN"

Scope = MutableMapping[str, Any]
AsgiApp = Callable[[Scope, Callable[..., Awaitable[Any]], Callable[..., Awaitable[None]]], Awaitable[None]]


def patches(settings: Settings) -> tuple[Patch, ...]:
    """Give each container the credentials of its role; the engines of containers get them as variables."""
    credentials = TaskCredentials(in_environment=settings.engine != "process")
    reason = "task credentials are of no role"
    return (
        around("services.ecs._register_metadata", credentials.register, reason),
        Patch("app.app", credentials.serving, reason),
    )


class TaskRoleError(Exception):
    """A task's role does not exist or does not let ECS tasks assume it."""


@dataclass(frozen=True)
class _Grant:
    role_arn: str
    session_name: str
    token: str


class TaskCredentials:
    """The credential endpoint of every running container."""

    def __init__(self, *, in_environment: bool) -> None:
        """`in_environment`: keys as variables, because SDKs refuse plain HTTP to an engine's bridge address."""
        self._in_environment = in_environment
        self._grants: dict[str, _Grant] = {}

    def register(self, register: Callable[..., str], *arguments: Any) -> str:
        """Give a container its role's credentials, and the region, in its environment."""
        task_arn, _cluster, definition, _container, _launch_type, env, *_ = arguments
        token = register(*arguments)
        env.update({"AWS_REGION": get_region(), "AWS_DEFAULT_REGION": get_region()})
        self._replace_credentials(task_arn, definition, env)
        return token

    def _replace_credentials(self, task_arn: str, definition: Any, env: dict[str, str]) -> None:
        uri, token = env.pop(_URI), env.pop(_TOKEN)
        role_arn = ecs._tasks[task_arn]["overrides"].get("taskRoleArn") or definition.get("taskRoleArn")
        if not role_arn:
            return
        _check_trust(role_arn)
        grant = _Grant(role_arn, task_arn.rpartition("/")[2], token)
        if self._in_environment:
            keys = _session(grant)
            env["AWS_ACCESS_KEY_ID"] = keys["AccessKeyId"]
            env["AWS_SECRET_ACCESS_KEY"] = keys["SecretAccessKey"]
            env["AWS_SESSION_TOKEN"] = keys["Token"]
        else:
            self._grants[urllib.parse.urlsplit(uri).path] = grant
            env.update({_URI: uri, _TOKEN: token})

    def serving(self, app: AsgiApp) -> AsgiApp:
        """Return `app` with the credential endpoint in front of it."""

        async def serve(
            scope: Scope, receive: Callable[..., Awaitable[Any]], send: Callable[..., Awaitable[None]]
        ) -> None:
            if scope["type"] == "http" and scope["path"].startswith(_PATH):
                status, body = self._respond(scope)
                headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
                await send({"type": "http.response.start", "status": status, "headers": headers})
                await send({"type": "http.response.body", "body": body})
            else:
                await app(scope, receive, send)

        return serve

    def _respond(self, scope: Scope) -> tuple[int, bytes]:
        grant = self._grants.get(scope["path"])
        given = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        if grant is None or not secrets.compare_digest(grant.token, given):
            return 403, b'{"code": "AccessDenied", "message": "unknown credentials path or wrong authorization token"}'
        return 200, json.dumps(_session(grant)).encode()


def _check_trust(role_arn: str) -> None:
    role = iam._roles.get(role_arn.rpartition("/")[2])
    document = role["AssumeRolePolicyDocument"] if role else {}
    statements = (json.loads(document) if isinstance(document, str) else document).get("Statement", [])
    for statement in [statements] if isinstance(statements, dict) else statements:
        trusted = _service_principal_matches(statement.get("Principal"), "ecs-tasks.amazonaws.com")
        if statement.get("Effect") == "Allow" and trusted:
            return
    raise TaskRoleError(
        f"ECS was unable to assume the role '{role_arn}' that was provided for this task. Verify that the role exists "
        "and that its trust policy allows ecs-tasks.amazonaws.com"
    )


def _session(grant: _Grant) -> dict[str, str]:
    """Register a session of the role; return its credentials in the shape of the endpoint."""
    role_name = grant.role_arn.rpartition("/")[2]
    key, secret, token = sts._gen_session_access_key(), sts._gen_secret(), sts._gen_session_token()
    session = {
        "Arn": f"arn:aws:sts::{get_account_id()}:assumed-role/{role_name}/{grant.session_name}",
        "UserId": f"{sts._role_id(grant.role_arn)}:{grant.session_name}",
        "SecretAccessKey": secret,
        "SessionToken": token,
        "Expiration": time.time() + SESSION_SECONDS,
        "AccountId": get_account_id(),
        "PrincipalType": "AssumedRole",
    }
    sts.register_session(key, session)
    return {
        "AccessKeyId": key,
        "SecretAccessKey": secret,
        "Token": token,
        "Expiration": sts._future(SESSION_SECONDS),
        "RoleArn": grant.role_arn,
    }
