"""What a run logs is what MLflow reads."""

import shutil

from longwriter.tracking import connection, runs


def test_mlflow_reads_a_table_as_it_was_logged(tmp_path, monkeypatch, mlflow_tables):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{shutil.copy(mlflow_tables, tmp_path)}")
    rows = [{"row_id": "a", "words": 3, "trace": None}, {"row_id": "船", "words": None, "trace": "/tr"}]
    run_id = runs.start_run("score", {})
    runs.log_table(run_id, rows, "rows.json")
    client, experiment = connection.client()
    table = client.load_table(experiment, "rows.json", run_ids=[run_id])
    assert table.astype(object).where(table.notna(), None).to_dict("records") == rows
