"""Models in a real MLflow store: found by digest, tied to runs and numbers, handed on by alias."""

import re
import shutil
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from sqlalchemy import event
from sqlalchemy.engine import Engine

from longwriter.errors import BadRecord, Unavailable, UserError
from longwriter.tracking import logged_models as models
from longwriter.tracking import runs as tracking

WEIGHTS, OTHER, DATA = "a" * 32 + ".dir", "b" * 32 + ".dir", "c" * 32


def run(stage, **tags):
    return tracking.start_run(stage, {"lw.stage": stage, "lw.status": "executed", **tags})


@pytest.fixture(scope="module")
def trained(store):
    """A training run that wrote WEIGHTS at step 40, after a checkpoint at step 20."""
    made = run("sft")
    models.log_checkpoint(made, "sft-step-20", 20, {"lw.stage": "sft"})
    models.log_written(made, "sft", {"data/sft/weights": WEIGHTS, "data/sft/metrics.json": DATA}, 40)
    return made


def test_checkpoints_and_the_finished_model_are_shown_on_their_run_at_their_steps(store, trained):
    outputs = store.get_run(trained).outputs.model_outputs
    found = {store.get_logged_model(item.model_id).name: item.step for item in outputs}
    assert found == {"sft-step-20": 20, "sft": 40}


def test_only_the_finished_model_is_found_by_its_digest(store, trained):
    model = models.of_digest(WEIGHTS)
    assert (model.name, model.source_run_id) == ("sft", trained)
    assert (model.tags["lw.stage"], model.tags["dvc.path"]) == ("sft", "data/sft/weights")
    assert models.of_digest(OTHER) is None


def test_a_run_reads_the_models_that_are_known_and_no_file_is_taken_for_one(store, trained):
    reader = run("sample")
    inputs = {"data/sft/weights": WEIGHTS, "data/dpo/weights": OTHER, "data/dataset/train.jsonl": WEIGHTS}
    models.log_read(reader, inputs)
    [item] = store.get_run(reader).inputs.model_inputs
    assert item.model_id == models.of_digest(WEIGHTS).model_id


def test_numbers_of_answers_and_scores_belong_to_the_model_and_the_benchmark(store, trained):
    inputs = {"seeds/small.jsonl": DATA, "data/sft/weights": WEIGHTS, "data/base_model/weights": OTHER}
    generate = run("generate@sft-small")
    tracking.log_datasets(generate, inputs, "input")
    answers = {"data/generate/sft-small/generations.jsonl": "d" * 32}
    tracking.log_datasets(generate, answers, "output")
    about = models.subject("generate@sft-small", inputs)
    assert about == models.subject("score@sft-small", answers)
    assert about["model_id"] == models.of_digest(WEIGHTS).model_id
    assert (about["dataset_name"], about["dataset_digest"]) == ("small", DATA)
    tracking.log_metrics(generate, {"length_score_mean": 12.5}, about)
    [metric] = store.get_logged_model(about["model_id"]).metrics
    assert (metric.key, metric.value, metric.run_id) == ("length_score_mean", 12.5, generate)
    assert store.get_run(generate).data.metrics == {"length_score_mean": 12.5}


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("sft", {"data/sft/weights": WEIGHTS}),
        ("report@small", {"data/score/sft-small/scores.jsonl": "e" * 32}),
        ("score@sft-small", {"data/generate/sft-small/generations.jsonl": "f" * 32}),
        ("generate@sft-small", {"data/sft/weights": OTHER, "seeds/small.jsonl": DATA}),
    ],
    ids=["no matrix", "no model in the item", "answers of no known run", "weights of no known run"],
)
def test_numbers_without_a_known_model_belong_to_the_run_alone(store, trained, name, inputs):
    assert models.subject(name, inputs) == {}


def test_a_curve_keeps_its_steps_also_beyond_one_request(store):
    made = run("sft")
    tracking.log_curve(made, [(step, {"loss": 1 / step, "lr": 0.1}) for step in range(1, 701)])
    history = store.get_metric_history(made, "loss")
    assert [(item.step, item.value) for item in history] == [(step, 1 / step) for step in range(1, 701)]


def test_the_same_weights_are_registered_once_and_no_alias_moves(store, trained):
    asking = run("register")
    tags = {"dvc.md5": WEIGHTS, "small.length_score_mean": "12.5"}
    first = models.register("writer", asking, tags, "**candidate: given**")
    second = models.register("writer", asking, {**tags, "dvc.md5": "8" * 32 + ".dir"}, "")
    assert (first, second) == (1, 2)
    assert models.register("writer", asking, tags, "**candidate: not given**") == first
    version = store.get_model_version("writer", str(first))
    assert version.run_id == trained
    assert version.tags == {**tags, "lw.model_id": models.of_digest(WEIGHTS).model_id}
    assert version.description == "**candidate: not given**"
    assert len(store.search_model_versions("name = 'writer'")) == 2
    assert models.version_of("writer", "candidate") is None


