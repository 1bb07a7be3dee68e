"""Finds secrets of no known format: by the name that they are given (`PASSWORD=...`, `--token ...`), or as random text.

Made for logs, where a value too many may go: source code that names a variable `token` is full of such places.
"""

import re

from outpost.redaction.match import Match
from outpost.redaction.randomness import changes, entropy, is_random

_QUOTE = r"(?:\\*[\"'`]|&quot;|&#3[49];|\\*u002[27]|%2[27])"
_NAME = (
    r"(?i:passw(?:or)?d|[_-]pass\b|passphrase|passcode|passwort|pwd|secret|token|api[_-]?key|[_-]key|key[_-]data|[a-z]key\b|auth|"
    r"credential|creds|[_-]pat\b|cookie|session|connection[_-]?string|connstr|dsn|webhook|private|signature|psk\b|sessid|seed[_-]?hex)"
)
_BECOMES = (
    rf"(?:{_QUOTE}?\]?[ \t]*(?:=>|:=|==|::?|=|%3[Dd]|&#61;)[ \t]*"
    rf"|{_QUOTE}?,?[ \t]*{_QUOTE}?[Vv]alue{_QUOTE}?[ \t]*[:=][ \t]*)"
)
_VALUE = (
    rf"(?:[bBfFrRuU]?{_QUOTE}){{0,3}}(?:!!str )?([^\s\"'`<>&,;(){{}}\[\]|\\](?:[^\s\"'`<>;\\]|\\+[^\s\"'nrt]){{3,}})"
)
_COMMANDS = "mysql|mysqldump|mysqladmin|mariadb|sshpass|redis-cli|mongosh?|docker|podman|helm|sqlcmd|psql|7z|zip|unzip"

_OPTIONS = "password|passwd|pass|pwd|passphrase|secret|token|key"
_SCHEMES = "token|api-?key|key|ssws|digest|apitoken|splunk|geniekey"
_ALNUM = "[A-Za-z0-9]"
_CAPITAL, _SMALL = "(?:[0-9][A-Z]|[A-Z][0-9])", "(?:[0-9][a-z]|[a-z][0-9])"
_APART = "(?:^|[^A-Za-z0-9+/]|[^A-Za-z0-9][+/])"
_MIXED = r"([A-Za-z0-9_.-]*(?:[A-Za-z][0-9]|[0-9][A-Za-z])[A-Za-z0-9_.-]{6,})"
_NAMED = "assigned"
_SHORTEST_TOKEN = 24
RANDOM = "random-text"
"""The kind of what is a secret by its looks alone."""
_UNNAMED = "secret"
_WRAPPED = "wrapped-lines"
PATTERNS = (
    (_NAMED, _NAME + r"[A-Za-z0-9_.-]*" + _BECOMES + _VALUE),
    (_NAMED, rf"<[A-Za-z:._-]*{_NAME}[A-Za-z0-9:._-]*(?:[ \t][^<>\n]*)?>[ \t]*{_VALUE}"),
    (_NAMED, rf"{_NAME}[A-Za-z0-9_.-]*(?:</?[a-z][^<>\n]*>[ \t]*)+{_VALUE}"),
    (_NAMED, rf"<key>[^<\n]*{_NAME}[^<\n]*</key>[ \t]*<string>{_VALUE}"),
    (
        "authorization",
        rf"(?i:authorization{_QUOTE}?[ \t]*[:=,][ \t]*{_QUOTE}?(?:{_SCHEMES})[ \t:]+){_VALUE}",
    ),
    (
        "password",
        rf"(?i:(?:^|[\s\"'\[,])--?(?:[a-z]+-)*(?:{_OPTIONS})[\"', \t]+){_VALUE}",
    ),
    ("password", r"(?i:\b(?:login|account|user)[ \t]+\S+[ \t]+password[ \t]+)(\S{4,})"),
    ("password", r"(?i:(?:identified[ \t]+by|password)[ \t]+')([^'\s]{6,})'"),
    ("password", r"\b(?:curl|wget|https?)\b.*?[ \t](?:-u|--user|--proxy-user)[ \t=]*[\"']?[^\s:\"']+:([^\s\"']{4,})"),
    ("password", rf"\b(?:{_COMMANDS})\b.*?[ \t]-(?:p|a|P)[ \t]?[\"']?([^\s\"'-][^\s\"']{{5,}})"),
    ("password", rf"(?i:\b(?:requirepass|masterauth|-pass(?:in|out)?[ \t]+pass:|openssl\b.*?[ \t]-k)[ \t]*){_VALUE}"),
    ("password", rf"\becho[ \t]+{_VALUE}{_QUOTE}?[ \t]*\|.*?(?:password-stdin|passwd[ \t].*?--stdin|chpasswd|sudo -S)"),
    (_NAMED, rf"\b(?i:pass|pw)={_VALUE}"),
    ("password", r"(?i:\b(?:pwd|password)=)\{([^{}\"'\s]*[;@#$%^&*+?~|][^{}\"'\s]*)\}"),
    ("password", r"(?i:jdbc:oracle:\w+:)[^\s/@\"']+/([^\s/@\"']{4,})@"),
    ("password", r"\bcurl\b.*?[ \t](?:-u|--user|--proxy-user)[ \t=]*'[^\s:']+:([^']{4,})'"),
    ("password", r"(?i:^[ \t]*password[ \t]+)(\S*[0-9]\S{4,}|\S{4,}[0-9]\S*)[ \t]*$"),
    ("password", r"\$[156y]\$[A-Za-z0-9./$=,]{20,}"),
    ("authorization", r"(?i:\bdigest\b.*?\bresponse=)\\*[\"']?([0-9a-f]{32,})"),
    (_NAMED, rf"\b(?:ENV|ARG|setx)[ \t]+[A-Z0-9_]*{_NAME}[A-Z0-9_]*[ \t]+{_VALUE}"),
    (_UNNAMED, rf"(?i:password|passphrase|token|api[_-]?key|secret|credentials)(?:[ \t]+is)?[ \t]+{_QUOTE}?{_MIXED}"),
    (_UNNAMED, rf"[?&](?:key|sig|sign|code|auth|sid|hash|state)=({_ALNUM}[^\s&\"'<>\\]{{15,}})"),
    (_UNNAMED, r"://([A-Za-z0-9_.-]{16,})(?::x-oauth-basic)?@"),
    (_WRAPPED, r"(?:[A-Za-z0-9+/]{64}\\+[nr]+){2,}[A-Za-z0-9+/]*={0,2}"),
    # Digits beside capitals and beside small letters: hardly a word or a name has both. In base64 many parts have.
    (
        RANDOM,
        rf"{_APART}({_ALNUM}*(?:{_CAPITAL}{_ALNUM}*{_SMALL}|{_SMALL}{_ALNUM}*{_CAPITAL}){_ALNUM}*)(?:[^A-Za-z0-9+/]|$)",
    ),
)
"""Kinds and patterns of RE2. A match is a secret when `confirmed` returns it."""

