"""`outpost doctor` finds nothing in an account that is ready, and each thing that is not, alone."""

from outpost.doctor.finding import Level, exit_code
from tests.doctor.conftest import Case


def test_an_account_that_is_ready_has_no_findings(case: Case) -> None:
    found = case.all()

    assert [finding for finding in found if finding.level is not Level.OK] == []
    assert exit_code(found) == 0
