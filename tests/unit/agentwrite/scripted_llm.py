"""A model for tests of stages, without a server: a function of prompt and attempt gives its answers."""

from longwriter.calls.answers import Answer, Usage
from longwriter.hashing import content_hash
from longwriter.text.basics.prompts import Refused


class ScriptedLLM:
    """The part of an `LLM` that stages use.

    `says` takes (prompt, attempt) and returns a text, a (text, finish reason), a `Refused` for an answer that
    no stage can use, or an error to raise.
    `calls` holds (prompt, attempt, whether a schema was sent, whether JSON mode was requested).
    """

    def __init__(self, says, form="json_schema"):
        self.says, self.form, self.calls = says, form, []
        self.refusals, self.openings = {}, []

    def answer_format(self, requested):
        return self.form if requested == "auto" else requested

    def note(self):
        return ""

    def refuse(self, call_id, refused):
        self.refusals[call_id] = refused

    async def ask(self, prompt, sampling, *, schema=None, json_object=False, attempt=0, opening=""):
        self.openings.append(opening)
        self.calls.append((prompt, attempt, schema is not None, json_object))
        answer = self.says(prompt, attempt)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Refused):
            return Answer(content_hash([prompt, attempt])[:8], "", "stop", None, False, answer)
        text, finish_reason = answer if isinstance(answer, tuple) else (answer, "stop")
        return Answer(content_hash([prompt, attempt])[:8], text, finish_reason, Usage(1, 0, 1), False)

    @property
    def call_ids(self):
        return [content_hash([prompt, attempt])[:8] for prompt, attempt, _, _ in self.calls]
