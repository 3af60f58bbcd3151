"""Measures time and memory of the stage `instructions` on a million rows that look like WildChat's.

Writes  .lw/bench/chats/*.jsonl.zst (seeded, made once), .lw/bench/instructions/ (what the stage would
        write), and to stdout a table of steps: seconds, rows a second, peak memory
Run     python -m infra.bench.instructions_million [ROWS], after `dvc repro benchmarks`

Of the rows 12 % are exact and 8 % near-duplicates of earlier ones, 3 % are malformed and 1 in 10,000
repeats a prompt of the small benchmark; the rest are
English, Chinese, Russian, French, Spanish and German, with log-normal lengths (median 30 words, the
longest above 2,000). Words come from the seeds and from short lists, so languages and lengths are
realistic, but the texts have no meaning.
"""

from __future__ import annotations

import json
import os
import random
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import psutil
import zstandard

from longwriter import params
from longwriter.exclusions import benchmarks, decontamination
from longwriter.hashing import content_hash
from longwriter.instructions import candidates, duplicates, patterns
from longwriter.io import files
from longwriter.lengths import stated as lengths
from longwriter.schemas.rows import SourceRow
from longwriter.sources import files as sources
from longwriter.stages import instructions
from longwriter.text import language
from longwriter.text.basics.counting import normalise, tokens
from longwriter.tracking.runs import StageRun

_HOME = Path(".lw/bench")
_SHARD = 100_000
_SAMPLE = 50_000
_POOL = 50_000  # prompts that later rows may repeat
_SEEDS = Path("src/longwriter/seeds/instructions")
_BENCHMARK = Path("src/longwriter/seeds/benchmarks/small.jsonl")
_OTHERS = {
    "ru": "напиши рассказ о реке и старом доме который стоял на берегу много лет потому что люди ушли в город",
    "fr": "écris une histoire sur la rivière et la vieille maison qui était près du village parce que les gens",
    "es": "escribe una historia sobre el río y la casa vieja que estaba cerca del pueblo porque la gente quería",
    "de": "schreibe eine geschichte über den fluss und das alte haus das lange am ufer stand weil die menschen",
}


def _prompt(rng: random.Random, words: dict[str, list[str]]) -> str:
    """Return a prompt; one in three states a length."""
    if rng.random() < 1e-4:
        return rng.choice(words["benchmark"])
    name = rng.choices(("en", "zh", *_OTHERS), (55, 18, 9, 7, 6, 5))[0]
    count = max(3, min(6000, int(rng.lognormvariate(3.4, 1.0))))
    picked = rng.choices(words[name], k=count * (2 if name == "zh" else 1))
    length = rng.choice((200, 500, 800, 1500, 3000, 5000, 50000))
    if name == "zh":
        request = f"，{length}字左右。" if rng.random() < 0.33 else "。"
        return f"请写一篇{rng.choice(('故事', '报告', '文章'))}，关于{''.join(picked)}{request}"
    request = f" in {length:,} words." if name == "en" and rng.random() < 0.33 else "."
    opening = f"Write a {rng.choice(('story', 'report', 'blog post'))} about " if name == "en" else ""
    return f"{opening}{' '.join(picked)}{request}"


def _touched(rng: random.Random, prompt: str) -> str:
    """Return a near-duplicate: other case, other spaces, or one word more."""
    way = rng.randrange(3)
    return prompt.upper() if way == 0 else prompt.replace(" ", "  ") if way == 1 else f"{prompt} Please!"


def _line(rng: random.Random, number: int, prompt: str) -> bytes:
    """Return the line of a row; 3 in 100 are malformed in one of six ways."""
    turns = [
        {"role": "user", "content": prompt, "toxic": False},
        {"role": "assistant", "content": "Sure. " * 40},
    ]
    row = {
        "conversation_hash": f"{number:032x}",
        "model": "gpt-4",
        "conversation": turns,
        "turn": 1,
        "toxic": False,
    }
    if rng.random() >= 0.03:
        return json.dumps({**row, "redacted": False}, ensure_ascii=False).encode() + b"\n"
    return rng.choice((
        json.dumps(row).encode()[:40] + b"\n",
        b'{"conversation": null}\n',
        b'{"conversation": [{"role": "user", "content": 1e99}]}\n',
        b'{"conversation": [{"role": "assistant", "content": "Hello"}]}\n',
        b'{"conversation": ' + b"[" * 5000 + b"\n",
        b'{"prompt": "\xff\xfe"}\n',
    ))  # fmt: skip


