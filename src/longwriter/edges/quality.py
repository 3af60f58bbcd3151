"""The gate: Great Expectations suites over a data set, and a verdict that never varies.

The only file that imports great_expectations. A verdict is a pure function of the rows and the
bounds; Data Docs, which carry times, go to a folder of their own.
"""

from __future__ import annotations

import os
import shutil
import warnings
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd

from longwriter.core import text as txt
from longwriter.params import ValidateParams
from longwriter.records import Example

_WORST = 5  # failing rows that a message names
_OPENING = 12  # words of an answer's opening that make two rows look alike


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


def frame(rows: list[Example]) -> pd.DataFrame:
    """Return one line an example: its id and every number that an expectation looks at."""
    table = []
    openings: set[tuple[str, ...]] = set()
    for row in rows:
        answer = row.messages[-1].content
        opening = tuple(txt.tokens(answer)[:_OPENING])
        table.append(
            {
                "sample_id": row.sample_id,
                "kind": row.kind,
                "language": row.language,
                "roles": "-".join(message.role for message in row.messages),
                "words": txt.count_words(answer),
                "words_recorded": row.words,
                "length_error": abs(row.words - row.required_words) / row.required_words
                if row.required_words
                else 0.0,
                "repeated_share": round(txt.repeated_share(answer), 6),
                "refusal": txt.is_refusal(answer),
                "identifier": any(
                    txt.strip_identifier(part) != part.lstrip() for part in answer.split("\n\n")
                ),
                "answer": answer,
                "opening_seen": opening in openings,
                "calls": len(row.call_ids),
            }
        )
        openings.add(opening)
    return pd.DataFrame(table, columns=list(_COLUMNS))


_COLUMNS = (
    "sample_id", "kind", "language", "roles", "words", "words_recorded", "length_error",
    "repeated_share", "refusal", "identifier", "answer", "opening_seen", "calls",
)  # fmt: skip


def _suite(p: ValidateParams, long_rows: int) -> list[tuple[str, str, bool, str, gxe.Expectation]]:
    """Return (table, name, critical, bound, expectation) of every rule for training examples."""
    warn = int(long_rows * (1 - p.min_distinct_share))
    return [
        ("long", "enough_rows", True, f">= {p.min_rows} rows",
         gxe.ExpectTableRowCountToBeBetween(min_value=p.min_rows)),
        ("all", "unique_ids", True, "no id twice", gxe.ExpectColumnValuesToBeUnique(column="sample_id")),
        ("all", "unique_answers", True, "no answer twice", gxe.ExpectColumnValuesToBeUnique(column="answer")),
        ("all", "roles_in_turn", True, "(system-)user-assistant(-…)",
         gxe.ExpectColumnValuesToMatchRegex(column="roles", regex=r"^(system-)?user-assistant(-user-assistant)*$")),
        ("all", "known_language", True, "en or zh", gxe.ExpectColumnValuesToBeInSet(column="language", value_set=["en", "zh"])),
        ("all", "no_refusal", True, "none", gxe.ExpectColumnValuesToBeInSet(column="refusal", value_set=[False])),
        ("long", "length_in_bounds", True, f"{p.min_words} to {p.max_words} words",
         gxe.ExpectColumnValuesToBeBetween(column="words", min_value=p.min_words, max_value=p.max_words)),
        ("long", "no_loop", True, f"<= {p.max_repeated_share} of 5-grams repeated",
         gxe.ExpectColumnValuesToBeBetween(column="repeated_share", max_value=p.max_repeated_share)),
        ("long", "no_identifier", True, "no 'Paragraph 1' left", gxe.ExpectColumnValuesToBeInSet(column="identifier", value_set=[False])),
        ("long", "asked_length_is_written", True, f"<= {p.max_length_error} relative error",
         gxe.ExpectColumnValuesToBeBetween(column="length_error", max_value=p.max_length_error)),
        ("all", "recorded_length_is_true", True, "words = count of the answer",
         gxe.ExpectColumnPairValuesToBeEqual(column_A="words", column_B="words_recorded")),
        ("long", "traceable", True, ">= 1 LLM call", gxe.ExpectColumnValuesToBeBetween(column="calls", min_value=1)),
        ("long", "distinct_openings", False, f">= {p.min_distinct_share} distinct",
         gxe.ExpectColumnSumToBeBetween(column="opening_seen", max_value=warn)),
    ]  # fmt: skip


def validate_examples(rows: list[Example], p: ValidateParams, docs: Path) -> list[Finding]:
    """Run the suite over examples and write Data Docs.

    Args:
        rows: Train and test together.
        p: Bounds.
        docs: Folder of the Data Docs site, made anew.

    Returns:
        One finding an expectation, in the suite's order.
    """
    whole = frame(rows)
    tables = {"all": whole, "long": whole[whole["kind"] == "agentwrite"].reset_index(drop=True)}
    suite = _suite(p, len(tables["long"]))
    shutil.rmtree(docs, ignore_errors=True)
    project = docs.with_name(f"{docs.name}-project")
    shutil.rmtree(project, ignore_errors=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # GX on pandas 3: deprecations that only its authors can mend
        results = _run(suite, tables, project)
    shutil.copytree(project / "gx" / "uncommitted" / "data_docs" / "local_site", docs)
    shutil.rmtree(project)
    return [_finding(rule, results[rule[1]], tables[rule[0]]) for rule in suite]


def _run(
    suite: list[tuple[str, str, bool, str, gxe.Expectation]], tables: dict[str, pd.DataFrame], project: Path
) -> dict[str, Any]:
    project.mkdir(parents=True)
    context = gx.get_context(mode="file", project_root_dir=project)
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas("examples")
    results: dict[str, Any] = {}
    for table, data in tables.items():
        batch = source.add_dataframe_asset(table).add_batch_definition_whole_dataframe("whole")
        rules = context.suites.add(gx.ExpectationSuite(name=f"{table}_rows"))
        for owner, name, critical, _bound, expectation in suite:
            if owner == table:
                expectation.severity = "critical" if critical else "warning"
                expectation.meta = {"name": name}
                rules.add_expectation(expectation)
        definition = context.validation_definitions.add(
            gx.ValidationDefinition(name=f"{table}_rows", data=batch, suite=rules)
        )
        checkpoint = context.checkpoints.add(
            gx.Checkpoint(
                name=f"{table}_rows",
                validation_definitions=[definition],
                actions=[gx.checkpoint.UpdateDataDocsAction(name="docs")],
                result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["sample_id"]},
            )
        )
        outcome = checkpoint.run(batch_parameters={"dataframe": data})
        for validation in outcome.run_results.values():
            for result in validation.results:
                results[result.expectation_config.meta["name"]] = result
    return results


def _finding(rule: tuple[str, str, bool, str, gxe.Expectation], result: Any, data: pd.DataFrame) -> Finding:
    _, name, critical, bound, _ = rule
    detail = result.to_json_dict()["result"]
    if result.exception_info.get("raised_exception"):
        raise RuntimeError(f"expectation {name} could not be evaluated: {result.exception_info}")
    index = detail.get("unexpected_index_list") or []
    rows = sorted({str(item["sample_id"]) for item in index})
    observed = detail.get("observed_value")
    if observed is None:
        count = detail.get("unexpected_count", 0)
        observed = f"{count} of {len(data)} rows outside"
        values = [v for v in detail.get("partial_unexpected_list", []) if isinstance(v, (int, float, bool))]
        if values:
            observed += f", e.g. {values[0]}"
    return Finding(name, critical, bool(result.success), observed, bound, rows)
