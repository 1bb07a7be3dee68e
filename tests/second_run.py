"""`--second-run`: reports which failed tests pass when they run again by themselves. They have failed all the same."""

import subprocess
import sys

import pytest
from _pytest.terminal import TerminalReporter


class SecondRun:
    """Runs the few tests that failed once more, before the summary's last lines; the exit code stays what it was."""

    OPTION = "--second-run"
    AT_MOST = 20
    """More failures than these are no tests that fail now and then."""
    SECONDS = 900

    def __init__(self, config: pytest.Config) -> None:
        self._root = config.rootpath
        self._file = config.inipath
        self._wanted = config.getoption(self.OPTION) and not hasattr(
            config, "workerinput"
        )  # a runner's failures are pytest's

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Add the section "second run"."""
        reports = [*terminalreporter.stats.get("failed", []), *terminalreporter.stats.get("error", [])]
        failed = sorted({report.nodeid for report in reports})
        if not self._wanted or not 0 < len(failed) <= self.AT_MOST:
            return
        passed = self._run(failed)
        terminalreporter.section("second run: every one of these tests has failed")
        for test in failed:
            terminalreporter.line(f"{'flaky, passed on the second run' if test in passed else 'failed again'}: {test}")

    def _run(self, tests: list[str]) -> set[str]:
        argv = [sys.executable, "-m", "pytest", "-c", str(self._file), "--rootdir", str(self._root), "-m", "", "-q"]
        argv += ["--tb=no", "-rpE", "-p", "no:cacheprovider", *tests]
        try:
            done = subprocess.run(
                argv, cwd=self._root, capture_output=True, text=True, check=False, timeout=self.SECONDS
            )
        except subprocess.TimeoutExpired:
            return set()
        lines = done.stdout.splitlines()
        passed = {line.removeprefix("PASSED ") for line in lines if line.startswith("PASSED ")}
        return passed - {line.removeprefix("ERROR ").partition(" - ")[0] for line in lines if line.startswith("ERROR ")}
