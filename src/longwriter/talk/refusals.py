"""Tells whether an answer refuses: it declines to write, or asks for more instead of writing.

Rules give a verdict. The trained models of `classifier` find refusals that the rules do not know, and overrule the
rules if they are sure. By the rules, one sentence of the opening must decline or ask: the assistant says no, and
names the act or the thing that was requested. Then signs of a refusal add points (an apology, "you", the rules of a
model, a short answer). Signs of a text take points away (a letter, a line of a play, a text after a disclaimer).
Measured on `tests/golden/refusal_meta_*.jsonl` by `infra/bench/refusal_rules.py`.

Pure.
"""

from __future__ import annotations

import re
from functools import lru_cache

from longwriter.talk.classifier import may_refuse, refusal_score
from longwriter.talk.other_languages import refuses_in_another_language
from longwriter.talk.pattern_set import PatternSet
from longwriter.talk.sentences import (
    HAN_MODEL,
    MODEL,
    NARRATED,
    SPEECH_VERBS,
    SPEECHLESS,
    TEXT,
    TRAIT,
    sentences,
    words,
)

_WINDOW = 600  # characters: a refusal opens an answer
_SENTENCES = 4  # of the opening
_SHORT, _LONG = 100, 1200  # characters
_POINTS = 3  # that make a refusal
_QUOTES = ('"', "'", "\u201c", "\u2018", "「", "『")
BARE = 24
"""Characters up to which the models do not overrule the rules."""
LONGEST_READ = 700
"""Characters up to which the models read a text: the longest of 2,500 labelled refusals has 560."""
THRESHOLD = 1.5
"""An answer with at least this `refusal_score` is a refusal, even if no rule says so."""
THRESHOLD_OF_LETTERS = 5.5
"""The same, if the instruction asks for a text that refuses something, such as a rejection letter."""
VETO = -2.0
"""An answer with a lower `refusal_score` is no refusal, even if a rule says so."""
FIRST_SENTENCE = 7.5
"""If the first sentence alone has at least this score, the answer is a refusal, whatever follows: "I'm sorry, but I
can't assist with that request." has 9; of 89 texts that the veto saves, two have more."""

