"""The description of a run in MLflow: what the run does, and links to its inputs.

MLflow shows the tag `mlflow.note.content` as Markdown. Texts from outside are escaped: it shows them as plain text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from longwriter.errors import BadRecord, without_password
from longwriter.io import files
from longwriter.text import inert
from longwriter.tracking import connection, git, profiles, provenance, versioning
from longwriter.tracking import runs as tracking

_PROMPTS = "prompts"
_MOST_CHARS = 7000  # of a table; MLflow takes tags of 8,000 characters
_TRACED = ("plan", "write", "generate", "score")  # execution/tracing.py
_TABLED = (
    "instructions",
    "plan",
    "write",
    "dataset",
    "sample",
    "preferences",
    "score",
)  # execution/tables.py
_EVALUATES = ("fitness", "short_prompts", "score", "pairwise", "report")


def of_run(
    name: str,
    what: str,
    run_id: str,
    inputs: Mapping[str, str],
    tags: Mapping[str, str],
    outputs: Mapping[str, str] | None = None,
) -> str:
    """Return the description of a stage's run, as Markdown.

    The links come first: MLflow folds a description, and only links in its first line can then be clicked.

    Args:
        name: The stage, or an item of a matrix stage.
        what: What the stage does, one line.
        run_id: Its run.
        inputs: {path: digest} of its inputs.
        tags: Tags of the run; those of git and Prefect are shown as links.
        outputs: {path: digest} of what it wrote; None while it runs.
    """
    stage, links = name.partition("@")[0], []
    if stage in _TRACED:
        links.append(f"[traces of this run]({tracking.run_url(run_id)}/traces)")
    if stage in _TABLED:
        links.append(f"[table of rows]({tracking.run_url(run_id)}/artifacts/rows.md)")
    if (files.LOCAL / "data_docs" / name).is_dir():
        docs = _page("LW_DOCS_UI", "http://127.0.0.1:8800")
        links.append(f"[Data Docs]({docs}/{name}/)")
    links += _origin(tags)
    parts = [", ".join(links), f"**{name}**: {inert.markdown(what)}"]
    output_rows = [
        f"| {inert.markdown(path)} | {_size(path)} | `{digest}` |" for path, digest in (outputs or {}).items()
    ]
    rows = _sources(inputs)
    while len(rows) > 1 and sum(map(len, [*rows, *output_rows])) > _MOST_CHARS:
        rows[-2:] = ["| … |"]  # a click on the data set of the page shows all
    if rows:
        parts.append("\n".join(["| input | written by | size | md5 |", "|---|---|---|---|", *rows]))
    if output_rows:
        parts.append("\n".join(["| output | size | md5 |", "|---|---|---|", *output_rows]))
    return "\n\n".join(parts) + "\n"


def of_reused(name: str, how: str, producer: str, tags: Mapping[str, str]) -> str:
    """Return the description of a short run, for a stage whose output is used again, as Markdown.

    Args:
        name: The stage, or an item of a matrix stage.
        how: `unchanged` or `restored`.
        producer: The run that wrote the output; its description links the inputs.
        tags: Tags of the short run; those of git and Prefect are shown as links.
    """
    link = f"[run that wrote the output]({tracking.run_url(producer)})"
    return (
        f"{', '.join([link, *_origin(tags)])}\n\n**{name}**: {how}, so the output of that run is used again\n"
    )


def of_flow(kind: str, tags: Mapping[str, str], stages: str) -> str:
    """Return the description of a flow's run, as Markdown.

    Args:
        kind: Name of the flow.
        tags: Tags of the run; those of git and Prefect are shown as links.
        stages: Markdown table of what its stages did.
    """
    what = f"**{kind}**: stages of dvc.yaml in one flow; each has a run of its own"
    table = [re.sub(" {2,}", " ", line) for line in stages.splitlines()]
    while sum(map(len, table)) > _MOST_CHARS:
        table[-2:] = ["| … |"]  # the Prefect run shows all
    return "\n\n".join([", ".join(_origin(tags)), what, "\n".join(table)]) + "\n"


def _origin(tags: Mapping[str, str]) -> list[str]:
    """Return links to the Prefect run, if there is one, and to the commit."""
    links = [f"git commit {_commit(tags['git.commit'])}"]
    if flow_run := tags.get("prefect.flow_run_id"):
        ui = _page("LW_PREFECT_UI", "http://127.0.0.1:4200")
        links.insert(0, f"[Prefect run]({ui}/runs/flow-run/{flow_run})")
    return links


def _page(variable: str, default: str) -> str:
    """Return the address of a web server, without user and password, because everybody can read the description."""
    return without_password(os.environ.get(variable, default)).rstrip("/")


def of_model(model: str, benchmarks: Iterable[str], weights: str, data: str) -> str:
    """Return the description of a registered model: its numbers with intervals, and links to their sources.

    Args:
        model: Name of the compared model.
        benchmarks: The benchmarks.
        weights: Digest of its weights.
        data: Digest of its training rows.
    """
    links = (("training run", model), ("training data", "dataset"), ("gate of the data", "validate"))
    parts = [
        f"Model **{model}**: {', '.join(_link(*link) for link in (*links, ('test of the judge', 'fitness')))}.",
        f"Weights `{weights}`, training rows `{data}` (DVC). The trace of an answer shows its prompt and its text; "
        "the run of the training data has a table of rows, with a link to the trace of each text.",
        "To load it: `longwriter fetch VERSION OUT` with the number of this version, then "
        '`transformers.AutoModelForCausalLM.from_pretrained("OUT")`; or `longwriter serve ./OUT`.',
    ]
    lines = []
    for benchmark in benchmarks:
        numbers = files.read_json(files.DATA / "report" / benchmark / "metrics.json", dict[str, float])
        item = f"{model}-{benchmark}"
        facts = [
            f"length score {_interval(numbers, f'{model}_length_score', '{:.0f}', '_mean')}",
            f"ended by itself {_interval(numbers, f'{model}_ended_share', '{:.0%}', '')}",
            _link("report", f"report@{benchmark}"),
            _link("answers", f"generate@{item}", "/traces"),
            _link("scores", f"score@{item}", "/traces"),
        ]
        lines.append(f"- Benchmark **{inert.markdown(benchmark)}**: {', '.join(facts)}")
    return "\n\n".join([*parts, "\n".join(lines)]) + "\n"


def _interval(numbers: Mapping[str, float], name: str, form: str, suffix: str) -> str:
    value, low, high = (numbers.get(key) for key in (f"{name}{suffix}", f"{name}_low", f"{name}_high"))
    if value is None:
        return "unknown"
    bounds = "" if low is None or high is None else f" [{form.format(low)}, {form.format(high)}]"
    bounds = " (all equal)" if bounds and low == high else bounds
    return f"{form.format(value)}{bounds}"


def _link(text: str, stage: str, tab: str = "") -> str:
    """Return a link to the run that wrote a stage's output."""
    return f"[{text}]({tracking.run_url(provenance.read(stage).run_id)}{tab})"


