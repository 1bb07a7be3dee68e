"""Private keys: every line of the body disappears, however the key is printed; what is public stays."""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption
from cryptography.hazmat.primitives.serialization import PrivateFormat as Format

from outpost.redaction.redactor import Redactor

RSA = rsa.generate_private_key(65537, 2048)
CURVE = ec.generate_private_key(ec.SECP256R1())
EDWARDS = ed25519.Ed25519PrivateKey.generate()
PLAIN, LOCKED = NoEncryption(), BestAvailableEncryption(b"of the test")
KEYS = {
    "PKCS 8": RSA.private_bytes(Encoding.PEM, Format.PKCS8, PLAIN),
    "PKCS 1": RSA.private_bytes(Encoding.PEM, Format.TraditionalOpenSSL, PLAIN),
    "encrypted PKCS 8": RSA.private_bytes(Encoding.PEM, Format.PKCS8, LOCKED),
    "encrypted PKCS 1": RSA.private_bytes(Encoding.PEM, Format.TraditionalOpenSSL, LOCKED),
    "SEC 1": CURVE.private_bytes(Encoding.PEM, Format.TraditionalOpenSSL, PLAIN),
    "OpenSSH": RSA.private_bytes(Encoding.PEM, Format.OpenSSH, PLAIN),
    "OpenSSH, Ed25519": EDWARDS.private_bytes(Encoding.PEM, Format.OpenSSH, PLAIN),
}
PUTTY = "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nPrivate-Lines: 1\n{}\nPrivate-MAC: 0a1b2c3d\n"


def _between(other: str) -> Callable[[list[str]], str]:
    return lambda lines: "\n".join(text for line in lines for text in (line, other))


def _each(template: str) -> Callable[[list[str]], str]:
    return lambda lines: "\n".join(template.format(line) for line in lines)


PRINTED: dict[str, Callable[[list[str]], str]] = {
    "as it is": "\n".join,
    "with Windows' line ends": "\r\n".join,
    "with plain lines between": _between("   Compiling outpost v1.2.3 (/home/user/project/src)"),
    "with a time before each line": _each("2026-11-27T10:00:00.123456789Z stdout F {}"),
    "as a service of Compose": _each("web_1  | {}"),
    "as a diff": _each("+{}"),
    "as a block of YAML": _each("      {}"),
    "with line numbers": lambda lines: "\n".join(f"{n:6}\t{line}" for n, line in enumerate(lines, 1)),
    "as strings of a program": _each('    "{}\\n" +'),
    "without its first line": lambda lines: "\n".join(lines[1:]),
    "without its last line": lambda lines: "\n".join(lines[:-1]),
    "without its first line, with plain lines between": lambda lines: _between("a plain line")(lines[1:]),
    "its second half": lambda lines: "\n".join(lines[len(lines) // 2 :]),
    "in JSON": lambda lines: '{"key": "' + "\\n".join(lines) + '\\n", "id": 7}',
    "in JSON in JSON": lambda lines: '{\\"key\\": \\"' + "\\\\n".join(lines) + '\\"}',
    "on one line": " ".join,
}


@pytest.mark.parametrize("printed", PRINTED)
@pytest.mark.parametrize("name", KEYS)
def test_no_line_of_a_private_key_survives(name: str, printed: str) -> None:
    lines = KEYS[name].decode().strip().split("\n")
    body = [line for line in lines if line and "-----" not in line and ":" not in line]
    if printed == "its second half":
        body = [line for line in lines[len(lines) // 2 : -1] if len(line) == len(lines[1])]

    text = PRINTED[printed](lines)
    cleaned = Redactor().text(text)

    assert [line for line in body if line in cleaned] == []
    assert cleaned.count("\n") == text.count("\n")


def test_the_last_line_of_an_openssh_key_disappears_behind_another_line_though_it_hardly_looks_random() -> None:
    lines = [*KEYS["OpenSSH"].decode().split("\n")[:5], "a plain line", "wKPcMWa+94w2ufpmelcEHDrjzfyktuMAAAAAAQID"]
    assert "wKPcMWa" not in Redactor().text("\n".join(lines))


def test_lines_between_those_of_a_key_and_behind_it_stay() -> None:
    lines = KEYS["PKCS 8"].decode().strip().split("\n")
    other = "   Compiling outpost v1.2.3 (/home/user/project/src)"
    cleaned = Redactor().text(_between(other)(lines) + "\nthe end of it").split("\n")
    assert cleaned.count(other) == len(lines)
    assert cleaned[-1] == "the end of it"


def test_a_key_of_putty_disappears() -> None:
    body = KEYS["OpenSSH, Ed25519"].decode().split("\n")[1]
    cleaned = Redactor().text(PUTTY.format(body))
    assert body not in cleaned
    assert "0a1b2c3d" not in cleaned


def test_public_keys_and_certificates_stay() -> None:
    public = RSA.public_key()
    pem = public.public_bytes(Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    ssh = public.public_bytes(Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode() + " user@host"
    certificate = pem.replace("PUBLIC KEY", "CERTIFICATE")
    assert Redactor().text(f"{pem}{ssh}\n{certificate}done") == f"{pem}{ssh}\n{certificate}done"


def test_a_certificate_that_breaks_off_hides_no_secret() -> None:
    token = "ghp_" + "k8Zq" * 9
    assert token not in Redactor().text(f"-----BEGIN CERTIFICATE-----\nMIIC\ntoken {token}")


def test_secrets_learnt_in_the_middle_of_a_key_do_not_end_it() -> None:
    lines = KEYS["PKCS 8"].decode().strip().split("\n")
    redactor = Redactor()
    redactor.line(lines[0])
    redactor.know({"TOKEN": "q8Zr2LkT0vXw5MnB"})
    assert redactor.line(lines[-2]) == "[REDACTED:private-key]"
    assert redactor.line("q8Zr2LkT0vXw5MnB") == "[REDACTED:TOKEN]"