_ADVERB = (
    r"(?:,? (?:just|simply|really|also|still|currently|therefore|thus|unfortunately|regretfully|sadly|personally|"
    r"must|absolutely|definitely|respectfully|politely|however|firmly|actually|only|clearly|will|have to|need to|"
    r"would|'ll|should|am|going to|afraid i)(?= ),?)"
)
_NO = (
    r"(?:can't|cannot|can not|cant|won't|will not|shouldn't|should not|mustn't|must not|may not|wouldn't|"
    r"don't|do not|unable|decline|declining|refuse|refusing|uncomfortable|unwilling|prohibited|forbidden|"
    r"(?:rather|prefer|choose|prefer to) not|lack|not (?:able|capable|comfortable|willing|allowed|permitted|going|"
    r"designed|equipped|authori[sz]ed|programmed|supposed|in a position|qualified|prepared|ready|trained))"
)
_SAYS_NO = re.compile(
    rf"\bi(?:'m|'ve|'ll|'d)?{_ADVERB}{{0,3}} {_NO}\b"
    rf"|^(?:(?:(?:i'm )?sorry|unfortunately|regretfully|no|apologies|error)[,.:]? )?(?:but )?(?:can't|cannot|unable|won't|not able)\b"
)
_ACT = re.compile(
    r"\b(?:report|brows|imitat|satisf|serv|fabricat|pretend|explain|describ|speak|comment|judge|search|verif|recall|generat|produc|compos|draft|creat|writ|craft|rewrit|reproduc|summari[sz]|translat|paraphras|continu|"
    r"complet|answer|respond|engag|proceed|provid|honou?r|process|carry out|offer|suppl|deliver|support|"
    r"participat|author|do|prepar|depict|role-?play|promot|give(?! up)|giving|share|take (?:it |this |that )?on|"
    r"develop|invent|execut|edit|proofread|review|discuss|see|read|open|access|view|help|work|tackle|touch)\w*"
)
_PLAIN_ACT = re.compile(
    r"[^.!?]{0,30}?\b(?:assist\w*|compl(?:y|ying)|fulfil\w*|accommodat\w*|do (?:that|this|so)\b|"
    r"help(?:ing)?(?: you)?(?: out)? ?(?:with|to|writ\w+|creat\w+|$|[,.;]))"
)
_THIS = words(
    r"(?:this|that|it|these|those)(?=$|[.,;!?:]| (?:one|for|as|because|since|kind|sort|type|by|even|at|in the|without|request))", r"such",
    r"(?:this|that|these|those) (?:\w+ ){0,2}(?:kind|sort|type|" + TEXT[4:-3] + ")", r"what (?:you|hasn't|isn't|was)",
    r"(?:instructions|website|site|page|web|internet|news|events|opinions?|contracts?|statement|advice|tutorials?|code)", r"requests?", r"prompt", r"task", r"topic", r"assignment",
    r"attach\w+", r"pdf", r"links?", r"files?", r"images?",
    rf"(?:an?|the|any|your|for you|full|[\d,]+)(?: [\w'-]+){{0,3}} {TEXT}", r"essays", r"stories", r"articles", r"novels?", r"fiction", r"poems", r"lyrics", r"speech(?:es)?",
)  # fmt: skip
_OBJECT = re.compile(_THIS)
_ASKED = re.compile(
    words(
        r"you(?:'ve| have|'re| are)?(?: \w+)? (?:ask|request|want|need|describ|post)\w*",
        r"(?:your|this|that|the|such an?|this (?:kind|type|sort) of) (?:\w+ )?(?:request|prompt|task|assignment)s?",
        r"your (?:\w+ )?(?:question|message|query|brief|topic|instructions?)",
        r"(?:this|such|that|these) (?:(?:kind|type|sort)s? of )?(?:\w+ )?(?:content|material|topic|subject|text|"
        r"essay|story|article|speech|poem|letter)s?",
    )
)
_RULES = re.compile(
    words(
        r"my (?:\w+ )*?(?:guidelines?|polic(?:y|ies)|programming|training|principles|capabilit(?:y|ies)|"
        r"limitations?|rules|restrictions|maximum|output|purpose|format)",
        r"(?:content|usage|safety) (?:polic(?:y|ies)|guidelines|filters?|reasons)", r"terms of (?:use|service)",
        r"harm(?:ful|less)?", r"inappropriate", r"unethical", r"copyright\w*", r"trademark\w*", r"protected",
        r"dangerous?", r"illegal", r"offensive", r"plagiari\w+", r"dishonest\w*", r"misinformation", r"hate",
        r"hatred", r"violen\w+", r"sensitive", r"defam\w+", r"threaten\w*", r"explicit", r"glorif\w+", r"racis\w+",
        r"crime", r"fraud\w*", r"deni(?:es|al)", r"denying", r"self-harm", r"suicid\w*", r"hurt\w*", r"scam\w*",
        r"discriminat\w+", r"ethical(?:ly)?", r"in one (?:go|response|reply|answer|message)",
    )
)  # fmt: skip
_SELF = tuple(map(re.compile, (
    rf"\bas an? {MODEL}",
    r"\bas your (?:\w+ )?assistant\b",
    rf"\bi(?:'m| am)(?: just| only| merely| simply)? an? {MODEL}",
    r"\bi(?:'m| am| was|'ve been) (?:programmed|designed|trained|built) ",
    r"\bi(?:'m| am) (?:just|only|merely) an? (?:program|machine|tool|computer)",
    r"\b(?:being|as) an? (?:ai|artificial intelligence|language model)\b(?=[,.]| i\b)",
    r"\bas an? (?:[\w'-]{1,20} ){1,6}(?:ai|chat ?bot|(?:ai|virtual|digital) assistant),? i(?:'m|'ve|'ll| am| can| cannot| can't| do| don't| have| will| won't)\b",
    r"\b(?:because|since) i(?:'m| am) an? ai\b",
    r"\bas an? (?:\w+ )?(?:assistant|system|tool) (?:created|made|trained|developed|built|designed)",
    rf"作为(?:一[个名款种])?[^，。,]{{0,8}}{HAN_MODEL}",
    rf"我(?:只|仅仅)?是(?:一[个名款种])?.{{0,4}}{HAN_MODEL}",
)))  # fmt: skip
_SELF_SET = PatternSet(_SELF)
_MODEL_NO = re.compile(r"\b(?:not|no|cannot|unable|never|nor|decline|prevent\w*|lack)\b|n't\b|[不无没拒]")
_SORRY = re.compile(
    r"\b(?:sorry|unfortunately|afraid|apologi[sz]e|apologies|regret\w*|i appreciate|thanks? (?:you )?for|i understand|"
    r"i hear|i'd love|sadly)\b|抱歉|对不起|遗憾|不好意思|可惜|感谢|谢谢|理解"
)
_YOU = re.compile(r"\byou(?:r|'\w+)?\b|[您你]")
_ELSE = re.compile(
    words(
        r"something else", r"(?:an)?other (?:topic|subject|idea|story|direction)", r"different (?:\w+ )?(?:topic|"
        r"direction|subject|approach|story|angle)", r"instead", r"alternatives?", r"i can (?:offer|suggest|help)",
        r"how about", r"reach out", r"please (?:consult|contact|try)", r"i suggest", r"happy to", r"glad to",
        r"however",
    )
    + "|建议[您你]|不妨|换[个一]|别的|其他(?:话题|主题|内容)|可以(?:咨询|为您|帮您)"
)  # fmt: skip

