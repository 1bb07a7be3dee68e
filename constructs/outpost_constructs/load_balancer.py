"""The load balancer in front of the control plane."""

from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_s3 as s3
from constructs import Construct

from outpost.config import EnvironmentConfig


class LoadBalancer(Construct):
    """HTTPS with a redirect from HTTP when a certificate is configured, else HTTP for the networks that may connect."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc: ec2.IVpc,
        security_group: ec2.ISecurityGroup,
        access_logs: s3.IBucket,
        config: EnvironmentConfig,
    ) -> None:
        super().__init__(scope, construct_id)
        self.balancer = elbv2.ApplicationLoadBalancer(
            self,
            "Balancer",
            vpc=vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC),
            internet_facing=True,
            security_group=security_group,
            drop_invalid_header_fields=True,
            deletion_protection=config.deletion_protection,
        )
        self.balancer.log_access_logs(access_logs, "load-balancer")
        certificate = config.tls.certificate_arn
        self.listener = self._https(certificate) if certificate else self._http()
        host = config.tls.domain or self.balancer.load_balancer_dns_name
        self.url = f"{'https' if certificate else 'http'}://{host}"

    def _https(self, certificate_arn: str) -> elbv2.ApplicationListener:
        self.balancer.add_listener(
            "Http",
            port=80,
            open=False,
            default_action=elbv2.ListenerAction.redirect(protocol="HTTPS", port="443", permanent=True),
        )
        return self.balancer.add_listener(
            "Https",
            port=443,
            open=False,
            ssl_policy=elbv2.SslPolicy.TLS13_RES,
            certificates=[acm.Certificate.from_certificate_arn(self, "Certificate", certificate_arn)],
        )

    def _http(self) -> elbv2.ApplicationListener:
        return self.balancer.add_listener("Http", port=80, protocol=elbv2.ApplicationProtocol.HTTP, open=False)
