"""The managed rule groups that our web ACL uses, as far as AWS documents them.

Names, labels, inspected parts and sizes are those of AWS WAF: Baseline rule groups (core rule set, known bad inputs),
Use-case specific rule groups (Linux operating system) and IP reputation rule groups. AWS publishes examples of what a
rule matches and keeps the rest to itself: the patterns have these examples and what OWASP's Core Rule Set looks for in
the same place; they match rather too much than too little. Lists of addresses are not published: those rules never
match.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from outpost_local.waf.request import INSPECTED_BYTES, WebRequest, spellings

Matches = Callable[[WebRequest], bool]


@dataclass(frozen=True)
class ManagedRule:
    """One rule of a group; without an override it blocks what it matches."""

    name: str
    label: str
    matches: Matches


_PARTS: Mapping[str, Callable[[WebRequest], Iterable[str]]] = {
    "BODY": lambda request: [request.body_text],
    "COOKIE": lambda request: [request.cookies[:INSPECTED_BYTES]],
    "HEADER": lambda request: [request.header_text],
    "QUERYARGUMENTS": lambda request: request.query_values,
    "QUERYSTRING": lambda request: [request.query],
    "URIPATH": lambda request: [request.path],
}
_LABEL_ENDS = {
    "BODY": "Body",
    "COOKIE": "Cookie",
    "HEADER": "Header",
    "METHOD": "Method",
    "QUERYARGUMENTS": "QueryArguments",
    "QUERYSTRING": "QueryString",
    "URIPATH": "URIPath",
}
_METADATA = r"169\.254\.169\.254|fd00:ec2::254|latest/(meta|user)-data"
_TRAVERSAL = r"\.\.[/\\]+\.\.[/\\]|/etc/passwd|/proc/self"
_ADDRESS_URL = r"(https?|ftps?|file)://\d{1,3}(\.\d{1,3}){3}"
_SCRIPT = r"<\s*(script|iframe|object|embed)|\bon(error|load|click|focus|mouseover)\s*=|javascript:"
_JAVA = r"java\.lang\.(runtime|processbuilder)|\bprocessbuilder\s*\(|ro0ab|class\.module\.classloader"
_LOG4J = r"\$\{\s*(jndi|lower|upper|env|sys|:)"
_REACT = r"__proto__|\$1:constructor|\"then\"\s*:"
_SYSTEM_FILES = r"/proc/(version|self|cpuinfo)|/etc/(passwd|shadow|hosts|group)|\.(ssh|bash_history|bashrc|profile)\b"
_EXTENSIONS = (
    "asa|asax|ascx|backup|bak|bat|cdx|cer|cfg|cmd|com|conf|config|cs|csproj|csr|dat|db|dbf|dll|dos|htr|htw|ida|idc|idq|"
    "inc|ini|key|licx|lnk|log|mdb|old|pass|pdb|pol|printer|pwd|rdb|resources|resx|sql|swp|sys|vb|vbs|vbproj|vsdisco|"
    "webinfo|xsd|xsx"
)
_RESTRICTED = rf"\.({_EXTENSIONS})($|[/;?#])"


def _finds(pattern: str, part: str) -> Matches:
    """Match a pattern in a part of the request, in any case of letters, however it is encoded."""
    search = re.compile(pattern, re.IGNORECASE).search
    return lambda request: any(search(each) for text in _PARTS[part](request) for each in spellings(text))


def _rule(prefix: str, name: str, matches: Matches) -> ManagedRule:
    stem, _, part = name.rpartition("_")
    return ManagedRule(name, f"{prefix}:{stem}_{_LABEL_ENDS[part]}", matches)


def _rules(prefix: str, stem: str, pattern: str, *parts: str) -> list[ManagedRule]:
    return [_rule(prefix, f"{stem}_{part}", _finds(pattern, part)) for part in parts]


_CORE, _BAD = "awswaf:managed:aws:core-rule-set", "awswaf:managed:aws:known-bad-inputs"
_SCANNERS = re.compile(r"nessus|nmap|nikto|sqlmap|masscan|zgrab|acunetix|dirbuster", re.IGNORECASE)


def _is_scanner(request: WebRequest) -> bool:
    return _SCANNERS.search(request.header("user-agent") or "") is not None


def _never(_: WebRequest) -> bool:
    return False


_SIZES = [
    _rule(_CORE, "SizeRestrictions_QUERYSTRING", lambda request: len(request.query.encode()) > 2_048),
    _rule(_CORE, "SizeRestrictions_Cookie_HEADER", lambda request: len(request.cookies.encode()) > 10_240),
    _rule(_CORE, "SizeRestrictions_BODY", lambda request: len(request.body) > INSPECTED_BYTES),
    _rule(_CORE, "SizeRestrictions_URIPATH", lambda request: len(request.path.encode()) > 1_024),
]

GROUPS: Mapping[str, tuple[ManagedRule, ...]] = {
    "AWSManagedRulesAmazonIpReputationList": tuple(
        ManagedRule(name, f"awswaf:managed:aws:amazon-ip-list:{name}", _never)
        for name in ("AWSManagedIPReputationList", "AWSManagedReconnaissanceList", "AWSManagedIPDDoSList")
    ),
    "AWSManagedRulesCommonRuleSet": (
        _rule(_CORE, "NoUserAgent_HEADER", lambda request: not request.header("user-agent")),
        ManagedRule("UserAgent_BadBots_HEADER", f"{_CORE}:BadBots_Header", _is_scanner),
        *_SIZES,
        *_rules(_CORE, "EC2MetaDataSSRF", _METADATA, "BODY", "COOKIE", "URIPATH", "QUERYARGUMENTS"),
        *_rules(_CORE, "GenericLFI", _TRAVERSAL, "QUERYARGUMENTS", "URIPATH", "BODY"),
        *_rules(_CORE, "RestrictedExtensions", _RESTRICTED, "URIPATH", "QUERYARGUMENTS"),
        *_rules(_CORE, "GenericRFI", _ADDRESS_URL, "QUERYARGUMENTS", "BODY", "URIPATH"),
        *_rules(_CORE, "CrossSiteScripting", _SCRIPT, "COOKIE", "QUERYARGUMENTS", "BODY", "URIPATH"),
    ),
    "AWSManagedRulesKnownBadInputsRuleSet": (
        *_rules(_BAD, "JavaDeserializationRCE", _JAVA, "HEADER", "BODY", "URIPATH", "QUERYSTRING"),
        ManagedRule(
            "Host_localhost_HEADER",
            f"{_BAD}:Host_Localhost_Header",
            lambda request: "localhost" in (request.header("host") or "").lower(),
        ),
        ManagedRule("PROPFIND_METHOD", f"{_BAD}:Propfind_Method", lambda request: request.method == "PROPFIND"),
        *_rules(_BAD, "ExploitablePaths", r"web-inf|meta-inf|/\.(git|env|aws)\b", "URIPATH"),
        *_rules(_BAD, "Log4JRCE", _LOG4J, "HEADER", "QUERYSTRING", "BODY", "URIPATH"),
        *_rules(_BAD, "ReactJSRCE", _REACT, "BODY"),
    ),
    "AWSManagedRulesLinuxRuleSet": tuple(
        _rules("awswaf:managed:aws:linux-os", "LFI", _SYSTEM_FILES, "URIPATH", "QUERYSTRING", "HEADER")
    ),
}
"""Group -> its rules, in the order of AWS's tables."""