_DECLINES = tuple(map(re.compile, (
    # the answer stops, passes or leaves the text to the reader
    r"\bi(?:'ll| will)? (?:have to|must|need to|would) pass(?:\.|!|$| on (?:this|that|it))|\b(?:going to|have to|will|must) stop here\b|\binstead of having me\b|\bwrite (?:this|it) yourself\b|\bwrite it for you\b.*n't|\bi(?:'d| would) rather you\b|\bi'd feel wrong\b|\bi (?:won't|will not) (?:take part in (?:it|this|that|spread)|help (?:you|spread|write)|do it for)\b",
    r"\b(?:no|not) (?:text|answer|response|content) (?:could|can) be (?:generated|written)|\bcontent (?:was |is )?blocked\b|\bblocked by the\b|\b(?:can't|cannot|can not|could not) be (?:reproduced|completed|fulfilled|generated|processed|written here)",
    r"^(?:no[.,] )?(?:that|this|it) would (?:be|amount to) (?:\w+ )?(?:bullying|harassment|illegal|wrong|defamation|fraud|plagiarism|cheating|a crime)(?:[.,!]|$)|\binfringe\w*\b.*\b(?:can't|so|won't|decline)",
    r"\bi(?:'m| am) only (?:able|designed|meant|built|here) to (?:help|assist|answer|support)|\bi(?:'m)? (?:can|am able to|able to) only (?:write|give|offer|provide|produce|share|summari)|\bnot feasible\b|\bn(?:o|')t (?:have|given) permission to (?:write|share|produce|create)|\b(?:can't|cannot) output\b|\bmaximum length of my\b|\btopic\b[^.!?]{0,20}\bi stay away from|\bi(?:'m| am) not familiar with your\b",
    r"\bbecause i(?:'m| am) an? ai\b|\bbeing an ai\b|^perhaps we could (?:pick|choose|find|try)\b.*\btopic",
    r"\bout of the question\b|\bsay no to (?:this|that|your)\b|\bagainst (?:the rules|my|our)\b|\bi(?:'m| am)? (?:have to|must|bound to|need to|going to have to|'ll have to)(?: \w+ly)? (?:decline|refuse)\b(?! (?:to (?:call|believe|accept)|the))|\b(?:no|don't want any) part in\b|\b(?:don't|do not|doesn't) feel (?:right|comfortable)\b",
    r"\bprevent(?:s|ed)? me from (?:writ|creat|produc|help|generat|provid)\w*|\b(?:i'm|i am)(?: \w+)? bound by\b|\bi have to stop here\b",
    r"\b(?:past|than) what i(?:'m| am| can)\b|\bno way for me |\bi have no way ",
    r"\b(?:essay|story|biography|text|report|speech|article|poem|review) (?:isn't|is not|won't be|wouldn't be) possible\b|\b(?:isn't|not) possible for me\b",
    # "is something I'm not allowed to write", "isn't something I can produce", "beyond what I can"
    r"\b(?:something|anything|things?|topics?|requests?|subjects?|one|what) (?:that |which )?i(?:'m| am| do| will| can|'ll|'d| would| won't| don't| can't)?\b[^.!?]{0,20}(?:n't|not|unable|cannot|refuse|decline|won't|uncomfortable)\b(?! know)",
    r"(?:n't|not|never|nothing) (?:be )?(?:something|anything|one|(?:an? |the )?(?:\w+ )?(?:topic|request|subject|task|thing|text|kind)) (?:that |which )?i(?:'m|'ll|'d)?\b",
    r"\b(?:beyond|outside|exceeds?|above) (?:of )?(?:what i|my (?:\w+ )?(?:abilit|capabilit|scope|limit|capacit|remit|reach|power|maximum|skill)|the scope of what i)",
    # "my guidelines don't allow", "violates the content policy", "your request was flagged"
    r"\b(?:my|content|usage|safety) (?:\w+ )?(?:guidelines?|polic(?:y|ies)|programming|principles|rules|instructions|restrictions|filters?)\b[^.!?]{0,30}(?:n't|not|prohibit|prevent|forbid|bar|stop|keep|disallow|restrict|preclude)\w*\b",
    r"\b(?:violat|breach|contraven|conflict|against|contrary to)\w*\b[^.!?]{0,20}\b(?:my|our|content|usage|safety)\b[^.!?]{0,20}\b(?:guidelines?|polic|principles|rules|values|programming)",
    r"\b(?:request|prompt|message|query)\b[^.!?]{0,30}\b(?:(?:flagged|blocked|declined|denied|refused|rejected)\b(?!:)|(?:not|n't|cannot) be (?:\w+ )?(?:processed|completed|fulfilled|answered|granted|honou?red))",
    # "it wouldn't be appropriate for me to write", "it's best that I don't"
    r"(?:n't|\bnot|\bnever)\b[^.!?]{0,20}\b(?:appropriate|right|ethical|responsible|possible|feasible|acceptable|wise|proper|okay|comfortable)\b[^.!?]{0,25}\b(?:for me|to (?:write|help|assist|create|produce|generate|provide) (?:this|that|such|it|you|an?)\b|writing|drafting)",
    r"\b(?:inappropriate|unethical|irresponsible|wrong|harmful|dangerous|impossible|illegal) (?:of me |for me )?to (?:write|help|assist|create|produce|generate|provide|draft)",
    r"\b(?:best|better|wiser|safer) (?:that |if )?(?:i (?:don't|do not|didn't|not)|not to) (?:write|help|draft|create|produce|continue)",
    # "I'll have to leave this one to you", "I'll pass on this", "I won't be writing it"
    r"\bi(?:'ll| will| must|'d| would| have| need|'m going)?(?: have to| need to| to| rather| prefer to)* (?:leave|pass on|sit|skip|turn down|opt out|step (?:back|away)|bow out|stop|say no|draw the line)\b[^.!?]{0,25}\b(?:this|that|it|to you|your|here|no)\b",
    r"\bi(?:'d| would| will|'ll)?(?: much)? (?:won't be|not be|prefer not to|rather not|prefer to not) (?:writ|draft|produc|creat|tak|do|help|assist|continu|provid)\w*",
    r"\bi(?:'m| am|'ve)? (?:choos|opt|decid|elect)\w* not to\b",
    r"\bi(?:'m|'ll|'d)?(?: \w+){0,3} (?:declin|refus|reject)\w*\b(?! to (?:be|believe|call|accept|let|give up))[^.!?]{0,25}\b(?:this|that|requests?|writ\w+|help\w*|it)\b",
    r"\bi(?:'m)? (?:don't|do not|lack|have no|haven't|not have)(?: really| actually| currently)? (?:have |possess )?(?:the |any |enough |personal )?(?:ability|capability|capacity|access|means|knowledge|permission|tools|information|feelings|experiences?)\b[^.!?]{0,80}(?:writ|creat|provid|generat|compos|complet|help)",
    r"\bi (?:don't|do not|won't|will not|never)(?: \w+)? (?:write|create|generate|produce|compose|draft|provide)\b(?! (?:to|for a|because|about|in|at|on|much)\b)",
    r"\bi (?:don't|do not) know (?:enough|anything)\b[^.!?]{0,60}\b(?:to write|to answer|for me|about your)",
    r"\bnot comfortable (?:with|about|discussing|doing) (?:this|that|the|such)\b|\bcount me out\b|\bnot (?:for|from) me\b|\bno can do\b|\bnot going to happen\b",
)))  # fmt: skip
_INPUT = (
    rf"(?:{TEXT}|information|info|details?|context|attach\w+|files?|prompt|request|topic|instructions?|specifics|"
    r"background|input|title|subject|theme|genre|audience|word count|source|question|link|images?|data|notes)"
)
_ASKS = tuple(map(re.compile, (
    r"^(?:could|can|would) you (?:please )?(?:give me|tell me|send|share|paste|let me know)\b[^.!?]{0,60}\b(?:more|again|details?|about|what|who|text|file|first)\b|^(?:sure|happy|great|certainly|of course|to get started|before i|first)\b.*\b(?:tell me|i(?:'ll| will)? need|could you|can you|what is|what's|who)\b|^(?:what|which) (?:is|kind|sort|topic)\b.*\b(?:your|you)\b",
    r"\byou (?:forgot|have sent only|only sent|sent only)\b|\byour (?:message|request|file|prompt) (?:is|was|seems|appears) (?:to be )?(?:empty|blank|cut)|\bi (?:don't|do not|cannot|can't) (?:see|have|find|open) (?:an?|the|any|your) (?:attachment|previous|earlier|file|chapter|link|text)",
    r"\byou(?:'ve| have| did| seem to have)?(?:n't| not| never| forgotten| forgot| neglected)(?: to| have)?(?: yet| actually| really)? ?(?:provid|includ|attach|specif|shar|giv|mention|past|tell|told|upload|stat|said|say|suppl|indicat)\w*",
    rf"\b(?:no|any|missing|without|not enough|isn't enough|insufficient|too little|more|further|additional|some|few|lacks?)\b[^.!?]{{0,25}}\b{_INPUT}\b[^.!?]{{0,40}}\b(?:provided|given|attached|included|here|for me|to (?:write|start|begin|work)|from you|before i|missing|in your|to go on|shared|specified|about)\b",
    rf"\bi(?:'ll|'d)?(?: would| will| don't| do not| can't| cannot| just| first| still| only)* (?:see|find|have|need|require|want)(?: to (?:know|see|have))?\b[^.!?]{{0,40}}\b(?:any|the|more|further|additional|some|an?|few|your)\b[^.!?]{{0,25}}\b{_INPUT}\b(?=.{{0,80}}(?:\byou|\bwrit|\bhere\b|\bbefore\b|\bto\b|$))",
    rf"\b(?:please|could you|can you|would you|will you|kindly|you (?:could|can|will need)|let me know|tell me)\b[^.!?]{{0,30}}\b(?:provid|shar|past|send|upload|tell|specif|clarif|give|attach|describ|elaborat|know|resend|suppl|rephras|explain|expand|confirm)\w*\b[^.!?]{{0,60}}\b(?:{_INPUT}|mean|want|would like|have in mind|looking for|what|which|who)\b",
    r"\b(?:what|which|who|how long|how many|whose|where)\b[^.!?]{0,60}\b(?:should i|would you like|do you want|you'd like|you want|are you looking|you have in mind|you need|can i help|may i|is the (?:topic|theme|subject|audience|purpose)|should it be|be about)\b",
    r"\b(?:message|request|prompt|question|instructions?|input)\b[^.!?]{0,20}\b(?:cut off|incomplete|empty|unclear|vague|too (?:broad|short|general)|ambiguous|missing|blank)\b",
    r"\bi(?:'m| am)? (?:not (?:quite )?sure|don't (?:quite )?understand|unsure|unclear)\b[^.!?]{0,30}\b(?:what|which|mean|request|question)\b",
)))  # fmt: skip

