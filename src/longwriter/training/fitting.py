"""What the stages sft and dpo share: the job for the ranks, the live curve in MLflow, the finished model.

Checkpoints are in `.lw/checkpoints/`, outside DVC's outputs, in a folder named after the stage's fingerprint:
a killed stage resumes from the last complete one. Checkpoints of a finished training are kept until the next
run of SFT (or DPO) with another fingerprint starts, because DVC caches the model only after this process exits.
"""

from __future__ import annotations

import logging
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from longwriter.errors import Unavailable, UserError, without_password
from longwriter.io import files
from longwriter.launch import checkpoints, launch, sharing
from longwriter.models.base import finite
from longwriter.params import Params
from longwriter.tracking import connection, versioning
from longwriter.tracking import logged_models as models
from longwriter.tracking import runs as tracking
from longwriter.tracking.runs import StageRun
from longwriter.training import states
from longwriter.training.ranks import card

log = logging.getLogger(__name__)

Prepare = Callable[[Path], tuple[str, str]]


def fit(
    kind: Literal["sft", "dpo"],
    model: str,
    columns: str,
    params: Params,
    folder: Path,
    run: StageRun,
    prepare: Prepare,
) -> tuple[dict[str, float], dict[str, float]]:
    """Train `model`; fill `folder` with weights/ and curve.csv.

    Returns the numbers that are equal in each run, and those of this execution: speed and memory.

    Args:
        kind: Trainer, which is also the stage's name.
        model: Folder of the model to start from.
        columns: Header of curve.csv, one line.
        params: All parameters.
        folder: The stage's empty folder.
        run: The stage's MLflow run, for the live curve and the checkpoints.
        prepare: Receives the checkpoint folder; returns the paths of the training and the held-out rows.

    Raises:
        UserError: this machine cannot train with these parameters.
        TrainingFailed: a rank raised.
        Unavailable: a rank was killed, or MLflow cannot be reached at the end.
    """
    batch = params.sft.batch_packs if kind == "sft" else params.dpo.batch_pairs
    key = "sft.batch_packs" if kind == "sft" else "dpo.batch_pairs"
    sequence_ranks = params.training.sequence_ranks if kind == "sft" else 1
    device, ranks = launch.device_and_ranks(params.training, batch, key, sequence_ranks)
    _check_model(Path(model), sequence_ranks)
    launch.check_quantised(params.sft.lora if kind == "sft" else params.dpo.lora, kind, device)
    layout = launch.layout_of(params.training.deepspeed)
    state = launch.checkpoint_folder(kind, run.fingerprint, ranks, layout)
    state.mkdir(parents=True, exist_ok=True)
    train, test = prepare(state)
    weights = folder / "weights"
    weights.mkdir()
    job = launch.Job(
        kind=kind, model=model, train=train, test=test, out=str(weights), checkpoints=str(state),
        device=device, ranks=ranks, layout=layout, training=params.training,
        sft=params.sft if kind == "sft" else None, dpo=params.dpo if kind == "dpo" else None,
        base=f"dvc:{versioning.digest(Path(model))}",
    )  # fmt: skip
    launch.check_recomputing(job)
    states.prepare(job, run.fingerprint)
    log.info("%s: %d ranks on %s, %s", kind, ranks, device, params.training.deepspeed)
    live_log = _LiveLog(kind, run)
    curve = launch.run(job, live_log.add_points, live_log.add_checkpoint)
    choices = files.read_json(state / checkpoints.CHOICES)
    live_log.add_choices(choices)
    finite.check(weights)
    live_log.flush()
    _write_curve(folder / "curve.csv", columns, curve)
    numbers = {"steps": curve[-1]["step"], "final_loss": curve[-1]["loss"]}
    numbers |= files.read_json(state / checkpoints.HELD_OUT)
    return numbers, _speed(curve) | _errors(choices)


def _check_model(model: Path, sequence_ranks: int) -> None:
    """Raise UserError if ranks cannot share the tokens of a pack with this model."""
    if sequence_ranks == 1:
        return
    from transformers import AutoConfig  # takes seconds

    config = AutoConfig.from_pretrained(model).get_text_config()
    heads = config.num_attention_heads
    keys = getattr(config, "num_key_value_heads", None) or heads
    if problem := sharing.model_problem(sequence_ranks, heads, keys, sharing.other_layers(config)):
        raise UserError(problem)


