"""MiniStack still behaves as our extensions assume: a test that fails here says which extension is no longer needed.

`probes.py` exercises functions of MiniStack in a process of its own; the tests at the end call its API over HTTP. Both
also run with the extensions, so that a probe which cannot fail is seen.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import ClientError
from urllib3 import PoolManager, Retry

from outpost_local.environment import LocalEnvironment
from outpost_local.extensions.install import STRICTNESS, all_extensions, in_order
from outpost_local.settings import REPOSITORY_ROOT, ROOT_KEY
from tests.conftest import CREDENTIALS
from tests.eventually import eventually
from tests.ports import free_port

SETTINGS = {"AUTH": "true", "MINISTACK_ACCOUNT_ID": "000000000000", "IOT_MTLS_ENABLED": "0"}
"""MiniStack's own: IAM is enforced, and it listens for nothing but AWS."""
CLOSED_ELSEWHERE = {
    "task credentials are of no role": "iam/task_roles, around the whole app",
    "Lambda processes are not bounded": "lambda_/functions, by an argument of each call",
    "a missing image tag is an empty list": "nothing: images are built when a task starts",
}
"""Gaps that the extended functions still have, and where they are closed."""
TESTED = {
    "DynamoDB never throttles": "test_strictness.py::test_of_a_batch_some_writes_are_left",
    "a failed rollback forgets resources": "test_local_stack_failures.py::"
    "test_protection_stops_the_rollback_of_a_failed_create",
    "a failed stack can be updated": "test_local_stack_failures.py::"
    "test_a_stack_whose_create_failed_can_only_be_deleted",
    "a new task is listed at once": "test_strictness.py::test_new_tasks_are_listed_late",
    "a receive returns all messages": "test_strictness.py::test_a_short_poll_may_find_nothing",
    "a session's tags may have any size": "test_strictness.py::test_a_session_has_limits_of_size",
    "a stream has any number of readers": "test_strictness.py::test_the_third_reader_of_a_stream_gets_nothing",
    "a table is changed at once": "test_local_protection.py::"
    "test_deletion_protection_is_set_though_the_policy_for_it_takes_effect_late",
    "a target that hangs holds a thread": "test_local_load_balancer.py::"
    "test_streams_keep_nobody_else_from_the_load_balancer_and_from_aws",
    "a task is healthy after a second": "test_local_services.py::"
    "test_a_deployment_is_complete_when_its_task_responds_and_not_before",
    "an account runs any number of functions": "test_strictness.py::"
    "test_more_functions_than_the_account_may_run_at_once_are_refused",
    "an index shows each write at once": "test_realism.py::test_an_index_shows_a_write_later_than_the_table",
    "conditional writes never conflict": "test_strictness.py::test_a_conditional_write_of_an_object_conflicts",
    "encrypted data is delivered without the key": "test_local_keys.py::test_a_rule_needs_the_key_of_its_queue",
    "encrypted data is read without the key": "test_local_keys.py::test_data_under_a_key_needs_the_key",
    "events are delivered once and at once": "test_strictness.py::test_an_event_is_delivered_twice",
    "every target is healthy": "test_local_load_balancer.py::"
    "test_a_target_gets_requests_once_it_has_passed_a_health_check",
    "failing tasks are replaced in a tight loop": "test_local_services.py::"
    "test_a_deployment_is_complete_when_its_task_responds_and_not_before",
    "messages are delivered once and at once": "test_strictness.py::test_a_message_comes_twice_and_one_at_a_time",
    "payloads may have any size": "test_strictness.py::test_a_payload_has_a_limit",
    "quotas can be exceeded": "test_local_account.py::test_tasks_beyond_the_vcpus_are_failures_of_run_task",
    "the first cluster of an account succeeds": "test_local_account.py::"
    "test_the_first_cluster_fails_and_leaves_the_role_for_the_second",
    "transactions never conflict": "test_strictness.py::test_writes_and_transactions_conflict_by_chance",
}
"""What depends on chance, time or the caller has no probe: the test that fails without its patches, by their reason."""


