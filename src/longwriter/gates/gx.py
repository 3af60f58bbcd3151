"""The gates: Great Expectations suites over a data set, and a verdict that never varies.

The only file that imports great_expectations. A verdict is a pure function of the rows and the
bounds; Data Docs, which carry times, go to a folder of their own below `.lw/data_docs`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd

from longwriter.errors import GateStopped
from longwriter.gates import suites
from longwriter.gates import tables as gate
from longwriter.gates.suites import Rule
from longwriter.io import files
from longwriter.params import PlanParams, ValidateParams
from longwriter.params.data import InstructionsParams
from longwriter.params.training import PreferencesParams
from longwriter.records import Example, Instruction, Plan, PreferencePair

DOCS = files.LOCAL / "data_docs"
_WORST = 5  # failing rows that a message names


class Finding(NamedTuple):
    """What one expectation found; `rows` are the ids of failing rows, all of them."""

    name: str
    critical: bool
    passed: bool
    observed: Any
    bound: str
    rows: list[str]

    def sentence(self) -> str:
        """Return name, observed value, bound and the first failing rows in one line."""
        rows = f"; worst rows: {', '.join(self.rows[:_WORST])}" if self.rows else ""
        return f"{self.name}: observed {self.observed}, bound {self.bound}{rows}"


def validate_instructions(
    rows: list[Instruction], p: InstructionsParams, benchmark: list[str], docs: Path | None
) -> list[Finding]:
    """Run the suite over instructions and write Data Docs; else as `validate_examples`."""
    suite = suites.instruction_suite(
        rows=len(rows),
        languages=p.languages,
        max_required_words=p.max_required_words,
        **p.gate.model_dump(exclude={"warn"}),
    )
    table = pd.DataFrame(gate.instruction_table(rows, benchmark), columns=list(gate.INSTRUCTION_COLUMNS))
    return _judge(suite, p.gate.warn, {"instructions": table}, "instruction_id", docs)


def validate_plans(
    rows: list[Plan], asked: int, p: PlanParams, docs: Path | None, without_steps: bool = False
) -> list[Finding]:
    """Run the suite over the plans of `asked` instructions; else as `validate_examples`.

    Plans `without_steps`, for texts that are written in one answer, are only counted.
    """
    suite = suites.plan_suite(
        min_steps=p.min_steps,
        max_steps=p.max_steps,
        min_step_words=p.min_step_words,
        max_step_words=p.max_step_words,
        **p.gate.model_dump(exclude={"warn"}),
    )
    if without_steps:
        suite = [rule for rule in suite if rule.name in ("enough_rows", "enough_kept", "unique_ids")]
    plans, steps = gate.plan_tables(rows, asked)
    tables = {
        "plans": pd.DataFrame(plans, columns=list(gate.PLAN_COLUMNS)),
        "steps": pd.DataFrame(steps, columns=list(gate.STEP_COLUMNS)),
    }
    return _judge(suite, p.gate.warn, tables, "instruction_id", docs)


def validate_examples(
    rows: list[Example], p: ValidateParams, benchmark: list[str], docs: Path | None
) -> list[Finding]:
    """Run the suite over examples and write Data Docs.

    Args:
        rows: Train and test together.
        p: Bounds, and which expectations only warn.
        benchmark: Prompts that must not be trained on.
        docs: Folder of the Data Docs site, made anew; an index in its parent links to it. None = no site.

    Returns:
        One finding an expectation, in the suite's order.
    """
    whole = pd.DataFrame(gate.example_table(rows, benchmark), columns=list(gate.EXAMPLE_COLUMNS))
    tables = {"all": whole, "long": whole[whole["kind"] != "general"].reset_index(drop=True)}
    suite = suites.example_suite(long_rows=len(tables["long"]), **p.model_dump(exclude={"warn"}))
    return _judge(suite, p.warn, tables, "sample_id", docs)


def validate_pairs(
    train: list[PreferencePair],
    test: list[PreferencePair],
    p: PreferencesParams,
    max_repeated_share: float,
    docs: Path | None,
) -> list[Finding]:
    """Run the suite over preference pairs and write Data Docs; else as `validate_examples`."""
    suite = suites.pair_suite(
        min_pairs=p.min_pairs,
        min_gap=p.min_gap,
        max_words_ratio=p.max_words_ratio,
        max_repeated_share=max_repeated_share,
    )
    table = pd.DataFrame(gate.pair_table(train, test), columns=list(gate.PAIR_COLUMNS))
    return _judge(suite, p.warn, {"pairs": table}, "pair_id", docs)


def settle(
    stage: str, findings: list[Finding], data: dict[str, str], rows: int, verdict_file: Path
) -> dict[str, float]:
    """Write the verdict, or stop.

    Args:
        stage: The stage whose gate this is; its Data Docs are in DOCS / stage.
        findings: All of the suite.
        data: {path: DVC's digest} of what was judged.
        rows: How many rows that are.
        verdict_file: Where later stages read the verdict.

    Returns:
        How many expectations there are, and how many warnings.

    Raises:
        GateStopped: a critical expectation did not pass.
    """
    failed = [finding for finding in findings if not finding.passed]
    stopped = [finding for finding in failed if finding.critical]
    expectations = [finding._asdict() for finding in findings]
    verdict = {"passed": not stopped, "data": data, "rows": rows, "expectations": expectations}
    if not stopped:
        files.write_json(verdict_file, verdict)
        return {"expectations": float(len(findings)), "warnings": float(len(failed))}
    kept = files.LOCAL / "stopped" / stage / "verdict.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    files.write_json(kept, verdict)
    raise GateStopped(
        f"{len(stopped)} of {len(findings)} expectations stop the data set ({rows:,} rows): "
        + " | ".join(finding.sentence() for finding in stopped)
        + f". All failing rows: {kept}; Data Docs: {DOCS / stage / 'index.html'}",
        artifacts=(kept, DOCS / stage),
    )


def _judge(
    rules: list[Rule], warn: Sequence[str], tables: dict[str, pd.DataFrame], key: str, docs: Path | None
) -> list[Finding]:
    with tempfile.TemporaryDirectory() as project, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # GX on pandas 3: deprecations that only its authors can mend
        context = gx.get_context(mode="file", project_root_dir=project)
        results = _run(context, rules, warn, tables, key)
        if docs is not None:
            context.build_data_docs()
            shutil.rmtree(docs, ignore_errors=True)
            shutil.copytree(Path(project) / "gx" / "uncommitted" / "data_docs" / "local_site", docs)
            _index(docs.parent)
    return [
        _finding(rule, rule.name not in warn, results[rule.name], tables[rule.table], key) for rule in rules
    ]


def _index(sites: Path) -> None:
    """Write a page that links to every Data Docs site of a folder."""
    names = sorted(path.parent.name for path in sites.glob("*/index.html"))
    links = "".join(f'<li><a href="{name}/index.html">{name}</a></li>\n' for name in names)
    page = f"<!doctype html>\n<title>Data Docs</title>\n<h1>Data Docs</h1>\n<ul>\n{links}</ul>\n"
    (sites / "index.html").write_text(page, encoding="utf-8")


def _run(
    context: Any, rules: list[Rule], warn: Sequence[str], tables: dict[str, pd.DataFrame], key: str
) -> dict[str, Any]:
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas("rows")
    results: dict[str, Any] = {}
    for table, data in tables.items():
        batch = source.add_dataframe_asset(table).add_batch_definition_whole_dataframe("whole")
        expectations = [
            getattr(gxe, rule.expectation)(
                **rule.arguments,
                severity="warning" if rule.name in warn else "critical",
                meta={"name": rule.name},
            )
            for rule in rules
            if rule.table == table
        ]
        suite = context.suites.add(gx.ExpectationSuite(name=f"{table}_rows", expectations=expectations))
        definition = context.validation_definitions.add(
            gx.ValidationDefinition(name=f"{table}_rows", data=batch, suite=suite)
        )
        checkpoint = context.checkpoints.add(
            gx.Checkpoint(
                name=f"{table}_rows",
                validation_definitions=[definition],
                result_format={"result_format": "COMPLETE", "unexpected_index_column_names": [key]},
            )
        )
        outcome = checkpoint.run(batch_parameters={"dataframe": data})
        for validation in outcome.run_results.values():
            for result in validation.results:
                results[result.expectation_config.meta["name"]] = result
    return results


def _finding(rule: Rule, critical: bool, result: Any, data: pd.DataFrame, key: str) -> Finding:
    detail = result.to_json_dict()["result"]
    if result.exception_info.get("raised_exception"):
        raise RuntimeError(f"expectation {rule.name} could not be evaluated: {result.exception_info}")
    index = detail.get("unexpected_index_list") or []
    rows = sorted({str(item[key]) for item in index})
    observed = detail.get("observed_value")
    if observed is None:
        count = detail.get("unexpected_count", 0)
        observed = f"{count} of {len(data)} rows outside"
        values = [v for v in detail.get("partial_unexpected_list", []) if isinstance(v, (int, float, bool))]
        if values:
            observed += f", e.g. {values[0]}"
    return Finding(rule.name, critical, bool(result.success), observed, rule.bound, rows)
