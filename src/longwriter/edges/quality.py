"""The gates: Great Expectations suites over a data set, and a verdict that never varies.

The only file that imports great_expectations. A verdict is a pure function of the rows and the
bounds; Data Docs, which carry times, go to a folder of their own below `.lw/data_docs`.
"""

from __future__ import annotations

import math
import os
import shutil
import warnings
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd

from longwriter.core import gate
from longwriter.edges import files
from longwriter.errors import GateStopped
from longwriter.params import ValidateParams
from longwriter.params.training import PreferencesParams
from longwriter.records import Example, PreferencePair

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


class Rule(NamedTuple):
    """One expectation over one of the tables of a suite; `bound` says in words what it allows."""

    table: str
    name: str
    critical: bool
    bound: str
    expectation: gxe.Expectation


def _example_rules(p: ValidateParams, long_rows: int) -> list[Rule]:
    """Return every rule for training examples."""
    alike = long_rows - math.ceil(round(long_rows * p.min_distinct_share, 6))
    return [
        Rule("long", "enough_rows", True, f">= {p.min_rows} rows",
             gxe.ExpectTableRowCountToBeBetween(min_value=p.min_rows)),
        Rule("all", "unique_ids", True, "no id twice", gxe.ExpectColumnValuesToBeUnique(column="sample_id")),
        Rule("all", "unique_answers", True, "no answer twice", gxe.ExpectColumnValuesToBeUnique(column="answer")),
        Rule("all", "roles_in_turn", True, "(system-)user-assistant(-…)",
             gxe.ExpectColumnValuesToMatchRegex(column="roles", regex=r"^(system-)?user-assistant(-user-assistant)*$")),
        Rule("all", "known_language", True, "en or zh",
             gxe.ExpectColumnValuesToBeInSet(column="language", value_set=["en", "zh"])),
        Rule("all", "no_refusal", True, "none", _never("refusal")),
        Rule("long", "length_in_bounds", True, f"{p.min_words} to {p.max_words} words",
             gxe.ExpectColumnValuesToBeBetween(column="words", min_value=p.min_words, max_value=p.max_words)),
        Rule("long", "no_loop", True, f"<= {p.max_repeated_share} of 5-grams repeated",
             gxe.ExpectColumnValuesToBeBetween(column="repeated_share", max_value=p.max_repeated_share)),
        Rule("long", "no_identifier", True, "no 'Paragraph 1' left", _never("identifier")),
        Rule("long", "asked_length_is_written", True, f"<= {p.max_length_error} relative error",
             gxe.ExpectColumnValuesToBeBetween(column="length_error", max_value=p.max_length_error)),
        Rule("all", "recorded_length_is_true", True, "words = count of the answer",
             gxe.ExpectColumnPairValuesToBeEqual(column_A="words", column_B="words_recorded")),
        Rule("long", "traceable", True, ">= 1 LLM call", gxe.ExpectColumnValuesToBeBetween(column="calls", min_value=1)),
        Rule("long", "distinct_openings", False, f">= {p.min_distinct_share} distinct",
             gxe.ExpectColumnSumToBeBetween(column="opening_seen", max_value=alike)),
    ]  # fmt: skip


def _pair_rules(p: PreferencesParams, max_repeated_share: float) -> list[Rule]:
    """Return every rule for preference pairs."""
    low, high = sorted((p.max_words_ratio, 1 / p.max_words_ratio))
    return [
        Rule("pairs", "enough_pairs", True, f">= {p.min_pairs} pairs",
             gxe.ExpectTableRowCountToBeBetween(min_value=p.min_pairs)),
        Rule("pairs", "both_sides_have_pairs", True, "train and test",
             gxe.ExpectColumnDistinctValuesToContainSet(column="side", value_set=["test", "train"])),
        Rule("pairs", "sides_apart", True, "no instruction on both sides", _never("on_both_sides")),
        Rule("pairs", "unique_ids", True, "no id twice", gxe.ExpectColumnValuesToBeUnique(column="pair_id")),
        Rule("pairs", "roles_in_turn", True, "user/assistant/assistant",
             gxe.ExpectColumnValuesToBeInSet(column="roles", value_set=["user/assistant/assistant"])),
        Rule("pairs", "chosen_differs", True, "chosen is not rejected", _never("same")),
        Rule("pairs", "chosen_is_ahead", True, f">= {p.min_gap} points",
             gxe.ExpectColumnValuesToBeBetween(column="gap", min_value=p.min_gap)),
        Rule("pairs", "no_refusal", True, "none in chosen", _never("refusal")),
        Rule("pairs", "no_loop", True, f"<= {max_repeated_share} of 5-grams of chosen repeated",
             gxe.ExpectColumnValuesToBeBetween(column="repeated_share", max_value=max_repeated_share)),
        Rule("pairs", "traceable", True, ">= 1 LLM call", gxe.ExpectColumnValuesToBeBetween(column="calls", min_value=1)),
        Rule("pairs", "lengths_alike", False, f"{low:.3g} to {high:.3g} words of chosen for one of rejected",
             gxe.ExpectColumnMeanToBeBetween(column="words_ratio", min_value=low, max_value=high)),
    ]  # fmt: skip


