"""Prints the fault matrix as it was seen: `python -m tests.faults`.

Exit code 1 when it is not as expected, but for what is known.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any
from unittest import TestSuite

from twisted.trial.reporter import TestResult
from twisted.trial.runner import TestLoader

from tests.faults import test_matrix
from tests.faults.fault import DIALECTS
from tests.faults.observing import FaultCase
from tests.faults.table import LEGEND, row_of, table


def cases_in(suite: Any) -> Iterator[Any]:
    """Yield the tests of a suite, which forgets them as it runs."""
    for each in suite:
        if isinstance(each, TestSuite):
            yield from cases_in(each)
        else:
            yield each


def main() -> int:
    """Run every test of the matrix, and print the table and what was not as expected."""
    order = [fault.name for fault in test_matrix.FAULTS]
    cases = list(cases_in(TestLoader().loadModule(test_matrix)))
    result = TestResult()
    for case in cases:
        case.run(result)
    seen = [
        (order.index(case.fault.name), case.mode, DIALECTS.index(case.dialect), case.observed)
        for case in cases
        if isinstance(case, FaultCase) and case.fault is not None and case.observed is not None
    ]
    seen.sort(key=lambda each: each[:3])
    print(LEGEND)
    print(table([row_of(order[n], mode, DIALECTS[at], what) for n, mode, at, what in seen]))
    for case, failure in (*result.failures, *result.errors):
        print(f"\n{case.id()}\n{_told(failure)}")
    return 0 if result.wasSuccessful() else 1


def _told(failure: Any) -> str:
    """Return what failed, in its first line."""
    return str(failure.getErrorMessage())


if __name__ == "__main__":
    sys.exit(main())
