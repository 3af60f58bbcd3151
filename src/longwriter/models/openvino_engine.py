"""The model of the OpenVINO server with the answers that it writes.

A step of the model writes one token of every open answer. Between two steps the event loop reads requests and sends
answers, in the same thread.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
from pathlib import Path
from typing import Any, Literal

import numpy as np
import openvino
import openvino_genai

from longwriter.models import json_grammar
from longwriter.models.openvino_requests import ChatRequest

log = logging.getLogger(__name__)

_BLOCK = 32
"""Tokens of one block in which OpenVINO keeps keys and values on a CPU."""
_PROPERTIES = {"INFERENCE_PRECISION_HINT": "f32", "ENABLE_CPU_PINNING": False}
"""Settings of OpenVINO: a number type that every CPU has, and threads that may move away from a busy core."""
_SAMPLING = {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05}
"""Values for what a request does not name. They are llama.cpp's defaults, so both engines sample alike."""
_BEFORE = 8
"""Number of earlier tokens that are decoded again with a new one, because a character may need several tokens."""
_INCOMPLETE = "\ufffd"
_TURNS = 3
"""Turns of the event loop after each step; a request is read in about three."""
_ENDS = ("<|endoftext|>", "<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<|end|>", "<end_of_turn>", "</s>")
"""Tokens that end an answer in every model, as in llama.cpp."""


class BadRequest(Exception):
    """A request that cannot be answered, and why."""


class Answer:
    """An answer that is being written."""

    def __init__(self, request: ChatRequest, prompt: list[int], most: int) -> None:
        """Begin with no token; `prompt` holds token ids, `most` is the largest number of tokens."""
        self.request = request
        self.prompt = prompt
        self.most = most
        stops = [request.stop] if isinstance(request.stop, str) else request.stop or []
        self.stops = [stop for stop in stops if stop]
        self.ids: list[int] = []
        self.text = ""
        self.read = 0
        """Number of tokens whose text is in `text`."""
        self.reason: Literal["stop", "length"] | None = None
        """Why it ended; None = it goes on, or there is an error."""
        self.error: str | None = None
        self.news = asyncio.Event()
        """Set when there is more text, or an end."""

    @property
    def is_open(self) -> bool:
        """Whether more tokens are to be written."""
        return self.reason is None and self.error is None

    def end(self, reason: Literal["stop", "length"] | None, error: str | None = None) -> None:
        """End the answer."""
        self.reason, self.error = reason, error
        self.news.set()


