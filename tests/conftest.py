"""`pytest -m promise` runs the tests that SECURITY.md names, and ends with the table of promises and results."""

from __future__ import annotations

import signal

import pytest

from tests.promises import promises, table

# A shell's background job ignores Ctrl-C, and so would every child that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

_OUTCOMES = ("passed", "failed", "error", "skipped", "xfailed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    named = {test for promise in promises() for test in promise.tests}
    for item in items:
        if item.nodeid.partition("[")[0] in named:
            item.add_marker(pytest.mark.promise)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.option.markexpr != "promise":
        return
    results: dict[str, list[str]] = {}
    for outcome in _OUTCOMES:
        for report in terminalreporter.stats.get(outcome, []):
            results.setdefault(report.nodeid.partition("[")[0], []).append(outcome)
    terminalreporter.section("promises of SECURITY.md")
    for line in table(results):
        terminalreporter.write_line(line)
