"""A model for tests of stages, without a server: it says what a function of prompt and attempt says."""

from longwriter.hashing import content_hash
from longwriter.llm.client import Answer


class ScriptedLLM:
    """What a stage uses of an `LLM`.

    `says` gets (prompt, attempt) and returns a text, a (text, finish reason), or an error to raise.
    `calls` holds (prompt, attempt, whether a schema was sent, whether JSON mode was asked for).
    """

    def __init__(self, says, form="json_schema"):
        self.says, self.form, self.calls = says, form, []

    def answer_format(self, asked):
        return self.form if asked == "auto" else asked

    def note(self):
        return ""

    async def ask(self, prompt, sampling, *, schema=None, json_object=False, attempt=0):
        self.calls.append((prompt, attempt, schema is not None, json_object))
        said = self.says(prompt, attempt)
        if isinstance(said, Exception):
            raise said
        text, finish_reason = said if isinstance(said, tuple) else (said, "stop")
        return Answer(content_hash([prompt, attempt])[:8], text, finish_reason, 1, 0, 1, False)

    @property
    def call_ids(self):
        return [content_hash([prompt, attempt])[:8] for prompt, attempt, _, _ in self.calls]
