"""Register the trained model in MLflow's registry; the gate of promotion decides which aliases it gets.

Reads   data/<register.model>/weights, the verdicts of the gates, data/score/*/scores.jsonl,
        data/short_prompts/*/answers.jsonl, data/fitness/fitness.json, data/report/*/metrics.json,
        data/lineage (training run and training data); the champion in MLflow
Writes  data/register/candidate.json; the version, its aliases, tags and description are in MLflow
Run     dvc repro register
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TypeVar

from longwriter.errors import BadRecord
from longwriter.evaluation import promotion
from longwriter.evaluation.promotion import Decision, Margins, Rules
from longwriter.execution import runner
from longwriter.gates.suite import verdicts
from longwriter.hashing import short_id
from longwriter.io import files, scratch
from longwriter.params import Params
from longwriter.records import JudgeFitness, Record, Score, ShortAnswer
from longwriter.tracking import logged_models, notes, provenance
from longwriter.tracking import runs as tracking

R = TypeVar("R", bound=Record)
log = logging.getLogger("longwriter")

_GATED = ("instructions", "plan", "validate", "preferences")
# Folders of artifacts: the next night compares its model with this one by them.
_SCORES = "scores"
_SHORT = "short_prompts"


def work(params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Register the weights if they are not registered yet, and move the aliases that the gate gives them."""
    register = params.register_
    origin = provenance.of_model(register.model)
    candidate = {
        "name": register.name,
        "alias": register.alias,
        "model": register.model,
        "weights_md5": origin.weights_md5,
        "data_md5": origin.data_md5,
    }
    files.write_json(folder / "candidate.json", candidate)
    scores = _scores(params, register.model)
    champion = logged_models.version_of(register.name, register.champion_alias)
    rules = _rules(params, scores)
    first, second = _decisions(params, scores, rules, origin.weights_md5, champion)
    decisions = {register.alias: first, register.champion_alias: second}
    judges = promotion.judges(scores)
    tags = {
        "dvc.md5": origin.weights_md5,
        "dvc.data_md5": origin.data_md5,
        "lw.stage": register.model,
        "lw.run_id": origin.run_id,
        "lw.scores_run_id": run.run_id,
        "lw.decoding": _decoding(params),
        "git.commit": origin.git_commit,
        **promotion.tags(decisions, judges),
    }
    for benchmark in params.generate.benchmarks:
        tags |= provenance.benchmark_numbers(register.model, benchmark, origin.weights_md5)
        tracking.log_artifact(run.run_id, _file(register.model, benchmark), f"{_SCORES}/{benchmark}")
    tracking.log_artifact(run.run_id, _short_file(register.model), _SHORT)
    benchmarks = params.generate.benchmarks
    links = notes.of_model(register.model, benchmarks, origin.weights_md5, origin.data_md5)
    description = f"{promotion.markdown(decisions, judges, rules)}\n\n{links}"
    version = logged_models.register(register.name, run.run_id, tags, description)
    _move_aliases(params, version, decisions, int(champion.version) if champion else 0)
    return runner.Summary(1, 1, execution={"version": float(version)})


def _rules(params: Params, scores: list[Score]) -> Rules:
    """Return the settings of the gate; quality counts only if the judge of these scores passed its test."""
    register = params.register_
    fitness = files.read_record(files.DATA / "fitness" / "fitness.json", JudgeFitness)
    return Rules(
        confidence=params.report.confidence,
        margins=Margins(**register.margins.model_dump()),
        min_prompts=register.min_n,
        max_unscored_share=register.max_unscored_share,
        believes_judge=fitness.of(promotion.judges(scores)).is_evidence,
    )