class Engine:
    """The model with its open answers."""

    def __init__(self, file: Path, slots: int, context_tokens: int) -> None:
        """Load `file`; it answers `slots` requests at once, each of at most `context_tokens`, prompt included."""
        self._file, self._slots, self._context = file, slots, context_tokens
        self._open: dict[Answer, Any] = {}
        self._number = 0
        self._has_work = asyncio.Event()
        self._load()
        self._ends = _end_tokens(self._tokenizer)

    def _load(self) -> None:
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.max_num_seqs = self._slots
        scheduler.num_kv_blocks = self._slots * (self._context // _BLOCK + 2)
        scheduler.enable_prefix_caching = False
        properties = {**_PROPERTIES, "INFERENCE_NUM_THREADS": len(os.sched_getaffinity(0))}
        self._pipeline = openvino_genai.ContinuousBatchingPipeline(
            str(self._file), scheduler, "CPU", properties
        )
        self._tokenizer = self._pipeline.get_tokenizer()

    def begin(self, request: ChatRequest) -> Answer:
        """Return the answer to a request; `run` writes it.

        Raises:
            BadRequest: the request cannot be answered.
        """
        messages = [message.plain() for message in request.messages]
        is_continued = request.continue_final_message and messages[-1]["role"] == "assistant"
        opening = messages.pop()["content"] if is_continued else ""
        try:
            text = self._tokenizer.apply_chat_template(messages, True) + opening
        except RuntimeError as error:
            raise BadRequest(f"the chat template refuses the messages: {last_line(error)}") from None
        ids = self._tokenizer.encode(text, add_special_tokens=False).input_ids
        prompt = [int(number) for number in ids.data[0]]
        room = self._context - len(prompt)
        if room < 1:
            raise BadRequest(f"the prompt has {len(prompt):,} tokens; the context has {self._context:,}")
        most = request.max_tokens or request.max_completion_tokens or room
        answer = Answer(request, prompt, min(most, room))
        self._add(answer)
        self._has_work.set()
        return answer

    def _add(self, answer: Answer) -> None:
        """Give an answer to the pipeline, which continues the tokens that it has."""
        self._number += 1
        ids = openvino.Tensor(np.array([answer.prompt + answer.ids], dtype=np.int64))
        try:
            handle = self._pipeline.add_request(self._number, ids, _config(answer, self._ends))
        except RuntimeError as error:
            raise BadRequest(last_line(error)) from None
        self._open[answer] = handle

    def drop(self, answer: Answer) -> None:
        """Stop writing an answer; nothing happens if it has ended."""
        if handle := self._open.pop(answer, None):
            handle.cancel()

    def lengths(self) -> list[int]:
        """Return the number of tokens of each open answer."""
        return [len(answer.ids) for answer in self._open]

    async def run(self) -> None:
        """Write the open answers, for ever."""
        while True:
            if not self._open:
                self._has_work.clear()
                await self._has_work.wait()
            try:
                self._pipeline.step()
            except RuntimeError as error:
                self._begin_again(last_line(error))
            for answer, handle in list(self._open.items()):
                self._take(answer, handle)
            if self._open and not self._pipeline.has_non_finished_requests():
                raise RuntimeError(f"OpenVINO dropped {len(self._open)} answers")
            for _ in range(_TURNS):
                await asyncio.sleep(0)

    def _begin_again(self, error: str) -> None:
        """Load the model again after a step has failed, which leaves the pipeline unusable.

        OpenVINO compiles a schema in the first step of its answer. So new answers with a schema end with the error,
        and the others go on.

        Raises:
            RuntimeError: no schema can be the reason.
        """
        refused = [answer for answer in self._open if answer.request.response_format and not answer.ids]
        if not refused:
            raise RuntimeError(error)
        log.error("a step failed, and the model is loaded again: %s", error)
        others = [answer for answer in self._open if answer not in refused]
        self._open.clear()
        self._load()
        for answer in refused:
            answer.end(None, f"response_format cannot be used: {error}")
        for answer in others:
            self._add(answer)

    def _take(self, answer: Answer, handle: Any) -> None:
        """Take the new tokens of an answer, and end it where it ends."""
        reason = "NONE"
        while handle.can_read():
            for output in handle.read().values():
                answer.ids += [int(number) for number in output.generated_ids]
                reason = output.finish_reason.name
        has_ended = reason != "NONE"
        if has_ended or answer.stops or answer.request.stream:
            answer.text += self._new_text(answer, has_ended)
            answer.news.set()
        starts = [start for stop in answer.stops if (start := answer.text.find(stop)) >= 0]
        if starts:
            answer.text = answer.text[: min(starts)]
        if has_ended or starts:
            self.drop(answer)
            answer.end("length" if reason == "LENGTH" and not starts else "stop")

    def _new_text(self, answer: Answer, is_last: bool) -> str:
        """Return the text of the tokens that were not read yet; empty while a character is not complete."""
        before = max(0, answer.read - _BEFORE)
        known = self._tokenizer.decode(answer.ids[before : answer.read])
        text = self._tokenizer.decode(answer.ids[before:])
        is_new = len(answer.ids) - answer.read < _BEFORE
        if is_new and not is_last and text.endswith(_INCOMPLETE):
            return ""
        answer.read = len(answer.ids)
        return str(text[len(known) :])


def _end_tokens(tokenizer: Any) -> set[int]:
    """Return the ids of the tokens that end an answer: the one that the GGUF names, and those of `_ENDS`."""
    vocabulary = tokenizer.get_vocab()
    return {int(tokenizer.get_eos_token_id()), *(vocabulary[name] for name in _ENDS if name in vocabulary)}


def _config(answer: Answer, ends: set[int]) -> Any:
    """Return OpenVINO's settings of an answer."""
    request = answer.request
    config = openvino_genai.GenerationConfig()
    config.max_new_tokens = answer.most - len(answer.ids)
    config.stop_token_ids = ends
    config.do_sample = request.temperature != 0
    for name in ("repetition_penalty", "frequency_penalty", "presence_penalty"):
        if (value := getattr(request, name)) is not None:
            setattr(config, name, value)
    if config.do_sample:
        for name, default in _SAMPLING.items():
            value = getattr(request, name)
            setattr(config, name, default if value is None else value)
        config.rng_seed = random.getrandbits(32) if request.seed is None else request.seed
    wanted = request.response_format
    if wanted and wanted.type != "text":
        schema = wanted.json_schema.schema_ if wanted.json_schema else {"type": "object"}
        config.structured_output_config = _structure(schema)
    return config


def _structure(schema: dict[str, Any]) -> Any:
    """Return OpenVINO's settings for an answer in JSON; of an unusual schema, they allow any number of blanks."""
    try:
        return openvino_genai.StructuredOutputConfig(grammar=json_grammar.grammar(schema))
    except (
        json_grammar.UnknownSchema,
        AttributeError,
        TypeError,
    ):  # or what is no schema, for OpenVINO to refuse
        return openvino_genai.StructuredOutputConfig(json_schema=json.dumps(schema))


def last_line(error: Exception) -> str:
    """Return the last line of one of OpenVINO's errors; the lines before name files of its own source."""
    return str(error).strip().splitlines()[-1].strip()[:300]
