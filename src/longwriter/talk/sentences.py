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

SPEECH_VERBS = (
    r"\b(?:said|says|asked|whispered|replied|answered|told|shouted|muttered|cried|wrote|sighed)\b(?! in your)"
)
_SPEAKER = r"(?:(?:the|an?|my|his|her|their|our|old|young|mr\.?|mrs\.?) (?:\w+ ){0,1}?\w+|he|she|they|(?-i:[A-Z])\w+(?: (?-i:[A-Z])\w+)?)"
_HAN_SPEAKER = r"(?:[他她它]们?|[\u4e00-\u9fff]{0,2}[人长师生爷奶妈爸母父亲哥姐弟妹娘孩王官兵匠工夫叔伯婶姨])"
NARRATED = re.compile(  # somebody in a story says it, without quotation marks
    rf"[^.!?\n]{{0,100}}, (?:(?:{_SPEAKER} |i ){SPEECH_VERBS}(?! you\b)|{SPEECH_VERBS} {_SPEAKER}\b)"
    r"|[^。！？\n]{0,60}，(?![我您你])[\u4e00-\u9fff]{1,6}?(?:说|问|答|喊|写|叹)(?:道|完|着|罢)(?:[，。]|就|便|又)"
    rf"|[^。！？\n]{{0,60}}，{_HAN_SPEAKER}(?:(?:笑着|低声|轻声|大声)?(?:说|问|答|喊|应)|点了?点头)[，。：]",
    re.IGNORECASE,
)
SPEECHLESS = re.compile(  # a person whom something moves; not "I don't have enough words for your essay"
    r"(?:(?:i|we|you) (?:do not|don't|can't|cannot|can not|could not|couldn't|will not|won't|still|never)(?: \w+)? (?:have|find|know)|(?:i|we) have no|there are (?:no|not enough)|words (?:cannot|can't|fail))"
    rf"(?: (?:the|any|enough|right|good))*(?: words)?(?<=words) (?:for|to (?:describe|say|tell|express|thank|name|explain))\b(?![^.!?]{{0,30}}(?:{TEXT}|\brequest|\btask|\btopic|\byour\b))"
    r"|i (?:cannot|can't|can not|could not|couldn't) (?:put|find) (?:it|this|that|them) (?:in|into) words\b|words (?:cannot|can't|fail)\b"
    r"|我?(?:找不到|没有|想不出)(?:足够的?|合适的?|任何|别的)?(?:词语?|语言|话)来?(?:形容|描写|描述|说|写|讲)(?!您|你|这[篇段]|文章)"
)
TRAIT = re.compile(  # what a person cannot do, and does instead: no assistant offers that
    r"我(?:从来|从小|一向|这人|这个人)?(?:不会|不懂|不善于?)(?![^，]*(?:这|那|此|您|你|任何|请求|要求|内容|话题))[^，。！？]{1,8}，(?:我)?(?:就|却)?只会"
    r"(?!写|编|提供|给|帮|回答|协助|概括|列|生成|总结|翻译|聊|对话|问答|说个?大概|告诉)[^，。！？您你]{1,10}[。！]?"
)
CREDIT = re.compile(  # who wrote and drew a page of a magazine
    r"(?:text|words|story|pictures?|photos?|photographs?|drawings?|music) ?: [\w'.-]+(?: [\w'.-]+){0,2}"
    r"(?:[,;] (?:text|words|story|pictures?|photos?|photographs?|drawings?|music) ?: [\w'.-]+(?: [\w'.-]+){0,2})?[.,;]?"
)


def sentences(text: str) -> list[str]:
    """Return the sentences of a text in lower case, with straight apostrophes and without quoted text."""
    return list(_sentences(text[:_SPEECH_WINDOW]))


@lru_cache(maxsize=8)  # the rules and the models read the same ends of a text one after the other
def _sentences(text: str) -> tuple[str, ...]:
    silent = unspoken(text).replace("’", "'").lower()
    return tuple(part for piece in _END.sub(r"\1\n", silent).split("\n") if (part := piece.strip(_MARKS)))
