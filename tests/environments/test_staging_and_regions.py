"""Staging as it is shipped, and dev in another region."""

from collections.abc import Callable

import pytest

from tests.e2e.changing import Changing
from tests.environments.conftest import Factory, certificate

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def staging(new: Factory) -> Changing:
    found = new("staging")
    found.edit(
        ("arn:aws:acm:us-east-1:222222222222:certificate/00000000-0000-0000-0000-000000000000", certificate(found))
    )
    return found


def test_staging_runs_a_dispatch_over_tls(staging: Changing, trusting: Callable[[Changing], None]) -> None:
    trusting(staging)
    staging.settle()

    staging.works()


def test_staging_with_a_recovery_point_is_destroyed(staging: Changing) -> None:
    staging.settle()
    backup = staging.environment.client("backup")
    (vault,) = backup.list_backup_vaults()["BackupVaultList"]
    role = staging.environment.client("iam").list_roles()["Roles"][0]["Arn"]
    table = "arn:aws:dynamodb:us-east-1:222222222222:table/table"
    backup.start_backup_job(BackupVaultName=vault["BackupVaultName"], ResourceArn=table, IamRoleArn=role)

    staging.destroy()

    assert backup.list_backup_vaults()["BackupVaultList"] == []
    assert set(staging.changed()) == {"CDKToolkit"}


def test_dev_is_deployed_in_another_region_destroyed_and_deployed_again(new: Factory) -> None:
    changing = new("dev", ("us-east-1", "eu-central-1"))
    changing.deploy()
    changing.works()

    changing.destroy()

    assert set(changing.changed()) == {"CDKToolkit"}
    changing.deploy()
    changing.works()
