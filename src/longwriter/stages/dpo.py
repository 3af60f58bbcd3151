"""Direct preference optimisation of the SFT model, with a next-token loss on the chosen answers.

Reads   data/sft/weights, data/base_model/origin.json, data/preferences/train.jsonl, test.jsonl, verdict.json
Writes  data/dpo/: weights/ (safetensors, tokenizer, generation config, card), curve.csv, rejected.jsonl,
        metrics.json
Source  LongWriter (arXiv:2408.07055), section 4.2; the next-token term: ChatGLM-RLHF's recipe
Steps   LongDPO (arXiv:2502.02095): where a pair continues a text, the loss counts the continuations only
Run     dvc repro dpo; `.lw/logs/dpo-ranks.log` has the output of the ranks
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from longwriter.amounts import amount
from longwriter.errors import UserError
from longwriter.execution import runner
from longwriter.gates.suite import verdicts
from longwriter.io import files, packs
from longwriter.params import Params
from longwriter.records import PreferencePair, Rejection
from longwriter.tokens import tokenizer
from longwriter.training import fitting

_PAIRS = files.DATA / "preferences"
_SFT = files.DATA / "sft" / "weights"
_CURVE = (
    "step,epoch,loss,grad_norm,learning_rate,reward_accuracy,reward_margin,"
    "test_loss,test_reward_accuracy,test_reward_margin\n"
)


def work(params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Train on every pair whose two answers fit into `dpo.max_length`."""
    verdicts.check_pairs()
    pairs = {
        split: files.read_jsonl(_PAIRS / f"{split}.jsonl", PreferencePair) for split in ("train", "test")
    }
    coder = tokenizer.Coder(tokenizer.load(_SFT))
    rows_by_split: dict[str, list[dict[str, Any]]] = {split: [] for split in pairs}
    rejected: list[Rejection] = []
    for split, split_pairs in pairs.items():
        for row in split_pairs:
            columns = _columns(coder, row, params)
            if isinstance(columns, Rejection):
                rejected.append(columns)
            else:
                rows_by_split[split].append(columns)
    reasons = dict(Counter(row.reason for row in rejected))
    for split, rows in rows_by_split.items():
        if not rows:
            raise UserError(
                f"{_PAIRS}/{split}.jsonl has {amount(len(pairs[split]), 'pair')}, and all are rejected ({reasons}): "
                "raise dpo.max_length, sample.limit, or preferences.test_share"
            )

    def prepare(state: Path) -> tuple[str, str]:
        for split, rows in rows_by_split.items():
            packs.write_pairs(state / f"{split}.parquet", rows)
        return str(state / "train.parquet"), str(state / "test.parquet")

    numbers, speed = fitting.fit("dpo", str(_SFT), _CURVE, params, folder, run, prepare)
    recipe = {"precision": params.training.precision, **params.dpo.model_dump(mode="json")}
    fitting.write_card(
        "dpo", str(_SFT), str(_PAIRS / "train.jsonl"), recipe, folder, _sources(pairs["train"])
    )
    files.write_jsonl(folder / "rejected.jsonl", rejected)
    return runner.Summary(
        sum(map(len, pairs.values())),
        sum(map(len, rows_by_split.values())),
        reasons,
        {"train_pairs": len(rows_by_split["train"]), **numbers},
        execution=speed,
        artifacts=[files.DATA / "dpo" / "curve.csv"],
    )


def _sources(pairs: list[PreferencePair]) -> dict[str, str]:
    """Return what the card says about general pairs; empty if there are none."""
    licences = Counter(row.licence for row in pairs if row.licence is not None)
    text = "; ".join(
        f"{count:,} of {len(pairs):,}, licence {name}" for name, count in sorted(licences.items())
    )
    return {"general pairs": text} if text else {}


def _columns(coder: tokenizer.Coder, row: PreferencePair, params: Params) -> dict[str, Any] | Rejection:
    """Return the columns of a pair that TRL reads, or why the pair is rejected."""
    sides = coder.pair(row.prompt, [*row.chosen, *row.rejected], params.dpo.max_length, row.pair_id, "dpo")
    if isinstance(sides, Rejection):
        return sides
    ids = (sides[0].prompt_ids, *(side.completion_ids for side in sides))
    return dict(zip(packs.PAIR_COLUMNS, ids, strict=True))


if __name__ == "__main__":
    runner.main("dpo", work)
