"""The loopback link counts as encrypted (gap 6).

AWS endpoints are HTTPS; this gateway speaks plain HTTP on 127.0.0.1. Policies that deny `aws:SecureTransport` =
false, as every bucket with enforced TLS has (CDK's own staging bucket among them), would refuse all calls.
"""

from ministack import app


def install() -> None:
    """Evaluate `aws:SecureTransport` as true."""
    pin = app.pin_request_origin

    def pin_secure(source_ip: str, secure_transport: bool) -> None:
        pin(source_ip, True)

    app.pin_request_origin = pin_secure
