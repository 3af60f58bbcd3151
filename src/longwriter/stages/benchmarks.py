"""Fetch the benchmarks, and find which of their prompts occur in the sources of the instructions.

A new benchmark runs this stage again, but `instructions` only if one of its prompts occurs in the sources.

Reads   generate.folder, benchmarks.files, instructions.source (and instructions.hub)
Writes  data/benchmarks/: files/NAME.jsonl, prompts.json (of all benchmarks),
        in_instructions.json (the prompts that an instruction repeats), metrics.json
Run     dvc repro benchmarks
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from longwriter.exclusions import benchmarks, decontamination
from longwriter.execution import runner
from longwriter.instructions import hub
from longwriter.io import files
from longwriter.params import InstructionsParams, Params
from longwriter.schemas.contents import Unusable
from longwriter.sources import files as sources
from longwriter.text.basics.counting import normalise


def work(params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Copy each benchmark, and write all prompts and those that occur in the sources."""
    paths = benchmarks.paths(params)
    (folder / "files").mkdir()
    for name, path in paths.items():
        shutil.copyfile(path, folder / "files" / f"{name}.jsonl")
    prompts = benchmarks.all_prompts(params)
    matches = decontamination.matches(prompts, _instructions(params.instructions))
    files.write_json(folder / "prompts.json", prompts)
    files.write_json(folder / "in_instructions.json", matches)
    numbers = {
        "files": float(len(paths)),
        "named_by_source": float(len(params.benchmarks.files)),
        "in_instructions": float(len(matches)),
    }
    return runner.Summary(len(prompts), len(prompts), numbers=numbers)


def _instructions(own: InstructionsParams) -> Iterator[str]:
    """Yield the prompts of the sources; rows without a prompt are left out, and stage `instructions` rejects them."""
    local = sources.chunks(own.source, own.pattern)
    for chunk in chain(local, hub.chunks(own.hub)) if own.hub else local:
        for _, row in sources.rows(chunk):
            if not isinstance(row, Unusable):
                yield normalise(row.prompt)


if __name__ == "__main__":
    runner.main("benchmarks", work)
