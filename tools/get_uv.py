"""Put the pinned uv into the checkout, with nothing but Python's standard library: `python3 tools/get_uv.py .tools/uv`.

The wheel comes from the Python package index, or from the one that UV_DEFAULT_INDEX or PIP_INDEX_URL names, and must
have the checksum below. SSL_CERT_FILE or PIP_CERT names the certificates of a private index.
"""

import base64
import hashlib
import io
import os
import platform
import re
import ssl
import sys
import urllib.request
import zipfile
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

VERSION = "0.13.9"
# Platform -> tag and SHA-256 of its wheel, from https://pypi.org/project/uv/0.13.9/#files; musl is static: any Linux.
WHEELS = {
    "Linux x86_64": ("musllinux_1_1_x86_64", "2c45530751517d6c3bbc69a19473f6effe47cce047bede01ffd8af7ea7b36b25"),
    "Linux aarch64": (
        "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64",
        "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe",
    ),
    "Darwin x86_64": ("macosx_10_12_x86_64", "c16ed11e013557536b3e60065f1b912f6407bd6518e041b961e23ef9e6b4fbf5"),
    "Darwin arm64": ("macosx_11_0_arm64", "66c512266d633bef48384a1f53003f41f2a8e7b36fe6e7fbfd3e0fd52d96fa63"),
}


def fetch(url: str, accept: str = "*/*") -> bytes:
    """Return what lies at a URL, whose user and password are sent as such. Raises `OSError`."""
    parts = urlsplit(url)
    headers = {"Accept": accept}
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
        url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    context = ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE") or os.environ.get("PIP_CERT"))
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60, context=context) as response:  # noqa: S310
        body: bytes = response.read()
    return body


def download(index: str) -> bytes:
    """Return the verified uv binary for this machine. Raises `OSError`, and `SystemExit` naming the remedy."""
    machine = f"{platform.system()} {platform.machine()}"
    if machine not in WHEELS:
        sys.exit(f"No pinned uv for {machine} (known: {', '.join(WHEELS)}). Install uv {VERSION}: make setup UV=uv")
    tag, checksum = WHEELS[machine]
    name = f"uv-{VERSION}-py3-none-{tag}.whl"
    page = f"{index.rstrip('/')}/uv/"
    link = re.search(rf'href="([^"#]*{re.escape(name)})', fetch(page, "text/html").decode())
    if link is None:
        sys.exit(f"The package index has no {name}: {urlsplit(page).hostname}. Name another in UV_DEFAULT_INDEX.")
    wheel = fetch(urljoin(page, link[1]))
    if (actual := hashlib.sha256(wheel).hexdigest()) != checksum:
        sys.exit(f"{name} has the SHA-256 {actual}, not {checksum}: do not use this package index.")
    return zipfile.ZipFile(io.BytesIO(wheel)).read(f"uv-{VERSION}.data/scripts/uv")


def main() -> None:
    """Write uv to the path given as the only argument, whole or not at all."""
    target = Path(sys.argv[1])
    index = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL") or "https://pypi.org/simple"
    host = urlsplit(index).hostname
    try:
        binary = download(index)
    except OSError as error:
        sys.exit(
            f"Cannot download uv from {host}: {error}\n"
            "Check the network (HTTPS_PROXY), the certificates (package ca-certificates, or SSL_CERT_FILE),\n"
            "or name another package index in UV_DEFAULT_INDEX.",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    part.write_bytes(binary)
    part.chmod(0o755)
    part.replace(target)


if __name__ == "__main__":
    main()