_HAN_NO = (
    r"(?:无法|不能|不可以|不会|没办法|没有办法|没法|(?<!来)不便|不(?:太|大)?方便|不(?:太|大)?适合|拒绝|不予|帮不(?:了|上)|写不(?:了|出)|"
    r"做不到|不具备|不支持|不提供|难以|选择不|不被允许|不宜|婉拒|谢绝|不愿|不想|不擅长|恕不|恕难|不打算|不该|不应该?|给不了|完成不了|暂不|爱莫能助)"
)
_HAN_ACT = (
    r"(?:写|撰|创作|编写|编造|生成|提供|协助|帮助?|满足|完成|回[答复应]|继续|续|翻译|总结|处理|讨论|给[您你出]|执行|响应|参与|配合|"
    r"代劳|输出|改|作文|起草|拟|模仿|引用|复述|逐字|支持|进行)"
)
_HAN_OBJECT = (
    r"(?:请求|要求|需求|内容|文[章案字稿本]|作文|话题|题材|主题|问题|故事|段落|剧本|教程|报告|[这此该]|[您你]|小说|"
    r"全文|原文|诗|歌词|演讲|信|任务|指令|论文|一篇|回忆录|评论|传记|创作|长篇)"
)
_HAN_DECLINES = tuple(map(re.compile, (
    r"(?:没法|无法|没办法|不能)(?:接着|继续)?(?:写|生成|答应|描写|代笔|引用)(?:$|[。！，])|(?:违规|敏感)[^。]{0,6}(?:拦截|屏蔽)|被系统拦截|暂不支持|我不(?:参与|代笔|做$|做。|写这)|(?:不在|超出)[^。]{0,8}(?:范围|能力)(?!的)|(?:还是|应该)(?:应该)?由?[您你]自己(?:来)?写|我只(?:会|能)(?:写|说个?大概|提供|概括|(?:协助|帮助|回答)[^。]{0,12}问题)|不了解[^。]{0,8}写不了|长度有限[^。]{0,4}不能",
    r"(?:能力|限制|政治观点)[^。]{0,6}(?:无法|不能|没法)|(?:无法|不能)发表[^。]{0,8}观点",
    rf"{_HAN_NO}[^，。！？\n]{{0,14}}?{_HAN_ACT}[^。！？\n]{{0,30}}?{_HAN_OBJECT}",
    rf"{_HAN_NO}[^，。！？\n]{{0,3}}(?:给|为|替|帮|向)[您你][^，。！？\n]{{0,10}}",
    r"我(?:是)?(?:不会?|不能|不想|拒绝|不可能)(?:再)?(?:去)?(?:写|编|帮|这样做|这么做|做这|参与|生成|提供|碰)(?:的|这|那|任何|此|$|[，。])|(?:文章|内容|东西|题材|这种|这类|广告|文案|稿子)[^。！？\n]{0,8}我不(?:会)?写|恕(?:我)?(?:不能|难|无法)?从命|恕难从命",
    r"(?:不允许|不许|不让|禁止|不支持)我?[^。！？\n]{0,4}(?:写|生成|创作|提供|撰|做这|回答)|必须拒绝|(?:我)?(?:明确|只能|选择|坚决)(?:拒绝|不写)|无可奉告",
    r"(?:换[一]?个|聊聊|聊点|谈谈|换)[^。！？\n]{0,3}(?:别的|话题|题目|聊聊|主题|方向|其他)",
    rf"{_HAN_OBJECT}[^。！？\n]{{0,24}}{_HAN_NO}[^。！？\n]{{0,10}}(?:{_HAN_ACT}|$|[，。！])",
    rf"(?:写不了|帮不了|拒绝|婉拒|不予|谢绝)[^。！？\n]{{0,6}}{_HAN_OBJECT}",
    r"(?:抱歉|对不起|不好意思|遗憾)[^。！？\n]{0,24}(?:做不到|帮不[了上]|写不了|无能为力|爱莫能助|无法(?:完成|满足|提供|回答|协助|帮)|不能(?:帮|写|提供|完成|协助|回答))",
    r"(?:违反|不符合|触发|违背)[^。！？\n]{0,14}(?:政策|规定|准则|规范|限制|规则|原则|法律)",
    r"超出[^。！？\n]{0,8}(?:能力|范围|权限|限制)(?!的)",
)))  # fmt: skip
_HAN_ASKS = tuple(map(re.compile, (
    r"请问(?:[您你]的?)?[^。！？]{0,8}(?:文章|主题|题目|内容|字|给谁|要求)|(?:得|要|需要)先知道|(?:写给|给)谁(?:看|的)|[您你](?:发|上传)的[^。]{0,6}是空的|请重新(?:发送|上传)",
    r"(?:不太|没有?|不|没太|未能)(?:明白|理解|听懂|看懂|懂|清楚|确定)[^。！？\n]{0,6}[您你]|[您你][^。！？\n]{0,8}(?:能|可以)[^。！？\n]{0,6}(?:具体|详细|清楚|明确|再说)|(?:您|你)(?:要|想)?(?:写|需要)(?:的)?(?:是)?(?:什么|哪)|(?:没有|未)(?:收到|看到|附|上传)",
    r"(?:请|麻烦|能否|可以|可否|烦请)[^。！？\n]{0,10}(?:提供|告诉|告知|补充|说明|发给|发送|上传|贴|描述|明确|给出|说一下|具体)[^。！？\n]{0,24}(?:听众|读者|谁|多长|多少|哪[些个种]|动笔|具体|一下|材料|信息|内容|细节|主题|题目|原文|文章|要求|材料|背景|需求|想|字数|段落|文本|资料|什么|写)",
    r"(?:没有|未|没|缺少|看不到|没看到|未能?看到)[^。！？\n]{0,10}(?:提供|给出|附上|上传|说明|收到|看到|附件|告诉|理解|明白)[^。！？\n]{0,20}",
    r"(?:需要|要)(?:先)?(?:知道|了解|确认)?[^。！？\n]{0,6}(?:更多|具体|详细|进一步)[^。！？\n]{0,8}(?:信息|细节|内容|资料|要求|说明)",
    r"[您你](?:想|希望|要|需要)(?:让)?我?[^。！？\n]{0,6}(?:写|创作)[^。！？\n]{0,6}(?:什么|哪)",
)))  # fmt: skip

