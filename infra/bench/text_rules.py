"""Measures how long each pattern and each rule takes for hostile texts, and how that time grows.

All modules that read texts are imported. From them come all compiled patterns, also those inside tuples and
records, and each public function of a pure module that takes a text. So a new pattern or function is
measured without being listed here; a function with other arguments needs an entry in `ARGUMENTS` or `CALLS`.

A rule is linear if its time for 100,000 characters is about 4 times its time for 25,000. The time is CPU
time, the best of three where the growth is above 6.

Run: `python -m infra.bench.text_rules`; prints a line for each rule, with its slowest text.
`--least-ms 20` prints only the rules that take at least so long.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import pkgutil
import random
import re
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import longwriter
from infra.bench import hostile_texts
from infra.bench.hostile_texts import repeated
from longwriter.agentwrite.paragraphs import drafts
from longwriter.agentwrite.plans import plan as plans
from longwriter.dataset import examples, filters
from longwriter.evaluation.short import checks
from longwriter.exclusions import decontamination
from longwriter.gates import examples as example_gate
from longwriter.gates import instructions as instruction_gate
from longwriter.instructions import patterns, screening
from longwriter.lengths import numerals, stated
from longwriter.records import Check, Draft, Example, Instruction, Message, Plan, PlanStep
from longwriter.schemas.rows import SourceRow
from longwriter.talk import classifier
from longwriter.text.basics import prompts
from longwriter.text.basics.counting import EarlierText

SHORT, LONG = 25_000, 100_000
MAX_GROWTH = 6.0
_SLOWEST = 5  # texts at `SHORT` that are tried at `LONG`
NOISE_S = 0.010
"""CPU seconds at `LONG` below which a growth says nothing."""

_ROOMS = (
    "agentwrite", "calls", "capacity.machine", "chat.weights", "contest", "dataset", "endpoints", "errors", "estimate",
    "evaluation", "exclusions", "fitness", "gates", "instructions", "io", "judge", "launch.checkpoints", "launch.environment", "launch.launch",
    "lengths", "llm", "models", "params", "preferences", "schemas", "settings", "sources", "talk", "text", "tokens", "tracking.logged_models",
    "tracking.connection", "tracking.git", "tracking.versioning", "web",
)  # fmt: skip
_UNREAD = ("gates.suite",)  # they read no text, and take seconds to import
_PARTS = 60  # of a text, where a list of texts is read: a plan has no more steps
_TEXTS = {
    "answer", "instruction", "paragraph", "parts", "plan", "point", "points", "prompt", "prompts", "section",
    "sections", "text", "words",
}  # fmt: skip

WINDOWS = {"longwriter.talk.refusals": 600, "longwriter.talk.classifier": 600, "longwriter.talk.task_talk": 600,
           "longwriter.calls.error_bodies": 4000,
           "longwriter.talk.poison._OPENING": 600, "longwriter.talk.poison._CLOSING": 600,
           "longwriter.lengths.rules": 200, "longwriter.lengths.stated._RANGE_END": 200,
           "longwriter.lengths.stated._OPENS_RANGE": 200}  # fmt: skip
"""Patterns, by module or name, whose callers cut the text to so many characters."""
WHOLE = {"_AMBIGUOUS"}
"""Tuples of patterns of which only `fullmatch` is called."""

_RULES = Path(longwriter.__file__).parent / "rules"
_BENCHMARK = decontamination.index(
    ["Write a letter to the editor of 500 words about the old bridge and the new one over the river, please.",
     "5 words", "a b c d e f g h", "写一篇关于春天的散文，要求八百字左右。"]
)  # fmt: skip
_DRAFT_LIMITS = drafts.Limits(min_words=1, max_length_ratio=None, max_repeated_share=1.0)
_MEASURES = {"lines": 1.0, "paragraphs": 1.0, "line_chars": 1.0, "top_2": 1.0, "top_4": 1.0, "duplicate_5": 1.0,
             "duplicate_10": 1.0}  # fmt: skip
_FILTER_LIMITS = filters.Limits(1, 10**9, 1.0, _MEASURES, 1.0, 1.0, True, False, 0.0)
_SCREENING_LIMITS = screening.ScreeningLimits(
    ("en", "zh"), 10**9, 10**9, patterns.read_patterns(_RULES / "harm.yaml"),
    patterns.read_patterns(_RULES / "types.yaml"), _BENCHMARK,
)  # fmt: skip

ARGUMENTS: dict[str, Any] = {
    "answer_format": "lines", "before": EarlierText(), "cut_off": True, "finish_reason": "length",
    "index": _BENCHMARK, "keep_first": True, "key": "key", "keys": ("better",), "language": "en", "limits": _DRAFT_LIMITS,
    "max_repeated_share": 1.0, "names": list(_MEASURES), "template": "{instruction}{text}{plan}",
    "width": 2, "word_count": None, "weights": classifier.read_weights("talk.safetensors"),
    "wordings": ["About {words} words."], "n": 5,
}  # fmt: skip
"""Values of the arguments beside the text, by name."""
_PLAIN: dict[str, Any] = {"bool": True, "float": 1.0, "bytes": b"{}", "int": 400, "str": "name"}
"""Values of the arguments that `ARGUMENTS` does not name, by their type."""


def _instruction(text: str) -> Instruction:
    return Instruction(
        instruction_id="a", prompt=text, type="a", language="en", required_words=None, origin="a:1"
    )


def _draft(text: str) -> Draft:
    step = PlanStep(main_point="the old bridge", word_count=100)
    plan = Plan(instruction=_instruction("Write."), steps=[step], call_ids=[])
    return Draft(plan=plan, paragraphs=[text], call_ids=[])


def _example(text: str) -> Example:
    messages = [Message(role="user", content=text), Message(role="assistant", content=text)]
    return Example(
        sample_id="a", instruction_id="a", kind="agentwrite", language="en", type="a", messages=messages,
        required_words=None, words=1, call_ids=[], origin=None,
    )  # fmt: skip


_CHECKS = [
    Check(one_of=["forty-three"]), Check(exact="forty-three"), Check(regex="(a|b|aab)+c"), Check(lines=3),
    Check(json_keys={"name": "string"}), Check(words_between=[1, 9]),
]  # fmt: skip
CALLS: dict[str, Callable[[str], object]] = {
    "talk.classifier.refusal_score": lambda text: classifier.refusal_score(text[:700], text[:700]),
    "evaluation.short.checks.is_right": lambda text: [checks.is_right(check, text) for check in _CHECKS],
    "evaluation.short.checks.trouble": lambda text: checks.trouble(Check(regex=f"({text[:1000]}|b)+c")),
    "agentwrite.plans.plan.parse_plan json": lambda text: plans.parse_plan(text, "json_object"),
    "agentwrite.plans.plan.parse_plan cut line": lambda text: plans.parse_plan(
        f"Paragraph 1 - Main Point: {text} - Word Count: 200 words", "lines"
    ),
    "dataset.examples.relabel": lambda text: examples.relabel(text, 300, ["About {words} words."]),
    "dataset.examples.example_of": lambda text: examples.example_of(
        _draft(text or "a"), _FILTER_LIMITS, ["About {words} words."]
    ),
    "dataset.filters.trouble": lambda text: [
        check(filters.Text([text], text, 1, "en", None), _FILTER_LIMITS) for check in filters.FILTERS.values()
    ],
    "gates.examples.example_table": lambda text: example_gate.example_table([_example(f"a{text}")], []),
    "gates.instructions.instruction_table": lambda text: instruction_gate.instruction_table(
        [_instruction(text)], ["Write a letter."]
    ),
    "instructions.screening.screen": lambda text: screening.screen(
        [("a:1", SourceRow(text))], _SCREENING_LIMITS
    ),
    "exclusions.decontamination.matches": lambda text: decontamination.matches([text, "Write a letter."], [text]),
    "text.basics.prompts.framed": lambda text: prompts.framed("{text}{plan}", "key", text=text, plan=text),
    "text.basics.prompts.fill": lambda text: prompts.fill("{text}{plan}", text=text, plan=text),
    "lengths.numerals.value": lambda text: [
        numerals.value(match[0]) for match in re.finditer(numerals.NUMBER, text, re.IGNORECASE)
    ],
    "lengths.stated.restated": lambda text: stated.restated(text, stated.statement(text), 300),
    "text.repetition.excess": lambda text: filters.repetition.excess(text, _MEASURES),
    "text.repetition.measures_of": lambda text: filters.repetition.measures_of(
        text, filters.repetition.Grams(filters.repetition.tokens(text)), list(_MEASURES)
    ),
}  # fmt: skip
"""Calls of functions for which `ARGUMENTS` is not enough, and further calls."""


class Rule(NamedTuple):
    """A pattern or function: its name, its call, and the longest text that its callers give it."""

    name: str
    call: Callable[[str], object]
    window: int | None = None


class Timing(NamedTuple):
    """CPU seconds of a rule for a text and for one of four times its length, the best of the tries."""

    short_s: float
    long_s: float

    def growth(self, noise_s: float = NOISE_S) -> float:
        """Return how many times longer the long text takes; 0 if that is less than `noise_s`."""
        return self.long_s / max(self.short_s, noise_s / MAX_GROWTH) if self.long_s > noise_s else 0.0


def modules() -> Iterator[ModuleType]:
    """Yield the modules that read texts."""
    for info in pkgutil.walk_packages(longwriter.__path__, "longwriter."):
        name = info.name.removeprefix("longwriter.")
        if name.startswith(_ROOMS) and not name.startswith(_UNREAD):
            yield importlib.import_module(info.name)


def rules() -> list[Rule]:
    """Return every pattern and every function that reads a text, ready to be timed."""
    classifier.prepare()  # else the first text that is timed has to load the models
    searches = [Rule(name, use(name, pattern), window) for name, (pattern, window) in patterns()]
    return [*functions(), *searches]


def use(name: str, pattern: re.Pattern[str]) -> Callable[[str], object]:
    """Return the use of a pattern: `match` where its module calls only that or `fullmatch`, else a search."""
    module, _, variable = name.partition("[")[0].rpartition(".")
    calls = re.compile(rf"\b{variable}\.(\w+)\(")
    methods = set(calls.findall(_source(module))) or set(calls.findall(_source("")))
    is_anchored = variable in WHOLE or (methods and methods <= {"match", "fullmatch"})
    return pattern.match if is_anchored else partial(_search, pattern)


@cache
def _source(module: str) -> str:
    """Return the code of a module, or of the whole package."""
    root = Path(longwriter.__file__).parent
    file = root.joinpath(*module.split(".")).with_suffix(".py")
    paths = [file] if module and file.is_file() else root.rglob("*.py")
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def patterns() -> Iterator[tuple[str, tuple[re.Pattern[str], int | None]]]:
    """Yield (name, (pattern, its window or None)) of every compiled pattern."""
    seen = set[re.Pattern[str]]()
    for module in modules():
        for name, value in vars(module).items():
            full_name = f"{module.__name__}.{name}"
            window = WINDOWS.get(full_name, WINDOWS.get(module.__name__))
            for number, pattern in enumerate(_patterns(value)):
                if pattern not in seen:
                    seen.add(pattern)
                    yield f"{full_name.removeprefix('longwriter.')}[{number}]", (pattern, window)


def functions() -> list[Rule]:
    """Return every function that reads a text.

    Raises:
        LookupError: a function takes an argument that has no entry in `ARGUMENTS`.
    """
    found: dict[str, Rule] = {name: Rule(name, call) for name, call in CALLS.items()}
    for module in modules():
        if "Pure." in (module.__doc__ or ""):
            for name, function in inspect.getmembers(module, inspect.isfunction):
                key = f"{module.__name__}.{name}".removeprefix("longwriter.")
                is_own = function.__module__ == module.__name__ and not name.startswith("_")
                if is_own and key not in found and (rule := _rule(key, function)):
                    found[key] = rule
    return list(found.values())


def _patterns(value: object) -> Iterator[re.Pattern[str]]:
    """Yield the patterns in a value of a module, in tuples and dicts too."""
    if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _patterns(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _patterns(item)


def _search(pattern: re.Pattern[str], text: str) -> int:
    """Return the number of matches: what `sub`, `split` and `findall` do, and `search` where none matches."""
    return sum(1 for _ in pattern.finditer(text))


def _rule(name: str, function: Callable[..., object]) -> Rule | None:
    """Return the call of a function with a text in each argument that takes one; None if none does."""
    parameters = inspect.signature(function).parameters.values()
    kinds = {item.name: str(item.annotation) for item in parameters if item.name in _TEXTS}
    kinds = {
        key: kind for key, kind in kinds.items() if re.match(r"(?:(?:list|Sequence|Iterable)\[)?str\b", kind)
    }
    if not kinds:
        return None
    others = {}
    for item in parameters:
        if item.name not in kinds and item.default is item.empty and item.kind is not item.VAR_KEYWORD:
            plain = _PLAIN.get(str(item.annotation))
            if item.name not in ARGUMENTS and plain is None:
                raise LookupError(f"say in ARGUMENTS or CALLS of {__file__} how to call {name}: {item.name}")
            others[item.name] = ARGUMENTS.get(item.name, plain)

    def call(text: str) -> object:
        values = {
            key: text if kind.startswith("str") else list(filter(None, text.split("\n")[:_PARTS]))
            for key, kind in kinds.items()
        }
        return function(**others, **values)

    return Rule(name, call)


UNITS = (
    " ", "a ", "</s>", "\n", "\r\n", " \n", "\n \n", "「", "『", "“", "\"", "'", "‘", "’", "'a ", "\"a ", "`", "```", "```\n",
    "1", "1,", "5 words ", "5 words「", "(", "（", "[", "【", "{", "{\"", "<", "<|", "<|im_end|>", "|", "[INST]", "*", "** ", "_",
    "#", ">", "> ", "-", " - ", "—", ".", ". ", "…", "!", "。", "，", "a", "a,", "a.", "A'", "a-", "é", "第", "第一段", "第一", "一",
    "字", "字 ", "字数", "500字", "每", "\u200b", "\ufeff", "\u00a0", "\u3000", "😀", "👨‍👩‍👧", "ﬁ", "한", "あ", "\t", "\x00", "/", "//",
    "Paragraph 1 - ", "Main Point: ", " - Word Count: ", "word count ", "word count: 5 ", "main point", "error ", "error: ",
    "<html ", "<html a", "i hope this ", "here is a ", "let me know if you want ", "any ", "Sure, ", "i cannot", "and ", "five ",
    "twenty-", "hundred ", "of ", "the ", "a an ", "each ", "write a ", "x.", "1.", "1 ", "12 - ", "openai.", "\"error\":{",
)  # fmt: skip
_STARTS = ("", "5 words ", "“", "```\n", "Paragraph 1 - Main Point: ", '{"steps": [', "Here is", "为什么")
_ENDS = ("", "!", "\n\nx", "”", " 5 words", "</s>")


def texts(chars: int, mixtures: int = 60, starts: tuple[str, ...] = _STARTS) -> dict[str, str]:
    """Return hostile texts of so many characters, by name; the same names for each length.

    Repeated units, some of them behind a start and before an end; then random fragments of the patterns
    themselves and units, `mixtures` of a few and a quarter as many of 400, repeated too.
    """
    hostile = {repr(unit): repeated(unit)(chars) for unit in UNITS}
    for start, end, unit in product(starts, _ENDS, (" ", "a ", "\n", "「", "1", "'")):
        middle = repeated(unit)(chars - len(start) - len(end))
        hostile[f"{start!r} {unit!r} {end!r}"] = start + middle + end
    source = random.Random(7)
    own = {unit for _, (pattern, _) in patterns() for unit in hostile_texts.near_misses(pattern, count=2)}
    parts = [*(unit for unit in sorted(own) if unit.isprintable()), *UNITS]  # records take no lone surrogates
    for number in range(mixtures):
        unit = "".join(source.choices(parts, k=1 + number % 6))
        hostile[f"fragments {number} {unit[:40]!r}"] = repeated(unit)(chars)
    for number in range(mixtures // 4):
        hostile[f"mixture {number}"] = repeated("".join(source.choices(parts, k=400)))(chars)
    return hostile


def timing(rule: Rule, short: str, long: str, noise_s: float = NOISE_S, tries: int = 3) -> Timing:
    """Return the CPU time of a rule for two texts, the best of the tries; one try where that is linear."""
    result = Timing(_cpu_s(rule, short), _cpu_s(rule, long))
    for _ in range(tries - 1):
        if result.growth(noise_s) <= MAX_GROWTH:
            break
        result = Timing(min(result.short_s, _cpu_s(rule, short)), min(result.long_s, _cpu_s(rule, long)))
    return result


def _cpu_s(rule: Rule, text: str) -> float:
    start = time.process_time()
    rule.call(text if rule.window is None else text[: rule.window])
    return time.process_time() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--least-ms", type=float, default=0.0)
    parser.add_argument("--only", default="", help="part of the names of the rules to measure")
    options = parser.parse_args()
    short, long = texts(SHORT), texts(LONG)
    sys.stdout.write(
        "| rule | ms at 25,000 | ms at 100,000 | growth | slowest text |\n|---|---:|---:|---:|---|\n"
    )
    for rule in rules():
        if options.only in rule.name:
            name, slowest = _slowest(rule, short, long)
            if 1000 * slowest.long_s >= options.least_ms:
                sys.stdout.write(
                    f"| {rule.name} | {1000 * slowest.short_s:.1f} | {1000 * slowest.long_s:.1f} |"
                    f" {slowest.growth():.1f} | {name} |\n"
                )
                sys.stdout.flush()


def _slowest(rule: Rule, short: dict[str, str], long: dict[str, str]) -> tuple[str, Timing]:
    """Return the text that takes longest, and its time: of the slowest ones at `SHORT` characters.

    A text that is slow there is not made longer.
    """
    times = {name: _cpu_s(rule, text) for name, text in short.items()}
    worst = ("", Timing(0.0, 0.0))
    for name in sorted(times, key=lambda name: -times[name])[:_SLOWEST]:
        short_s = times[name]
        result = Timing(short_s, 16 * short_s) if short_s > 0.5 else timing(rule, short[name], long[name])
        worst = max(worst, (name, result), key=lambda item: item[1].long_s)
    return worst


if __name__ == "__main__":
    main()
