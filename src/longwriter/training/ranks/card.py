"""The card of a trained model (README.md in its weights): what it was made from, and how.

Pure. A card holds no time, run, path or measurement, so the same inputs give the same card, and nothing that depends
on the weights runs again. `longwriter fetch` adds what the registry knows about the version.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import yaml

_METHODS = {"sft": "supervised fine-tuning", "dpo": "direct preference optimisation"}


def markdown(
    kind: Literal["sft", "dpo"],
    origin: Mapping[str, str | None],
    parent: tuple[str, str],
    rows: tuple[str, str],
    recipe: Mapping[str, Any],
    sources: Mapping[str, str] | None = None,
) -> str:
    """Return the card as Markdown, with front matter as the Hugging Face hub reads it.

    Args:
        kind: The stage.
        origin: `source`, `revision` and `licence` of the base model.
        parent: Path in the pipeline and DVC digest of the weights that the training started from.
        rows: The same of the training rows.
        recipe: Parameters that decide the training.
        sources: More lines about the training rows, such as licences.
    """
    source, licence = origin["source"] or "unknown", origin["licence"]
    front: dict[str, Any] = {"library_name": "transformers", "pipeline_tag": "text-generation"}
    if licence:
        front["license"] = licence
    if source.startswith("hub:"):
        front["base_model"] = source.removeprefix("hub:")
    front["tags"] = ["longwriter", kind]
    facts = {
        "base model": f"{source}, revision {origin['revision'] or 'unknown'}",
        "licence of the base model": licence or "unknown: look at its source",
        "trained from": f"{parent[0]}, DVC `{parent[1]}`",
        "training rows": f"{rows[0]}, DVC `{rows[1]}`",
        **(sources or {}),
    }
    table = "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts.items())])
    parts = [
        f"---\n{_yaml(front)}---",
        f"# LongWriter, {kind}",
        f"A model that writes long texts, trained by {_METHODS[kind]}. "
        "`transformers.AutoModelForCausalLM.from_pretrained` loads this folder; answers end by themselves, at the "
        "`eos_token_id` of `generation_config.json`.",
        table,
    ]
    if recipe.get("lora"):
        parts.append(
            "Its LoRA adapter is part of the weights. The adapter alone is in `adapter/`; it belongs to the weights "
            "in the row *trained from*."
        )
    parts.append(f"Recipe:\n\n```yaml\n{_yaml(recipe)}```")
    return "\n\n".join(parts) + "\n"


def _yaml(values: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)
    return text
