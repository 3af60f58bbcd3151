"""Direct preference optimisation of the SFT model, with a next-token loss on the chosen answers.

Reads   data/sft/weights, data/preferences/train.jsonl, test.jsonl, verdict.json
Writes  data/dpo/: weights/ (safetensors, tokenizer, generation config), curve.csv, rejected.jsonl,
        metrics.json
Source  LongWriter (arXiv:2408.07055), section 4.2; the next-token term: ChatGLM-RLHF's recipe
Run     dvc repro dpo; `.lw/logs/dpo-ranks.log` has the output of the ranks
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from longwriter.errors import UserError
from longwriter.gates.suite import verdicts
from longwriter.io import files
from longwriter.params import Params
from longwriter.records import PreferencePair, Rejection
from longwriter.stages import runner
from longwriter.training import fitting
from longwriter.training.tokens import tokenizer

_PAIRS = files.DATA / "preferences"
_SFT = files.DATA / "sft" / "weights"
_CURVE = "step,epoch,loss,grad_norm,learning_rate,reward_accuracy,reward_margin\n"


def work(params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Train on every pair whose two answers fit into `dpo.max_length`."""
    verdicts.check_pairs()
    pairs = {
        split: files.read_jsonl(_PAIRS / f"{split}.jsonl", PreferencePair) for split in ("train", "test")
    }
    coder = tokenizer.load(_SFT)
    rejections = {row.pair_id: _rejection(coder, row, params) for rows in pairs.values() for row in rows}
    rejected = [rejection for rejection in rejections.values() if rejection is not None]
    kept = {split: [row for row in rows if rejections[row.pair_id] is None] for split, rows in pairs.items()}
    reasons = dict(Counter(row.reason for row in rejected))
    for split, rows in kept.items():
        if not rows:
            raise UserError(
                f"{_PAIRS}/{split}.jsonl has {len(pairs[split])} pairs, and all are rejected ({reasons}): "
                "raise dpo.max_length, sample.limit, or preferences.test_share"
            )

    def prepare(state: Path) -> tuple[str, str]:
        for split, rows in kept.items():
            lines = (json.dumps(_columns(row), ensure_ascii=False) + "\n" for row in rows)
            (state / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
        return str(state / "train.jsonl"), str(state / "test.jsonl")

    numbers = fitting.fit("dpo", str(_SFT), _CURVE, params, folder, run, prepare)
    files.write_jsonl(folder / "rejected.jsonl", rejected)
    return runner.Summary(
        len(rejections),
        len(rejections) - len(rejected),
        reasons,
        {"train_pairs": len(kept["train"]), **numbers},
        artifacts=[files.DATA / "dpo" / "curve.csv"],
    )


def _rejection(coder: Any, row: PreferencePair, params: Params) -> Rejection | None:
    """Return a rejection if an answer of the pair is too long or has a control token, else None."""
    for side in (row.chosen, row.rejected):
        coded = tokenizer.encode_or_reject(
            coder, [*row.prompt, *side], params.dpo.max_length, row.pair_id, "dpo"
        )
        if isinstance(coded, Rejection):
            return coded
    return None


def _columns(row: PreferencePair) -> dict[str, Any]:
    """Return the columns of a pair that TRL reads."""
    pair = row.model_dump(include={"prompt", "chosen", "rejected"})
    return dict(pair)


if __name__ == "__main__":
    runner.main("dpo", work)