def _decisions(
    params: Params,
    scores: list[Score],
    rules: Rules,
    weights_md5: str,
    champion: logged_models.Version | None,
) -> tuple[Decision, Decision]:
    """Return whether the model may be candidate, and whether it may be champion in the place of the present one."""
    register, labels = params.register_, params.compare.models
    gates = {stage: verdicts.read(files.DATA / stage / "verdict.json").passed for stage in _GATED}
    parent = next(before for after, before in params.compare.pairs if after == register.model)
    own = _short(register.model)
    first = promotion.candidate(
        scores, _scores(params, parent), labels[parent].label, gates, rules, short=(_short(parent), own)
    )
    if champion is None:
        base = next(iter(labels))
        answers = (_short(base), own)
        reference_scores = _scores(params, base)
        return first, promotion.champion(
            scores, reference_scores, labels[base].label, first, rules, short=answers
        )
    if champion.tags.get("dvc.md5") == weights_md5:  # the same weights, registered again
        return first, Decision(True, "itself", [], [])
    name = f"the champion (version {champion.version})"
    if champion.tags.get("lw.decoding") != _decoding(params):
        reason = f"{name} answered with other decoding, so its scores cannot be compared"
        return first, Decision(False, name, [], [reason])
    run_id = champion.tags.get("lw.scores_run_id", "")
    reference_scores = _stored_scores(params, run_id)
    return first, promotion.champion(
        scores, reference_scores, name, first, rules, short=(_stored_short(run_id), own)
    )


def _move_aliases(params: Params, version: int, decisions: dict[str, Decision], champion: int) -> None:
    """Move each alias that is given, and log what happens to it and why.

    Args:
        params: `register`.
        version: The version that is registered.
        decisions: {alias: decision of the gate}.
        champion: Number of the champion that the version was compared with; 0 = there was none.

    Raises:
        Unavailable: somebody moved the champion meanwhile, so another run has to compare with the new one.
    """
    register = params.register_
    for alias, decision in decisions.items():
        if not decision.is_given:
            log.info("register: version %d is not %s: %s", version, alias, "; ".join(decision.reasons))
        elif alias == register.champion_alias:
            before = logged_models.crown(
                register.name,
                alias,
                register.former_alias,
                version,
                "the gate",
                f"better than {decision.reference}",
                instead_of=champion,
            )
            log.info("register: version %d is %s, before it was %s", version, alias, before or "none")
        else:
            logged_models.give_alias(register.name, alias, version)
            log.info("register: version %d is %s", version, alias)


def _scores(params: Params, model: str) -> list[Score]:
    """Return a model's scores on all benchmarks."""
    return [
        row
        for benchmark in params.generate.benchmarks
        for row in files.read_jsonl(_file(model, benchmark), Score)
    ]


def _stored_scores(params: Params, run_id: str) -> list[Score]:
    """Return the scores that an earlier run of this stage stored, on today's benchmarks; see `stored_rows`."""
    return [
        row
        for benchmark in params.generate.benchmarks
        for row in stored_rows(run_id, f"{_SCORES}/{benchmark}/scores.jsonl", Score)
    ]


def stored_rows(run_id: str, path: str, record: type[R]) -> list[R]:
    """Return rows that an earlier run of this stage stored; empty, with a line in the log, if they cannot be read.

    Then the gate finds nothing to compare with, and does not move the alias. An error would end every night from then on.
    """
    with scratch.folder() as folder:
        try:
            file = tracking.fetch_artifact(run_id, path, folder) if run_id else None
            if file is not None:
                return files.read_jsonl(file, record)
            reason = "it is missing"
        except BadRecord as error:
            reason = str(error).replace(f"{folder}/", "")
    log.warning(
        "register: nothing is compared with %s of MLflow run %s: %s", path, run_id or "(none)", reason
    )
    return []


def _short(model: str) -> list[ShortAnswer]:
    """Return a model's answers to the short prompts."""
    return files.read_jsonl(_short_file(model), ShortAnswer)


def _short_file(model: str) -> Path:
    return files.DATA / "short_prompts" / model / "answers.jsonl"


def _stored_short(run_id: str) -> list[ShortAnswer]:
    """Return the answers to short prompts that an earlier run of this stage stored; see `stored_rows`."""
    return stored_rows(run_id, f"{_SHORT}/answers.jsonl", ShortAnswer)


def _file(model: str, benchmark: str) -> Path:
    return files.DATA / "score" / f"{model}-{benchmark}" / "scores.jsonl"


def _decoding(params: Params) -> str:
    """Return a hash of the settings of decoding; only scores with the same hash are compared."""
    generate, serving = params.generate, params.serving
    return short_id(
        {
            "sampling": generate.sampling.model_dump(),
            "max_tokens_per_word": generate.max_tokens_per_word,
            "engine": serving.engine,
            "precision": serving.precision,
        }
    )


if __name__ == "__main__":
    runner.main("register", work)
