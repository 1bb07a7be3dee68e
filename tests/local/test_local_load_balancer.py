"""What a load balancer of the embedded AWS forwards to its targets, and its headers about the client."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import httpx
import pytest

from outpost_local.environment import LocalEnvironment
from outpost_local.extensions.elbv2.target_health import Health
from tests.eventually import eventually
from tests.local.stacks import Stack, resource

VISIBILITY = {"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": "m"}
COUNTED = {"Name": "RestrictedExtensions_URIPATH", "ActionToUse": {"Count": {}}}
USER_AGENT = {"User-Agent": "a test"}


def managed(*overrides: dict[str, Any]) -> dict[str, Any]:
    group = {"VendorName": "AWS", "Name": "AWSManagedRulesCommonRuleSet", "RuleActionOverrides": list(overrides)}
    return rule(1, {"ManagedRuleGroupStatement": group}, OverrideAction={"None": {}})


def rule(priority: int, statement: dict[str, Any], **action: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    named = {"Name": f"r{priority}", "Priority": priority, "VisibilityConfig": VISIBILITY}
    return named | {"Statement": statement} | action


MANY = 100
"""More than MiniStack has threads (64)."""
RELEASED = Event()
"""Set when requests that hang may end."""


class _Target(BaseHTTPRequestHandler):
    """Returns the headers that it got; hangs before or in its response where the path says so."""

    def do_GET(self) -> None:
        if self.path == "/hangs":
            RELEASED.wait()
        elif self.path == "/streams":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"first")
            RELEASED.wait()
        else:
            self._echo()

    def _echo(self) -> None:
        body = json.dumps(self.headers.items()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = _echo  # noqa: N815 - the base class calls it so

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Keep standard error for failures."""


@dataclass(frozen=True)
class Balancer:
    """A load balancer with a target, and its web ACL."""

    aws: LocalEnvironment
    stack: Stack
    arn: str
    host: str
    group_arn: str

    def states(self) -> dict[int, str]:
        """Return the states of the targets, by their ports."""
        found = self.aws.client("elbv2").describe_target_health(TargetGroupArn=self.group_arn)
        return {each["Target"]["Port"]: each["TargetHealth"]["State"] for each in found["TargetHealthDescriptions"]}

    def protect(self, *rules: dict[str, Any]) -> None:
        """Associate a web ACL with these rules."""
        acl = resource(
            "AWS::WAFv2::WebACL",
            Scope="REGIONAL",
            DefaultAction={"Allow": {}},
            VisibilityConfig=VISIBILITY,
            Rules=list(rules),
        )
        arn = {"Fn::GetAtt": ["Acl", "Arn"]}
        association = resource("AWS::WAFv2::WebACLAssociation", WebACLArn=arn, ResourceArn=self.arn)
        self.stack.deploy({"Acl": acl, "Association": association})

    def ask(
        self, path: str, method: str = "GET", content: bytes = b"", headers: dict[str, str] | None = None
    ) -> httpx.Response:
        return httpx.request(
            method,
            self.url(path),
            headers=self.headers() | (headers or {}),
            content=content,
            trust_env=False,
            timeout=120,
        )

    def stream(self, path: str) -> AbstractContextManager[httpx.Response]:
        """Return a response whose body is read in the block."""
        return httpx.stream("GET", self.url(path), headers=self.headers(), trust_env=False, timeout=120)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.aws.settings.port}{path}"

    def headers(self) -> dict[str, str]:
        return USER_AGENT | {"Host": f"{self.host}:{self.aws.settings.port}"}


class _Server(ThreadingHTTPServer):
    request_queue_size = 2 * MANY
    daemon_threads = True


