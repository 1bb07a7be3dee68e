"""The real broker function on the emulator, and what it reads of the platform."""

import io
import json
import os
import zipfile
from collections.abc import Mapping

import boto3

from outpost.domain.ids import new_id
from outpost.names import Env
from outpost.store.database import Database
from outpost.store.tenants import Tenants
from tests.conftest import TABLES
from tests.worker.forge_server import ForgeServer

VARIABLES = (*TABLES, Env.AGENTS, Env.ARTIFACTS_BUCKET, Env.ATTEMPT_ROLE_ARN, Env.CLUSTER, Env.ENVIRONMENT)


def create_role(name: str, *actions: str) -> str:
    """Create a role that may do `actions`, and return its ARN."""
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": "*", "Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    rights = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    documents = [json.dumps({"Version": "2012-10-17", "Statement": [statement]}) for statement in (trust, rights)]
    iam = boto3.client("iam")
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=documents[0])["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="rights", PolicyDocument=documents[1])
    return arn


def broker_variables() -> dict[str, str]:
    """Return what the broker reads of the platform."""
    return {variable: os.environ[variable] for variable in VARIABLES}


def create_broker(name: str, variables: Mapping[str, str]) -> str:
    """Create the real broker function; the emulator's Python has its packages."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("entry.py", "from broker.handler import handler\n")
    boto3.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=create_role(name, "*"),
        Handler="entry.handler",
        Timeout=30,
        Code={"ZipFile": code.getvalue()},
        Environment={"Variables": dict(variables)},
    )
    return name


def at_forge(forge: ForgeServer, rights: Mapping[str, str]) -> dict[str, str]:
    """Return what makes a worker use the forge, and a broker that has these rights there for the tenant."""
    here: dict[str, str] = {Env.GIT_BASE_URL: forge.git_url, Env.FORGE_URL: forge.api_url}
    Tenants(Database.from_environment()).change("acme", repositories=("owner/*",))
    broker = create_broker(f"forge-{new_id().lower()}", {**broker_variables(), **here, **rights})
    return here | {Env.BROKER_FUNCTION: broker}
