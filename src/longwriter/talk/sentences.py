"""The sentences of a text, and words that the rules of refusals and of talk about the task share.

Pure.
"""

from __future__ import annotations

import re
from functools import lru_cache

from longwriter.text.basics.wording import unspoken

_SPEECH_WINDOW = 2000  # characters: longer quoted text is not speech
_MARKS = " \t　*_#>—–-\"“”'"
_END = re.compile(  # it begins with a class of characters, which Python finds faster than anything else
    r"([.!?…。！？；])(?:(?<=[.!?…])[\"'”)\]*_]{0,3}\s+|(?<=[。！？；])[”』」）*_]{0,3})"
)


def words(*alternatives: str) -> str:
    """Return the pattern of any of the given words or phrases, as whole words."""
    return rf"\b(?:{'|'.join(alternatives)})\b"


TEXT = words(
    r"(?:text|essay|article|chapter|letter|report|poem|piece|response|introduction|intro|conclusion|outline)s?",
    r"(?:story|summary|biography|eulogy|obituary|stories|summaries|biographies|speech|speeches|lyrics|prose)",
    r"(?:guide|script|review|memoir|proposal|narrative|novel|novella|screenplay|song|e-?mail|message|document)s?",
    r"(?:content|section|passage|paragraph|draft|version|scene|dialogue|monologue|tutorial|manual|blog|book)s?",
    r"(?:paper|translation|sentence|caption|copy|satire|fiction|advert|advertisement|column|toast|description)s?",
    r"(?:newsletter|play|abstract|leaflet|brochure|press release|rewrite|continuation|fable|tale|excerpt)s?",
    r"(?:material|statement|testimonial|template|propaganda|verse|joke|words|post|recipe|plan|sermon|homework)s?",
)
"""Kinds of texts that an instruction may ask for."""

_NO_MODEL = r"(?! (?:engineer|develop(?:er|ment)|research|scien|compan|start|expert|special|consult|student|enthus|profess|team|art))"
MODEL = (
    r"(?:[\w-]+ ){0,3}(?:language model|chatbot|llm|artificial intelligence|ai|"
    r"(?:ai|text|language|chat|virtual|writing|digital|helpful|harmless)[ -](?:based )?"
    rf"(?:model|assistant|chatbot|system|program|tool|writer|bot))\b{_NO_MODEL}"
)
"""What a model calls itself, behind "as a" or "I am a"."""
HAN_MODEL = (
    r"(?:ai|人工智能|大?语言模型|大模型|(?:写作|智能|文字|虚拟|聊天|负责任的|语言)(?:助手|机器人)|助手)"
    r"(?!.{0,3}(?:师|者|员|专家|学家|生|公司|企业|领域|技术|时代|行业|专业))"
)


def sentences(text: str) -> list[str]:
    """Return the sentences of a text in lower case, with straight apostrophes and without quoted text."""
    return list(_sentences(text[:_SPEECH_WINDOW]))


@lru_cache(maxsize=8)  # the rules and the models read the same ends of a text one after the other
def _sentences(text: str) -> tuple[str, ...]:
    silent = unspoken(text).replace("’", "'").lower()
    return tuple(part for piece in _END.sub(r"\1\n", silent).split("\n") if (part := piece.strip(_MARKS)))
