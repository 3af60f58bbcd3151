"""Kinds of numbers: each has a smallest value, a largest value, and a reason for the largest.

The largest values are far above what anybody uses, and the smallest ones far below. So a typing mistake
(`max_concurrency: 1000000000`, `timeout_s: 1e-9`) is an error when the file is read, and not after hours of work or
when memory is full.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Number = Annotated[float, Field(allow_inf_nan=False)]
"""A finite number, with or without a fraction; neither a boolean nor a text."""
Share = Annotated[Number, Field(ge=0, le=1)]
"""A part of a whole."""
InnerShare = Annotated[Number, Field(ge=1e-6, lt=1)]
"""A part of a whole, neither nothing nor all of it."""
PositiveShare = Annotated[Number, Field(ge=1e-6, le=1)]
"""A part of a whole, not nothing."""
PartShare = Annotated[Number, Field(ge=0, lt=1)]
"""A part of a whole, not all of it."""
Points = Annotated[Number, Field(ge=0, le=100)]
"""Points of a score; scores end at 100."""
RelativeError = Annotated[Number, Field(ge=0, le=100)]
"""A relative error; a text a hundred times too long has nothing to do with its prompt."""
Ratio = Annotated[Number, Field(ge=1.001, le=1000)]
"""A ratio of two lengths, the larger one first; texts differ by less than a thousand times."""
TokensPerWord = Annotated[Number, Field(ge=0.1, le=10_000)]
"""Tokens per word; a word is fewer than ten tokens, and the paper's 1,000 means no limit."""

Rows = Annotated[int, Field(ge=1, le=1_000_000_000)]
"""Number of rows; the largest public sets of chats have some millions."""
Words = Annotated[int, Field(ge=1, le=10_000_000)]
"""Number of words; the longest novels have two million."""
Chars = Annotated[int, Field(ge=1, le=100_000_000)]
"""Number of characters; ten times the largest number of `Words`."""
PointChars = Annotated[int, Field(ge=20, le=10_000)]
"""Characters of a main point; ten thousand characters are a chapter."""
Tokens = Annotated[int, Field(ge=1, le=10_000_000)]
"""Number of tokens; no published model has a context of more than ten million."""
RowTokens = Annotated[int, Field(ge=8, le=10_000_000)]
"""Tokens of a training row; the markers of a chat alone are eight."""
RopeFactor = Annotated[Number, Field(ge=1.001, le=128)]
"""A longer context as a multiple of the model's own; the largest published one is 128 (1M of 8k tokens)."""
RopeTheta = Annotated[Number, Field(ge=100, le=1e10)]
"""Base of a rotary embedding; published ones are 10,000 to 100 million."""
PlanSteps = Annotated[int, Field(ge=1, le=1000)]
"""Steps of a plan; the paper's code stops at 50."""
Attempts = Annotated[int, Field(ge=1, le=1000)]
"""Attempts at one answer; each costs money, and a thousand failures have another cause than chance."""
Retries = Annotated[int, Field(ge=0, le=100)]
"""Retries of one request; with growing pauses, a hundred take more than a day."""
Concurrency = Annotated[int, Field(ge=1, le=10_000)]
"""Requests at one time; each holds a socket, and Linux gives a process some thousands."""
PerMinute = Annotated[int, Field(ge=1, le=1_000_000_000)]
"""A rate limit; the largest public one is 30 million tokens per minute."""
Dollars = Annotated[Number, Field(ge=1e-6, le=1_000_000)]
"""A budget in USD; a million pays for all of the paper's data about a thousand times."""
TokenPrice = Annotated[Number, Field(ge=0, le=100_000)]
"""USD per million tokens; the most expensive model of a public list costs 600."""
Days = Annotated[int, Field(ge=1, le=36_500)]
"""Number of days; at most a hundred years."""
Seconds = Annotated[Number, Field(ge=0.1, le=86_400)]
"""A time limit in seconds; a day, longer than any answer takes."""

Ranks = Annotated[int, Field(ge=1, le=100_000)]
"""Number of training processes; the largest published trainings had some ten thousand GPUs."""
Batch = Annotated[int, Field(ge=1, le=1_000_000)]
"""Packs or pairs of one optimizer step."""
Epochs = Annotated[Number, Field(ge=1e-6, le=1000)]
"""Passes over the data; the paper's trainings have four."""
OptimizerSteps = Annotated[int, Field(ge=1, le=10_000_000)]
"""Optimizer steps; trainings from scratch have some million."""
Evaluations = Annotated[int, Field(ge=1, le=1000)]
"""Number of measurements of the held-out loss."""
Checkpoints = Annotated[int, Field(ge=1, le=1000)]
"""Number of checkpoints; each is three times the size of the model."""
LearningRate = Annotated[Number, Field(ge=1e-12, le=1)]
"""Learning rate of AdamW, which moves each weight by about this much in a step."""
LoraRank = Annotated[int, Field(ge=1, le=4096)]
"""Rank of an adapter; 4,096 is the width of a whole layer of an 8B model."""
LoraAlpha = Annotated[Number, Field(ge=0.001, le=10_000)]
"""Strength of an adapter; published values are at most some hundred."""
WeightDecay = Annotated[Number, Field(ge=0, le=10)]
"""Weight decay of AdamW; above 1 the weights shrink faster than they learn."""
GradNorm = Annotated[Number, Field(ge=1e-6, le=1_000_000)]
"""Largest norm of a gradient; at a million nothing is clipped."""
AdamBeta = Annotated[Number, Field(ge=0, lt=1)]
"""Share of the old average that AdamW keeps at each step."""
DpoBeta = Annotated[Number, Field(ge=1e-6, le=100)]
"""Beta of DPO; published values are 0.01 to 5."""
LossWeight = Annotated[Number, Field(ge=0, le=100)]
"""Weight of a second loss beside the first, which has weight 1."""
Samples = Annotated[int, Field(ge=2, le=1000)]
"""Answers to one instruction; a pair needs two of them."""
Draws = Annotated[int, Field(ge=1, le=1000)]
"""Answers to one prompt of a benchmark; the intervals hardly shrink after the first ten."""
Chunks = Annotated[int, Field(ge=0, le=100)]
"""Parts of a text that are judged one by one; a hundred parts of 10,000 words are one paragraph each."""
Resamples = Annotated[int, Field(ge=1, le=1_000_000)]
"""Permutations of a test; a million give a p value four digits and take minutes."""
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
"""A seed; NumPy takes 32 bits without a sign."""

Temperature = Annotated[Number, Field(ge=0, le=2)]
"""Sampling temperature; providers take at most 2."""
Penalty = Annotated[Number, Field(ge=0.01, le=3)]
"""A penalty that divides scores; 1 changes nothing."""
