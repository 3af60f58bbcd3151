"""The section `tracing`: which texts become traces in MLflow."""

from __future__ import annotations

from longwriter.settings.numbers import Seconds, Seed, Share
from longwriter.settings.section import Section


class TracingParams(Section):
    """Traces in MLflow, written when the work of a stage is done; no stage depends on this section.

    Each traced text has one trace: its plan, each attempt at a paragraph, why an attempt was refused, tokens,
    cost and seconds. Refused texts and answers to benchmarks are always traced.
    """

    share: Share
    """Share of the other texts that are traced; `longwriter lineage` shows the calls of every text."""
    max_seconds: Seconds
    """Seconds that one stage may take for its traces; the texts that remain then get no trace."""
    seed: Seed
    """Seed that decides which texts are in the share."""
