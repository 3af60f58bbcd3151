"""Poisoning: a data set with one defect is stopped, or warned of, by exactly the expectation for it."""

import sys
import typing

import pytest

from longwriter.params.agentwrite import PlanRule
from longwriter.params.data import ExampleRule, InstructionRule
from longwriter.params.training import PairRule
from tests.unit.gates.poison import SUITES, findings_of

CASES = [(gate, defect) for gate, suite in SUITES.items() for defect in suite.defects]


@pytest.mark.parametrize("gate", SUITES)
def test_clean_rows_pass_each_expectation_and_each_has_a_defect(gate):
    findings = findings_of(gate, None)
    assert [finding.name for finding in findings if not finding.passed] == []
    assert [finding.name for finding in findings] == list(SUITES[gate].defects)
    assert {finding.name for finding in findings if not finding.critical} == set(SUITES[gate].warn)


@pytest.mark.parametrize(("gate", "defect"), CASES)
def test_one_defect_is_found_by_exactly_its_expectation(gate, defect):
    failed = [finding for finding in findings_of(gate, defect) if not finding.passed]
    assert {finding.name for finding in failed} == {defect}
    [finding] = failed
    assert finding.critical == (defect not in SUITES[gate].warn)
    assert finding.bound in finding.sentence()
    if defect not in SUITES[gate].unnamed:
        assert "s9" in finding.rows
        assert "s9" in finding.sentence() or f" and {len(finding.rows) - 5} more" in finding.sentence()


@pytest.mark.parametrize("gate", SUITES)
def test_the_table_of_expectations_and_defects_is_a_diagonal(gate, capsys):
    names = list(SUITES[gate].defects)
    marks = [
        [
            "." if finding.passed else "STOP" if finding.critical else "warn"
            for finding in findings_of(gate, defect)
        ]
        for defect in names
    ]
    width = max(map(len, names))
    lines = [
        f"{name:>{width}}  {' '.join(f'{mark:>4}' for mark in row)}"
        for name, row in zip(names, marks, strict=True)
    ]
    with capsys.disabled():
        sys.stdout.write(
            "\n".join(["", f"gate {gate}: one defect a row, one expectation a column", *lines, ""])
        )
    for i, row in enumerate(marks):
        assert [j for j, mark in enumerate(row) if mark != "."] == [i]


@pytest.mark.parametrize(
    ("gate", "names"),
    [
        ("instructions", InstructionRule),
        ("plan", PlanRule),
        ("validate", ExampleRule),
        ("preferences", PairRule),
    ],
)
def test_params_may_name_each_expectation_of_a_gate_and_nothing_else(gate, names):
    assert typing.get_args(names) == tuple(SUITES[gate].defects)
