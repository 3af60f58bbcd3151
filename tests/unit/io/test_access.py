"""Who may read `.lw` and published data."""

import os
import stat

from longwriter.io import access, files


def mode(path):
    return stat.S_IMODE(path.lstat().st_mode)


def test_all_of_a_private_folder_is_its_users_alone(tmp_path):
    folder = tmp_path / ".lw"
    with access.kept_private(folder):
        assert mode(folder) == 0o700
        (folder / "logs").mkdir()
        for name in ("replay.sqlite", "logs/a.log"):
            (folder / name).write_text("x")
            (folder / name).chmod(0o644)
        (folder / "run.sh").write_text("x")
        (folder / "run.sh").chmod(0o755)
        (folder / "locked").write_text("x")
        (folder / "locked").chmod(0o444)
    assert [mode(folder / name) for name in ("logs", "replay.sqlite", "logs/a.log")] == [0o700, 0o600, 0o600]
    assert [mode(folder / name) for name in ("run.sh", "locked")] == [0o700, 0o400]


def test_links_out_of_a_private_folder_change_nothing_outside(tmp_path):
    (tmp_path / "data").mkdir()
    outside = tmp_path / "data" / "weights"
    outside.write_text("x")
    outside.chmod(0o644)
    (tmp_path / "data").chmod(0o755)
    (tmp_path / ".lw").mkdir()
    (tmp_path / ".lw" / "symlink").symlink_to(outside)
    (tmp_path / ".lw" / "folder").symlink_to(tmp_path / "data")
    os.link(outside, tmp_path / ".lw" / "hardlink")
    (tmp_path / ".lw" / "dangling").symlink_to("nowhere")
    access.keep_private(tmp_path / ".lw")
    assert (mode(outside), mode(tmp_path / "data")) == (0o644, 0o755)


def test_published_files_are_for_everybody_whatever_wrote_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with files.published(files.DATA / "sft") as folder:
        (folder / "weights").mkdir(mode=0o700)
        (folder / "weights" / "model.safetensors").touch(mode=0o600)
        (folder / "metrics.json").write_text("{}")
    target = tmp_path / "data" / "sft"
    assert [mode(target), mode(target / "weights")] == [0o755, 0o755]
    assert [mode(target / name) for name in ("weights/model.safetensors", "metrics.json")] == [0o644, 0o644]