_DECLINING = (_SAYS_NO, *_DECLINES, *_HAN_DECLINES)
_DECLINING_SET = PatternSet(_DECLINING)
_ASKING_SET = PatternSet((*_ASKS, *_HAN_ASKS))

_SPEAKERS = re.compile(r"\b(?:i|me|you|your)\b|我|[您你]|请")
_WRITING = re.compile(
    rf"{TEXT}|\b(?:write|writing|written|begin|start|topic|prompt|rephrase|request|summari[sz]e|continue|paste|word count|attach\w*|provide\w*)\b|[写续]|文章|主题|题目|内容|材料|信息|动笔|具体|附件|字数|多少字|上传"
)
_CANNOT_GO_ON = re.compile(
    r"(?:(?:i'm |i am )?(?:so |very )?sorry|unfortunately),? (?:but )?i (?:can't|cannot|can not|won't|am unable to)"
    r"(?: (?:go on|continue|proceed|help|write))?[.!]?"
)
_TERSE = re.compile(
    r"im sorry|抱歉无法|"
    r"(?:i'm|i am) (?:so |very )?sorry(?:,? but)?(?: to say so)?(?:,? it's no use)?,?\.?|(?:i apologi[sz]e|对不起，我不能|抱歉，我不能)[.。]?|not something i can \w+(?:, sorry)?\.?|"
    r"(?:(?:i'm |i am )?(?:so |very )?sorry|no|nope|unfortunately|apologies|i apologi[sz]e)?[,.:;!—– -]*(?:but )?(?:"
    r"no|not possible|(?:request|prompt) (?:was |is )?(?:declined|denied|refused|rejected|blocked)|declined|i (?:must |have to )?"
    r"(?:decline|refuse|pass)|i(?:'d| would) rather not|i (?:can't|cannot|won't|will not)(?: do (?:that|this|it))?|"
    r"(?:i'm |i am )?(?:unable|not able)(?: to(?: \w+){0,2})?|it's no use)?[.!… ]*"
    r"|(?:很?抱歉|对不起|不好意思|很遗憾)?[，,。！ ]*(?:这个)?(?:我)?(?:做不到|不能写|写不了|帮不了(?:你|您)?|拒绝回答|不行|不可以|无能为力|"
    r"无法(?:回答|完成|提供|满足|写|协助))?[。！. ]*"
)
_WITHOUT = re.compile(
    r"\bwithout \w+ing (?!more|further|the topic|its)|\b(?:any ?more|any longer|enough)\b(?! (?:information|about|context|detail|to write))"
    r"|\bhelp (?:but|\w+ing\b(?<!writing)(?<!creating)(?<!drafting)|myself|feeling)"
)
_DELIVERS = re.compile(
    r"\bhere(?:'s| is| goes)|\bbelow\b|\bwhat follows\b|\bthe following\b|\bi(?:'ve| have) (?:written|imagined|invented|tried|"
    r"made|based|kept|drafted)|\bi(?:'ll| will) (?:do my best|try|imagine|give it|write|invent)|\battempt\b|"
    r"[下以]面|以下|下文|这[篇份段]|如下|本文|试着|尽力|尽量|虚构|供您参考"
)
_TIPS = re.compile(
    r"\b(?:tips?|ideas|suggest\w*|resources|outline|advice|alternatives?|pointers|general|steps|questions)\b|概括|建议|大纲|思路"
)
_LETTER = re.compile(
    r"\W*(?:(?:my )?dear|to whom|(?:hi|hello|hey) (?!there\b|i\b)\w+|good (?:morning|evening|afternoon))\b"
    r"|\W*(?:尊敬|敬爱|亲爱)的|\W*(?:各位|[\u4e00-\u9fff]{0,3}(?:老师|领导|同学|妈|爸|先生|女士|经理|主任|医生|教授|哥|姐))[，,：:]"
    r"|(?![^:：]{0,20}(?:请求|我|error|request))[\w ]{2,20}(?: ?[(（][^)）]{1,30}[)）])?[:：](?<!error:)|\W*(?:int|ext)\. "
)
_VOICE = re.compile(
    words(
        r"letter",
        r"e-?mail",
        r"message",
        r"note",
        r"apolog\w+",
        r"speech",
        r"sms",
        r"reply",
        r"notice",
        r"announcement",
        r"statement",
        r"monologue",
        r"dialogue",
        r"scene",
        r"script",
        r"toast",
        r"resignation",
        r"rejection",
        r"refus\w+",
        r"declin\w+",
        r"voice",
        r"diary",
        r"memo",
        r"saying no",
    )
    + "|信|邮件|微信|短信|消息|道歉|致歉|检讨|拒|回绝|谢绝|演讲|致辞|发言|公告|通知|独白|对话|剧本|留言|请假|声明|回复|须知|启事|告示"
)
_SAYS_NO_LETTER = re.compile(r"\b(?:rejection|refus\w+|declin\w+|turning down|saying no)\b|退稿|拒绝信|回绝|谢绝|婉拒|辞职|请假")  # fmt: skip
_TAG = re.compile(r"</?[a-z][a-z0-9]{0,15}(?:\s[^<>]{0,100})?/?>", re.IGNORECASE)
_OTHERS = re.compile(
    SPEECH_VERBS + r"|"
    r"\b(?:we|our|us)\b|我们|本[店馆公校院人]|我司|我校|[他她它]|(?:昨|今|明)[天晚早]|周[一二三四五六日末]|那[年天时]|父亲|母亲|爷爷|奶奶|妈妈|爸爸"
    r"|\b(?:yesterday|tonight|tomorrow|(?:mon|tues|wednes|thurs|fri|satur|sun)day|my (?:mother|father|wife|husband|son|daughter|boss|friend|brother|sister|grand\w+))\b"
)


