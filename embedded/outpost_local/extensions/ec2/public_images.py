"""The public parameters of the current Amazon Linux 2023 images, in every variant that AWS publishes.

MiniStack knows the x86_64 image of one kernel; a NAT instance is ARM64. Source: Amazon Linux 2023 User Guide,
"Launching AL2023 using the SSM parameter and AWS CLI".
"""

from outpost_local.extensions.patch import Patch

_PREFIX = "/aws/service/ami-amazon-linux-latest"
_IMAGES = {
    f"{_PREFIX}/{kind}-kernel-{kernel}-{architecture}": f"ami-0c2023{mark}{number:0>3}{digit}".ljust(21, "0")
    for kind, mark in (("al2023-ami", "0"), ("al2023-ami-minimal", "1"))
    for kernel, number in (("default", "0"), ("6.1", "61"), ("6.12", "612"))
    for architecture, digit in (("arm64", "a"), ("x86_64", "8"))
}
"""Image id by parameter."""
_DETAILS = ("Amazon Linux 2023 AMI", "", "/dev/xvda", "137112412989", "amazon")


def _name(parameter: str) -> str:
    return parameter.removeprefix(f"{_PREFIX}/").replace("-kernel-", "-2023.9.20261101.0-kernel-")


_GAP = "an ARM64 image of Amazon Linux is unknown"

PATCHES = (
    Patch("services.ssm._PUBLIC_AMI_PARAMETERS", lambda known: known | _IMAGES, _GAP),
    Patch(
        "services.ec2._STUB_AMIS",
        lambda known: [*known, *((image, _name(parameter), *_DETAILS) for parameter, image in _IMAGES.items())],
        _GAP,
    ),
)
