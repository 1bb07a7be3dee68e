"""The loopback link counts as encrypted.

AWS endpoints are HTTPS; this gateway speaks plain HTTP on 127.0.0.1. Policies that deny `aws:SecureTransport` =
false, as every bucket with enforced TLS has (CDK's own staging bucket among them), would refuse all calls.
"""

from collections.abc import Callable

from outpost_local.extensions.patch import around


def _pin(pin: Callable[[str, bool], None], source_ip: str, _secure_transport: bool) -> None:
    pin(source_ip, True)


PATCHES = (around("app.pin_request_origin", _pin, "plain HTTP is denied as such"),)
