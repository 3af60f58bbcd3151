"""Finds the first user turn in a chat that is stored as one text with role marks.

Pure. `### Human: … ### Assistant: …` (Guanaco), `Human: … Assistant: …` (HH-RLHF), `USER: … ASSISTANT: …` (Vicuna),
Alpaca's headings, `Question: … Answer: …`, `**User:** …`, `<user>…</user>`, 问：…答：…, ChatML, and the marks of
Llama, Gemma, Mistral, Zephyr, DeepSeek, EXAONE, MOSS and Nemotron (`<extra_id_1>User`).
"""

from __future__ import annotations

import re

_USER = re.compile(
    r"(?:\A|(?<=\s))(?:###? ?(?:Human|User|Instruction|Question)|Human|User|USER): ?"
    r"|(?:\A|(?<=\n))(?:\*\*(?:User|Human|Question):?\*\*:? ?|#{1,3} (?:Human|User|Instruction|Question)[ \t]*\n"
    r"|Question: ?|(?:问|提问|用户)[：:] ?)"
    r"|<\|im_start\|>user\n|<\|start_header_id\|>user<\|end_header_id\|>|<start_of_turn>user\n|<\|user\|>|<user>"
    r"|<extra_id_1>User\n|<\|Human\|>: ?|\[Human\]: ?|<human>: ?|\[\|(?:user|Human)\|\]|<｜User｜>"
    r"|\[INST\](?: ?<<SYS>>[^<]{0,20000}<</SYS>>)?"
)
_ASSISTANT = re.compile(
    r"###? ?(?:Assistant|Response|Answer):|(?<=\s)(?:Assistant|ASSISTANT):"
    r"|\n(?:\*\*(?:Assistant|Response|Answer|AI|Bot):?\*\*|#{1,3} (?:Assistant|Response|Answer)[ \t]*\n|Answer:|[答助][手案]?[：:])"
    r"|<\|im_end\|>|<\|eot_id\|>|<end_of_turn>|<\|assistant\|>|<\|end\|>|</s>|\[/INST\]|</user>|<assistant>"
    r"|<extra_id_1>Assistant\b|<eo[hm]>|\[MOSS\]:|<bot>:|\[\|(?:assistant|AI|endofturn)\|\]|<｜Assistant｜>"
)
_SYSTEM = re.compile(  # what a chat may begin with before its user speaks
    r"<s>|<bos>|<\|begin_of_text\|>|<｜begin▁of▁sentence｜>|<\|im_start\|>system\n|<\|start_header_id\|>system"
    r"|<\|system\|>|<extra_id_0>System\n|<system>|(?:###? ?)?(?:System|SYSTEM): "
    r"|Below is an instruction that describes a task|A chat between a curious "
)
_ANSWERED = re.compile(r"\n(?:<extra_id_1>Assistant|<\|im_start\|>assistant|<\|assistant\|>)[ \t]*\n")
_OFTEN_NO_CHAT = ("Question:", "问", "提问", "<user>")  # a prompt may begin so and be no chat
_INPUT = re.compile(r"\n###? ?Input:[ \t]*\n")


def first_user_text(text: str, *, at_start: bool) -> str | None:
    """Return what the user says first, without marks; None if the text is no chat of a user and an assistant.

    Args:
        text: The whole chat, or a text.
        at_start: The text has to begin as a chat does, because it need not be a chat. HelpSteer's begin with the
            user's text, without a mark.
    """
    text = text.strip()
    if at_start and text.startswith(_OFTEN_NO_CHAT):
        return None
    start = _USER.match(text) if at_start and not _SYSTEM.match(text) else _USER.search(text)
    end = _ASSISTANT.search(text, start.end()) if start else None
    if start and end:
        return _INPUT.sub("\n", text[start.end() : end.start()]).strip() or None
    answer = _ANSWERED.search(text) if at_start else None
    return text[: answer.start()].strip() or None if answer else None
