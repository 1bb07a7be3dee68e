"""The public parameters of the current Amazon Linux 2023 images, in every variant that AWS publishes.

MiniStack knows the x86_64 image of one kernel; a NAT instance is ARM64. Source: Amazon Linux 2023 User Guide,
"Launching AL2023 using the SSM parameter and AWS CLI".
"""

from ministack.services import ec2, ssm

_PREFIX = "/aws/service/ami-amazon-linux-latest"


def install() -> None:
    """Publish an image for each kind, kernel and architecture, and let EC2 know it."""
    for kind, mark in (("al2023-ami", "0"), ("al2023-ami-minimal", "1")):
        for kernel, number in (("default", "0"), ("6.1", "61"), ("6.12", "612")):
            for architecture, digit in (("arm64", "a"), ("x86_64", "8")):
                image = f"ami-0c2023{mark}{number:0>3}{digit}".ljust(21, "0")
                ssm._PUBLIC_AMI_PARAMETERS[f"{_PREFIX}/{kind}-kernel-{kernel}-{architecture}"] = image
                name = f"{kind}-2023.9.20261101.0-kernel-{kernel}-{architecture}"
                ec2._STUB_AMIS.append((image, name, "Amazon Linux 2023 AMI", "", "/dev/xvda", "137112412989", "amazon"))
