"""The small pipeline of the integration tests: its stages, its parameters, its benchmark."""

from __future__ import annotations

from typing import Any

from longwriter.tracking import versioning


def _on_tiny(name: str) -> str:
    """Return a stage, or the item of a matrix stage for the benchmark `tiny` instead of its own."""
    stage, _, item = name.partition("@")
    if not item or stage == "short_prompts":  # its items are models
        return name
    return f"{stage}@{'-'.join([*item.split('-')[:-1], 'tiny'])}"


STAGES = tuple(dict.fromkeys(_on_tiny(name) for name in versioning.stage_names()))
ITEMS = tuple(name.partition("@")[2] for name in STAGES if name.startswith("generate@"))
MODELS = tuple(item.partition("-")[0] for item in ITEMS)

# A benchmark of four prompts.
BENCHMARK = (
    ("Write about 40 words on a lantern.", "Literature and Creative Writing", 40),
    ("Report in 60 words what the harbour lost last winter.", "News Report", 60),
    ("Explain in 80 words how a clock is repaired.", "Popular Science", 80),
    ("写一篇五十字的短文，谈谈一条河。", "Literature and Creative Writing", 50),
)

# Small, with loose limits where a scripted or a random model differs from a real one; the gates still
# forbid what they forbid.
SMALL: dict[str, Any] = {
    "base_model.sha256": None,
    "base_model.dtype": "float32",
    "instructions.limit": 12,
    "instructions.gate.min_rows": 5,
    "instructions.max_required_words": 300,
    "llm.engine": "external",
    "llm.model": "scripted",
    "llm.replay_as": "https://scripted.example/v1",  # each chat server has another port
    "llm.max_concurrency": 4,
    "llm.timeout_s": 60,
    "llm.max_retries": 2,
    "plan.min_steps": 2,
    "plan.max_steps": 3,
    "plan.gate.min_rows": 5,
    "write.mode": "serial",
    "write.prompt": "src/longwriter/prompts/write.txt",
    "validate.min_rows": 5,
    "training.precision": "fp32",
    "training.save_steps": 2,
    "pack.max_length": 4096,  # nearly one token a character
    "sft.eval_steps": 2,
    "sft.optimizer.epochs": 1,
    "sft.optimizer.learning_rate": 1e-4,
    "serving.context_tokens": 4096,
    "serving.max_concurrency": 4,
    "sample.limit": 12,
    "sample.samples": 4,
    "sample.max_tokens_per_word": 8.0,
    "sample.sampling.max_tokens": 400,
    "preferences.min_gap": 0.0,
    "preferences.min_pairs": 2,
    "preferences.test_share": 0.4,
    "dpo.batch_pairs": 2,
    "dpo.eval_steps": 2,
    "dpo.max_length": 4096,
    "generate.folder": "benchmarks",
    "generate.benchmarks": ["tiny"],
    "generate.max_tokens_per_word": 8.0,
    "generate.sampling.max_tokens": 400,
    "short_prompts.limit": 7,
    "short_prompts.sampling.max_tokens": 16,
    "report.resamples": 200,
    **{f"register.margins.{score}_score": 100.0 for score in ("length", "quality")},
    **{
        f"register.margins.{share}": 1.0
        for share in ("ended", "loops", "refusals", "unscored", "short_prompts")
    },
}