def _never(column: str) -> gxe.Expectation:
    return gxe.ExpectColumnValuesToBeInSet(column=column, value_set=[False])


def validate_examples(rows: list[Example], p: ValidateParams, docs: Path) -> list[Finding]:
    """Run the suite over examples and write Data Docs.

    Args:
        rows: Train and test together.
        p: Bounds.
        docs: Folder of the Data Docs site, made anew; an index in its parent links to it.

    Returns:
        One finding an expectation, in the suite's order.
    """
    whole = pd.DataFrame(gate.example_table(rows), columns=list(gate.EXAMPLE_COLUMNS))
    tables = {"all": whole, "long": whole[whole["kind"] == "agentwrite"].reset_index(drop=True)}
    return _judge(_example_rules(p, len(tables["long"])), tables, "sample_id", docs)


def validate_pairs(
    train: list[PreferencePair],
    test: list[PreferencePair],
    p: PreferencesParams,
    max_repeated_share: float,
    docs: Path,
) -> list[Finding]:
    """Run the suite over preference pairs and write Data Docs; else as `validate_examples`."""
    table = pd.DataFrame(gate.pair_table(train, test), columns=list(gate.PAIR_COLUMNS))
    return _judge(_pair_rules(p, max_repeated_share), {"pairs": table}, "pair_id", docs)


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


def _judge(rules: list[Rule], tables: dict[str, pd.DataFrame], key: str, docs: Path) -> list[Finding]:
    shutil.rmtree(docs, ignore_errors=True)
    project = docs.with_name(f"{docs.name}-project")
    shutil.rmtree(project, ignore_errors=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # GX on pandas 3: deprecations that only its authors can mend
        results = _run(rules, tables, key, project)
    shutil.copytree(project / "gx" / "uncommitted" / "data_docs" / "local_site", docs)
    shutil.rmtree(project)
    sites = sorted(path.parent.name for path in docs.parent.glob("*/index.html"))
    links = "".join(f'<li><a href="{site}/index.html">{site}</a></li>\n' for site in sites)
    page = f"<!doctype html>\n<title>Data Docs</title>\n<h1>Data Docs</h1>\n<ul>\n{links}</ul>\n"
    (docs.parent / "index.html").write_text(page, encoding="utf-8")
    return [_finding(rule, results[rule.name], tables[rule.table], key) for rule in rules]


def _run(rules: list[Rule], tables: dict[str, pd.DataFrame], key: str, project: Path) -> dict[str, Any]:
    project.mkdir(parents=True)
    context = gx.get_context(mode="file", project_root_dir=project)
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas("examples")
    results: dict[str, Any] = {}
    for table, data in tables.items():
        batch = source.add_dataframe_asset(table).add_batch_definition_whole_dataframe("whole")
        suite = context.suites.add(gx.ExpectationSuite(name=f"{table}_rows"))
        for rule in (rule for rule in rules if rule.table == table):
            rule.expectation.severity = "critical" if rule.critical else "warning"
            rule.expectation.meta = {"name": rule.name}
            suite.add_expectation(rule.expectation)
        definition = context.validation_definitions.add(
            gx.ValidationDefinition(name=f"{table}_rows", data=batch, suite=suite)
        )
        checkpoint = context.checkpoints.add(
            gx.Checkpoint(
                name=f"{table}_rows",
                validation_definitions=[definition],
                actions=[gx.checkpoint.UpdateDataDocsAction(name="docs")],
                result_format={"result_format": "COMPLETE", "unexpected_index_column_names": [key]},
            )
        )
        outcome = checkpoint.run(batch_parameters={"dataframe": data})
        for validation in outcome.run_results.values():
            for result in validation.results:
                results[result.expectation_config.meta["name"]] = result
    return results


def _finding(rule: Rule, result: Any, data: pd.DataFrame, key: str) -> Finding:
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
    return Finding(rule.name, rule.critical, bool(result.success), observed, rule.bound, rows)
