"""How long the scores and measures of a benchmark's answers take: 120 prompts with 4 answers of 10,000 words each.

Run: python infra/bench/text_measures.py [--processes 2] [--prompts 120] [--samples 4] [--words 10000]
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from longwriter.evaluation.answers import Prompt, generation_of
from longwriter.evaluation.measures import summary, texts
from longwriter.evaluation.scores import score_of
from longwriter.records import Generation, Score, TextMeasures, Unscored
from longwriter.statistics.intervals import Method
from longwriter.text.basics.counting import language_of

_NO_JUDGE = Unscored(reason="no_judge", detail="")
_CONSONANTS, _VOWELS = "bcdfghjklmnprstvw", "aeiou"


def _word(rng: random.Random) -> str:
    return "".join(rng.choice(_CONSONANTS) + rng.choice(_VOWELS) for _ in range(rng.randint(1, 4)))


def _text(words: int, rng: random.Random, vocabulary: list[str], weights: list[float]) -> str:
    """Return sentences in paragraphs of 100 words; one paragraph in ten occurs twice."""
    paragraphs: list[str] = []
    while 100 * len(paragraphs) < words:
        if paragraphs and rng.random() < 0.1:
            paragraphs.append(rng.choice(paragraphs))
            continue
        drawn = rng.choices(vocabulary, weights, k=100)
        sentences = [" ".join(drawn[start : start + 20]).capitalize() + "." for start in range(0, 100, 20)]
        paragraphs.append(" ".join(sentences))
    return "\n\n".join(paragraphs)


def _answer(words: int, number: tuple[int, int]) -> Generation:
    """Return one answer; one prompt in three is Chinese."""
    prompt, sample = number
    rng = random.Random(f"{prompt}-{sample}")
    if prompt % 3 == 0:
        vocabulary = [chr(0x4E00 + place) for place in range(3000)]
    else:
        vocabulary = list(dict.fromkeys(_word(random.Random(place)) for place in range(8000)))
    weights = [1 / (place + 3) for place in range(len(vocabulary))]
    text = _text(words, rng, vocabulary, weights)
    if prompt % 3 == 0:
        text = text.replace(" ", "")
    asked = Prompt(f"p{prompt}", f"Write {words} words.", "Essay", language_of(text), words)
    return generation_of(asked, text, finish_reason="stop", max_tokens=32768, call_ids=[str(number)])


def _measured(generation: Generation) -> tuple[Score, TextMeasures]:
    return score_of(generation, _NO_JUDGE, 0.2), texts.measure(generation)


def main() -> None:
    """Print the seconds and the memory."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("processes", 1), ("prompts", 120), ("samples", 4), ("words", 10_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    numbers = [(prompt, sample) for prompt in range(options.prompts) for sample in range(options.samples)]
    answers = [_answer(options.words, number) for number in numbers]
    sys.stdout.write(
        f"{len(answers)} answers, {sum(row.words for row in answers) / len(answers):,.0f} words on average\n"
    )
    started, cpu = time.monotonic(), time.process_time()
    if options.processes > 1:
        with ProcessPoolExecutor(options.processes) as pool:
            rows = list(pool.map(_measured, answers, chunksize=8))
    else:
        rows = list(map(_measured, answers))
    method = Method(confidence=0.95, resamples=10_000, seed=0)
    result = summary.summary([score for score, _ in rows], [measures for _, measures in rows], method)
    seconds, cpu = time.monotonic() - started, time.process_time() - cpu
    kilobytes = sum(
        resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    sys.stdout.write(
        f"scores and all measures, {options.processes} process(es): {seconds:.1f} s ({cpu:.1f} s of CPU in this one), "
        f"at most {kilobytes / 1e6:.2f} GB (of Linux: this process plus its largest child)\n{result}\n"
    )


if __name__ == "__main__":
    main()
