"""The fixture, in a pytest of its own."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest

from .shell import FIXTURES

pytest_plugins = ["pytester"]


def test_the_fixture_fails_red_runs_with_the_report(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        f"""
        def test_red(lossdoctor_check):
            lossdoctor_check({str(FIXTURES / "hockey-stick-digits")!r})

        def test_green(lossdoctor_check):
            (diagnosis,) = lossdoctor_check({str(FIXTURES / "healthy-text")!r})
            assert diagnosis.gate.passed

        def test_never(lossdoctor_check):
            lossdoctor_check({str(FIXTURES / "hockey-stick-digits")!r}, fail_on="never")
        """
    )
    installed = any(point.value == "lossdoctor.pytest_plugin" for point in entry_points(group="pytest11"))
    by_name = () if installed else ("-p", "lossdoctor.pytest_plugin")  # an installed plugin is loaded by itself, and only once
    result = pytester.runpytest_inprocess(*by_name, "-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*gate failed*error: hockey-stick*", "*hockey-stick (LD201)*confidence*"])
