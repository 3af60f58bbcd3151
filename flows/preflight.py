"""Looks, before a flow pays for anything, for the inputs of its stages, and whether the training will fit.

`longwriter capacity` is a process of its own, because a process that looks at a GPU takes some of its memory until it
ends.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Collection, Sequence

from longwriter.capacity import table
from longwriter.errors import LongWriterError, UserError
from longwriter.io import files
from longwriter.params import Params
from longwriter.settings import named_files
from longwriter.text import inert
from longwriter.tracking import versioning

REPORT = files.LOCAL / "capacity.json"
"""The last report; `room.py` reads what the checkpoints of a training take."""
_TRAINING = ("sft", "dpo")
_COMMAND = ("-m", "longwriter.cli.main", "capacity", "--json")


def stages_with_check(names: Sequence[str], stale: Collection[str], source: str) -> list[str]:
    """Return the stages before which the check runs, until one check knows the model.

    A flow that does not train has no check. A check before the first stage knows a model that is here already, or the
    config that the hub shows. A GGUF or a folder is known only after base_model, so it is checked there.

    Args:
        names: Stages of the flow, in order.
        stale: Stages that DVC would run.
        source: base_model.source.
    """
    ends = [position for position, name in enumerate(names) if name in _TRAINING]
    if not ends or not set(stale) & set(names[: ends[-1] + 1]):
        return []
    if names[0] != "base_model":
        return [names[0]]
    is_known = "base_model" not in stale or source.startswith("hub:")
    return [*names[:2]] if is_known else [names[1]]


def check_inputs(names: Collection[str], params: Params) -> None:
    """Return if all is here that these stages read and no stage writes.

    Raises:
        UserError: something is missing; the message names each thing and its keys in params.yaml.
    """
    missing = [
        f"{path} ({', '.join(keys)})" if (keys := named_files.keys_of(params, path)) else path
        for path in versioning.missing_inputs(names)
    ]
    if missing:
        raise UserError(
            f"missing: {', '.join(missing)}: put it there, or correct the key of params.yaml that names it"
        )


def check_earlier_stages(stale: Collection[str], names: Sequence[str]) -> None:
    """Return if all is here that the stages of a flow read and other stages write.

    Args:
        stale: Stages that DVC would run.
        names: Stages of the flow, in order.

    Raises:
        UserError: something is missing; the message names the stages that write it.
    """
    missing = versioning.inputs_of_other_stages(names) if set(stale) & set(names) else {}
    if missing:
        path, stage = next(iter(missing.items()))
        others = dict.fromkeys([*missing.values()])
        words = [name for name in versioning.stage_names() if name in others or name in names]
        raise UserError(
            f"{path} is missing, which stage {stage} writes: name all stages that are needed, as in "
            f"`python -m flows {' '.join(words)}`, or run the whole pipeline (`python -m flows`)"
        )


def check(log: logging.Logger | logging.LoggerAdapter[logging.Logger]) -> bool:
    """Log a line if everything fits, else the whole report; keep the report; tell whether the model is known.

    Raises:
        UserError: something does not fit; the message names each thing.
        LongWriterError: the check itself failed.
    """
    command = [sys.executable, "-m", "longwriter.io.process", sys.executable, *_COMMAND]
    process = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    try:
        report = json.loads(process.stdout)
    except ValueError:
        reason = inert.terminal((process.stderr.strip().splitlines() or ["no output"])[-1])
        failure = UserError if process.returncode == UserError.exit_code else LongWriterError
        raise failure(f"longwriter capacity: {reason}") from None
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(process.stdout, encoding="utf-8")
    if not report["errors"]:
        log.info(
            "capacity: %s (`longwriter capacity` shows the table)", inert.terminal(table.summary(report))
        )
    else:
        for line in inert.terminal(table.text(report)).splitlines():
            log.info("%s", line)
        raise UserError("the training does not fit: " + "; ".join(map(inert.terminal, report["errors"])))
    return report["model"] is not None
