"""Finds the first user turn in a chat that is stored as one text with role marks.

Pure. `### Human: … ### Assistant: …` (Guanaco), `Human: … Assistant: …` (HH-RLHF), `USER: … ASSISTANT: …` (Vicuna),
Alpaca's headings, `Question: … Answer: …`, `**User:** …`, `<user>…</user>`, 问：…答：…, and the templates of models: a
control token of any name beside the role (`<|im_start|>user`, `<|header_start|>user<|header_end|>`), or one with the
role in its name (`<|user|>`, `<｜hy_User｜>`, `<|USER_TOKEN|>`).
"""

from __future__ import annotations

import re

_TOKEN = (
    r"(?:<[|｜][^<>|｜\s]{1,40}[|｜]>|<\|turn>|<(?:s|bos|BOS_TOKEN|sop|seed:bos|beginning_of_sentence|start_of_turn"
    r"|SPECIAL_\d{1,3}|extra_id_\d)>|\]~!?b[\[\]]|\[gMASK\]|\[\|\w{1,20}\|\])"
)
_USER = re.compile(
    r"(?:\A|(?<=[\s>]))(?:###? ?(?:Human|User|Instruction|Question)|Human|User|USER|GPT4 (?:Correct )?User): ?"
    r"|(?:\A|(?<=\n))(?:\*\*(?:User|Human|Question):?\*\*:? ?|#{1,3} (?:Human|User|Instruction|Question)[ \t]*\n"
    r"|Question: ?|(?:问|提问|用户)[：:] ?)"
    rf"|<[|｜](?:[a-z]{{1,8}}_)?(?i:user|human|prompter)(?:_start|_TOKEN|prompt)?[|｜]>(?:user{_TOKEN})?:? ?"
    rf"|{_TOKEN}[Uu]ser(?:{_TOKEN}|(?: name=[^\n]{{0,60}})?\n)"
    r"|<role>HUMAN</role>|<user>|\[Human\]: ?|<human>: ?|\[\|(?:user|Human)\|\]"
    r"|\[INST\](?: ?<<SYS>>[^<]{0,20000}<</SYS>>)?"
)
_ASSISTANT = re.compile(
    r"###? ?(?:Assistant|Response|Answer):|(?<=\s)(?:Assistant|ASSISTANT):"
    r"|\n(?:\*\*(?:Assistant|Response|Answer|AI|Bot):?\*\*|#{1,3} (?:Assistant|Response|Answer)[ \t]*\n|Answer:|[答助][手案]?[：:])"
    r"|<[|｜](?:[a-z]{1,8}_)?(?i:end|eot|eom|assistant|bot|chatbot|response)[^<>|｜\s]{0,24}[|｜]>"
    rf"|{_TOKEN}[Aa]ssistant\b|<end_of_turn>|<turn\|>|<seed:eos>|<end_of_sentence>|\[e~\[|</s>|\[/INST\]|</user>|<assistant>"
    r"|<role>|<eo[hm]>|\[MOSS\]:|<bot>:|\[\|(?:assistant|AI|endofturn)\|\]"
)
_SYSTEM = re.compile(  # what a chat may begin with before its user speaks
    rf"{_TOKEN}|<system>|<role>|\[SYSTEM_PROMPT\]|\[Round \d{{1,3}}\]|(?:###? ?)?(?:System|SYSTEM): "
    r"|Below is an instruction that describes a task|A chat between a curious "
)
_ANSWERED = re.compile(r"\n(?:<extra_id_1>Assistant|<\|im_start\|>assistant|<\|assistant\|>)[ \t]*\n")
TEMPLATE_OPENING = ("<", "[", "]", "GPT4 ")
"""First signs of a chat in the template of a model."""
_OFTEN_NO_CHAT = ("Question:", "问", "提问", "<user>")  # a prompt may begin so and be no chat
_INPUT = re.compile(r"\n###? ?Input:[ \t]*\n")


def first_user_text(text: str, *, at_start: bool) -> str | None:
    """Return what the user says first, without marks; None if the text is no chat of a user and an assistant.

    Args:
        text: The whole chat, or a text.
        at_start: Accept only a text that begins as a chat does, for a column that may hold other texts too. The
            chats of HelpSteer begin with the user's text, without a mark.
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
