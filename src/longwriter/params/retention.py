"""The section `retention`: what the nightly flow removes at the end of a successful night."""

from __future__ import annotations

from longwriter.settings.numbers import Days
from longwriter.settings.section import Section


class RetentionParams(Section):
    """How long the nightly flow keeps what can be made again, or is useful only for a time; null = for ever.

    No stage depends on this section. Never removed: checkpoints of an unfinished training; MLflow runs that wrote
    data; and the data, prompts and traces from which a registered model or the data of today was made.
    """

    checkpoint_days: Days | None
    """Days after which the checkpoints of a finished training are removed; its model is in data/ and DVC's cache."""
    conversion_days: Days | None
    """Days after which weights that were converted to GGUF are removed; the next server makes them again."""
    log_days: Days | None
    """Days after which logs, and damaged files that were set aside, are removed."""
    unchanged_run_days: Days | None
    """Days after which MLflow runs of stages that a night left unchanged are deleted; they only point to other runs."""
    trace_days: Days | None
    """Days after which traces in MLflow are removed; `longwriter lineage` needs none of them."""
    answer_days: Days | None
    """Days after which stored answers of LLMs are removed; a request that comes again is paid for again."""
    template_days: Days | None
    """Days after which versions of prompt templates in MLflow are removed; one that is used again is stored again."""
    data_nights: Days | None
    """Number of newest nightly branches (one a day) whose data stays in DVC's cache. Data of older ones, and data that
    no branch, tag or experiment names, is removed from this machine, but not from the DVC remote."""