def _errors(choices: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Return the measured errors that decided choices; empty if nothing was probed, as on a CPU."""
    return {f"{name}_error": choice["error"] for name, choice in choices.items() if choice.get("error")}


def write_card(
    kind: Literal["sft", "dpo"],
    model: str,
    rows: str,
    recipe: dict[str, Any],
    folder: Path,
    sources: dict[str, str] | None = None,
) -> None:
    """Write README.md into the weights of a finished training.

    Args:
        kind: The stage.
        model: Folder of the model that the training started from.
        rows: File of the training rows.
        recipe: Parameters that decide the training.
        folder: The stage's folder, with weights/.
        sources: More lines about the training rows, such as licences.
    """
    digests = versioning.digests([model, rows])
    source = files.read_json(files.DATA / "base_model" / "origin.json")
    text = card.markdown(kind, source, (model, digests[model]), (rows, digests[rows]), recipe, sources or {})
    (folder / "weights" / "README.md").write_text(text, encoding="utf-8")


def _speed(curve: list[dict[str, float]]) -> dict[str, float]:
    """Return seconds, tokens and memory of a usual step; empty if no step was made.

    The first step of a run, which also prepares, counts only if there is no other one.
    """
    all_steps = [point for point in curve if "step_s" in point]
    steps = all_steps[1:] or all_steps
    if not steps:
        return {}
    names = ["step_s", "tokens_per_s", *(["mfu"] if "mfu" in steps[0] else [])]
    medians = {name: statistics.median(point[name] for point in steps) for name in names}
    return {
        **medians,
        "fill": sum(point["fill"] for point in steps) / len(steps),
        "peak_gib_a_rank": max(point["peak_gib"] for point in all_steps),
    }


class _LiveLog:
    """Logs curve and checkpoints to MLflow during training; keeps points that could not be logged yet."""

    def __init__(self, kind: str, run: StageRun) -> None:
        self._kind = kind
        self._run = run
        self._pending: list[dict[str, float]] = []
        self._has_warned = False

    def add_points(self, points: list[dict[str, float]]) -> None:
        """Log new points of the curve, and the pending ones."""
        self._pending += points
        curve = [
            (
                int(point["step"]),
                {name: value for name, value in point.items() if name not in ("step", "max_steps")},
            )
            for point in self._pending
        ]
        if self._try(lambda: tracking.log_curve(self._run.run_id, curve)):
            self._pending.clear()

    def add_checkpoint(self, step: int) -> None:
        """Log a checkpoint as a model of the run."""
        tags = {"lw.stage": self._kind, "lw.fingerprint": self._run.fingerprint, "lw.checkpoint": "true"}
        name = f"{self._kind}-step-{step}"
        self._try(lambda: models.log_checkpoint(self._run.run_id, name, step, tags))

    def add_choices(self, choices: dict[str, dict[str, Any]]) -> None:
        """Log what the ranks chose, and why."""
        tags = {}
        for name, choice in choices.items():
            log.info("%s: %s %s: %s", self._kind, name.replace("_", " "), choice["name"], choice["reason"])
            tags[f"lw.{name}"] = f"{choice['name']}: {choice['reason']}"
        self._try(lambda: tracking.set_tags(self._run.run_id, tags))

    def flush(self) -> None:
        """Log the points that are still pending.

        Raises:
            Unavailable: MLflow cannot be reached; the last checkpoint of the training is kept.
        """
        self.add_points([])
        if self._pending:
            url = without_password(connection.tracking_uri())
            raise Unavailable(
                f"cannot reach MLflow at {url}: {self._kind} is trained, "
                "but its curve in MLflow is not complete; run the stage again, it resumes from the checkpoint"
            )

    def _try(self, send: Callable[[], object]) -> bool:
        """Tell whether a call to MLflow succeeded; training continues if it did not."""
        try:
            send()
        except connection.UNREACHABLE as error:
            if not self._has_warned:
                url = without_password(connection.tracking_uri())
                reason = without_password(str(error))
                log.warning("cannot reach MLflow at %s, %s continues without it: %s", url, self._kind, reason)
            self._has_warned = True
            return False
        return True


def _write_curve(path: Path, header: str, curve: list[dict[str, float]]) -> None:
    """Write the points as CSV; a value that a point lacks is an empty cell."""
    names = header.strip().split(",")
    lines = (",".join(str(point.get(name, "")) for name in names) + "\n" for point in curve)
    path.write_text(header + "".join(lines), encoding="utf-8")