@lru_cache(maxsize=4096)
def is_refusal(text: str, instruction: str = "") -> bool:
    """Tell whether an answer refuses, or asks for more information instead of writing.

    Args:
        text: The answer, in English or Chinese; a refusal may also be in one of five other languages (`other_languages`).
        instruction: The instruction, or empty if it is not known: in a letter of apology, "I" is its writer.
    """
    text = text.strip()
    if refuses_in_another_language(text):
        return True
    by_rules = refused_by_rules(text, instruction)
    if by_rules:
        return len(text) <= BARE or _is_plain(text) or refusal_score(text, instruction) >= VETO
    return len(text) <= LONGEST_READ and refused_by_models(text, instruction)


def refused_by_models(text: str, instruction: str = "") -> bool:
    """Tell whether the models find a refusal in a text that no rule refuses.

    They do not read tags of HTML, which are rare in what they were trained on.
    """
    text = _TAG.sub("", text).strip()
    threshold = THRESHOLD_OF_LETTERS if _SAYS_NO_LETTER.search(instruction.lower()) else THRESHOLD
    told = NARRATED.match(text) or SPEECHLESS.match(text.lower().replace("’", "'")) or TRAIT.fullmatch(text)
    return not told and is_slow(text) and refusal_score(text, instruction) >= threshold


