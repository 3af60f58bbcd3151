"""Sections of the benchmark: models, answers, scores, report, and registration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from longwriter.params.models import JudgingParams, LLMParams, Sampling
from longwriter.settings.named_files import template
from longwriter.settings.numbers import (
    Chunks,
    Draws,
    InnerShare,
    Points,
    Resamples,
    Rows,
    Seed,
    Share,
    TokensPerWord,
)
from longwriter.settings.section import Conflict, Section
from longwriter.settings.texts import (
    DISTINCT,
    Alias,
    DirPath,
    FilePath,
    FileSource,
    Label,
    Name,
    RegistryName,
    Sha256,
    Template,
)


class ComparedModel(Section):
    """One of the compared models.

    Its weights are the folder data/NAME/weights: the output of a stage NAME, or a folder or link that you put
    there.
    """

    label: Label
    """Name in a sentence of the report, such as `SFT` or `the base model`; headings leave out `the`."""


class CompareParams(Section):
    """The models that answer each benchmark, and which of them are compared with each other."""

    models: Annotated[dict[Name, ComparedModel], Field(min_length=2)]
    """Models by name, in the order of tables and figures."""
    pairs: Annotated[list[Annotated[list[Name], Field(min_length=2, max_length=2)]], Field(min_length=1)]
    """[after, before] names: is `after` better than `before`? For the first pair, the report also
    compares how often answers end by themselves."""
    repeats: list[Annotated[list[Name], Field(min_length=2, max_length=100), DISTINCT]]
    """Groups of models that one recipe trained, with other seeds or on other machines. For each, the report compares
    the spread between trainings with the spread between decodings of the same weights."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield pairs of unknown or equal models, repeated pairs and groups, and names with equal metrics."""
        for place, pair in enumerate(self.pairs):
            for side, name in enumerate(pair):
                if name not in self.models:
                    yield Conflict(
                        ("pairs", place, side), f"a model of compare.models: {', '.join(self.models)}"
                    )
            if pair[0] == pair[1]:
                yield Conflict(("pairs", place), "two different models")
            if any(sorted(pair) == sorted(other) for other in self.pairs[:place]):
                yield Conflict(("pairs", place), "each pair once, in one order; both orders are one test")
        for place, group in enumerate(self.repeats):
            if any(sorted(group) == sorted(other) for other in self.repeats[:place]):
                yield Conflict(("repeats", place), "each group once")
            for side, name in enumerate(group):
                if name not in self.models:
                    yield Conflict(
                        ("repeats", place, side), f"a model of compare.models: {', '.join(self.models)}"
                    )
                elif any(name in other for other in self.repeats[:place]):
                    yield Conflict(("repeats", place, side), "a model of no other group")
        labels: set[str] = set()
        for name, model in self.models.items():
            if model.label.casefold() in labels:
                yield Conflict(("models", name, "label"), "a label that no other model has")
            labels.add(model.label.casefold())
            if f"{name}_model" in self.models:
                yield Conflict(
                    ("models", name), f"another name: metrics of {name} and {name}_model would share names"
                )


class BenchmarkFile(Section):
    """A file of LongBench-Write (prompt, type, length), WritingBench or Arena-Write; rows may have no length."""

    source: FileSource
    """Where the file is. A file on the web is fetched once and kept in .lw."""
    sha256: Sha256 | None
    """Hash of the file; another file is refused. Null = not checked, which is allowed only for a path."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield a file on the web without a hash."""
        if "://" in self.source and self.sha256 is None:
            yield Conflict(("sha256",), "the sha256 of the file, since its source is a URL")


class BenchmarksParams(Section):
    """Benchmarks beside the files of `generate.folder`."""

    files: dict[Name, BenchmarkFile]
    """Files by name of the benchmark. `generate.benchmarks` says which of them the models answer."""


class GenerateParams(Section):
    """Answers of each model to each benchmark, with the same decoding for all."""

    folder: DirPath
    """Folder of benchmarks, NAME.jsonl in LongBench-Write's format (prompt, type, length). Others are in
    `benchmarks.files`."""
    benchmarks: Annotated[list[Name], Field(min_length=1), DISTINCT]
    """Names of the benchmarks that every model answers."""
    samples: Draws
    """Number of answers to each prompt. Several answers show how much the results of the same weights vary; a
    prompt still counts once."""
    max_tokens_per_word: TokensPerWord
    """Largest number of tokens of an answer for each word that the prompt asks for. An answer is cut there; a
    shorter answer ended by itself."""
    sampling: Sampling
    """`max_tokens` limits every answer (temperature 0.5 and 32,768 tokens in the paper)."""


class ShortPromptsParams(Section):
    """Short prompts whose answers code can check: a model that writes long texts must not have lost these."""

    source: FilePath
    """JSON Lines with `prompt`, `type` and `check` (see `Check` in records.py). No training row may repeat a prompt."""
    limit: Annotated[int, Field(ge=0, le=1_000_000_000)]
    """Largest number of prompts; the first ones of the file are taken. 0 = none: the stage does nothing, and short
    prompts count for no alias. If the champion has answered some, also set `register.margins.short_prompts` to 1.
    """
    sampling: Sampling
    """Sampling of the answers; temperature 0 gives the model's most likely answer."""


