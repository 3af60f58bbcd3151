"""What the stages sft and dpo share: the job for the ranks, the live curve in MLflow, the finished model.

Checkpoints are in `.lw/checkpoints/`, outside DVC's outputs, in a folder named after the stage's fingerprint:
a killed stage resumes from the last complete one. Checkpoints of a finished training are kept until the next
run of SFT (or DPO) with another fingerprint starts, because DVC caches the model only after this process exits.
Those of an unfinished training are never removed here.
"""

from __future__ import annotations

import logging
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from longwriter.errors import Unavailable, UserError, without_password
from longwriter.io import files
from longwriter.launch import checkpoints, launch
from longwriter.params import Params
from longwriter.tracking import logged_models as models
from longwriter.tracking import runs as tracking
from longwriter.tracking import versioning
from longwriter.tracking.runs import StageRun
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
    device, ranks = launch.device_and_ranks(params.training, batch, key)
    launch.check_quantised(params.sft.lora if kind == "sft" else params.dpo.lora, kind, device)
    layout = launch.layout_of(params.training.deepspeed)
    state = launch.checkpoint_folder(kind, run.fingerprint, ranks, layout)
    state.mkdir(parents=True, exist_ok=True)
    _look_after_others(kind, run.fingerprint, state)
    train, test = prepare(state)
    weights = folder / "weights"
    weights.mkdir()
    job = launch.Job(
        kind=kind,
        model=model,
        train=train,
        test=test,
        out=str(weights),
        checkpoints=str(state),
        device=device,
        ranks=ranks,
        layout=layout,
        training=params.training,
        sft=params.sft if kind == "sft" else None,
        dpo=params.dpo if kind == "dpo" else None,
        base=f"dvc:{versioning.digest(Path(model))}",
    )
    log.info("%s: %d ranks on %s, %s", kind, ranks, device, params.training.deepspeed)
    live_log = _LiveLog(kind, run)
    curve = launch.run(job, live_log.add_points, live_log.add_checkpoint)
    choices = files.read_json(state / checkpoints.CHOICES)
    live_log.add_choices(choices)
    live_log.flush()
    _write_curve(folder / "curve.csv", columns, curve)
    numbers = {"steps": curve[-1]["step"], "final_loss": curve[-1]["loss"]}
    numbers |= files.read_json(state / checkpoints.HELD_OUT)
    return numbers, _speed(curve) | _errors(choices)


def _errors(choices: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Return the measured errors that decided choices; empty if nothing was probed, as on a CPU."""
    return {f"{name}_error": choice["error"] for name, choice in choices.items() if choice.get("error")}


def write_card(
    kind: Literal["sft", "dpo"], model: str, rows: str, recipe: dict[str, Any], folder: Path
) -> None:
    """Write README.md into the weights of a finished training.

    Args:
        kind: The stage.
        model: Folder of the model that the training started from.
        rows: File of the training rows.
        recipe: Parameters that decide the training.
        folder: The stage's folder, with weights/.
    """
    digests = versioning.digests([model, rows])
    source = files.read_json(files.DATA / "base_model" / "origin.json")
    text = card.markdown(kind, source, (model, digests[model]), (rows, digests[rows]), recipe)
    (folder / "weights" / "README.md").write_text(text, encoding="utf-8")


def _speed(curve: list[dict[str, float]]) -> dict[str, float]:
    """Return seconds, tokens and memory of a usual step; empty if no step was made.

    The first step of a run, which also prepares, counts only if there is no other one.
    """
    measured = [point for point in curve if "step_s" in point]
    steps = measured[1:] or measured
    if not steps:
        return {}
    medians = {name: statistics.median(point[name] for point in steps) for name in ("step_s", "tokens_per_s")}
    return {
        **medians,
        "fill": sum(point["fill"] for point in steps) / len(steps),
        "peak_gib_a_rank": max(point["peak_gib"] for point in measured),
    }


def _job(state: Path) -> launch.Job | None:
    """Return the job of a training; None if it is missing, or was written by another version."""
    try:
        return launch.Job.model_validate_json((state / launch.JOB).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _look_after_others(kind: str, fingerprint: str, state: Path) -> None:
    """Remove the states of finished trainings; name those of unfinished ones, which are kept.

    Raises:
        UserError: the same training has begun with another number of ranks, or with another layout.
    """
    for other in sorted(state.parent.glob(f"{kind}-*")):
        steps = checkpoints.finished(other)
        if other == state:
            continue
        if not steps or (other / checkpoints.HELD_OUT).is_file():
            shutil.rmtree(other)
            if steps:
                log.info("%s: removed the checkpoints of an earlier, finished training: %s", kind, other)
            continue
        job = _job(other)
        if job is not None and other == launch.checkpoint_folder(kind, fingerprint, job.ranks, job.layout):
            raise UserError(
                f"{other} holds step {steps[-1]} of this training, made by {job.ranks} ranks with the layout "
                f"{job.training.deepspeed}; other ranks or another layout cannot read it: set training.ranks and "
                f"training.deepspeed to these to go on, or remove the folder to begin again (rm -r {other})"
            )
        log.warning(
            "%s: %s holds step %d of an unfinished training with other data or parameters (%.1f GB): kept; "
            "rm -r %s removes it", kind, other, steps[-1], checkpoints.size(other) / 1e9, other,
        )  # fmt: skip


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
            url = without_password(tracking.tracking_uri())
            raise Unavailable(
                f"cannot reach MLflow at {url}: {self._kind} is trained, "
                "but its curve in MLflow is not complete; run the stage again, it resumes from the checkpoint"
            )

    def _try(self, send: Callable[[], object]) -> bool:
        """Tell whether a call to MLflow succeeded; training continues if it did not."""
        try:
            send()
        except tracking.UNREACHABLE as error:
            if not self._has_warned:
                url = without_password(tracking.tracking_uri())
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
