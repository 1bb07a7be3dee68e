"""MiniStack still behaves as our extensions assume: a test that fails here says which extension is no longer needed.

`probes.py` exercises functions of MiniStack in a process of its own; the tests at the end call its API over HTTP. Both
also run with the extensions, so that a probe which cannot fail is seen.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import ClientError
from urllib3 import PoolManager, Retry

from outpost_local.environment import LocalEnvironment
from outpost_local.settings import ROOT_KEY
from tests.conftest import CREDENTIALS
from tests.eventually import eventually
from tests.ports import free_port

SETTINGS = {"AUTH": "true", "MINISTACK_ACCOUNT_ID": "000000000000", "IOT_MTLS_ENABLED": "0"}
"""MiniStack's own: IAM is enforced, and it listens for nothing but AWS."""
CLOSED_ELSEWHERE = {
    "task credentials are of no role": "TaskCredentials, around the whole app",
    "containers get no user or memory limit": "container_options, of container engines only",
    "Lambda processes are not bounded": "lambda_workers, by an argument of each call",
    "a missing image tag is an empty list": "nothing: images are built when a task starts",
    "the emulator takes /health from load balancers": "load_balancer_paths, around the app's routes",
    "unknown properties are ignored": "property_validation, before CloudFormation asks a handler",
}
"""Gaps that the extended functions still have, and where they are closed."""


def probed(*arguments: str) -> dict[str, Any]:
    argv = [sys.executable, "-m", "tests.local.probes", *arguments]
    finished = subprocess.run(argv, env=os.environ | SETTINGS, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return found


def test_ministack_still_has_every_gap() -> None:
    assert {gap: there for gap, there in probed().items() if there is not True} == {}


def test_the_extensions_close_every_gap() -> None:
    assert {gap for gap, there in probed("extended").items() if there is not False} == set(CLOSED_ELSEWHERE)


def test_output_without_a_log_group_is_lost_and_lines_are_waited_for() -> None:
    """Read in the source: the one needs a container engine, the other a machine that is slow at the right moment."""
    source = "import inspect; from ministack.core import lambda_runtime; from ministack.services import ecs; "
    source += "print('output is not forwarded' in inspect.getsource(ecs), "
    source += "'first_line_wait' in inspect.getsource(lambda_runtime.Worker))"
    found = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "True True"


class Account:
    """An account at an endpoint; names are the test's own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.name = f"gap-{uuid4().hex[:8]}"

    def client(self, service: str, *credentials: str) -> Any:  # noqa: ANN401 - as boto3
        """Return a client with a key's id, its secret and a session's token; without any, the root user's."""
        session = boto3.Session(*(credentials or (ROOT_KEY, ROOT_KEY)), region_name="us-east-1")  # type: ignore[misc, arg-type]
        return session.client(service, endpoint_url=self.url)  # type: ignore[call-overload]

    def user(self, *actions: str) -> tuple[str, str]:
        """Create a user who may do these actions on everything; return the access key."""
        iam = self.client("iam")
        iam.create_user(UserName=self.name)
        policy = document({"Effect": "Allow", "Action": list(actions), "Resource": "*"})
        iam.put_user_policy(UserName=self.name, PolicyName="p", PolicyDocument=policy)
        key = iam.create_access_key(UserName=self.name)["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]

    def role(self) -> str:
        """Create a role that anybody in the account may assume, and that may assume itself; return its ARN."""
        iam, anybody = (
            self.client("iam"),
            {"AWS": "arn:aws:iam::000000000000:root", "Service": "ecs-tasks.amazonaws.com"},
        )
        trust = document({"Effect": "Allow", "Principal": anybody, "Action": "sts:AssumeRole"})
        arn: str = iam.create_role(RoleName=self.name, AssumeRolePolicyDocument=trust, MaxSessionDuration=43_200)[
            "Role"
        ]["Arn"]
        allow = document({"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"})
        iam.put_role_policy(RoleName=self.name, PolicyName="p", PolicyDocument=allow)
        return arn

    def bucket(self, *statements: dict[str, Any]) -> None:
        """Create a bucket with a policy."""
        s3 = self.client("s3")
        s3.create_bucket(Bucket=self.name)
        everything = [f"arn:aws:s3:::{self.name}", f"arn:aws:s3:::{self.name}/*"]
        s3.put_bucket_policy(
            Bucket=self.name, Policy=document(*({**each, "Resource": everything} for each in statements))
        )

    def balancer(self) -> tuple[str, str]:
        """Create a load balancer that responds by itself; return its ARN and host name."""
        ec2, elb = self.client("ec2"), self.client("elbv2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{part}.0/24", AvailabilityZone=f"us-east-1{zone}")["Subnet"]
            for part, zone in enumerate("ab")
        ]
        made = elb.create_load_balancer(Name=self.name, Subnets=[subnet["SubnetId"] for subnet in subnets])
        (balancer,) = made["LoadBalancers"]
        response = {"StatusCode": "200", "MessageBody": "hello", "ContentType": "text/plain"}
        action = {"Type": "fixed-response", "FixedResponseConfig": response}
        elb.create_listener(
            LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=[action]
        )
        return balancer["LoadBalancerArn"], balancer["DNSName"]

    def status_of_request_to(self, host: str) -> int:
        """Send a request to a load balancer; return the status code of the response."""
        with PoolManager() as http:
            return http.request("GET", f"{self.url}/path", headers={"Host": host}).status


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def allowed(call: Callable[[], object]) -> bool:
    try:
        call()
    except ClientError:
        return False
    return True


def run_task_without_pass_role(account: Account) -> bool:
    ecs, role = account.client("ecs"), account.role()
    ecs.create_cluster(clusterName=account.name)
    container = {"name": "job", "image": "image"}
    ecs.register_task_definition(family=account.name, taskRoleArn=role, containerDefinitions=[container])
    user = account.client("ecs", *account.user("ecs:*"))
    return allowed(lambda: user.run_task(cluster=account.name, taskDefinition=account.name))


def chained_session_of_two_hours(account: Account) -> bool:
    role = account.role()
    first = account.client("sts", *account.user("sts:AssumeRole")).assume_role(RoleArn=role, RoleSessionName="first")
    names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
    sts = account.client("sts", *(first["Credentials"][name] for name in names))
    return allowed(lambda: sts.assume_role(RoleArn=role, RoleSessionName="second", DurationSeconds=7_200))


def plain_http_is_denied_as_such(account: Account) -> bool:
    condition = {"Bool": {"aws:SecureTransport": "false"}}
    account.bucket({"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Condition": condition})
    s3 = account.client("s3", *account.user("s3:*"))
    return not allowed(lambda: s3.put_object(Bucket=account.name, Key="key", Body=b"x"))


def export_in_use_can_be_dropped(account: Account) -> bool:
    stacks = account.client("cloudformation")
    topic = {"Topic": {"Type": "AWS::SNS::Topic"}}
    output = {"Topic": {"Value": {"Ref": "Topic"}, "Export": {"Name": account.name}}}
    value = {"Type": "String", "Value": {"Fn::ImportValue": account.name}}
    imported = {"Parameter": {"Type": "AWS::SSM::Parameter", "Properties": value}}

    def settled(name: str) -> str:
        def status() -> str:
            found = str(stacks.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])
            return "" if found.endswith("_IN_PROGRESS") else found

        return eventually(status)

    exporter, importer = f"{account.name}-exporter", f"{account.name}-importer"
    for name, template in ((exporter, {"Resources": topic, "Outputs": output}), (importer, {"Resources": imported})):
        stacks.create_stack(StackName=name, TemplateBody=json.dumps(template))
        assert settled(name) == "CREATE_COMPLETE"
    stacks.update_stack(StackName=exporter, TemplateBody=json.dumps({"Resources": topic}))
    return settled(exporter) == "UPDATE_COMPLETE"


