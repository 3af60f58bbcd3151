"""`longwriter promote` and `longwriter rollback`: a person moves the champion, back, twice, and after a deletion."""

from longwriter.tracking import connection, logged_models, runs
from tests.unit.cli.checkout import PARAMS, set_params

NAME = PARAMS["register"]["name"]


def champions():
    """Return the numbers of the champion and of the version before it."""
    versions = (logged_models.version_of(NAME, alias) for alias in ("champion", "former-champion"))
    return [version and int(version.version) for version in versions]


def test_a_person_moves_the_champion_and_takes_it_back(with_mlflow, run):
    set_params(PARAMS)
    asking = runs.start_run("register", {})
    for digit in "123":
        logged_models.register(NAME, asking, {"dvc.md5": digit * 32 + ".dir"}, "**champion: not given**")

    code, _, err = run("rollback", "--reason", "nothing yet")
    assert (code, champions()) == (2, [None, None])
    assert "no version with the alias former-champion: name one, `longwriter promote VERSION`" in err
    for words in (("promote", "9", "--reason", "x"), ("promote", "1", "--reason", " ")):
        assert run(*words)[0] == 2
    assert champions() == [None, None]

    assert "version 1 of longwriter is champion\n" in run("promote", "1", "--reason", "first")[1]
    assert "version 1 is former-champion" in run("promote", "2", "--reason", "reads better")[1]
    assert "version 2 of longwriter is already champion" in run("promote", "2", "--reason", "again")[1]
    assert champions() == [2, 1]
    assert "rolled back: version 1 of longwriter is champion" in run("rollback", "--reason", "loops")[1]
    assert champions() == [1, 2]
    run("rollback", "--reason", "it was the endpoint")  # takes the first one back
    assert champions() == [2, 1]
    client = connection.client()[0]
    history = client.get_model_version(NAME, "1").description.splitlines()
    assert [line.partition(",")[0] for line in history[:4]] == [
        "- **no longer champion**", "- **champion after version 2**", "- **no longer champion**", "- **champion**",
    ]  # fmt: skip
    assert history[1].endswith("by a person: loops")

    client.delete_model_version(NAME, "1")
    assert run("rollback", "--reason", "it is gone")[0] == 2
    assert champions() == [2, None]
    client.delete_model_version(NAME, "2")
    assert "version 3 of longwriter is champion\n" in run("promote", "3", "--reason", "the last one")[1]
    assert champions() == [3, None]


def test_where_nothing_ran_mlflow_is_not_asked_and_no_database_is_made(checkout, run):
    for words in (
        ("lineage",),
        ("lineage", "--benchmark", "small"),
        ("promote", "1", "--reason", "x"),
        ("rollback", "--reason", "x"),
        ("fetch", "candidate", "out"),
    ):
        code, out, err = run(*words)
        assert (code, out) == (2, "")
        assert "MLflow has no run of this checkout: run the pipeline first" in err
    assert not (checkout / ".lw" / "mlflow.db").exists()