def _commit(commit: str) -> str:
    """Return a commit as a link to its page, if the repository came from a web address."""
    origin = git.run("remote", "get-url", "origin") if git.succeeds("remote", "get-url", "origin") else ""
    if not origin.startswith("https://") or "@" in origin or " " in origin:
        return f"`{commit}`"
    return f"[{commit[:10]}]({origin.removesuffix('.git')}/commit/{commit})"


def _sources(inputs: Mapping[str, str]) -> list[str]:
    """Return a row of a table for each input that is data, with a link to the run that wrote it."""
    rows = []
    for path, digest in sorted(inputs.items(), key=lambda item: not item[0].startswith("data/")):
        if tracking.is_code(path):
            continue
        writer = writer_of(path, digest)
        link = f"[{writer.stage}]({tracking.run_url(writer.run_id)})" if writer else "this checkout"
        rows.append(f"| {inert.markdown(path)} | {link} | {_size(path)} | `{digest}` |")
    return rows


def _size(path: str) -> str:
    """Return rows, words and bytes of a file, as far as they are known; empty for a folder."""
    profile = profiles.profile(Path(path))
    names = ("rows", "words", "bytes")
    # MLflow breaks a line at every space of a narrow column
    return ", ".join(f"{profile[name]:,}\N{NO-BREAK SPACE}{name}" for name in names if name in profile)


def writer_of(path: str, digest: str) -> provenance.Lineage | None:
    """Return the lineage of the stage that wrote a file of data/, alone or in a folder.

    None if no stage wrote it, or if its lineage names another digest than the file, or the folder, has now.
    """
    if not path.startswith("data/"):
        return None
    for output in (path, str(PurePosixPath(path).parent)):
        try:
            lineage = provenance.read(provenance.stage_of(output))
            if output in lineage.outputs:
                now = digest if output == path else versioning.digest(output)
                return lineage if lineage.outputs[output] == now else None
        except BadRecord:
            continue
    return None


def kind_tags(name: str) -> dict[str, str]:
    """Return the tags by which the MLflow UI sorts a stage's run, such as evaluation."""
    stage = name.partition("@")[0]
    return {"mlflow.runType": "genai_evaluate"} if stage in _EVALUATES else {}


def prompts_of(inputs: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return the prompt templates among a stage's inputs: {path: (name in the registry, digest)}."""
    templates: dict[str, tuple[str, str]] = {}
    for path, digest in _files(inputs).items():
        file = PurePosixPath(path)
        if file.suffix == ".txt" and _PROMPTS in file.parts[:-1]:
            below = file.parts[file.parts.index(_PROMPTS) + 1 :]
            templates[path] = ("-".join([connection.EXPERIMENT, *below]).removesuffix(".txt"), digest)
    return templates


def _files(inputs: Mapping[str, str]) -> dict[str, str]:
    """Return {path: digest} of the inputs, with the texts of a folder of prompts in the place of the folder."""
    folders = [path for path in inputs if _PROMPTS in Path(path).parts[:-1] and Path(path).is_dir()]
    texts = [str(file) for path in folders for file in sorted(Path(path).glob("*.txt"))]
    alone = {path: digest for path, digest in inputs.items() if path not in folders}
    return {**alone, **(versioning.digests(texts) if texts else {})}