def web_acl_blocks_nothing(account: Account) -> bool:
    arn, host = account.balancer()
    waf = account.client("wafv2")
    visibility = {"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": "m"}
    acl = waf.create_web_acl(
        Name=account.name, Scope="REGIONAL", DefaultAction={"Block": {}}, VisibilityConfig=visibility
    )["Summary"]["ARN"]
    waf.associate_web_acl(WebACLArn=acl, ResourceArn=arn)
    return account.status_of_request_to(host) == 200


def load_balancer_has_no_metrics(account: Account) -> bool:
    arn, host = account.balancer()
    assert account.status_of_request_to(host) == 200
    metrics = account.client("cloudwatch").list_metrics(Namespace="AWS/ApplicationELB")["Metrics"]
    values = {dimension["Value"] for metric in metrics for dimension in metric["Dimensions"]}
    return arn.partition("loadbalancer/")[2] not in values


def trail_delivers_nothing(account: Account) -> bool:
    service = {"Service": "cloudtrail.amazonaws.com"}
    account.bucket({"Effect": "Allow", "Principal": service, "Action": ["s3:GetBucketAcl", "s3:PutObject"]})
    trails = account.client("cloudtrail")
    trails.create_trail(Name=account.name, S3BucketName=account.name)
    trails.start_logging(Name=account.name)
    account.client("sqs").create_queue(QueueName=account.name)
    trails.get_trail_status(Name=account.name)
    return bool(account.client("s3").list_objects_v2(Bucket=account.name)["KeyCount"] == 0)


SERVED = (
    run_task_without_pass_role,
    chained_session_of_two_hours,
    plain_http_is_denied_as_such,
    export_in_use_can_be_dropped,
    web_acl_blocks_nothing,
    load_balancer_has_no_metrics,
    trail_delivers_nothing,
)


@pytest.fixture(scope="module")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MiniStack without extensions, with IAM enforced: its URL."""
    port, folder = free_port(), tmp_path_factory.mktemp("ministack")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | CREDENTIALS
    environ |= SETTINGS | {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "TMPDIR": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "ministack"], env=environ, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    with PoolManager(retries=Retry(total=100, backoff_factor=0.1, backoff_max=0.5)) as http:
        http.request("GET", f"{url}/_ministack/health")
    yield url
    process.terminate()
    process.wait(timeout=20)


@pytest.mark.parametrize("gap", SERVED)
def test_ministack_still_serves_as_if(gap: Callable[[Account], bool], ministack: str) -> None:
    assert gap(Account(ministack)) is True


@pytest.mark.parametrize("gap", SERVED)
def test_the_embedded_aws_does_not_serve_as_if(gap: Callable[[Account], bool], aws: LocalEnvironment) -> None:
    assert gap(Account(aws.settings.endpoint)) is False


def test_ministack_registers_no_hybrid_instances(ministack: str) -> None:
    with pytest.raises(ClientError, match="InvalidAction"):
        Account(ministack).client("ssm").create_activation(IamRole="role")
