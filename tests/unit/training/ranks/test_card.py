import yaml

from longwriter.training.ranks import card

ORIGIN = {"source": "hub:owner/tiny", "revision": "c0ffee", "licence": "apache-2.0"}
WHOLE = """\
---
library_name: transformers
pipeline_tag: text-generation
license: apache-2.0
base_model: owner/tiny
tags:
- longwriter
- sft
---

# LongWriter, sft

A model that writes long texts, trained by supervised fine-tuning. \
`transformers.AutoModelForCausalLM.from_pretrained` loads this folder; answers end by themselves, at the \
`eos_token_id` of `generation_config.json`.

| | |
|---|---|
| base model | hub:owner/tiny, revision c0ffee |
| licence of the base model | apache-2.0 |
| trained from | data/base_model/weights, DVC `1.dir` |
| training rows | data/pack/train.parquet, DVC `2` |

Recipe:

```yaml
loss: token_mean
lora: null
```
"""


def test_a_card_names_base_model_licence_data_and_recipe():
    parent, rows = ("data/base_model/weights", "1.dir"), ("data/pack/train.parquet", "2")
    assert card.markdown("sft", ORIGIN, parent, rows, {"loss": "token_mean", "lora": None}) == WHOLE


def test_unknown_facts_are_shown_and_left_out_of_the_front_matter():
    origin = {"source": "a local folder", "revision": None, "licence": None}
    text = card.markdown("dpo", origin, ("p", "1.dir"), ("r", "2"), {"lora": {"rank": 4}})
    front = yaml.safe_load(text.split("---")[1])
    assert front.keys() == {"library_name", "pipeline_tag", "tags"}
    assert "| base model | a local folder, revision unknown |" in text
    assert "| licence of the base model | unknown: look at its source |" in text
    assert "The adapter alone is in `adapter/`" in text
