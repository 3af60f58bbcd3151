"""Runs a gate with Great Expectations, and writes its Data Docs.

No other file imports great_expectations. The findings depend only on the gate. Data Docs hold times too,
so they are written to another folder, below `.lw/data_docs`.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd

from longwriter.gates.suite.expectations import Expectation, Gate
from longwriter.gates.suite.verdicts import Finding
from longwriter.io import scratch
from longwriter.text import inert


def run(gate: Gate, docs: Path | None) -> list[Finding]:
    """Run a gate and write its Data Docs.

    Args:
        gate: Expectations and their tables.
        docs: Folder of the Data Docs site. An older site there is replaced, and the index in the parent folder
            links to it. None = no site.

    Returns:
        A finding for each expectation, in the order of the gate.

    Raises:
        RuntimeError: an expectation could not be evaluated.
    """
    with scratch.folder() as project, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # GX on pandas 3: deprecations that only its authors can fix
        context = gx.get_context(mode="file", project_root_dir=str(project))
        results = _run(context, gate)
        if docs is not None:
            _make_inert(project / "gx" / "uncommitted" / "validations")
            context.build_data_docs()
            shutil.rmtree(docs, ignore_errors=True)
            shutil.copytree(project / "gx" / "uncommitted" / "data_docs" / "local_site", docs)
            _write_index(docs.parent)
    return [_finding(item, results[item.name], gate) for item in gate.expectations]


def _make_inert(results: Path) -> None:
    """Escape the texts in the stored results, because GX writes them into its pages as HTML."""
    for file in results.rglob("*.json"):
        content = json.loads(file.read_text(encoding="utf-8"))
        for result in content["results"]:
            for part in ("result", "exception_info"):
                result[part] = _escaped(result.get(part))
        file.write_text(json.dumps(content), encoding="utf-8")


def _escaped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return inert.html(value) if isinstance(value, str) else value


def _write_index(sites: Path) -> None:
    """Write a page with a link to each Data Docs site in a folder."""
    names = sorted(path.parent.name for path in sites.glob("*/index.html"))
    links = "".join(f'<li><a href="{name}/index.html">{name}</a></li>\n' for name in names)
    page = f"<!doctype html>\n<title>Data Docs</title>\n<h1>Data Docs</h1>\n<ul>\n{links}</ul>\n"
    (sites / "index.html").write_text(page, encoding="utf-8")


def _run(context: Any, gate: Gate) -> dict[str, Any]:
    """Return the result of each expectation by its name; each table has its own suite and checkpoint."""
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas("rows")
    results: dict[str, Any] = {}
    for table, data in gate.tables.items():
        batch = source.add_dataframe_asset(table).add_batch_definition_whole_dataframe("whole")
        expectations = [
            getattr(gxe, item.kind)(
                **item.arguments,
                severity="warning" if item.name in gate.warn else "critical",
                meta={"name": item.name},
            )
            for item in gate.expectations
            if item.table == table
        ]
        suite = context.suites.add(gx.ExpectationSuite(name=f"{table}_rows", expectations=expectations))
        definition = context.validation_definitions.add(
            gx.ValidationDefinition(name=f"{table}_rows", data=batch, suite=suite)
        )
        checkpoint = context.checkpoints.add(
            gx.Checkpoint(
                name=f"{table}_rows",
                validation_definitions=[definition],
                result_format={"result_format": "COMPLETE", "unexpected_index_column_names": [gate.key]},
            )
        )
        outcome = checkpoint.run(batch_parameters={"dataframe": data})
        for validation in outcome.run_results.values():
            for result in validation.results:
                results[result.expectation_config.meta["name"]] = result
    return results


def _finding(expectation: Expectation, result: Any, gate: Gate) -> Finding:
    """Return the result of Great Expectations as a finding, without times."""
    if result.exception_info.get("raised_exception"):
        raise RuntimeError(f"expectation {expectation.name} could not be evaluated: {result.exception_info}")
    detail = result.to_json_dict()["result"]
    return Finding(
        name=expectation.name,
        critical=expectation.name not in gate.warn,
        passed=bool(result.success),
        observed=_observed(detail, gate.tables[expectation.table]),
        bound=expectation.bound,
        rows=sorted({str(item[gate.key]) for item in detail.get("unexpected_index_list") or []}),
    )


def _observed(detail: dict[str, Any], table: pd.DataFrame) -> Any:
    """Return the observed value; if there is none, the number of failing rows and the first of their values."""
    observed = detail.get("observed_value")
    if observed is not None:
        return observed
    missing = detail.get("partial_missing_list")
    if missing is not None:  # of the values that a column has to have
        result = f"none is {' or '.join(missing)}" if missing else "all values occur"
        return f"{len(table)} rows, {result}"
    text = f"{detail.get('unexpected_count', 0)} of {len(table)} rows fail"
    values = [v for v in detail.get("partial_unexpected_list", []) if isinstance(v, (int, float, bool))]
    return f"{text}, e.g. {values[0]}" if values else text