@cache
def probed(*arguments: str) -> dict[str, Any]:
    argv = [sys.executable, "-m", "tests.local.probes", *arguments]
    finished = subprocess.run(argv, env=os.environ | SETTINGS, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return found


def test_ministack_still_has_every_gap() -> None:
    assert {gap: there for gap, there in probed().items() if there is not True} == {}


def test_the_extensions_close_every_gap() -> None:
    assert {gap for gap, there in probed("extended").items() if there is not False} == set(CLOSED_ELSEWHERE)


def test_every_patch_has_a_probe_or_a_test_of_its_reason() -> None:
    shown = {*probed(), *SERVED, *TESTED}
    reasons = probed("reasons")

    assert shown - {"a missing image tag is an empty list"} == reasons.keys()


@pytest.mark.parametrize("test", sorted(set(TESTED.values())))
def test_the_test_of_a_reason_exists(test: str) -> None:
    file, _, name = test.partition("::")

    assert f"def {name}(" in (Path(__file__).parent / file).read_text()


def test_the_modules_that_the_documentation_names_exist() -> None:
    page = (REPOSITORY_ROOT / "docs" / "embedded-aws.md").read_text()
    rows = "".join(line for line in page.splitlines() if line.startswith("|"))
    named = set(re.findall(r"`([a-z0-9_]+/[a-z0-9_]+)`", rows))
    folder = REPOSITORY_ROOT / "embedded" / "outpost_local" / "extensions"

    assert len(named) > 30
    assert {name for name in named if not (folder / f"{name}.py").exists()} == set()


def test_extensions_declare_only_what_exists() -> None:
    order = probed("order")

    assert sorted(order) == sorted(all_extensions())
    assert {earlier for after in order.values() for earlier in after} | set(STRICTNESS) <= order.keys()


def test_an_extension_comes_after_those_it_declares_whatever_the_order() -> None:
    first, second = ModuleType("first"), ModuleType("second")
    first.AFTER = ("b.second", "c.not_installed")  # type: ignore[attr-defined]
    named = {"a.first": first, "b.second": second}

    assert in_order(named) == in_order(dict(reversed(named.items()))) == [second, first]


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

    def balancer(self, port: int = 80) -> tuple[str, str]:
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
            LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=port, DefaultActions=[action]
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


def listener_of_another_port_responds(account: Account) -> bool:
    _, host = account.balancer(port=8080)
    return account.status_of_request_to(host) == 200


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


SERVED: dict[str, Callable[[Account], bool]] = {
    "RunTask starts tasks with any role": run_task_without_pass_role,
    "a chained session lasts two hours": chained_session_of_two_hours,
    "plain HTTP is denied as such": plain_http_is_denied_as_such,
    "an export in use can be dropped": export_in_use_can_be_dropped,
    "a request reaches the listener of another port": listener_of_another_port_responds,
    "a web ACL blocks nothing": web_acl_blocks_nothing,
    "a load balancer has no metrics": load_balancer_has_no_metrics,
    "a trail delivers nothing": trail_delivers_nothing,
}
"""Probes over HTTP, by the reason of the patches."""


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
    process.wait(timeout=120)


@pytest.mark.parametrize("gap", SERVED)
def test_ministack_still_serves_as_if(gap: str, ministack: str) -> None:
    assert SERVED[gap](Account(ministack)) is True


@pytest.mark.parametrize("gap", SERVED)
def test_the_embedded_aws_does_not_serve_as_if(gap: str, aws: LocalEnvironment) -> None:
    assert SERVED[gap](Account(aws.settings.endpoint)) is False


def test_ministack_registers_no_hybrid_instances(ministack: str) -> None:
    with pytest.raises(ClientError, match="InvalidAction"):
        Account(ministack).client("ssm").create_activation(IamRole="role")
