"""AgentWrite, second half: write each plan paragraph by paragraph, or each text in one answer.

`write.mode` says how, see `agentwrite/paragraphs/writing.py`. The model is asked for a paragraph until one passes
every check, at most `write.max_attempts` times.

Reads   data/plan/plans.jsonl, the prompt template, the model of `write.llm` or `llm`
Writes  data/write/: drafts.jsonl, rejected.jsonl, calls.jsonl.zst, summary.json, metrics.json
Source  LongWriter (arXiv:2408.07055), section 3.2; its ablation +Parallel is `write.mode: parallel`
Run     dvc repro write
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from longwriter.agentwrite.paragraphs import drafts, writing
from longwriter.endpoints import reading
from longwriter.execution import runner
from longwriter.io import files
from longwriter.params import Params
from longwriter.records import Draft, Plan, Rejection
from longwriter.text.basics.counting import count_words


def work(params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Write a text or a rejection for each plan."""
    plans = files.indexed(files.DATA / "plan" / "plans.jsonl", Plan, lambda plan: max(1, len(plan.steps)))
    writer = params.write.llm or params.llm
    calls = folder / "calls.jsonl.zst"
    reasked = Counter[str]()
    with files.spool(Draft, Rejection) as results:
        usage = asyncio.run(writing.write_all(writer, params.write, plans, results.put, calls, reasked))
        lengths, reasons = _write_rows(results, folder)
    numbers = {
        "words_mean": round(sum(lengths) / max(1, len(lengths)), 3),
        "words_max": float(max(lengths, default=0)),
        **{f"reasked_{reason}": float(n) for reason, n in sorted(reasked.items())},
    }
    share = params.write.min_kept_share
    return runner.Summary(len(plans), len(lengths), dict(reasons), numbers, usage, min_kept_share=share)


def _write_rows(results: files.Spool[Draft | Rejection], folder: Path) -> tuple[list[int], Counter[str]]:
    """Write drafts and rejections in the order of their plans; return (words of each draft, reasons)."""
    lengths: list[int] = []
    reasons = Counter[str]()
    with files.jsonl(folder / "drafts.jsonl") as keep, files.jsonl(folder / "rejected.jsonl") as reject:
        for row in results:
            if isinstance(row, Draft):
                keep(row)
                lengths.append(sum(map(count_words, row.paragraphs)))
            elif isinstance(row, Rejection):
                reject(row)
                reasons[row.reason] += 1
    return lengths, reasons


if __name__ == "__main__":
    reading.begin(drafts.prepare)  # meanwhile MLflow and the model's server start
    runner.main("write", work)