_TAILS = (
    "names?|ids?|files?|path|dir|types?|length|size|count|counter|limit|ur[il]|endpoint|policy|field|column|label|hint|"
    "expiry|expires|expiration|ttl|age|arn|version|algorithm|alg|method|mode|provider|manager|store|regex|pattern|usage|"
    "used|budget|index|ring|board|error|format|scheme|scope|state|status"
)
_CAMEL_TAILS = "|".join(tail.capitalize() for tail in _TAILS.split("|"))
_HARMLESS = re.compile(
    r"(?i:(?:^|[_.-])(?:max|min|num|total|public)[_.-]|secretsmanager|auth(?:or(?!iz)|[_-]?(?:type|mode|url))|"
    rf"[_.-](?:{_TAILS})$|(?:token|key|cookie|session|secret)s$|\.(?:py|ts|js|rs|go)$)|[a-z](?:{_CAMEL_TAILS})$"
)
_PASSWORD = re.compile(r"pass|pwd|secret|creds|psk", re.IGNORECASE)
_IS_PASSWORD = re.compile(r"(?:passw(?:or)?d|passphrase)$", re.IGNORECASE)
_WORDS = re.compile(r"([a-z]+(?:-[a-z]+)*)[.,;:)\]}]*")
_OF_CODE = re.compile(r"pass|secret|token|user|key|auth|cred|value|string|default|name|config")
_EXPRESSION = re.compile(
    r"\$\{?\w+\}?$|\$[({]|\{\{|%[({s]|<|\*{3}|\.{3}|[\w.]*\w\(|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+[,)\]}]*$|arn:|\d{4}-\d\d-\d\d|[A-Za-z_][\w.]*[\[(]|-|"
    r"\d[\d.:]*:\d+(?:/(?:tcp|udp))?$|[A-Z]{2,}(?:_[A-Z]{2,})+\W*$|[A-Za-z_]+[)\]]+[\[(.,;]|"
    r"(?i:true|false|none|null|nil|undefined|string|str|int|bool|bytes|object|self|this|redacted|required|optional)\W*$"
)
_PUBLIC = re.compile(r"BEGIN (?:CERTIFICATE|[A-Z ]*PUBLIC KEY)")
_SESSION = re.compile(r"(?:^|[_-])(?:session|s)[_-]?id$", re.IGNORECASE)
_UPPER_CASE = re.compile(r"(?:^|[\s;&\"'`(])[A-Z][A-Z0-9_]*=[\"']?$")
_LAST_NAME = re.compile(
    r"([A-Za-z][A-Za-z0-9_.-]*)(?:[^A-Za-z0-9]*|[^A-Za-z0-9]+[Vv]alue[^A-Za-z0-9]*|"
    r"[^<]*><?[a-z]*>?|(?:</?[a-z][^<>]*>[ \t]*)+)$"
)
_IN_DIGEST = re.compile(
    r"(?i:base64,|(?:sha\d+|md5|integrity|digest|commit|blob|tree|checksum|etag|hash)\W{1,4}|[A-Za-z0-9][+/])$"
)
_LOGICAL_ID = re.compile(r"[0-9A-F]{8}[A-Za-z]{0,8}$")
"""The end of a logical ID of CloudFormation that the CDK made."""
_PUBLIC_ID = re.compile(r"(?<![A-Za-z0-9])(?:req|msg|toolu|call|resp|chatcmpl|run|thread|batch|evt)[_-]$")
_IDENTIFIER = re.compile(r"[A-Za-z]+\d+(?:[A-Z]+[a-z]{2,})+\W*$")
_CAPITALS = re.compile(r"[A-Z]{2}")
_WORD = re.compile(r"[a-z]{8}")


