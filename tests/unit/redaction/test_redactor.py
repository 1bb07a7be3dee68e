"""The redactor: no secret gets through, ordinary text does."""

import base64
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from outpost.redaction.redactor import Redactor
from worker.lines import MAX_LINE_BYTES, LineSplitter, printable

ALNUM = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def _key(prefix: str, length: int, alphabet: str = ALNUM) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=length, max_size=length).map(lambda body: prefix + body)


KEYS = st.one_of(
    _key("otp_", 64, "0123456789abcdef"),
    _key("sk-", 48),
    _key("sk-", 32, "0123456789abcdef"),
    _key("sk-proj-", 100, ALNUM + "_-"),
    _key("sk-svcacct-", 60, ALNUM + "_-"),
    _key("sk-ant-api03-", 90, ALNUM + "_-"),
    _key("xai-", 80),
    _key("AIza", 35, ALNUM + "_-"),
    *(_key(prefix, 36) for prefix in ("ghp_", "gho_", "ghu_", "ghs_", "ghr_")),
    _key("github_pat_", 82, ALNUM + "_"),
    _key("AKIA", 16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
    _key("ASIA", 16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
    st.tuples(_key("eyJ", 20), _key("eyJ", 40), _key("", 43)).map(".".join),
)
AWS_SECRETS = _key("", 40, ALNUM + "/+")
# A key stands apart from the text around it, as it does in every format that people print.
AROUND = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=30)
SEPARATORS = st.sampled_from([" ", '"', "'", "=", ":", ",", "(", "\t", "/", "@"])


@given(before=AROUND, separator=SEPARATORS, key=KEYS, end=SEPARATORS, after=AROUND)
def test_no_key_survives_in_any_surroundings(before: str, separator: str, key: str, end: str, after: str) -> None:
    assert key not in Redactor().line(before + separator + key + end + after)


@given(
    before=AROUND,
    name=st.sampled_from(
        ["AWS_SECRET_ACCESS_KEY=", 'aws_secret_access_key = "', '"SecretAccessKey": "', "secretKey: '", "SECRET_KEY="],
    ),
    secret=AWS_SECRETS,
)
def test_no_aws_secret_key_survives_an_assignment(before: str, name: str, secret: str) -> None:
    assert secret not in Redactor().line(f"{before} {name}{secret}")


@given(before=AROUND, secret=st.text(st.characters(exclude_categories=["Cs"]), min_size=12), after=AROUND)
def test_no_known_value_survives_plain_or_encoded(before: str, secret: str, after: str) -> None:
    redactor = Redactor({"TOKEN": secret})
    forms = [secret, base64.b64encode(secret.encode()).decode(), quote(secret, safe="")]
    for form in (form for form in forms if "\n" not in form):
        cleaned = redactor.line(f"{before}{form}{after}")
        assert "[REDACTED:TOKEN]" in cleaned
        assert form not in cleaned.replace("[REDACTED:TOKEN]", "")


@given(
    label=st.sampled_from(["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "]),
    body=st.lists(st.text(ALNUM + "+/", min_size=64, max_size=64), min_size=1, max_size=60),
    last=st.text(ALNUM + "+/", min_size=1, max_size=63),
)
def test_no_line_of_a_private_key_survives_and_the_text_around_it_does(label: str, body: list[str], last: str) -> None:
    key = [f"-----BEGIN {label}PRIVATE KEY-----", *body, last + "=", f"-----END {label}PRIVATE KEY-----"]
    cleaned = Redactor().text("\n".join(["the key:", *key, "was printed"])).split("\n")
    assert cleaned == ["the key:", *["[REDACTED:private-key]"] * len(key), "was printed"]


def test_a_private_key_on_one_line_is_removed() -> None:
    line = r'{"key": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----\n", "id": 7}'
    assert Redactor().line(line) == r'{"key": "[REDACTED:private-key]\n", "id": 7}'


def test_a_private_key_that_breaks_off_does_not_swallow_what_follows() -> None:
    cleaned = Redactor().text("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\nerror: it broke off here")
    assert cleaned.endswith("\nerror: it broke off here")


def test_lines_behind_the_mere_beginning_of_a_private_key_stay() -> None:
    after = ["+", "hello", "commit 6199e74d8e3d5f0d34d8c431cfdb1bd84ca22a59", "", "--- /dev/null", "+++ b/a", "+"]
    cleaned = Redactor().text("\n".join(["+KEY = '-----BEGIN PRIVATE KEY-----'", *after]))
    assert cleaned.split("\n")[1:] == after


@given(
    body=st.lists(st.text(ALNUM + "+/", min_size=64, max_size=64), min_size=1, max_size=10),
    last=st.text(ALNUM + "+/", min_size=1, max_size=63),
    between=st.lists(st.sampled_from(["", "GET /health 200", "[db] checkpoint complete: wrote 3 buffers"]), max_size=5),
)
def test_a_private_key_between_other_lines_disappears_and_they_stay(
    body: list[str], last: str, between: list[str]
) -> None:
    key = ["-----BEGIN PRIVATE KEY-----", *(line for part in body for line in (*between, part)), last]
    cleaned = Redactor().text("\n".join([*key, "-----END PRIVATE KEY-----", "done"])).split("\n")
    assert not {*body, last} & {*cleaned}
    assert cleaned[-1] == "done"
    assert cleaned.count("GET /health 200") == len(body) * between.count("GET /health 200")


def test_a_known_value_of_several_lines_is_removed_line_by_line() -> None:
    redactor = Redactor({"CERT": "first-line\nsecond-line"})
    assert redactor.text("a first-line\nb second-line") == "a [REDACTED:CERT]\nb [REDACTED:CERT]"


@pytest.mark.parametrize(
    "line",
    [
        "task-definition-for-the-fleet and disk-usage-report-of-the-day",
        "commit 4b825dc642cb6eb9a060e54bf8d69288fbee4904",
        "see https://github.com/owner/name/issues/12#issuecomment-1",
        "secret_key: use the secret manager",
        "docker run -d --name web -p 8080:80 nginx",
        "docker run -p8080:80 mysql",
        "uses: docker://alpine:3.20@sha256:" + "0" * 64,
        'url = "postgres://%s:%s@db" % (user, password)',
        "DATABASE_URL=postgres://app:${DB_PASSWORD}@db/app",
        'f"postgres://{user}:{password}@db"',
        "private_key: Ed25519PrivateKey | Ed448PrivateKey",
        "oauth2_config: OAuth2Config | None = None,",
        'create_secret(Name=value, SecretString=value)["ARN"]',
        '["release", row.id, "--secret", "NPM_TOKEN", "--reason", "revoked"]',
        "(NetworkVpcPrivateSubnet1RouteTable7D7AA3CD)",
        "Outpost-dev-Data:ExportsOutputRefAccessLogs8B620ECA39F1F795.",
        "request req_011CSHoEeqs5C35K2UUqR7Fy failed",
        "self, public_key: SSHCertPublicKeyTypes",
        "tests/store/test_tenant_secrets.py::test_a_new_secret_has_the_environments_key[False] PASSED",
        "--- PASS: TestFoo123 (0.00s)",
        "blob=$(echo evil | git hash-object -w --stdin)",
        "secretKey: getSecretKeyFromTheEnvironmentOfTheProcess",
        "the bearer of bad news",
        "",
    ],
)
def test_ordinary_text_stays_as_it_is(line: str) -> None:
    assert Redactor({"FLAG": "true"}).line(line) == line


@given(st.text(max_size=200))
def test_redaction_keeps_the_number_of_lines(text: str) -> None:
    assert Redactor({"A": "abcdefgh"}).text(text).count("\n") == text.count("\n")


@given(
    before=st.binary(max_size=40),
    secret=st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=12, max_size=60),
    after=st.binary(max_size=40),
    encode=st.sampled_from([base64.b64encode, base64.urlsafe_b64encode]),
)
def test_no_known_value_survives_inside_something_that_is_encoded(
    before: bytes, secret: str, after: bytes, encode: Callable[[bytes], bytes]
) -> None:
    """Basic credentials, for instance: the user's name comes before the token, and shifts its bits."""
    line = encode(before + secret.encode() + after).decode()
    cleaned = Redactor({"TOKEN": secret}).line(line)
    assert "[REDACTED:TOKEN]" in cleaned
    longest = max(len(part) for part in cleaned.split("[REDACTED:TOKEN]"))
    assert longest <= (max(len(before), len(after)) + 3) * 4 / 3 + 4


