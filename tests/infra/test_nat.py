"""The NAT instance forwards what the private subnets send, or its stack fails; gateway endpoints do not catch it."""

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from outpost_ops.config import load
from tests.infra.assembly import Assembly, Resource
from tests.infra.conftest import ROOT

STANDARD = ("bash", "cat", "grep", "mv")
RECORDED = ("dd", "chmod", "mkswap", "swapon", "sysctl", "systemctl", "sleep", "cfn-signal")


def nat(assembly: Assembly) -> tuple[str, Resource]:
    """Logical id and resource of dev's only NAT instance."""
    ((place, instance),) = assembly.of_type("AWS::EC2::Instance", "dev")
    return place.partition("/")[2], instance


def user_data(assembly: Assembly) -> str:
    return str(nat(assembly)[1]["Properties"]["UserData"]["Fn::Base64"])


def test_gateway_endpoints_are_in_private_route_tables_only(assembly: Assembly, environment: str) -> None:
    """In a public one they would also catch the NAT, and refuse it the repositories of Amazon Linux."""
    gateways = [
        endpoint["Properties"]
        for _, endpoint in assembly.of_type("AWS::EC2::VPCEndpoint", environment)
        if endpoint["Properties"]["VpcEndpointType"] == "Gateway"
    ]
    zones = load(ROOT / "config" / f"{environment}.toml").zones

    assert len(gateways) == 2
    for endpoint in gateways:
        tables = [table["Ref"] for table in endpoint["RouteTableIds"]]
        assert len(tables) == len(zones)
        assert all("PrivateSubnet" in table for table in tables)


def test_the_nat_requires_imdsv2_and_encrypts_its_volume(assembly: Assembly) -> None:
    properties = nat(assembly)[1]["Properties"]

    assert properties["MetadataOptions"]["HttpTokens"] == "required"
    assert [device["Ebs"]["Encrypted"] for device in properties["BlockDeviceMappings"]] == [True]


def test_the_stack_waits_for_the_nat_to_signal_by_its_own_name(assembly: Assembly) -> None:
    logical_id, instance = nat(assembly)
    script = user_data(assembly)

    assert instance["CreationPolicy"] == {"ResourceSignal": {"Count": 1, "Timeout": "PT15M"}}
    assert f"\nRESOURCE={logical_id}\n" in script
    assert "\nSTACK=Outpost-dev-Network\n" in script
    assert script.startswith("#!/bin/bash\n")


def test_a_change_of_what_the_nat_runs_replaces_it(assembly: Assembly, other_dev: Assembly) -> None:
    """User data runs at the first boot only: without another logical id a change would never take effect."""
    assert nat(other_dev)[0] != nat(assembly)[0]


class Run(NamedTuple):
    """What a run of the user data did: the commands with their arguments, in order."""

    commands: list[str]
    written: str

    @property
    def signal(self) -> str:
        return next(command for command in self.commands if command.startswith("cfn-signal"))


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder of commands that record their arguments: the machine's own would need root and change this one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for command in STANDARD:
        (folder / command).symlink_to(str(shutil.which(command)))
    for command in RECORDED:
        _command(folder, command, "")
    _command(folder, "tee", f'cat >> "{tmp_path}/written"')
    return folder


def _command(folder: Path, name: str, does: str) -> None:
    path = folder / name
    path.write_text(f'#!/bin/bash\necho "{name} $*" >> "{folder.parent}/commands"\n{does}\n')
    path.chmod(0o755)


def run(script: str, folder: Path) -> Run:
    """Run the user data as cloud-init does, on a machine that has these commands only."""
    bash = str(folder / "bash")
    subprocess.run([bash, "-c", script], env={"PATH": str(folder)}, check=False, capture_output=True, timeout=120)
    written = folder.parent / "written"
    return Run((folder.parent / "commands").read_text().splitlines(), written.read_text() if written.exists() else "")


def test_a_nat_with_nftables_masquerades_what_leaves_the_network_and_signals_success(
    assembly: Assembly, machine: Path
) -> None:
    _command(machine, "nft", "echo masquerade")
    _command(machine, "dnf", "exit 1")

    done = run(user_data(assembly), machine)

    assert "net.ipv4.ip_forward = 1" in done.written
    assert "ip saddr 10.61.0.0/16 ip daddr != 10.61.0.0/16 masquerade" in done.written
    assert "systemctl enable nftables" in done.commands
    assert "--exit-code 0 --stack Outpost-dev-Network" in done.signal
    assert not [command for command in done.commands if command.startswith("dnf")], "no package is needed"


def test_a_nat_without_nftables_installs_it_with_room_to_swap_and_tries_again(
    assembly: Assembly, machine: Path
) -> None:
    _command(machine, "nft", "echo masquerade")
    (machine / "nft").rename(machine.parent / "nft")
    third = f'[ "$(grep -c ^dnf "{machine.parent}/commands")" -ge 3 ]'
    _command(machine, "dnf", f'{third} && mv "{machine.parent}/nft" "{machine}"')

    done = run(user_data(assembly), machine)

    assert done.commands.index("swapon /var/swap") < done.commands.index("dnf install --assumeyes nftables")
    assert sum(command.startswith("dnf") for command in done.commands) == 3
    assert "--exit-code 0 " in done.signal


@pytest.mark.parametrize("broken", ["dnf", "sysctl", "systemctl"])
def test_a_nat_that_cannot_forward_signals_failure(assembly: Assembly, machine: Path, broken: str) -> None:
    if broken != "dnf":
        _command(machine, "nft", "echo masquerade")
    _command(machine, broken, "exit 1")

    done = run(user_data(assembly), machine)

    assert "--exit-code 1 " in done.signal


def test_rules_that_were_not_loaded_are_a_failure(assembly: Assembly, machine: Path) -> None:
    _command(machine, "nft", "")

    assert "--exit-code 1 " in run(user_data(assembly), machine).signal