def test_the_former_champion_keeps_an_alias_and_can_come_back(store, trained):
    asking = run("register")
    for digit in "12":
        models.register("ranked", asking, {"dvc.md5": digit * 32 + ".dir"}, "")

    def aliases():
        champion, former = (models.version_of("ranked", alias) for alias in ("champion", "former"))
        return champion and int(champion.version), former and int(former.version)

    assert models.crown("ranked", "champion", "former", 1, "the gate", "first") is None
    assert aliases() == (1, None)
    assert models.crown("ranked", "champion", "former", 2, "a person", "x" * 9000) == 1
    assert aliases() == (2, 1)
    assert models.crown("ranked", "champion", "former", 1, "a person", "rollback") == 2
    assert aliases() == (1, 2)
    assert store.get_model_version("ranked", "1").tags["lw.champion_reason"] == "rollback"
    assert models.crown("ranked", "champion", "former", 1, "a person", "again") == 1
    assert aliases() == (1, 2)
    with pytest.raises(
        UserError, match=r"ranked has no version 7: it has 1, 2; `dvc repro register` makes one"
    ):
        models.crown("ranked", "champion", "former", 7, "a person", "x")
    assert aliases() == (1, 2)


def test_the_pages_of_both_versions_say_who_moved_the_champion_when_and_why(store):
    asking = run("register")
    for digit in "12":
        models.register(
            "crowned", asking, {"dvc.md5": digit * 32 + ".dir"}, "**champion: not given**, n too small."
        )
    models.crown("crowned", "champion", "former", 1, "the gate", "better than base")
    models.crown("crowned", "champion", "former", 2, "a person", "reads | <b>better</b>\n# now")
    for _ in range(2):  # a new run of the stage keeps what happened
        first, second = (store.get_model_version("crowned", number) for number in "12")
        assert re.fullmatch(
            r"- \*\*no longer champion\*\*, version 2 is it: \S+ \S+ UTC, by a person: `reads ¦ <b>better</b> # now`\n"
            r"- \*\*champion\*\*, \S+ \S+ UTC, by the gate: better than base\n\n"
            r"\*\*champion: not given\*\*, n too small\.",
            first.description,
        )
        assert second.description.startswith("- **champion after version 1**, 20")
        assert second.description.count("champion: not given") == 1
        assert first.tags["lw.champion_history"] == first.description.partition("\n\n")[0]
        for digit in "12":
            tags = {"dvc.md5": digit * 32 + ".dir"}
            models.register("crowned", asking, tags, "**champion: not given**, n too small.")


def test_two_crownings_at_once_keep_the_champion_and_the_one_before(store):
    asking = run("register")
    for digit in "345":
        models.register("raced", asking, {"dvc.md5": digit * 32 + ".dir"}, "")
    with ThreadPoolExecutor(3) as pool:
        before = list(
            pool.map(lambda number: models.crown("raced", "champion", "former", number, "a", "b"), (1, 2, 3))
        )
    last = int(models.version_of("raced", "champion").version)
    assert sorted([*filter(None, before), last]) == [1, 2, 3]  # each was champion once, and none was lost
    assert models.version_of("raced", "former") is not None


def test_a_decision_against_an_older_champion_moves_nothing(store):
    asking = run("register")
    for digit in "67":
        models.register("decided", asking, {"dvc.md5": digit * 32 + ".dir"}, "")
    models.crown("decided", "champion", "former", 1, "the gate", "first", instead_of=0)
    with pytest.raises(Unavailable, match="it was no version, and is now version 1"):
        models.crown("decided", "champion", "former", 2, "the gate", "better than base", instead_of=0)
    assert int(models.version_of("decided", "champion").version) == 1
    assert models.version_of("decided", "former") is None
    assert models.crown("decided", "champion", "former", 2, "the gate", "better", instead_of=1) == 1


@pytest.fixture
def before_an_alias_is_stored():
    """Let a function run just before MLflow's database stores an alias; it gets the path of the database."""
    hooks = []

    def add(function):
        def hook(connection, cursor, statement, parameters, context, many):
            if statement.startswith("INSERT INTO registered_model_aliases"):
                function(connection.engine.url.database)

        event.listen(Engine, "before_cursor_execute", hook)
        hooks.append(hook)

    yield add
    for hook in hooks:
        event.remove(Engine, "before_cursor_execute", hook)


def test_the_first_champion_of_two_machines_at_once_stays_and_the_other_is_told(
    store, before_an_alias_is_stored
):
    asking = run("register")
    for digit in "12":
        models.register("contested", asking, {"dvc.md5": digit * 32 + ".dir"}, "")

    def crown_version_1(database):
        with sqlite3.connect(database) as other_machine:
            other_machine.execute(
                "INSERT INTO registered_model_aliases (workspace, name, alias, version) "
                "VALUES ('default', 'contested', 'champion', 1)"
            )

    before_an_alias_is_stored(crown_version_1)
    with pytest.raises(
        Unavailable,
        match=r"champion of contested could not be set to version 2: somebody else set it to version 1 at the "
        r"same time\. Look at that version in MLflow, and do this again",
    ):
        models.crown("contested", "champion", "former", 2, "a person", "x")
    assert int(models.version_of("contested", "champion").version) == 1
    assert models.version_of("contested", "former") is None


