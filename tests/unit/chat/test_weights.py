"""Which folder of weights a name means."""

import json
import shutil
from hashlib import md5
from pathlib import Path

import pytest
from dvc.repo import Repo

from longwriter import params
from longwriter.chat import weights
from longwriter.errors import BadRecord, UserError
from longwriter.tracking import logged_models, runs, versioning

PARAMS = params.load()


@pytest.fixture(scope="module")
def store(tmp_path_factory, mlflow_tables):
    """The URL of an MLflow database."""
    return f"sqlite:///{shutil.copy(mlflow_tables, tmp_path_factory.mktemp('store'))}"


@pytest.fixture
def checkout(tmp_path, monkeypatch, store):
    """A DVC repository in which `sft` has weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    Repo.init(no_scm=True).close()
    folder = tmp_path / "data" / "sft" / "weights"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_text("weights of SFT")
    (folder / "config.json").write_text("{}")
    return tmp_path


def register(digest):
    run = runs.start_run("register", {})
    version = logged_models.register("longwriter", run, {"dvc.md5": digest})
    logged_models.give_alias("longwriter", "candidate", version)


def test_a_name_is_a_model_a_folder_or_a_registered_version(checkout):
    sft = weights.files.DATA / "sft" / "weights"
    register(versioning.digest(sft))
    assert weights.folder("sft", PARAMS) == sft
    assert weights.folder(str(sft), PARAMS) == sft
    assert weights.folder("candidate", PARAMS) == sft
    number = weights.registered("candidate", PARAMS).number
    names = (number, f"models:/longwriter/{number}", "models:/longwriter@candidate")
    assert {weights.folder(name, PARAMS) for name in names} == {sft}
    assert weights.registered("sft", PARAMS) is weights.registered(str(sft), PARAMS) is None
    assert weights.default(PARAMS) == "sft"


def test_a_registered_version_is_taken_from_the_cache_of_dvc_when_data_has_other_weights(checkout):
    sft = checkout / "data" / "sft" / "weights"
    with Repo(".") as repo:
        repo.add(str(sft))
    register(versioning.digest(sft))
    sft.joinpath("model.safetensors").unlink()  # a link into the cache
    sft.joinpath("model.safetensors").write_text("weights of a later SFT")
    folder = weights.folder("candidate", PARAMS)
    assert folder.is_relative_to(weights.FETCHED)
    assert {file.name: file.read_text() for file in folder.iterdir()} == {
        "model.safetensors": "weights of SFT",
        "config.json": "{}",
    }
    with pytest.raises(UserError, match="holds files already"):
        weights.copy(versioning.digest(sft), sft)


def test_a_fetched_model_has_its_card_and_what_the_registry_knows(checkout):
    sft = checkout / "data" / "sft" / "weights"
    (sft / "README.md").write_text("# LongWriter, sft\n")
    with Repo(".") as repo:
        repo.add(str(sft))
    digest = versioning.digest(sft)
    tags = {"dvc.md5": digest, "dvc.data_md5": "1" * 32, "git.commit": "c1", "lw.run_id": "of sft"}
    number = logged_models.register(
        "longwriter", runs.start_run("register", {}), tags, "**candidate: given**"
    )
    logged_models.give_alias("longwriter", "candidate", number)
    card = logged_models.card_of("longwriter", str(number))
    assert card == logged_models.card_of("longwriter", "candidate")
    weights.copy(digest, checkout / "OUT", card)
    assert (sft / "README.md").read_text() == "# LongWriter, sft\n"
    assert (checkout / "OUT" / "README.md").read_text() == (
        "# LongWriter, sft\n\n"
        f"## In the registry: longwriter, version {number}\n\n"
        "| | |\n|---|---|\n"
        f"| weights, DVC | {digest} |\n"
        f"| training rows, DVC | {'1' * 32} |\n"
        "| git commit of the training | c1 |\n"
        "| MLflow run of the training | of sft |\n\n"
        "**candidate: given**\n"
    )


def test_weights_that_are_nowhere_are_no_folder(checkout):
    register("0" * 32 + ".dir")
    with pytest.raises(BadRecord, match="not in DVC's cache or remote"):
        weights.folder("candidate", PARAMS)
    assert not weights.FETCHED.exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dpo", "no model dpo: models with weights in data/ are sft"),
        ("champion", "aliases of longwriter in MLflow are .*, its versions .*; or name a folder"),
        ("999", "no model 999: .* its versions "),
        ("models:/longwriter/999", "models:/longwriter/999: the versions of longwriter in MLflow are "),
        ("models:/other@candidate", r"models:/other: this checkout registers longwriter \(register.name\)"),
        ("data/sft", "data/sft is not a folder with"),
        ("\x1b[31m/x", r"\\x1b\[31m/x is not a folder"),
    ],
)
def test_an_unknown_name_lists_the_right_ones(checkout, name, message):
    with pytest.raises(UserError, match=message):
        weights.folder(name, PARAMS)


def test_without_weights_it_says_which_command_makes_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"run `bash infra/demo\.sh`"):
        weights.default(PARAMS)


def test_a_name_that_leads_out_of_the_folder_is_refused(checkout):
    file = md5(b"x").hexdigest()
    listing = json.dumps([{"md5": file, "relpath": "../../outside"}]).encode()
    digest = f"{md5(listing).hexdigest()}.dir"
    with Repo(".") as repo:
        for name, content in ((file, b"x"), (digest, listing)):
            path = Path(repo.cache.local.oid_to_path(name))
            path.parent.mkdir(parents=True)
            path.write_bytes(content)
    with pytest.raises(BadRecord, match="leads out of their folder"):
        weights.copy(digest, Path("OUT"))
    assert not list(checkout.rglob("outside"))
