"""Rules that tell when a number of words is not the length of the whole text.

Each rule describes one way of speaking, with the shortest prompt that shows it; a test checks each rule
against its example.

Pure.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Rule(NamedTuple):
    """One reason to reject a number as the length of the whole text.

    The rule applies if `before` and `after` match and `unless` does not; a pattern that is None is not
    checked. All three see only the sentence of the number. `before` must end where the number begins; hedges
    ("about", 不少于) between them do not count. `after` must begin where the unit ends. `unless` is searched
    for in the text before the number.
    """

    reason: str
    example: str
    before: re.Pattern[str] | None = None
    after: re.Pattern[str] | None = None
    unless: re.Pattern[str] | None = None


def _ends(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?:{pattern})\s*$", re.IGNORECASE)


def _begins(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"\s*(?:long\s*)?(?:{pattern})", re.IGNORECASE)


_A = r"(?:an?\s+(?:[a-z]+\s+)?)?"
_MANY = (
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|several|multiple|some|few|couple of|"
    r"dozen|various|series of|both|\d{1,3})\s+"
)
_MAKE = (
    r"\b(?:write|draft|compose|create|craft|produce|generate|prepare|make|need|want|"
    r"give me)\s+(?:me\s+|up\s+)?"
)
_PARTS = (
    r"(?:introduction|intro|body|conclusion|chapter|section|part|paragraph|title|headline|prologue|epilogue|"
    r"stanza|scene|act|caption|slide|abstract|appendix)s?"
)
_PIECES = (
    r"(?:essays|stories|articles|posts|poems|letters|reports|paragraphs|chapters|sections|reviews|speeches|"
    r"pieces|emails|scenes|entries|answers|summaries|descriptions|bios|blurbs|parts|monologues|slogans|"
    r"captions|tweets|headlines|jokes|riddles|messages|sentences|lines|limericks)\b"
)
_MATERIAL = (
    r"\b(?:this|that|these|those|his|her|their|our|my|following|attached|above|existing|original|given|"
    r"enclosed)\s+"
    r"(?:(?:long|short|rough|first|second|old|new|whole|recent|boring|[\w-]+\s+of)\s+)?"
)
_TREATED = (
    r"\b(?:summari[sz]e|condense|shorten|cut|trim|reduce|compress|translate|proofread|edit|rewrite|rephrase|"
    r"paraphrase|review|analy[sz]e|critique|grade|read(?:ing)?|check|expand|extend|polish|improve|correct|"
    r"split|convert|turn|transform|evaluate|mark)\s+"
)
_FACT = (
    r"\b(?:wrote|typed|published|submitted|received|got|translated|finished|had|posted|produced|sold|"
    r"earned|lost|deleted|memori[sz]ed|learn(?:ed|t)|knows?|speaks?|spoke|has|contains?|contained|uses|was|"
    r"were|already|writes|reads|have|"
    r"(?:have|has|had|['’]ve|already|just|i) written|averag(?:es?|ed|ing)|runs|ran|finds|found|left|says|"
    r"said|stuck at|send you|paste)\s+(?:another\s+|out\s+)?"
)
_STUDY = (
    r"\b(?:learn(?:ing)?|know|teach(?:ing)?|(?<!word )counts?|typ(?:e|ing)|spell|pronounce|"
    r"memori[sz]e|copy|speak|recite)\s+(?:me\s+|us\s+)?"
)
_LIMIT = r"[\s-]*(?:limit|minimum|maximum|requirement|target|mark|cap)\b"

PARTWISE = ("per part", "a part", "每个部分", "一个部分")
"""Reasons to reject a number that do not count if the prompt calls the number the total."""

ASKS_AFTER = _begins(_LIMIT)
"""A number before "limit" or "minimum" is a requested length; the words before the number do not matter."""

RULES = (
    Rule(
        "per part",
        "Write diary entries, 400 words each.",
        after=_begins(
            r"[,(]?\s*(?:each|apiece|respectively|(?:for|in|on|of|to) (?:each|every)\b|per\b|每|/)"
        ),
    ),
    Rule(
        "per part",
        "Each answer should be 300 words.",
        _ends(
            r"\b(?:each|every|per)\b(?:\s+(?:one|of\s+(?:them|these|which|those)))?(?:\s+[\w-]+){0,2}?"
            r"(?:\s+(?:should|must|needs? to|has to|is|are|be|will|to|being|at|of|with|have|contain|"
            r"running|in|a|an|about))*[\s:,(]*"
        ),
    ),
    Rule(
        "per part",
        "Write three 500-word tales.",
        _ends(
            rf"{_MANY}(?:(?!words?\b)[a-z]+\s+)?(?:{_PIECES}\s*(?:of\s+|with\s+|at\s+|in\s+|,\s*)?|"
            r"[x×*]\s*)?|\d\s*[x×*]"
        ),
    ),
    Rule(
        "per part",
        "Write 400-word essays on both.",
        after=_begins(r"[\s-]*(?:[a-z-]+\s+){0,2}?" + _PIECES),
        unless=re.compile(r"\ban?\s+(?:[a-z]+\s+)?$", re.IGNORECASE),
    ),
    Rule(
        "a part",
        "Write a story with a 50-word introduction.",
        _ends(
            r"\b(?:with|including|includes?|plus|and|followed by|add|adding|contain(?:s|ing)?|then|"
            r"preceded by|after|before)"
            r"\s+(?:an?|its|the|one|another)\s+(?:[\w-]+\s+)?"
        ),
    ),
    Rule(
        "a part",
        "Introduction: 200 words.",
        _ends(
            rf"\b{_PARTS}(?:\s+(?:one|two|three|four|five|\d+|[ivx]+))?\s*(?:should be|must be|"
            r"needs to be|will be|is|are|of|to|[:(–—-])?"
        ),
        unless=re.compile(
            rf"{_MAKE}(?:an?|the|my|one)\s+(?:[\w-]+\s+){{0,2}}{_PARTS}\b[^,]{{0,40}}$", re.IGNORECASE
        ),
    ),
    Rule(
        "a part",
        "Spend 200 words on the introduction.",
        after=_begins(
            r"(?:for|in|on) (?:the|an?|your|its) (?:intro(?:duction)?|body|conclusion|abstract|appendix|"
            r"(?:first|second|third|last|final|opening) (?:paragraph|section|part|chapter|scene)s?)\b"
        ),
    ),
    Rule(
        "每个部分",
        "写五天的日记，每篇400字。",
        _ends(
            r"(?:每|[一两几](?:天|周|个?月|年(?!级)|小时|分钟))[^，。；！？\n]{0,12}|"
            r"每(?:[篇章段节封首份幕集题]|个?部分)[^。；！？\n]{0,40}|各[^，。；！？\n]{0,5}|"
            r"分别[^，。；！？\n]{0,6}"
        ),
    ),
    Rule(
        "每个部分",
        "写三篇500字的日记。",
        _ends(r"(?:[两二三四五六七八九十几]|(?<!\d)(?:[2-9]|\d\d))\s*[篇封首份则条段][^，。；！？\n]{0,2}"),
    ),
    Rule(
        "一个部分",
        "摘要：300字。",
        _ends(
            r"(?:开头|引言|结尾|结论|摘要|导语|标题|第[一二三四五六七八九十\d]+(?:[章节段幕集]|"
            r"部分))(?:部分)?(?:要|[:：（(])*"
        ),
        unless=re.compile(r"写[^，。]{0,12}$"),
    ),
    Rule(
        "a pace",
        "Write about a man who types 500 words a minute.",
        after=_begins(
            r"/|per\b|(?:an?|every|each)\s+(?:day|week|hour|minute|month|night|page|session|year|morning|"
            r"evening)\b|daily\b|at (?:a time|once)\b|每|(?:的)?稿费"
        ),
    ),
    Rule(
        "words to know",
        "Use 1000 words starting with Q.",
        after=_begins(
            r"(?:most|used|i|starting|beginning|ending|rhyming|vocabulary|dictionary|glossary|"
            r"list)\b|(?:的)?(?:成语|词汇|词语)"
        ),
    ),
    Rule(
        "words to know",
        "Give me 20 words that rhyme with cat.",
        _ends(r"\b(?:give|tell|suggest|think of|come up with|show|share|what are)\b[^.,;]{0,15}"),
        _begins(
            r"(?:that|which|related to|associated with|meaning|to describe)\b|with (?:the letter|double|"
            r"a silent|(?:two|three) (?:letters|syllables))"
        ),
    ),
    Rule(
        "words to know",
        "Make a crossword with 15 words.",
        _ends(r"\b(?:crossword|flash ?cards?|word ?search|quiz|puzzle|spelling test)\b[^.;:]*"),
    ),
    Rule(
        "words to know",
        "List 20 words on the sea.",
        _ends(
            r"\b(?:list|name|find|pick|choose|underline|highlight|circle)\s+(?:me\s+)?"
            rf"|{_STUDY}|\b(?:vocabulary|list|dictionary|glossary|set|bank|deck|knowledge|speed|"
            r"pace|rate)\s+of\s+"
        ),
    ),
    Rule(
        "要认的字",
        "一年级要认识300字。",
        _ends(
            r"(?:读|看|背|认识?|学会?|掌握|记住?|抄写?|识|翻译|校对|朗读|听写|常用|默写|列出|列举|找出|"
            r"想出)(?:了|过|完|出)?(?:一?[篇段份]|这|那|前)?"
            r"|(?:识字量|词汇量)[^，。；！？\n]{0,6}"
        ),
    ),
    Rule(
        "material",
        "Summarise this 2000-word article.",
        _ends(_MATERIAL),
        unless=re.compile(rf"{_MAKE}(?:my|our|this|that|his|her|their)\s+(?:[a-z]+\s+)?$", re.IGNORECASE),
    ),
    Rule(
        "material",
        "The 500-word essay is dead.",
        _ends(r"\b(?:the\s+)?(?:first|last|next|top|opening|final|remaining|another)\s+|\bthe\s+"),
        unless=re.compile(rf"(?:{_MAKE}|\bfor\s+)(?:the|an?|another)\s+(?:[a-z]+\s+)?$", re.IGNORECASE),
    ),
    Rule(
        "material",
        "Summarise a 5000-word report in three sentences.",
        _ends(_TREATED + _A),
        unless=re.compile(
            r"\b(?:an?|the|my|book|film|movie)\s+(?:[a-z]+\s+)?(?:review|read|edit|copy|mark)\s*$",
            re.IGNORECASE,
        ),
    ),
    Rule(
        "material",
        "把2000字的文章改成一句话。",
        _ends(
            r"(?:这|那|该|此|上述|上面|下面|以下|前面|原)(?:是|"
            r"有)?(?:一?[篇段份个则封些])?(?:的)?|[把将][^，。；！？\n为成到至写]{0,14}"
            r"|(?:概括|总结|缩写|精简|修改|润色|批改|点评|分析|扩写|评价|压缩)(?:一下)?(?:我的|"
            r"这)?一?[篇段份]|(?<![之以])前|(?:最后|头)的?"
        ),
    ),
    Rule(
        "a fact",
        "I wrote 500 words and stopped.",
        _ends(_FACT + _A),
        unless=re.compile(
            r"\b(?:(?:that|which)\s+(?:has|contains|uses)|(?:to|should|must|will|can|"
            r"could)\s+have)\s+(?:an?\s+)?$",
            re.IGNORECASE,
        ),
    ),
    Rule(
        "a fact",
        "My draft is 800 words.",
        _ends(r"\b(?:my|our|your|the|this|his|her|its|their)\s+(?:[a-z]+\s+){1,2}(?:is|was)\s+"),
        unless=re.compile(
            r"\b(?:limit|length|count|minimum|maximum|target|goal|size|sure|ensure|so that|until)\b",
            re.IGNORECASE,
        ),
    ),
    Rule(
        "事实",
        "我写了2000字。",
        _ends(
            r"(?:写|发|删|码|打|更新?|收到|投)(?:了|过|完)(?:一?[篇段份])?|已有|"
            r"(?<![要需应得少须])有(?:一?[篇段份])?"
        ),
    ),
    Rule(
        "a number of something else",
        "Explain page 12 words.",
        _ends(
            r"\b(?:year|chapter|page|section|room|version|level|lesson|unit|grade|windows|ios|figure|table|"
            r"verse|psalm|step|question|no\.|item|rule|since|until|during|page)\s+|第"
        ),
        unless=re.compile(
            rf"{_MAKE}(?:an?|the|my|one)\s+(?:[\w-]+\s+){{0,2}}(?:chapter|section|lesson|unit|page)\s+$",
            re.IGNORECASE,
        ),
    ),
    Rule(
        "a topic",
        "Write a poem about a 500-word curse.",
        _ends(
            r"\b(?:about|on|regarding|concerning|titled|entitled|called|named|of|like|"
            r"between)\s+(?:an?|the|how|why)\s+(?:[a-z]+\s+)?"
        ),
        _begins(r"(?!(?:for|in|with|on|about|using|please|and|that|or|but|which)\b)[a-z]{2,}"),
        unless=re.compile(
            r"(?:\b(?:would|i|we)|['’]d)\s+(?:really\s+|also\s+)?like\s+(?:an?|the)\s+(?:[a-z]+\s+)?$",
            re.IGNORECASE,
        ),
    ),
    Rule(
        "a topic",
        "Give me five titles for a 2000-word essay.",
        _ends(
            r"\b(?:titles?|ideas|topics?|prompts?|tips|questions|names|headlines?|price|quote|deadline|"
            r"rubric|rates?|advice)\b"
            r"[^.;:!?\n]*\bfor\s+(?:an?|the|my)?\s*(?:[a-z]+\s+)?"
        ),
    ),
    Rule(
        "标题",
        "为一篇2000字的论文列五个题目。",
        _ends(r"[为给]一?[篇部份]"),
        _begins(r"[^。；！？\n]{0,20}(?:题目|标题|书名|建议)"),
    ),
    Rule("an idiom", "A picture is worth a thousand words.", _ends(r"\bworth\s+")),
    Rule(
        "not wanted",
        "I do not want 2000 words.",
        _ends(
            r"(?:\bnot|\bnever|\bwithout|\binstead of|\brather than|\bexcept|n['’]t|"
            r"\bno need (?:for|to write))"
            r"(?:\s+(?:want|need|write|give|make|produce))?(?:\s+me)?\s+(?:an?\s+)?"
        ),
    ),
    Rule("不要", "不要写2000字。", _ends(r"(?:不要|别|无需|不用|不必|不是)(?:再?写|给我|弄)?(?:一?篇)?")),
)

HEDGE = _ends(
    r"\b(?:about|around|approximately|approx\.?|roughly|at least|at most|(?:no|not) (?:fewer|less|"
    r"more) than|up to|over|under|below|above|(?:more|less|fewer) than|exactly|just|only|nearly|almost|some|"
    r"between|from|within|"
    r"(?:an? )?(?:min(?:imum)?|max(?:imum)?)\.?(?: of)?|(?:a )?total(?: length)? of|a length of|"
    r"an? (?:average|approximate) of|a (?:good|full|solid|strict|mere)|not exceed(?:ing)?)|[~≈<>≤≥(（]"
    r"|(?:不要|不得|不能|不可|别|不)?(?:超过|少于|低于|多于|高于|超出)|至少要?有?|最少|最多|大约|大概|"
    r"差不多|约|接近|近|为"
    r"|(?:控制|限制|保持)?在|达到?|总共|一共|共|合计"
)
"""Words right before the number that the rules skip. (So 不要 in 不要超过 does not reject a length.)"""
MINIMUM = re.compile(
    r"at least|not? (?:fewer|less) than|(?<!no )(?<!not )more than|\bmin|over\b|"
    r"不少于|不低于|至少|最少|不得少于|不能少于|多于",
    re.IGNORECASE,
)
MAXIMUM = re.compile(
    r"at most|not? more than|up to|under|\bmax|below|(?:less|fewer) than|exceed|超过|最多", re.IGNORECASE
)
TOTAL_BEFORE = re.compile(
    r"(?:\b(?:total|overall|altogether|in all|whole (?:text|thing|piece|story|essay))\b[^,.]*"
    r"|(?:总字数|全文|总共|一共|合计|共计|整篇|总计)[^。；\n每各]{0,12})$",
    re.IGNORECASE,
)
TOTAL_AFTER = _begins(r"(?:,\s*)?(?:in total|in all|total\b|altogether|overall|all together|all told)")
TARGET = _ends(r"\b(?:in)?to\s+(?:be\s+)?(?:an?\s+)?|[到成为至]\s*(?:一?[篇段份])?")

QUESTION = re.compile(
    r"\W*(?:(?:so|and|but)\s+)?(?:how|what|why|is|are|am|do|does|did|was|were|which|when|who|where|should|has"
    r"|(?:can|could)(?! you| u\b| we))\b",
    re.IGNORECASE,
)
QUANTITY = re.compile(
    r"\W*(?:(?:so|and|but)\s+)?how (?:many|much|long|fast|hard|big|do|to|can|should|would)\b", re.IGNORECASE
)
ZH_QUESTION = re.compile(
    r"多久|多长时间|[几多少]页|多少[钱页字]|几分钟|怎么算|够[吗不]|难吗|(?:如何|怎么|怎样)写|什么概念|几天"
)
TAIL = re.compile(r"(?:\bin|[,，(（–—-])\s*$", re.IGNORECASE)
TAIL_END = re.compile(
    r"\s*(?:or (?:less|fewer|more|so)|max(?:imum)?|min(?:imum)?|long)?[)）\s]*$", re.IGNORECASE
)
YEAR = re.compile(r"(?:1[5-9]|20)\d\d")
YEAR_SURE = _ends(r"\b(?:by|after|before|year)\s+")
YEAR_BEFORE = _ends(r"\b(?:in|from|of)\s+")
YEAR_VERB = _begins(
    r"(?!(?:based|related|titled|entitled|called|needed|required)\b)(?:\w+ed|could|can|would|will|may|"
    r"might|were|was|are|is|had|have|became|meant|got|came|went|took|like|such|still)\b"
)