def make(folder: Path, rows: int) -> None:
    """Write `rows` rows below `folder`, the same ones each time."""
    rng = random.Random(0)
    seeds = {name: (_SEEDS / f"{name}.jsonl").read_text(encoding="utf-8") for name in ("en", "zh")}
    prompts = {
        name: [json.loads(line)["prompt"] for line in text.splitlines()] for name, text in seeds.items()
    }
    words = {name: text.split() for name, text in _OTHERS.items()}
    words["en"] = sorted({word for text in prompts["en"] for word in re.findall(r"[a-z]{3,}", text)})
    words["zh"] = sorted({sign for text in prompts["zh"] for sign in re.findall(r"[\u4e00-\u9fff]", text)})
    words["benchmark"] = [json.loads(line)["prompt"] for line in _BENCHMARK.open(encoding="utf-8")]
    earlier: list[str] = []
    folder.mkdir(parents=True)
    for first in range(0, rows, _SHARD):
        with zstandard.open(folder / f"{first // _SHARD:05}.jsonl.zst", "wb") as out:
            for number in range(first, min(rows, first + _SHARD)):
                kind = rng.random() if earlier else 1.0
                prompt = rng.choice(earlier) if kind < 0.2 else _prompt(rng, words)
                if kind >= 0.2 and len(earlier) < _POOL:
                    earlier.append(prompt)
                elif kind >= 0.2:
                    earlier[number % _POOL] = prompt
                out.write(_line(rng, number, _touched(rng, prompt) if 0.12 <= kind < 0.2 else prompt))


class Peak:
    """The largest memory of this process and of its children, in MB, since `begin`."""

    def __init__(self) -> None:
        """Begin to watch, for as long as the process lives."""
        self.megabytes = 0.0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        own = psutil.Process()
        while True:
            total = 0
            for process in (own, *own.children(recursive=True)):
                try:
                    total += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self.megabytes = max(self.megabytes, total / 1e6)
            time.sleep(0.2)


@contextmanager
def _step(name: str, rows: Callable[[], int], peak: Peak) -> Iterator[None]:
    """Write one line of the table."""
    peak.megabytes, started, cpu_before = 0.0, time.monotonic(), _cpu()
    yield
    seconds, cpu = time.monotonic() - started, _cpu() - cpu_before
    time.sleep(0.25)  # so that the memory is measured once more
    done = rows()
    cells = (
        f"{done:,}",
        f"{seconds:,.1f}",
        f"{cpu:,.1f}",
        f"{done / max(cpu, 1e-9):,.0f}",
        f"{peak.megabytes:,.0f}",
    )
    sys.stdout.write(f"| {name} | {' | '.join(cells)} |\n")
    sys.stdout.flush()


def _cpu() -> float:
    """Return the CPU seconds of this process and its ended children; other processes do not change them."""
    return sum(os.times()[:4])


def main(rows: int) -> None:
    """Make the rows, run the stage on them, and time each step."""
    if not (files.DATA / "benchmarks" / "in_instructions.json").exists():
        raise SystemExit("data/benchmarks/in_instructions.json is missing: dvc repro benchmarks")
    folder, out = _HOME / f"chats-{rows}", _HOME / "instructions"
    out.mkdir(parents=True, exist_ok=True)
    peak = Peak()
    sys.stdout.write(
        f"{os.cpu_count()} cores\n\n| step | rows | seconds | CPU seconds | rows a CPU second | peak MB |\n|---|---|---|---|---|---|\n"
    )
    if not folder.exists():
        with _step("make the rows", lambda: rows, peak):
            make(folder, rows)
    values = params.load()
    values = values.model_copy(update={"instructions": values.instructions.model_copy(update={
        "source": str(folder), "pattern": "*.jsonl.zst", "max_malformed_share": 0.05, "languages": ["en", "zh"],
        "max_chars": 20_000, "max_required_words": 32_000, "limit": 6000, "balance": ["language", "type", "length"],
    })})  # fmt: skip
    _each(values, min(rows, _SAMPLE), peak)
    with _step("the whole stage", lambda: rows, peak):
        summary = instructions.work(values, out, StageRun("run", "fingerprint"))
    sys.stdout.write(f"\n{summary.line('instructions')}\n\n")
    for step in json.loads((out / "funnel.json").read_text(encoding="utf-8")):
        sys.stdout.write(
            f"{step['name']}: {step['rows_in']:,} in, {step['rows_out']:,} out {step['rejected']}\n"
        )


def _each(values: params.Params, rows: int, peak: Peak) -> None:
    """Time each step of the work on a row, in this process only."""
    section = values.instructions
    chunks: list[Any] = []
    with _step("read (1 process)", lambda: rows, peak):
        chunks = list(islice(sources.chunks(section.source, section.pattern), rows // 2000))
    with _step("parse", lambda: rows, peak):
        parsed = [row for chunk in chunks for _, row in sources.rows(chunk)]
    prompts = [normalise(row.prompt) for row in parsed if isinstance(row, SourceRow)]
    limits = candidates.screening_limits(section, benchmarks.all_prompts(values))

    def by_thousands(work: Callable[[list[str]], object]) -> None:
        for at in range(0, len(prompts), 2000):
            work(prompts[at : at + 2000])

    steps: dict[str, Callable[[list[str]], object]] = {
        "words": lambda some: [tokens(text) for text in some],
        "language": lambda some: [language.identify(text) for text in some],
        "harm": lambda some: patterns.first_matches(some, limits.harm),
        "type": lambda some: patterns.first_matches(some, limits.types),
        "stated length": lambda some: [lengths.stated_length(text) for text in some],
        "id": lambda some: [content_hash(["en", text]) for text in some],
        "decontamination": lambda some: [decontamination.hit(limits.benchmarks, text) for text in some],
        "MinHash": duplicates.signatures,
    }
    for name, work in steps.items():
        with _step(name, lambda: len(prompts), peak):
            by_thousands(work)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