def confirmed(text: str, match: Match) -> Match | None:
    """Return a match of `PATTERNS`, with its kind, when it is a secret by its name and its looks."""
    value = text[match.start : match.end]
    if match.kind == RANDOM and len(value) < _SHORTEST_TOKEN:
        return None
    before = text[max(0, match.start - 100) : match.start]
    if match.kind == _NAMED:
        kind = "password" if _PASSWORD.search(before) else "secret"
        return Match(kind, match.start, match.end) if _is_secret(before, value) else None
    if match.kind == RANDOM:
        # The public keys of SSH begin with four bytes of a small number.
        is_part = value.startswith("AAAA") or _IN_DIGEST.search(before) or _PUBLIC_ID.search(before)
        return match if not is_part and _is_token(value) else None
    if match.kind == _WRAPPED:
        return None if _PUBLIC.search(before) else Match("private-key", match.start, match.end)
    if match.kind == _UNNAMED:
        return match if is_random(value) and not _EXPRESSION.match(value) and "/" not in value else None
    return None if _EXPRESSION.match(value) else match


def _is_secret(before: str, value: str) -> bool:
    """Return whether `value`, which stands behind `before`, is a secret by its name and its looks."""
    name = _LAST_NAME.search(before)
    if name is None or _EXPRESSION.match(value):
        return False
    if _HARMLESS.search(name[1]) and not _SESSION.search(name[1]):
        return False
    if _UPPER_CASE.search(before) and _PASSWORD.search(name[1]):
        return len(value) >= 6
    has_digit = any(c.isdigit() for c in value)
    has_letter = any(c.isalpha() for c in value)
    if _PASSWORD.search(name[1]):
        has_other = any(not c.isalnum() and c not in "_-.:/," for c in value.rstrip(").,:;]}"))
        looks_made = has_digit or has_other or changes(value) >= 0.42 or _are_random_letters(value)
        looks_made = looks_made or _is_phrase(name[1], value)
        return len(value) >= 6 and has_letter and looks_made and "(" not in value
    if not has_digit:
        return _are_random_letters(value)
    is_mixed = has_letter and len(value) >= 12 and entropy(value) >= 2.8 and changes(value) >= 0.15
    return is_mixed and not _IDENTIFIER.match(value)


def _is_phrase(name: str, value: str) -> bool:
    """Return whether a value is words in small letters, in one or with hyphens, that a password was made of."""
    words = _WORDS.fullmatch(value)
    is_one = words is not None and "-" not in words[1] and len(words[1]) >= 20
    is_many = words is not None and words[1].count("-") >= 2 and len(words[1]) >= 16
    return bool((is_one or is_many) and _IS_PASSWORD.search(name)) and not _OF_CODE.search(value)


def _are_random_letters(value: str) -> bool:
    """Return whether a value without a digit looks random: names in camel case have hardly two capitals in a row."""
    letters = value.rstrip(").,:;]}")
    is_word = _WORD.search(letters) or not _CAPITALS.search(letters)
    return len(letters) >= 16 and letters.isalpha() and changes(letters) >= 0.35 and not is_word


def _is_token(text: str) -> bool:
    """Return whether a text looks like the token of an unknown provider: random, of all three kinds of characters."""
    return not _LOGICAL_ID.search(text[-16:]) and changes(text) >= 0.42 and is_random(text)
