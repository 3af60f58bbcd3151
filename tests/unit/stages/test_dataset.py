"""What the stage `dataset` says beside its rows."""

from longwriter.stages import dataset


def test_a_data_set_without_held_out_rows_is_told_by_its_key():
    assert dataset.none_held_out(1, 0.1) == (
        "dataset: none of 1 row is held out, so SFT will show no held-out loss: raise dataset.test_share (0.1), "
        "or use more instructions"
    )