def test_an_alias_that_the_database_refuses_is_no_race(store, before_an_alias_is_stored):
    models.register("kept", run("register"), {"dvc.md5": "1" * 32 + ".dir"}, "")

    def refuse_aliases(database):
        with sqlite3.connect(database) as connection:
            connection.execute(
                "CREATE TRIGGER full BEFORE INSERT ON registered_model_aliases WHEN NEW.name = 'kept' "
                "BEGIN SELECT RAISE(ABORT, 'no room'); END"
            )

    before_an_alias_is_stored(refuse_aliases)
    with pytest.raises(MlflowException, match="no room"):
        models.crown("kept", "champion", "former", 1, "a person", "x")
    assert models.version_of("kept", "champion") is None


def test_a_long_description_and_long_tags_are_cut_to_what_mlflow_keeps(store):
    lines = "\n".join(f"line {number}" for number in range(900))
    number = models.register("wordy", run("register"), {"dvc.md5": "6" * 32, "why": "\x1b" * 3000}, lines)
    version = store.get_model_version("wordy", str(number))
    assert 4900 < len(version.description) <= 5000
    assert version.description.startswith("line 0\nline 1\n")
    assert version.description.endswith(
        "\n\n*Cut here: MLflow keeps 5,000 characters. The report of the run has the rest.*\n"
    )
    assert len(version.tags["why"]) == 5000


def test_a_name_that_a_prompt_has_is_an_error_for_a_person(store):
    store.register_prompt("taken", "Write {words} words.")
    with pytest.raises(UserError, match="MLflow has a prompt with the name taken"):
        models.register("taken", run("register"), {"dvc.md5": "a" * 32}, "")


def test_a_version_whose_digest_is_no_digest_is_left_out(store):
    number = models.register("odd", run("register"), {"dvc.md5": "../" * 10}, "")
    models.give_alias("odd", "candidate", number)
    assert models.aliases("odd") == {}
    assert models.versions("odd") == {}


def test_an_artifact_of_another_run_is_read_back_and_a_missing_one_is_none(store, tmp_path):
    made = run("register")
    (tmp_path / "scores.jsonl").write_text("{}\n")
    tracking.log_artifact(made, tmp_path / "scores.jsonl", "scores/small")
    found = tracking.fetch_artifact(made, "scores/small/scores.jsonl", tmp_path / "copy")
    assert found is not None
    assert found.read_text() == "{}\n"
    assert tracking.fetch_artifact(made, "scores/other/scores.jsonl", tmp_path) is None
    for unknown in ("f" * 32, "../../x"):
        with pytest.raises(BadRecord, match=rf"scores\.jsonl of run {re.escape(unknown)} cannot be read"):
            tracking.fetch_artifact(unknown, "scores/small/scores.jsonl", tmp_path)


def test_weights_trained_elsewhere_are_registered_from_the_run_that_registers(store, trained):
    asking = run("register")
    pulled = "9" * 32 + ".dir"
    number = models.register("writer", asking, {"dvc.md5": pulled}, "")
    assert store.get_model_version("writer", str(number)).run_id == asking
    assert models.of_digest(pulled).source_run_id == asking


def test_keys_among_the_parameters_are_masked_and_a_tag_holds_no_control_character(store):
    made = run("plan")
    tracking.log_params(
        made,
        {
            "llm": {
                "extra_body": {"auth_token": "abc-123", "min_p": 0.1},
                "api_key_env": "NAME",
                "max_tokens": 7,
            }
        },
    )
    tracking.set_tags(made, {"lw.error": "said \x1b[2J\u202e"})
    data = store.get_run(made).data
    assert data.params == {
        "llm.extra_body.auth_token": "***",
        "llm.extra_body.min_p": "0.1",
        "llm.api_key_env": "NAME",
        "llm.max_tokens": "7",
    }
    assert data.tags["lw.error"] == r"said \x1b[2J\u202e"


def test_a_copied_checkout_reads_and_writes_artifacts_of_its_own(store, tmp_path, monkeypatch):
    first, second = Path.cwd(), tmp_path / "second"
    (first / "note.txt").write_text("note")
    old = run("note")
    tracking.log_artifact(old, Path("note.txt"))
    shutil.copytree(first, second)
    shutil.rmtree(first / ".lw/mlartifacts")

    monkeypatch.chdir(second)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{second}/mlflow.db")
    new = run("note")
    tracking.log_artifact(new, Path("note.txt"))

    assert not (first / ".lw/mlartifacts").exists()
    for run_id in (old, new):
        copy = tracking.fetch_artifact(run_id, "note.txt", tmp_path)
        assert copy is not None
        assert copy.read_text() == "note"


def test_the_number_of_a_finished_training_is_shown_and_not_the_last_one_of_its_curve(store):
    made = run("sft")
    tracking.log_curve(made, [(step, {"test_loss": float(step)}) for step in (1, 2, 3)])
    time.sleep(0.01)  # MLflow orders numbers of a step by the millisecond
    tracking.log_metrics(made, {"test_loss": 1.0}, step=3)  # that of the step that is published
    assert store.get_run(made).data.metrics["test_loss"] == 1.0
