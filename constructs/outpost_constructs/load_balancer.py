"""The load balancer in front of the control plane."""

from aws_cdk import Fn
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_s3 as s3
from constructs import Construct

from outpost_constructs.network import Network
from outpost_ops.config.model import IngressConfig, TlsConfig


class LoadBalancer(Construct):
    """HTTPS with a redirect from HTTP when a certificate is configured, else HTTP for the networks that may connect.

    When those are private it has private addresses only.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        network: Network,
        security_group: ec2.ISecurityGroup,
        access_logs: s3.IBucket,
        ingress: IngressConfig,
        tls: TlsConfig,
    ) -> None:
        super().__init__(scope, construct_id)
        self.balancer = elbv2.ApplicationLoadBalancer(
            self,
            "Balancer",
            vpc=network.vpc,
            vpc_subnets=ec2.SubnetSelection(
                subnets=network.private_subnets if ingress.private else network.vpc.public_subnets
            ),
            internet_facing=not ingress.private,
            security_group=security_group,
            drop_invalid_header_fields=True,
            desync_mitigation_mode=elbv2.DesyncMitigationMode.STRICTEST,
            # The service reads the last address of X-Forwarded-For.
            xff_header_processing_mode=elbv2.XffHeaderProcessingMode.APPEND,
        )
        self.balancer.remove_attribute("deletion_protection.enabled")  # DeletionProtection's, after the create
        self.balancer.log_access_logs(access_logs, "load-balancer")
        self.listener = self._https(self._certificate(tls)) if tls.enabled else self._http()
        domain, own = tls.domain, self.balancer.load_balancer_dns_name
        self.hosts = [domain, own] if domain else [own]
        """The names under which clients reach it."""
        self.url = f"{'https' if tls.enabled else 'http'}://{self.hosts[0]}"
        if tls.zone_id:
            self._add_record(tls)

    @property
    def target_group_name(self) -> str:
        """A name that a replaced load balancer changes, so that its target group is replaced as well.

        A target group cannot belong to two load balancers, not even while the first waits for its deletion
        (Elastic Load Balancing: TargetGroupAssociationLimit; aws-cdk#5440). The end of the ARN is its unique id.
        """
        unique = Fn.select(2, Fn.split("/", self.balancer.load_balancer_full_name))
        return Fn.join("-", ["outpost", unique])

    def _certificate(self, tls: TlsConfig) -> acm.ICertificate:
        """Return the configured certificate, or one that the domain's zone proves to be ours."""
        if tls.certificate_arn:
            return acm.Certificate.from_certificate_arn(self, "Certificate", tls.certificate_arn)
        zone = route53.HostedZone.from_hosted_zone_id(self, "Zone", str(tls.zone_id))
        return acm.Certificate(
            self,
            "Certificate",
            domain_name=str(tls.domain),
            validation=acm.CertificateValidation.from_dns(zone),
        )

    def _add_record(self, tls: TlsConfig) -> None:
        route53.CfnRecordSet(
            self,
            "Record",
            hosted_zone_id=tls.zone_id,
            name=f"{tls.domain}.",
            type="A",
            alias_target=route53.CfnRecordSet.AliasTargetProperty(
                dns_name=self.balancer.load_balancer_dns_name,
                hosted_zone_id=self.balancer.load_balancer_canonical_hosted_zone_id,
                evaluate_target_health=True,
            ),
        )

    def _https(self, certificate: acm.ICertificate) -> elbv2.ApplicationListener:
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
            certificates=[certificate],
        )

    def _http(self) -> elbv2.ApplicationListener:
        return self.balancer.add_listener("Http", port=80, protocol=elbv2.ApplicationProtocol.HTTP, open=False)