class ScoreParams(JudgingParams):
    """How an answer is scored, apart from its length."""

    max_repeated_share: Share
    """Share of repeated 5-grams above which an answer counts as a loop."""
    judged_chunks: Chunks
    """Number of parts of each answer that the judge scores one by one, to show how quality changes along the text.
    Each part is one more request to the judge; 0 = only whole answers are judged."""
    judges: Annotated[list[LLMParams], Field(max_length=9)]
    """The judge of the benchmark, with the fields of `llm`. Several judges are a panel: their scores are averaged,
    and their agreement is reported. Without a judge every quality is `Unscored` with reason `no_judge`. Take
    another model than `preferences.judge.llm`: a model trained to please a judge gets good marks from it.
    """

    def panel(self) -> list[LLMParams]:
        """Return the judges."""
        return self.judges

    def conflicts(self) -> Iterator[Conflict]:
        """Yield a judge that is on the panel twice."""
        seats = [(judge.engine, judge.model, judge.base_url) for judge in self.judges]
        for place, seat in enumerate(seats):
            if seat in seats[:place]:
                yield Conflict(("judges", place, "model"), "another model than the judges before it")


class PairwiseParams(Section):
    """Answers of the compared models two by two, compared by the judges of `score.judges`.

    Each pair is asked in both orders, so it costs two requests for each judge.
    """

    pairs: Literal["none", "reference", "all"]
    """Which models are compared: none, each with `reference`, or all pairs."""
    reference: Name | None
    """The model of compare.models with which the others are compared, and to which their Bradley-Terry scores are
    relative; null = the first one."""
    prompt: Annotated[Template, template("instruction", "first", "second")]
    """Template; fields {instruction} {first} {second}. Sampling, attempts and judges are those of `score`."""


class FitnessParams(Section):
    """How the benchmark's judge is tested, and what it has to reach for its scores to be evidence.

    Scores of a judge that does not reach these bounds are marked in reports, and move no alias.
    """

    texts: Draws
    """Largest number of training texts that are degraded and attacked; each costs about 9 judgements. Unless
    `pairwise.pairs` is `none`, each also costs 10 comparisons of two texts, and all attacks together cost 48.
    """
    repeats: Annotated[int, Field(ge=2, le=100)]
    """How often a text is judged to see whether the judge agrees with itself."""
    votes: DirPath
    """Folder of votes of people, `*.jsonl` with prompt, first, second, vote (first, second or tie) and rater; it
    may be empty."""
    min_ranked_right: Share
    """Lower bound of the share of degraded copies (sections shuffled, deleted or repeated, text truncated, a
    requirement dropped) that have a lower score than their originals. Pairwise comparisons are evidence if the
    share of copies that lose against their originals in both orders also reaches this bound."""
    max_attacked_gain: Points
    """Upper bound of the points of S_q that a text gains by telling the judge what to say. If the judge then gives
    no score, the text counts with the score of its good original.
    """
    min_repeat_agreement: Share
    """Krippendorff's alpha of the scores of repeated judgements."""
    max_attacked_wins: Share
    """Upper bound of the win rate (0.1 = 10 points) that a truncated copy gains against its original by asking to be
    preferred, where judges compare two texts. Even if no attack gains anything, the measured upper bound is 0.095
    with 20 texts.
    """


class ReportParams(Section):
    """Statistics of the comparison."""

    confidence: InnerShare
    """Confidence level of every interval."""
    resamples: Resamples
    """Permutations of a test."""
    seed: Seed
    """Seed of the permutations."""


class Margins(Section):
    """The largest loss that still counts as not worse; the whole scale (100, or 1.0) switches a measure off.

    The gate is passed if the lower bound of the gain is above minus the margin. So few prompts need wide margins:
    24 prompts cannot show a loss in length score below about 13 points, 120 prompts none below 6.
    """

    length_score: Points
    """Points of S_l."""
    quality_score: Points
    """Points of S_q; used only if a judge that is evidence (see `fitness`) scored both models."""
    ended: Share
    """Share of answers that end by themselves."""
    loops: Share
    """Share of answers without loop."""
    refusals: Share
    """Share of answers that are no refusal."""
    unscored: Share
    """Share of answers that the judge could score."""
    short_prompts: Share
    """Share of short prompts that are answered right."""


class RegisterParams(Section):
    """Which model is registered in MLflow's registry, and when an alias moves to it."""

    model: Name
    """Name of the compared model that is registered; a stage of this pipeline trained it. Its parent is the
    second model of the first pair in compare.pairs that begins with it."""
    name: RegistryName
    """Name in the registry. Names that begin with `longwriter-` are those of prompt templates."""
    alias: Alias
    """Alias of the newest version that passed all gates and is shown not to be worse than its parent."""
    champion_alias: Alias
    """Alias of the best version: shown to be better than the champion before it, or, if there is none,
    than the first model of compare.models."""
    former_alias: Alias
    """Alias of the version that was champion before; `longwriter rollback` returns to it."""
    min_n: Rows
    """Smallest number of prompts, of all benchmarks together, on which a champion is chosen; a prompt without an overall
    score of both models does not count."""
    max_unscored_share: Share
    """If there is a judge: the largest share of answers without quality score. If the model or the one that it is
    compared with has more, no alias moves, and the report warns.
    """
    margins: Margins
    """Largest losses that still count as not worse."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield an alias that stands for two things."""
        aliases = [self.alias, self.champion_alias, self.former_alias]
        for place, key in ((1, "champion_alias"), (2, "former_alias")):
            if aliases[place] in aliases[:place]:
                yield Conflict((key,), "an alias that no other setting of register has")
