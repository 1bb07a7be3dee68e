"""A request as AWS WAF sees it in front of a load balancer."""

from collections.abc import Iterable
from dataclasses import dataclass
from html import unescape
from urllib.parse import parse_qsl, unquote, unquote_plus

INSPECTED_BYTES = 8 * 1024
"""WAF inspects this much of a body, of all headers and of all cookies when the web ACL protects a load balancer
(AWS WAF: Considerations for managing body inspection; Oversize web request components)."""


@dataclass(frozen=True)
class WebRequest:
    """One request; path and query as they were sent, the query without its question mark."""

    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    @property
    def body_text(self) -> str:
        """What WAF inspects of the body."""
        return self.body[:INSPECTED_BYTES].decode("utf-8", "replace")

    @property
    def query_values(self) -> list[str]:
        """The values of all query arguments, decoded."""
        return [value for _, value in parse_qsl(self.query, keep_blank_values=True)]

    @property
    def header_text(self) -> str:
        """Names and values of the headers, one a line, as far as WAF inspects them."""
        return "\n".join(f"{name}: {value}" for name, value in self.headers)[:INSPECTED_BYTES]

    @property
    def cookies(self) -> str:
        """The cookie header, empty without one."""
        return self.header("cookie") or ""

    def header(self, name: str) -> str | None:
        """Return the first header of a name, in any case of letters."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


def spellings(text: str) -> Iterable[str]:
    """Return a text as it is and as attackers may have encoded it: in a URL, in HTML, in a JSON string."""
    decoded = unquote_plus(text)
    return {text, unquote(text), decoded, unescape(decoded), decoded.replace('\\"', '"').replace("\\/", "/")}