@pytest.mark.parametrize("encode", [quote, quote_plus, lambda text: quote(text, safe="").lower()])
def test_no_known_value_survives_in_a_url(encode: Callable[[str], str]) -> None:
    secret = "pass/word with+signs&more"
    assert Redactor({"T": secret}).line(f"GET /?q={encode(secret)}&x") == "GET /?q=[REDACTED:T]&x"


@given(
    before=st.text(ALNUM + " ", max_size=40_000),
    key=KEYS,
    known=st.text(ALNUM, min_size=20, max_size=60),
    after=st.text(ALNUM + " ", max_size=2_000),
    cuts=st.lists(st.integers(1, 9_000), max_size=8),
)
@settings(max_examples=50)
def test_no_secret_survives_however_the_stream_is_cut(
    before: str, key: str, known: str, after: str, cuts: list[int]
) -> None:
    data = f"{before} {key} {known} {after}\n".encode()
    splitter, redactor, lines = LineSplitter(), Redactor({"KNOWN": known}), []
    for size in [*cuts, len(data)]:
        chunk, data = data[:size], data[size:]
        lines += [redactor.line(line) for line in splitter.feed(chunk)]
    lines += [redactor.line(line) for line in splitter.finish()]
    assert key not in "".join(lines)
    assert known not in "".join(lines)