def is_slow(text: str) -> bool:
    """Tell whether `is_refusal` asks the network about a text, which takes 4 to 50 ms.

    This does not count the few texts that only the rules take for a refusal; some of them are slow too.
    """
    text = text.strip()
    return len(text) <= LONGEST_READ and may_refuse(text)


def _is_plain(text: str) -> bool:
    """Tell whether a text that the rules take for a refusal is one, whatever follows its first sentence.

    It is a refusal if it is quoted, if it says that it cannot go on, or if its first sentence is clearly a refusal.
    """
    first = sentences(text[:_WINDOW])[0]
    if text.startswith(_QUOTES) or _CANNOT_GO_ON.fullmatch(first):
        return True
    return refused_by_rules(first) and refusal_score(first, "") >= FIRST_SENTENCE


def refused_by_rules(text: str, instruction: str = "") -> bool:
    """Tell whether the rules alone take a text for a refusal: for plans, which the models were not trained on.

    Quoted text is dialogue and does not count, unless the whole text is quoted.
    """
    return refuses_in_another_language(text.strip()) or _points(text.strip(), instruction) >= _POINTS


def _points(text: str, instruction: str) -> int:
    """Return the points for a refusal; `_POINTS` or more make a text one."""
    parts = sentences(text[:_WINDOW])[:_SENTENCES]
    if not parts or NARRATED.match(text) or SPEECHLESS.match(parts[0]):
        return 0
    if all(_TERSE.fullmatch(part) and re.search(r"\w", part) for part in parts):
        return _POINTS
    core = max(map(_declines, parts))
    if _CANNOT_GO_ON.fullmatch(parts[0]):
        core = 2
    opening = " ".join(parts)
    if not core and any(map(_asks, parts)) and _WRITING.search(opening):
        core = 2
    is_model = _SELF_SET.matches(opening)
    if not core and not is_model:
        return 0
    delivers = bool(_DELIVERS.search(opening) and not _TIPS.search(opening))
    if is_model and len(text) <= _SHORT // 2 and not delivers:
        return _POINTS
    if is_model and not core and _MODEL_NO.search(opening):
        core = 2
    if not core:
        return 0
    points = core + sum(bool(sign.search(opening)) for sign in (_SORRY, _YOU, _RULES, _ELSE))
    points += 2 * is_model + 2 * bool(_ASKED.search(opening)) + (len(text) <= _SHORT)
    points -= 2 * bool(_LETTER.match(parts[0])) + 2 * bool(instruction and _VOICE.search(instruction.lower()))
    points -= 2 * bool(_OTHERS.search(opening)) + (len(text) > _LONG)
    points -= 4 * delivers
    return points


def _declines(sentence: str) -> int:
    """Return how plainly a sentence declines or asks for more: 0 to 3."""
    candidates = [_DECLINING[position] for position in _DECLINING_SET.candidates(sentence)]
    if not candidates or _WITHOUT.search(sentence) or TRAIT.fullmatch(sentence):
        return 0
    if no := _SAYS_NO.search(sentence):
        rest = re.split(r"[,;:](?!\d)", sentence[no.end() :].lstrip(" ,"), maxsplit=1)[0]
        if _PLAIN_ACT.match(rest):
            return 2
        act = _ACT.search(rest[:60])
        if act and (
            _OBJECT.search(rest[act.end() : act.end() + 70])
            or _ASKED.search(sentence)
            or _RULES.search(sentence)
        ):
            return 2
    if any(pattern.search(sentence) for pattern in candidates if pattern is not _SAYS_NO):
        return 3 if re.search(r"\bi\b|\bme\b|\bmy\b|我|\byour? |request|本次|[您你]", sentence) else 2
    return 0


def _asks(sentence: str) -> bool:
    """Tell whether a sentence asks for what the text needs."""
    return _ASKING_SET.matches(sentence) and _SPEAKERS.search(sentence) is not None
