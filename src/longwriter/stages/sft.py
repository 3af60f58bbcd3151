"""Supervised fine-tuning of the base model on the packs.

Reads   data/base_model/weights, origin.json, data/pack/train.parquet, test.parquet
Writes  data/sft/: weights/ (safetensors, tokenizer, generation config, card), curve.csv, metrics.json
Source  LongWriter (arXiv:2408.07055), section 4
Run     dvc repro sft; `.lw/logs/sft-ranks.log` has the output of the ranks
"""

from __future__ import annotations

from pathlib import Path

from longwriter.errors import UserError
from longwriter.execution import runner
from longwriter.io import files, packs
from longwriter.params import Params
from longwriter.training import fitting

_PACKS = files.DATA / "pack"
_CURVE = "step,epoch,loss,grad_norm,learning_rate,test_loss\n"


def work(params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Train on every pack; the summary counts packs as rows."""
    train, test = (str(_PACKS / f"{split}.parquet") for split in ("train", "test"))
    number = packs.count(Path(train))
    if not number:
        raise UserError(f"{train} holds no pack: the data set has no row of at most pack.max_length tokens")
    model = str(files.DATA / "base_model" / "weights")
    numbers, speed = fitting.fit("sft", model, _CURVE, params, folder, run, lambda _: (train, test))
    recipe = {"precision": params.training.precision, **params.sft.model_dump(mode="json")}
    fitting.write_card("sft", model, train, recipe, folder)
    return runner.Summary(
        number,
        number,
        numbers={"batch_packs": params.sft.batch_packs, **numbers},
        execution=speed,
        artifacts=[files.DATA / "sft" / "curve.csv"],
    )


if __name__ == "__main__":
    runner.main("sft", work)