@given(
    position=st.integers(MAX_LINE_BYTES - 40, MAX_LINE_BYTES + 10),
    known=st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=12, max_size=40),
)
@settings(max_examples=50)
def test_a_value_with_blanks_and_signs_survives_no_cut_of_a_line(position: int, known: str) -> None:
    assume(known == known.strip() and printable(known.encode()) == known)
    data = b"x" * position + known.encode() + b" and so on\n"
    redactor, lines = Redactor({"KNOWN": known}), list(LineSplitter().feed(data))

    cleaned = "".join(redactor.line(line) for line in lines).replace("[REDACTED:KNOWN]", "").strip("x")

    assert len(cleaned.removesuffix(" and so on")) <= 3


@given(st.lists(st.one_of(KEYS, AROUND, st.just("an ordinary line")), max_size=80))
def test_many_lines_at_once_are_redacted_as_one_by_one(lines: list[str]) -> None:
    once, one_by_one = Redactor({"A": "abcdefgh"}), Redactor({"A": "abcdefgh"})
    assert once.text("\n".join(lines)).split("\n") == [one_by_one.line(part) for part in "\n".join(lines).split("\n")]


@pytest.mark.parametrize("between", [" ", ",", '" "'])
def test_random_texts_with_little_between_them_disappear_both(between: str) -> None:
    first, second = "q8Zr2LkT0vXw5MnBq8Zr2LkT0vXw", "k3J9s0fLq2mZx81vR7tYp4WcE6uH"
    assert Redactor().line(f"{first}{between}{second}") == between.join(["[REDACTED:random-text]"] * 2)


def test_lines_directly_behind_the_beginning_of_a_private_key_need_not_look_random() -> None:
    body = ["MIIEpAIBAAKCAQEA0123456789abcdef"] * 3
    lines = Redactor({}).text("\n".join(["-----BEGIN RSA PRIVATE KEY-----", *body, "done, then"])).split("\n")
    assert not [line for line in lines if "MIIE" in line]
    assert lines[-1] == "done, then"