@pytest.fixture(scope="module")
def target() -> Iterator[int]:
    server = _Server(("127.0.0.1", 0), _Target)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server.server_port
    RELEASED.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def balancer(aws: LocalEnvironment, stack: Stack, target: int) -> Iterator[Balancer]:
    elb, ec2, name = aws.client("elbv2"), aws.client("ec2"), f"b-{uuid4().hex[:8]}"
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.8.0.0/24")["Subnet"]["SubnetId"]
    made = elb.create_load_balancer(Name=name, Subnets=[subnet])["LoadBalancers"][0]
    group = elb.create_target_group(Name=name, Protocol="HTTP", Port=target, VpcId=vpc, TargetType="ip")
    group_arn = group["TargetGroups"][0]["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=group_arn, Targets=[{"Id": "127.0.0.1", "Port": target}])
    action = {"Type": "forward", "TargetGroupArn": group_arn}
    elb.create_listener(LoadBalancerArn=made["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=[action])
    yield Balancer(aws, stack, made["LoadBalancerArn"], made["DNSName"], group_arn)
    elb.delete_load_balancer(LoadBalancerArn=made["LoadBalancerArn"])
    elb.delete_target_group(TargetGroupArn=group_arn)


def test_a_web_acl_blocks_before_the_target_sees_a_request(balancer: Balancer) -> None:
    assert balancer.ask("/output.log").status_code == 200
    balancer.protect(managed())
    blocked = balancer.ask("/output.log")
    assert (blocked.status_code, blocked.headers["Server"]) == (403, "awselb/2.0")
    assert "403 Forbidden" in blocked.text
    assert balancer.ask("/?file=%2e%2e/%2e%2e/etc/passwd").status_code == 403
    assert balancer.ask("/", "POST", b"x" * 8_193).status_code == 403
    assert balancer.ask("/", "POST", b"x" * 8_192).status_code == 200
    assert balancer.ask("/output.txt").status_code == 200


def test_a_rule_that_counts_blocks_nothing_by_itself(balancer: Balancer) -> None:
    label = {"Scope": "LABEL", "Key": "awswaf:managed:aws:core-rule-set:RestrictedExtensions_URIPath"}
    start = {
        "FieldToMatch": {"UriPath": {}},
        "PositionalConstraint": "STARTS_WITH",
        "SearchString": "/free",
        "TextTransformations": [{"Priority": 0, "Type": "NONE"}],
    }
    elsewhere = {"NotStatement": {"Statement": {"ByteMatchStatement": start}}}
    both = {"AndStatement": {"Statements": [{"LabelMatchStatement": label}, elsewhere]}}
    balancer.protect(managed(COUNTED), rule(2, both, Action={"Block": {}}))
    assert balancer.ask("/free/output.log").status_code == 200
    assert balancer.ask("/other/output.log").status_code == 403


def test_an_address_that_asks_too_often_is_blocked(balancer: Balancer) -> None:
    rate = {"Limit": 10, "AggregateKeyType": "IP", "EvaluationWindowSec": 300}
    balancer.protect(rule(0, {"RateBasedStatement": rate}, Action={"Block": {}}))
    assert [balancer.ask("/").status_code for _ in range(11)] == [200] * 10 + [403]


def test_the_address_of_the_client_is_appended_to_what_it_sent(balancer: Balancer) -> None:
    response = balancer.ask("/", headers={"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"})
    headers = {name.lower(): value for name, value in response.json()}
    assert headers["x-forwarded-for"] == "203.0.113.7, 127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"


def test_a_target_gets_requests_once_it_has_passed_a_health_check(
    balancer: Balancer, target: int, unused_port: Callable[[], int]
) -> None:
    silent = unused_port()
    balancer.aws.client("elbv2").register_targets(
        TargetGroupArn=balancer.group_arn, Targets=[{"Id": "localhost", "Port": silent}]
    )
    eventually(lambda: balancer.states() == {target: "healthy", silent: "initial"})
    assert {balancer.ask("/").status_code for _ in range(20)} == {200}


def test_streams_keep_nobody_else_from_the_load_balancer_and_from_aws(balancer: Balancer) -> None:
    with ExitStack() as stack:
        for _ in range(MANY):
            stream = stack.enter_context(balancer.stream("/streams"))
            assert next(stream.iter_raw()) == b"first"
        assert balancer.ask("/").status_code == 200
        assert balancer.aws.client("sts").get_caller_identity()["Account"]


UNLIMITED = httpx.Limits(max_connections=None)


def test_requests_that_were_given_up_keep_nobody_else_from_the_load_balancer(balancer: Balancer) -> None:
    async def give_up() -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=httpx.Timeout(60, read=1), limits=UNLIMITED) as client:
            hanging = (client.get(balancer.url("/hangs"), headers=balancer.headers()) for _ in range(MANY))
            ends = await asyncio.gather(*hanging, return_exceptions=True)
        assert {type(end) for end in ends} == {httpx.ReadTimeout}

    asyncio.run(give_up())
    assert balancer.ask("/").status_code == 200


def test_a_target_that_is_silent_longer_than_the_idle_timeout_gets_504(balancer: Balancer) -> None:
    balancer.aws.client("elbv2").modify_load_balancer_attributes(
        LoadBalancerArn=balancer.arn, Attributes=[{"Key": "idle_timeout.timeout_seconds", "Value": "1"}]
    )
    assert balancer.ask("/hangs").status_code == 504
    with balancer.stream("/streams") as stream, pytest.raises(httpx.RemoteProtocolError):
        stream.read()


GROUP = {"HealthyThresholdCount": 2, "UnhealthyThresholdCount": 3, "HealthCheckIntervalSeconds": 10}


@pytest.mark.parametrize(
    ("checks", "state"),
    [
        ("p", "healthy"),
        ("f", "initial"),
        ("fp", "healthy"),
        ("pff", "healthy"),
        ("pffpff", "healthy"),
        ("pfff", "unhealthy"),
        ("pfffp", "unhealthy"),
        ("pfffpfp", "unhealthy"),
        ("pfffpp", "healthy"),
        ("f" * 150, "unhealthy"),
    ],
)
def test_checks_in_a_row_change_the_health_of_a_target(checks: str, state: str) -> None:
    health = Health()
    for check in checks:
        health = health.after(GROUP, passed=check == "p")
    assert health.state == state
