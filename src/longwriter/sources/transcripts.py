"""Finds the first user turn in a chat that is stored as one text with role marks.

Pure. `### Human: … ### Assistant: …` (Guanaco), `Human: … Assistant: …` (HH-RLHF), `USER: … ASSISTANT: …` (Vicuna),
Alpaca's headings, ChatML, and the marks of Llama, Gemma, Mistral and Zephyr.
"""

from __future__ import annotations

import re

_USER = re.compile(
    r"(?:\A|(?<=\s))(?:###? ?(?:Human|User|Instruction|Question)|Human|User|USER): ?"
    r"|<\|im_start\|>user\n|<\|start_header_id\|>user<\|end_header_id\|>|<start_of_turn>user\n|<\|user\|>"
    r"|\[INST\](?: ?<<SYS>>[^<]{0,20000}<</SYS>>)?"
)
_ASSISTANT = re.compile(
    r"###? ?(?:Assistant|Response|Answer):|(?<=\s)(?:Assistant|ASSISTANT):"
    r"|<\|im_end\|>|<\|eot_id\|>|<end_of_turn>|<\|assistant\|>|<\|end\|>|</s>|\[/INST\]"
)
_INPUT = re.compile(r"\n###? ?Input:[ \t]*\n")


def first_user_text(text: str, *, at_start: bool) -> str | None:
    """Return what the user says first, without marks; None if the text is no chat of a user and an assistant.

    Args:
        text: The whole chat, or a text.
        at_start: The text has to begin with the user's mark, because it need not be a chat.
    """
    text = text.strip()
    start = _USER.match(text) if at_start else _USER.search(text)
    end = _ASSISTANT.search(text, start.end()) if start else None
    return _INPUT.sub("\n", text[start.end() : end.start()]).strip() or None if start and end else None
