"""Descriptions of runs and models, prompts and tables in a real MLflow store."""

import json
from pathlib import Path

import pytest

from longwriter.io import files
from longwriter.tracking import connection, notes, profiles, versioning
from longwriter.tracking import runs as tracking
from tests.workspace import wait_for

PLANS, MD5 = "data/plan/plans.jsonl", "a" * 32
TAGS = {"git.commit": "c" * 40, "prefect.flow_run_id": "f1"}


@pytest.fixture
def checkout(store, tmp_path, monkeypatch):
    """An empty folder in which DVC computes digests."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    no_scm = true\n")
    (tmp_path / "data/lineage").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module", autouse=True)
def lineage(store):
    """The lineage of a few stages, in the folder of the store."""
    lineage = Path("data/lineage")
    lineage.mkdir(parents=True)
    for stage in (
        "plan",
        "dpo",
        "dataset",
        "validate",
        "fitness",
        "report@tiny",
        "generate@dpo-tiny",
        "score@dpo-tiny",
    ):
        outputs = {PLANS: MD5} if stage == "plan" else {}
        content = {"stage": stage, "run_id": f"run-{stage}", "inputs": {}, "outputs": outputs}
        files.write_json(lineage / f"{stage}.json", content)


def test_a_run_links_to_the_runs_that_wrote_its_inputs_to_prefect_and_to_its_traces(store):
    inputs = {PLANS: MD5, "src/prompts/write.txt": "b" * 32, "src/code.py": "e" * 32}
    note = notes.of_run("write", "write each plan", "r1", inputs, TAGS)
    url = connection.experiment_url()
    assert note.startswith(
        f"[traces of this run]({url}/runs/r1/traces), "
    )  # later lines are folded in MLflow
    assert "\n\n**write**: write each plan\n" in note
    assert f"| {PLANS} | [plan]({url}/runs/run-plan) |  | `{MD5}` |" in note
    assert "| src/prompts/write.txt | this checkout |" in note
    assert "code.py" not in note
    assert "[Prefect run](http://127.0.0.1:4200/runs/flow-run/f1)" in note


def test_a_table_is_the_first_data_set_of_a_run_because_its_page_shows_the_first(store):
    run_id = tracking.start_run("write", {})
    digests = {"src/prompts/write.txt": "b" * 32, "data/base_model/weights": "d" * 32, PLANS: MD5}
    tracking.log_datasets(run_id, digests, "input")
    names = [item.dataset.name for item in tracking.run(run_id).inputs.dataset_inputs]
    assert names == [PLANS, "src/prompts/write.txt", "data/base_model/weights"]


def test_the_data_sets_of_a_run_with_many_inputs_fit_into_a_tag(store):
    inputs = {f"data/score/model_{n}-benchmark/scores.jsonl": MD5 for n in range(100)}
    note = notes.of_run("register", "x", "r1", inputs, TAGS, {"data/register/candidate.json": "b" * 32})
    assert len(note) < 8000
    assert "| … |\n\n| output | size | md5 |" in note
    assert "| data/register/candidate.json |" in note


def test_a_run_that_is_over_lists_what_it_wrote_with_its_size(store):
    drafts, empty = "data/write/drafts.jsonl", "data/write/rejected.jsonl"
    Path(drafts).parent.mkdir(parents=True)
    Path(drafts).write_text('{"words": 1200}\n{"words": 34}\n', encoding="utf-8")
    Path(empty).touch()
    outputs = {drafts: MD5, empty: "b" * 32, "data/write/weights": "d" * 32}
    note = notes.of_run("write", "write each plan", "r1", {PLANS: MD5}, TAGS, outputs)
    assert (
        f"| {drafts} | 2\N{NO-BREAK SPACE}rows, 1,234\N{NO-BREAK SPACE}words, 30\N{NO-BREAK SPACE}bytes | `{MD5}` |"
        in note
    )
    assert f"| {empty} | 0\N{NO-BREAK SPACE}rows, 0\N{NO-BREAK SPACE}bytes | `{'b' * 32}` |" in note
    assert f"| data/write/weights |  | `{'d' * 32}` |" in note
    assert "| output |" not in notes.of_run("write", "write each plan", "r1", {PLANS: MD5}, TAGS)


@pytest.mark.parametrize(
    ("stage", "links"),
    [
        ("score@sft-tiny", ["/traces", "/artifacts/rows.md"]),
        ("dataset", ["/artifacts/rows.md"]),
        ("sft", []),
    ],
)
def test_a_run_links_only_to_pages_that_are_not_empty(store, stage, links):
    first = notes.of_run(stage, "x", "r1", {}, TAGS).splitlines()[0]
    assert [link for link in ("/traces", "/artifacts/rows.md") if link in first] == links


def test_the_run_of_a_flow_says_what_it_is_and_what_its_stages_did(store):
    note = notes.of_flow("nightly", TAGS, "| stage |\n|---|\n| plan |")
    assert note.startswith("[Prefect run](http://127.0.0.1:4200/runs/flow-run/f1), git commit ")
    assert "\n\n**nightly**: " in note
    assert note.endswith("\n\n| stage |\n|---|\n| plan |\n")


def test_the_table_of_a_flow_with_many_stages_fits_into_a_tag(store):
    table = "\n".join(["| stage |", "|---|", *(f"| stage {n} {'x' * 80} |" for n in range(200))])
    note = notes.of_flow("nightly", TAGS, table)
    assert len(note) < 8000
    assert "| stage 60 x" in note
    assert note.endswith("x |\n| … |\n")


def test_a_password_in_the_address_of_a_page_is_left_out(store, monkeypatch):
    monkeypatch.setenv("LW_PREFECT_UI", "https://ann:secret@prefect.example/")
    note = notes.of_run("write", "write each plan", "r1", {}, TAGS)
    assert "[Prefect run](https://prefect.example/runs/flow-run/f1)" in note


def test_an_input_that_its_lineage_does_not_know_has_no_link(store):
    writer = notes.writer_of(PLANS, MD5)
    assert writer is not None
    assert writer.run_id == "run-plan"
    assert notes.writer_of(PLANS, "b" * 32) is None
    assert notes.writer_of("data/nothing/rows.jsonl", MD5) is None
    assert notes.writer_of("benchmarks/tiny.jsonl", MD5) is None


def test_a_file_in_a_folder_that_a_stage_wrote_leads_to_the_run_of_the_stage(checkout):
    file = Path("data/benchmarks/files/small.jsonl")
    file.parent.mkdir(parents=True)
    file.write_text('{"prompt": "Write."}\n', encoding="utf-8")
    folder = str(file.parent)
    lineage = {
        "stage": "benchmarks", "run_id": "run-benchmarks", "inputs": {},
        "outputs": {folder: versioning.digest(folder)},
    }  # fmt: skip
    files.write_json(Path("data/lineage/benchmarks.json"), lineage)
    note = notes.of_run("generate@dpo-small", "x", "r1", {str(file): MD5}, TAGS)
    assert f"| {file} | [benchmarks]({connection.experiment_url()}/runs/run-benchmarks) |" in note
    file.write_text('{"prompt": "Edited by hand."}\n', encoding="utf-8")
    assert notes.writer_of(str(file), MD5) is None


def test_each_prompt_in_a_folder_of_prompts_is_registered(checkout):
    folder = Path("src/longwriter/prompts/format")
    folder.mkdir(parents=True)
    digests = {}
    for name in ("json", "lines"):
        file = folder / f"{name}.txt"
        file.write_text(f"Answer in {name}.", encoding="utf-8")
        digests[str(file)] = (f"longwriter-format-{name}", versioning.digest(file))
    assert notes.prompts_of({str(folder): "d" * 32 + ".dir"}) == digests


def test_the_run_of_a_stage_that_did_not_run_links_the_run_that_wrote_its_output_prefect_and_the_commit(
    store,
):
    note = notes.of_reused("write", "restored", "r0", TAGS)
    assert note.startswith(
        f"[run that wrote the output]({connection.experiment_url()}/runs/r0), [Prefect run]("
    )
    assert f", git commit `{'c' * 40}`\n\n**write**: restored, " in note


def test_a_path_that_is_markdown_is_shown_and_not_obeyed(store):
    note = notes.of_run("write", "x", "r1", {"a](http://evil.example) | ![x](y)": MD5}, TAGS)
    assert "| `a](http://evil.example) ¦ ![x](y)` |" in note


def test_a_model_shows_its_numbers_with_intervals_and_links_what_they_rest_on(store):
    folder = Path("data/report/tiny")
    folder.mkdir(parents=True, exist_ok=True)
    numbers = {
        "dpo_length_score_mean": 77.4, "dpo_length_score_low": 60.1, "dpo_length_score_high": 88.9,
        "dpo_ended_share": 0.5, "dpo_ended_share_low": 0.25, "dpo_ended_share_high": 0.75,
    }  # fmt: skip
    files.write_json(folder / "metrics.json", numbers)
    text = notes.of_model("dpo", ["tiny"], "w", "d")
    assert "longwriter fetch VERSION OUT" in text
    assert "- Benchmark **tiny**: length score 77 [60, 89], ended by itself 50% [25%, 75%], [report](" in text
    for stage in (
        "dpo",
        "dataset",
        "validate",
        "fitness",
        "report@tiny",
        "generate@dpo-tiny",
        "score@dpo-tiny",
    ):
        assert f"/runs/run-{stage}" in text


def test_a_number_that_could_not_be_computed_is_unknown_and_one_without_interval_stands_alone(store):
    folder = Path("data/report/tiny")
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(folder / "metrics.json", {"dpo_ended_share": 0.5})
    assert "**tiny**: length score unknown, ended by itself 50%, [" in notes.of_model(
        "dpo", ["tiny"], "w", "d"
    )


def test_a_prompt_is_registered_once_for_each_content_and_linked_to_its_run(store):
    template = Path("src/prompts/format/lines.txt")
    template.parent.mkdir(parents=True)
    template.write_text("Write {text} 茶", encoding="utf-8")
    name = "longwriter-format-lines"
    assert notes.prompts_of({str(template): MD5, PLANS: MD5}) == {str(template): (name, MD5)}
    runs = [tracking.start_run("write", {}) for _ in range(2)]
    for run in runs:
        tracking.log_prompts(run, {str(template): (name, MD5)})
    template.write_text("Another", encoding="utf-8")
    tracking.log_prompts(runs[1], {str(template): (name, "b" * 32)})
    first, second = (store.load_prompt(f"prompts:/{name}/{version}") for version in (1, 2))
    assert (first.template, second.template) == ("Write {text} 茶", "Another")
    assert store.load_prompt(f"prompts:/{name}/3", allow_missing=True) is None
    linked = json.loads(store.get_run(runs[0]).data.tags["mlflow.linkedPrompts"])
    assert linked == [{"name": name, "version": "1"}]


def test_a_prompt_is_on_the_page_of_our_experiment(store):
    template = Path("page.txt")
    template.write_text("Write {text}", encoding="utf-8")
    tracking.log_prompts(tracking.start_run("write", {}), {str(template): ("longwriter-page", MD5)})
    own = f",{connection.client()[1]},"

    def is_there() -> bool:
        return store.get_prompt("longwriter-page").tags.get("_mlflow_experiment_ids") == own

    wait_for(is_there, "MLflow's thread has linked the prompt")


def test_a_data_set_has_its_columns_its_rows_and_its_words(store):
    rows = Path("data/rows.jsonl")
    rows.write_text('{"id": "a", "words": 3}\nno json\n[]\n{"id": "b", "words": 4}\n', encoding="utf-8")
    run = tracking.start_run("dataset", {})
    tracking.log_datasets(run, {str(rows): MD5, "data/gone.jsonl": "b" * 32}, "output")
    known = {item.dataset.name: item.dataset for item in store.get_run(run).inputs.dataset_inputs}
    profile = json.loads(known[str(rows)].profile)
    assert (profile["rows"], profile["words"]) == (2, 7)
    assert [column["name"] for column in json.loads(known[str(rows)].schema)["mlflow_colspec"]] == [
        "id",
        "words",
    ]
    assert known["data/gone.jsonl"].profile is None


def test_evaluation_is_shown_as_evaluation(store):
    assert notes.kind_tags("score@sft-tiny") == {"mlflow.runType": "genai_evaluate"}
    assert notes.kind_tags("sft") == {}
    experiment = store.get_experiment(connection.client()[1])
    assert experiment.tags["mlflow.experimentKind"] == "genai_development"
    assert experiment.tags["mlflow.note.content"].startswith("Texts by AgentWrite")


def test_the_profile_of_a_source_counts_the_rows_that_can_be_read(tmp_path):
    source = tmp_path / "source.jsonl"
    source.write_bytes(b'{"prompt": "a"}\n{"prompt": "\xff"}\n' + b"[" * 100_000 + b"\n{\n")
    _, profile = profiles.shape(source)
    assert json.loads(profile) == {"bytes": source.stat().st_size, "rows": 2}
