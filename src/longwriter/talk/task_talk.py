"""Finds talk about the task in a text: announcements, notes of a rewriter, offers, echoes of the plan.

A text's first and last sentences are read one by one. A sentence talks about the task if it names two
things that prose does not name together. One is who writes or asks (the assistant, "you asked"), or the act of
writing. The other is a part of the text itself (this paragraph, the draft, 300 words). Sections and articles may
announce themselves, paragraphs and drafts do not. The models of `talk_model` know more kinds. Measured on
`tests/golden/refusal_meta_*.jsonl` by `infra/bench/refusal_rules.py`.

Pure.
"""

from __future__ import annotations

import re

from longwriter.talk.pattern_set import PatternSet
from longwriter.talk.sentences import CREDIT, HAN_MODEL, MODEL, NARRATED, TEXT, sentences, words

_WINDOW = 600  # characters in which a text opens or closes
_SENTENCES = 3  # at each end

_G = r"[^.!?]{0,60}?"  # a gap inside a clause
_PART = words(r"(?:paragraph|passage|draft|rewrite|revision|continuation|excerpt|snippet|sentence)s?")
_VERSION = (
    r"\b(?:re-?written|revised|edited|copy[ -]?edited|re-?worded|polished|improved|corrected|updated|shortened|expanded|"
    r"shorter|longer|condensed|simplified|final|rephrased|refined|proofread|extended|enhanced|alternative|cleaned-up|modified|possible|sample)"
    r" (?:and \w+ )?(?:version|paragraph|draft|text|section|passage|sentence|essay|story|introduction|conclusion|ending|opening|response|answer|letter|article|outline|example)\b"
)
_NTH = r"(?:next|following|previous|preceding|first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|last|final|above|current|opening|closing|remaining|middle|other|earlier|\d+(?:st|nd|rd|th))"
_WRITES = (
    r"(?:writ\w+|rewrit\w+|draft\w*|continu\w+|expand\w*|revis\w+|shorten\w*|lengthen\w*|rephras\w+|adjust\w*|edit\w*|"
    r"proceed|go on|add|make|turn|chang\w+|modif\w+|tweak\w*|creat\w+|generat\w+|provid\w+|adapt\w*|includ\w+|describ\w+|cover|"
    r"begin|start|compos\w+|summari[sz]\w*|elaborat\w+|develop|trim|polish|refin\w+|convert|translat\w+|finish|produc\w+|extend|craft|keep|focus|move on|tackle|deal|"
    r"split|reformat|suggest|offer|give|help|prepare|swap|soften|try|do|send|format|rework|customi[sz]e|personali[sz]e|tailor)"
)
_TALK_OF_TEXT = rf"(?:{TEXT}|\b(?:tone|style|wording|length|bullet points?|examples?|changes|revisions?|adjustments?|edits?|modifications?|tweaks?|further detail|more details?|longer|shorter|narrator|point of view|ending|opening|headings?|rest|format)\b)"
_HERE = r"(?:here(?:'?s| is| are|,? again)|below(?: is| are|,? you(?:'ll| will| can)? (?:find|see))|the following is|you(?:'ll| will)? find below|please find|attached is|find below|presenting|see below|what follows is)"
_YOU_ASKED = r"\b(?:(?:as |that |which )?you(?:'ve| have|'d| had)? (?:\w+ )?(?:ask|request|want|provid|gave|given|mention|specif|suppl|instruct|shar|outlin|describ|need|sent)\w*|(?:your|the user's) (?:\w+ )?(?:request|instructions?|prompt|guidelines|requirements?|specifications?|word (?:count|limit)|outline|notes|brief|input|feedback|criteria|needs|text|draft|preferences)|as (?:requested|instructed|asked|specified|per)|the user|requested)\b"
_ACCEPT = r"(?:sure|certainly|of course|okay|ok|absolutely|alright|all right|great|got it|understood|no problem|awesome|definitely|gladly|happy to help|my pleasure|with pleasure|right|very well|noted|perfect|thanks?(?: you)?|good|fine|will do|yes)"
_CHANGED = r"(?:rephras|reword|rewrote|rewritten|revised|shortened|edited|polished|rework|restructur|condensed|trimmed|paraphras|tightened|simplified|proofread|expanded|corrected|adjusted|improved|streamlin|fixed|moved|cut|merged|split|reorgani[sz]|fleshed|refined|broke|toned|replaced|softened)\w*"
_WROTE = r"(?:changed|kept|added|removed|replaced|used|tried|aimed|wrote|written|drafted|included|left|made|avoided|followed|continued|focused|structured|limited|crafted|incorporated|prepared|created|assumed|chose|stayed|ended|started|did)"
_ON_WRITING = re.compile(
    words(
        r"of (?:the|a|an|your|any|every|each) (?:\w+ )?(?:letter|contract|law|act|article|treaty|report|will|speech|book|agreement|constitution|"
        r"declaration|novel|essay|cover letter|bill|charter|lease|statute|review)", r"cover letters?", r"students?", r"pupils?", r"readers?", r"writers",
        r"novels?", r"editors?", r"hook", r"thesis statement", r"an? paragraph is",
    )
)  # fmt: skip

_LENGTH = r"(?:[\d,]*\d|(?:one|two|three|four|five|six|seven|eight|nine|ten|twelve|fifteen) (?:hundred|thousand)(?: (?:and )?fifty)?|a (?:hundred|thousand))[ -]words?"

_THIRD = re.compile(  # prose about a third person
    words(
        r"he", r"she", r"his", r"her", r"hers", r"him", r"they", r"their", r"was", r"were", r"had", r"editor",
        r"teacher", r"professor", r"cut", r"read",
    )
)  # fmt: skip

# English: (name, pattern). Each is looked for in one sentence, in lower case.
_RULES = (
    ("feedback", rf"\b(?:your (?:feedback|thoughts|comments)|review)\b{_G}\b(?:draft|text|piece|version|essay|story|paragraph)\b|\b(?:above|given|corrected|requested|provided) (?:text|essay|story|draft|version)\b(?! (?:message|editor))|\bcopy and paste\b|\byour (?:text|essay|story|draft|article|paragraph) is ready\b|\b(?:starting point|modified as you|see fit)\b{_G}\b(?:text|draft|modif)|\bwrit(?:e|ing) this (?:piece|section|text|essay|story|article|letter|speech) for you\b|\bgood luck with (?:the|your) (?:assignment|essay|paper)"),
    ("feedback", r"^(?:is there )?anything else you(?:'d| would)? like me to|\bready for the next (?:part|section|paragraph|chapter)|\bif this isn't (?:quite )?what you|\bdo tell me if anything|\bjust ask\b.*\?*$|\bwant me to punch|\bsuit you better\?"),
    ("in brackets", r"^[\[(<{]+[^\])>}]{0,120}\b(?:paragraphs?|section \d|part \d|words|continue\w*|remaining|insert|goes here|text here|omitted|same pattern|example here|placeholder)\b[^\])>}]{0,60}[\])>}.]*$|^(?:to be added|todo): |\bword count is reached|\b(?:have to|must|to) be filled in by you"),
    ("closes", r"\byou(?:'re| are) (?:absolutely|completely|totally) right\b|^i(?:'m| am) (?:still |a (?:bit|little) )?(?:stuck|confused)[,.;!]* (?:and |so )?i need (?:your |some |more )?(?:help|information|context)"),
    ("later", r"\b(?:next|another|my next|further|separate|later) (?:message|answer|response|reply)\b|\b(?:answer|response) is getting (?:too )?long|\bin a further answer"),
    ("plan", rf"\b(?:purpose|goal|aim|focus|point|topic) of (?:the|this) (?:section|paragraph|part|passage)\b|^(?:goal|length|key points(?: to include)?|focus|tone|style)\b.*\b(?:\d+ words|introduce the|of the (?:essay|section|story))|\bpoint \d+ of the outline|\b(?:writing|the) plan\b{_G}\b(?:the story|section|demands|turn to|essay|paragraph)|\bthis part of the (?:essay|story|article|text)\b|\bnext step is to write|^the (?:introduction|conclusion) (?:should|restates|must|needs|will)|^focus on the\b.*\b(?:do not|don't|yet)\b|\bpart of your (?:essay|article|story|text)\b|\bpoints? of your\b.*\btext\b|\bof the outline\b|\bthe outline (?:wants|asks|says|calls)|\bthe outline\b.*\bscene"),
    ("label", rf"^(?:here you go|here it is|here we go|there you go)[:.!]?$|^(?:your |the |a )?(?:\w+ )?(?:paragraph|continuation|essay|draft|version|rewrite|text|introduction|conclusion):$|^title suggestion:|^text:|\bthe story goes on below|\bbelow[,.]? (?:is|find|you)\b{_G}{TEXT}|\bi(?:'ve| have) (?:put together|turned|prepared)\b{_G}(?:{TEXT}){_G}(?:for you|below|:$)|\bwhat follows is my\b|\bthis is a sample\b"),
    ("rewrote", rf"\b(?:sentences?|phrases?|tone|text|paragraphs?|changes|wording|structure|words) (?:\w+ )?(?:was|were|has been|have been) (?:made|rewritten|replaced|changed|shortened|revised|simplified|edited|adjusted|corrected)|\b(?:this|the) (?:\w+ )?(?:version|draft|text) (?:is|has|reads|sounds) (?:\w+ )?(?:shorter|clearer|more|better|simpler|as follows|longer)|\bcompared (?:with|to) the (?:first|original|previous|earlier) (?:draft|version|text)|\bthan the original\b|\b(?:i|we)(?:'ve| have)? (?:made|fixed|combined|left out|used|removed|merged|split)\b{_G}\b(?:sentences?|paragraphs?|grammar|adverbs?|spelling throughout|part about|mistakes in)|\b(?:same|following) (?:paragraph|sentence|text) in\b|\b(?:way to say this|way to put this) would\b"),
    ("critique", rf"\bthe (?:text|story|passage|paragraph) tells us\b|\bthe message is that\b|^(?:in conclusion|overall),? (?:this paragraph|your|the (?:essay|text|paragraph))\b|\bso that the essay\b|\byou can (?:start|begin|end) (?:the|your) (?:essay|story|text|paragraph)|\bway to (?:begin|start|end|write) (?:this|the|your) (?:paragraph|essay|story|section)|\b(?:ideas|tips) for (?:your|writing your) {TEXT}|\busing all five senses|\bmain idea of the (?:passage|text|paragraph)|\bwhat do you think (?:about|of) this (?:story|text|essay)|\bsentence you (?:provided|wrote)|\byou are an? (?:\w+ )?(?:writer|copywriter|editor|assistant)(?: who|,)"),
    ("word count", rf"\b(?:this is|that's|here are|i've kept|kept this|i have|we have|runs to|total is|which leaves|length:?)\b{_G}\b[\d,]+ (?:more )?words\b(?! (?:a|per|of)\b)|\b(?:keep to|within|stay under) the word limit"),
    ("self", r"\b(?:as an? artificial intelligence|being an? (?:ai|language model)),? |\bi(?:'m| am)(?: only| just)? (?:an? (?:ai |language )?model|your ai)\b(?=[ ,.](?:co|but|and|,)|,|\.)|\bmy role here is to\b|\bas the assistant, i\b|^(?:human|ai): .*\b(?:story|write|continue)|\bmy (?:answer|response) (?:continues|is|follows|covers)"),
    ("self", r"\bmy (?:knowledge|training(?: data)?)(?: base| only)? (?:ends?|stops?|cuts? off|cut-?off|reaches|goes (?:only )?(?:up )?to|was last|is (?:limited|from)|does(?: not|n't) (?:include|cover|contain|reach))\b"),
    ("placeholder", r"^[^\w]*and so on for (?:the )?(?:other|remaining|rest)\b|\bfollow(?:ing|s)? the same (?:pattern|format|structure) as (?:the|those|in) (?:\w+ )?(?:examples?|ones?|letters?|entries|paragraphs?|sections?)(?: above)?\b"),
    ("plans", r"\bit(?:'s| is) (?:now )?time for the (?:\w+ )?(?:section|paragraph|chapter)$|^(?:here )?we (?:start|begin) with the (?:introduction|first section)|\bwe should not repeat the (?:introduction|previous section)|\blet(?:'s| us) (?:go on|continue|finish|dive) (?:with|into|the)\b.*\b(?:story|part of|scene|section)\b|\bi have to decide whose point of view|\bthe previous section (?:ended|covered|described)|\bthe question asks for\b|\bour outline\b|\bsee your outline|\bthe user wants\b"),
    ("accepts", rf"^(?:sure|certainly|of course|absolutely|okay|ok|got it|understood|no problem|happy to help|will do)(?: thing)?!|^{_ACCEPT}(?: thing)?[,.:;–— -]+(?:{_G})(?:{_HERE}|\bi(?:'ll| will| can|'d| would| have|'ve| am|'m)\b|\blet(?:'s| me)\b|\bthis is\b|\bhere goes\b){_G}(?:\b(?:writ\w+|rewrit\w+|draft\w*|continu\w+|describe|expand|provide|create|compose|help|revise)\b|{_TALK_OF_TEXT})"),
    ("accepts", rf"^{_ACCEPT}(?: thing)?[,.:;–— -]+(?:{_HERE}|let(?:'s| me) (?:begin|start|continue|write|draft))"),
    ("presents", rf"^(?:(?:so|now|and|then|okay|ok|well|in that case|{_ACCEPT})[,.:]? )?{_HERE} [^.!?]{{0,80}}{_PART}(?! (?:that|from|in) )"),
    ("presents", rf"^(?:[\w' ]{{0,30}}[,.:] )?{_HERE} [^.!?:]{{0,80}}{TEXT}[^.!?]{{0,120}}:[ *_]*$"),
    ("presents", rf"{_HERE}{_G}(?:{_VERSION}|{TEXT}{_G}{_YOU_ASKED}|\byour (?:\w+ ){{0,4}}{TEXT}|\bhow (?:you|i|we|one) (?:could|can|might|would) (?:\w+ )?(?:write|start|begin|continue|phrase|open)|{TEXT} (?:based on|that follows (?:the|your)|following your|for you\b))"),
    ("presents", rf"\bthis is (?:a|an|the|your|my) {_G}(?:{_VERSION}|{TEXT}(?: \w+)? {_YOU_ASKED})|^this is (?:paragraph|section|part) \d"),
    ("presents", rf"^(?:[\w ]{{0,20}}[,:] ?)?(?:paragraph|section|chapter) (?:\d+|one|two|three|four|five|six)\b{_G}(?:\bcontinu\w+|\bcovers?\b|\bwhere we left off|\bnow\b|\bcoming (?:right )?up|\bof \d|\bas (?:planned|requested))"),
    ("of a paragraph", r"\bparagraphs?\b.*\b(?:i|i'll|we|you|your|let's|should|will|must|now|next|above|below|in which|about)\b|\b(?:i|i'll|we|you|your|let's|should|will|must|now|next|above|below|on to)\b.*\bparagraphs?\b"),
    ("asks for text", rf"^(?:please |now |then |can you |could you |you should |your task is to |try to |remember to |make sure (?:to|you|that) |be sure to )*(?:write|describe|discuss|include|continue|explain|use|keep|add|avoid|ensure|aim for|begin|start|end|focus|develop|introduce|make)\b[^.!?]{{0,80}}(?:{_PART}|\b[\d,]+ words\b|\bconcluding sentence|\btopic sentence|\b(?:this|the|your|an?) (?:\w+ )?(?:essay|story|section|introduction|conclusion|chapter)\b)"),
    ("aims", r"^aim for (?:about |around )?[\d,]+ words|\b(?:previous|earlier|preceding|other) (?:sections|parts|paragraphs|chapters)\b.*\b(?:i|i've|i'll|consistent)\b|\b(?:i|i've|i'll)\b.*\b(?:previous|earlier|preceding) (?:sections?|parts?|paragraphs?)\b|\bwhere the (?:previous|last) (?:part|section|paragraph)\b|^thanks for the (?:outline|brief|details|prompt|draft)|^below i (?:continue|write|have|present)|^(?:re-?written|edited|revised|shortened|rephrased|adapted) for (?:clarity|brevity|flow|length|style|readability)|\bthe instructions? (?:say|ask|mention|require|specif)\w*\b.*\b(?:i|i'll|i'm)\b"),
    ("let me know", rf"\blet me know (?:if|whether|what|which|how)\b{_G}\byou(?:'d| would|'ll)? (?:prefer|like|want|need|think)\b{_G}\b(?:style|tone|formal|version|it|this|longer|shorter|approach|changed?|different)\b|^happy to (?:{_WRITES})\b|\bif not, i can\b"),
    ("presents", rf"^(?:[\w']+[,.:!] )?{_HERE} (?:my|a|an|the|another|one) (?:\w+ )?(?:attempt|take|try|go|stab|suggestion|idea|sample|example|possible)\b{_G}(?:\b(?:part|section|scene|text)\b|{TEXT}|:$)"),
    ("this paragraph", r"\b(?:this|our) (?:\w+ )?paragraph\b|\bin paragraph (?:\d+|one|two|three|four|five)\b|\bparagraph \d+ (?:will|should|now|covers|of \d)"),
    ("section should", rf"\b(?:this|the {_NTH}|our|each) (?:\w+ )?{TEXT} (?:\w+ )?(?:should|needs? to|must|ought|could be|could use|could benefit|would benefit|has to)\b(?! (?:help|give you|be read|enable|not be confused))"),
    ("section should", r"^(?:the|your|our) (?:essay|paragraph) (?:will|would|should|could|can) (?:(?:then|also|next|now|further) |continue to |go on to |proceed to |move on to )+(?:argue|discuss|explore|describe|explain|examine|focus|cover|mention|include|provide|look|turn|highlight|show|consider|address|introduce|analy[sz]e|outline|present)\b"),
    ("section is", r"\bthis (?:\w+ )?(?:response|answer|section|essay|text|story|draft|version|passage|excerpt|piece|output|continuation|article)(?: \w+)? (?:continues|follows (?:the|your|on)|builds on|picks up|was written|is written|meets|has been (?:written|revised|edited|kept)|was (?:revised|edited|kept)|is (?:exactly|about|roughly|approximately|slightly|just|around) [\w ]*?(?:words?|shorter|longer)|adheres|fulfil|aims to (?:meet|follow)|concludes|stays within|captures|does a good|uses simple|keeps|is intended|can be (?:adapted|modified|used|adjusted))"),
    ("nth paragraph", rf"\bthe {_NTH} (?:paragraph|passage|sentence)s?\b (?:\w+ )?(?:should|will|must|would|could|needs?|discuss\w*|describ\w+|cover\w*|introduc\w+|explor\w+|focus\w*|explain\w*|contain\w*|is about|deals?|continu\w+|provid\w+|present\w*|highlight\w*|show\w*|talk\w*|ends?|gives?|outlin\w+|summari[sz]\w+|already|mention\w*)"),
    ("rewrote", rf"\b(?:i|we)(?:'ve| have|'d| had)?(?: (?:also|only|just|slightly|\w+ly|then|not))? {_CHANGED}{_G}(?:{_TALK_OF_TEXT}|\b(?:part|grammar|transitions?|flow)\b){_G}(?:\bto (?:avoid|make|be|improve|match|keep|fit|give|better|remove|reduce|sound|suit|create|enhance|ensure|meet|reflect|stay)\b|\bso (?:that|it|the)\b|\bfor (?:clarity|flow|brevity|concision|readability|you|better)\b|\b(?:more|clearer|smoother)\b|\byour?\b|\boriginal\b|\bas (?:requested|you)|\bparagraph)"),
    ("rewrote", rf"\b(?:i|we)(?:'ve| have)?(?: (?:also|only|just|\w+ly))? (?:{_WROTE}|{_CHANGED}){_G}(?:\bparagraphs?\b|\binstructions?\b|\bprompt\b|\bword (?:count|limit)|\boriginal (?:text|tone|meaning|wording|version|draft|structure|message)|{_YOU_ASKED}|\bwording\b|\bsentence structure|\bthe tone\b|\bthis (?:section|essay|version|part|draft|response|text|story)\b|\b(?:next|second|first|third) (?:section|part)\b|\bin mind\b{_G}\bwords\b)"),
    ("rewrote", r"\b(?:in|for) (?:my|this|the) (?:rewrite|revision|revised version|rewritten version|new version|edit)\b[^.!?]{0,10},? (?:i|we|the)\b"),
    ("label", r"^(?:changes(?: made)?|(?:revised|edited|rewritten|improved|corrected|updated|final|polished|new|alternative|original|suggested)(?: and \w+)? (?:paragraph|version|text|draft|section|passage|sentence|essay|story|answer|response|introduction|ending|opening)|explanation of changes|edits(?: made)?|summary of (?:changes|edits)|notes? on (?:the )?(?:revision|changes|edits)|what (?:i|has) changed|draft(?: \d)?|response|output|continuation|prompt|instructions?|task|main (?:point|idea)|user(?: request| prompt)?)\s*:"),
    ("label", r"^(?:paragraph|section|scene|part|passage|chapter|re-?drafted|drafted)(?: (?:objective|goal|aim|purpose|topic|focus))? ?:"),
    ("the prompt", r"\b(?:in|by|per|from|as|with) (?:the|your|this) prompt(?: (?:asks?|says?|wants?|requires?|demands?|lists?))?(?=$|[.,;:!?])|\byour (?:outline|prompt) (?:lists?|says?|mentions?|has|names?|asks?|wants?|gives?|leaves?)\b|\b(?:consider|with that,?) the (?:brief|word count) (?:is )?met\b|\bas the writer is instructed\b"),
    ("anything else", r"\bis there anything else (?:that )?i can (?:assist|help|do)\b|\bhope (?:that|this|it) hits the mark\b"),
    ("heads", r"^(?:possible|suggested|alternative|sample) (?:continuation|ending|opening|answer|title)\b[^.!?]{0,40}:|^summary of (?:what has been written|the (?:story|text) so far)|^end of (?:the )?document\b"),
    ("this sentence", r"\bthis (?:sentence|phrase) (?:is about|is talking about|describes|talks about|tells (?:us|the reader)|shows (?:us|the reader))\b"),
    ("topic", r"\b(?:topic|subject|prompt|theme) (?:that |which )?i(?:'m| am|'ve been| have been|'ve| have)(?: \w+ly)? (?:working (?:on|with)|writing (?:about|on)|given|asked to|assigned|going to (?:write|discuss|talk))\b"),
    ("rewrote", r"\b(?:could|can|should|might|may) be (?:re-?organi[sz]ed|rewritten|rephrased|reworded|shortened|condensed|simplified|restructured) (?:for|to improve) (?:more |better |greater )?(?:clarity|readability|flow|brevity|concision)\b"),
    ("label", rf"{_VERSION}{_G}(?:\bshould\b|\bmore\b|\bis (?:now|clearer)|\breads\b|\bkeeps\b|\bbelow\b|\babove\b|:$)|^(?:the )?(?:rewritten|revised|edited|reworded|polished|shortened) (?:paragraph|passage|sentence|draft|text|section)"),
    ("roles", r"^(?:### ?)?(?:user|human|instruction|prompt|system)\s*:.*(?:\n|$)|^assistant: "),
    ("word count", rf"\b(?:word count|words so far|total words|words total|word total|words in total|words remaining|words left|total length)\b[^.!?]{{0,20}}\d|\d[\d,]* ?(?:words? )(?:so far|in total|total\b|remaining|left to|required|requested|as (?:requested|asked|required|specified)|limit|long[.)!*]*$|written)|\b(?:word (?:count|limit)|words? (?:required|requested|target))\b{_G}(?:this|met|exceed|reach|stay|within|keep)"),
    ("word count", rf"\b(?:this|the above|above|below|the) (?:\w+ )?(?:section|paragraph|text|essay|story|response|part|chapter|draft|piece|passage|version|article|answer|introduction)\b{_G}\b[\d,]+[ -]words?\b|^[^\w]*(?:approximately |about |approx\.? |around |total:? |length:? |words?:? |count:? |exactly |roughly |~ ?)*[\d,]+ words?\W*$"),
    ("word count", rf"\b(?:around|about|roughly|exactly|another|within|under|over|approximately|to|a)[ -](?:around |about )?[\d,]+[ -]words?\b{_G}(?:\bsection|\bintroduction\b|\bas (?:you|requested)|\bfor your\b|\bremain|\bparagraph)"),
    ("hopes", rf"(?:^|\b(?:i|we) )(?:hope|trust|believe|think) (?:that )?(?:this|the|these|it|my|you)\b{_G}(?:\b(?:paragraph|draft|version|text|essay|story|section|article|piece|response|answer|rewrite|revision|passage|outline|introduction|conclusion|continuation|poem|report|speech|guide|example)\b{_G}(?:help|meet|captur|fit|work|satisf|suit|match|is what|serv|useful|fulfil|align|convey|to your|resonat|reflect|does|give|provid|find|like|enjoy|the spirit)|(?:meets?|matches|satisf\w+|suits|fits|aligns? with|fulfils?) (?:your|the) (?:needs|require\w+|expect\w+|request|instruct\w+|criteria|guidelines|brief)|is what you|to your liking|what you (?:wanted|had in mind|were|are|need))|^hope (?:this|it|that) works for your|(?:^|\bi )hope (?:this|that|it) (?:helps|is helpful|was helpful|is useful|works)(?: you| for you| out)?\W*$"),
    ("let me know", rf"\b(?:let me know|tell me|just (?:say|ask|tell)|inform me|say the word|i can always|i'?m happy to|i'?d be (?:happy|glad) to|i(?:'ll| will) (?:gladly|happily|be happy to|be glad to)|i am (?:happy|glad) to|don't hesitate to (?:ask|let)|feel free to)\b{_G}\b(?:{_WRITES}|ask|use|want|like|need|request|know|modify|any)\b{_G}{_TALK_OF_TEXT}"),
    ("feel free", rf"\bfeel free to (?:modify|adjust|edit|customi[sz]e|adapt|tweak|change|personali[sz]e|revise|expand|use)\b{_G}(?:\b(?:it|this|as (?:needed|you)|to (?:suit|fit|your|match)|the|your)\b)"),
    ("asks", rf"\b(?:would you like|do you want|shall i|should i|want me to|may i|would you prefer|do you need|can i|could i|how about i|like me to|ready for)\b{_G}(?:\b(?:continu\w+|proceed|revis\w+|rewrit\w+|expand|shorten|lengthen|go on with|rephrase|adjust the)\b|\b{_WRITES}\b{_G}{_TALK_OF_TEXT}|\bthe next (?:section|part|paragraph|chapter)).*\?|\bcarry on with the (?:next|rest)"),
    ("if you need", rf"\bif (?:you(?:'d| would| should)?|there(?:'s| is)|anything|it|that|this|something) (?:\w+ ){{0,2}}?(?:need|want|like|wish|prefer|have|require|think|feel|doesn't|isn't|suits?|works?|anything|is|are)\b{_G}(?:\bi (?:can|could|will|'ll|would|am|'m)\b|\bi'(?:ll|m|d)\b|\b(?:just )?(?:tell|let) me|\bjust (?:say|ask)|\bplease (?:let|tell|say|ask)|\bask\b){_G}(?:{_TALK_OF_TEXT}|\b(?:rewrite|revise|continue|rephrase|expand|shorten)\b|$)(?<=\w)"),
    ("if you need", rf"\bif you{_G}(?:\b(?:adjustments?|revisions?|modifications?|changes|edits|tweaks)\b|\bnext (?:section|part|paragraph|chapter)\b|\b(?:longer|shorter|different|another) (?:version|draft|paragraph|ending|tone)\b|\bme to (?:continue|revise|rewrite|expand|shorten|rephrase)\b)"),
    ("offers", rf"\bi(?: can|'ll| will| could|'d be \w+ to| would be \w+ to|'m (?:happy|glad|ready|here) to)(?: also| now| gladly| then| only| next| happily| be happy to)* {_WRITES}\b{_G}{_TALK_OF_TEXT}{_G}(?:\bif\b|\b(?:up)?on request\b|\bfor you\b|\bversion\b|\bnext\b|\byou\b|\bthis (?:section|part|paragraph|essay|story|text)|\b(?:first|second|third|final|last) (?:section|part|paragraph)|\bwords?\b|\bbullet)"),
    ("offers", rf"\b(?:can|could|may|will|here to|happy to|glad to|love to|try to) help (?:you )?(?:with|to|write|draft|continue)\b{_G}(?:\bwrit\w+|{TEXT})"),
    ("concludes", r"\b(?:that|this) (?:concludes|completes|is the end of|ends|wraps up) (?:the|this|our|my|your) (?:\w+ ){0,2}(?:paragraph|section|part|chapter|essay|story|draft|response|article|text|piece|outline)|\bend of (?:the )?(?:paragraph|section|part|response|draft|excerpt|text)\b[ \d)\]]*\W*$"),
    ("plans", rf"\b(?:let me|let's|let us|i(?:'ll| will|'m going to| am going to| need to| should| must| have to|'d like to| want to| shall)|we (?:need|have|should|must|are going|will|can|now|are|are asked|were asked)(?: to)?|now i|time to|i am|i'm)(?: now| then| only| just| first| next| start by| begin by| try to)* {_WRITES}\b{_G}(?:\b(?:paragraphs?|passage|draft)\b|\b(?:this|the {_NTH}|another|only the \w+|a new|next) (?:section|part|essay|story|text|chapter|introduction|conclusion|article|response|piece|step|scene)\b|\bthe (?:introduction|conclusion|essay|article)\b|\bword (?:count|limit)|\b\d+ words)"),
    ("plans", rf"\b(?:let me|i need to|i should|i must|i have to|we need to|we should|let's) (?:think|figure|decide|plan|consider|see|brainstorm|check|recall)\b{_G}(?:\b(?:section|paragraph|essay|instruction|prompt|outline|word count|user|draft)\b|\b(?:text|story|article|part) should\b|\bwhat to write\b|\bhow to (?:write|continue|start|phrase))"),
    ("self", rf"\bi(?:'m| am) an? helpful assistant|\bas (?:an?|your) (?:{MODEL}|(?:\w+ )?(?:writing|ai|virtual|language) (?:assistant|model|tool))(?:,| i\b| my\b)|\bi(?:'m| am)(?: just| only| merely| simply)? (?:an?|your) (?:\w+ ){{0,2}}(?:language model|ai (?:assistant|model|language|chatbot|writer)|chatbot|(?:writing|virtual|digital) assistant)\b|\bi(?:'m| am) an? ai(?: (?:and|so|here)|[,.])"),
    ("placeholder", rf"\bcontinu(?:e|ed|es|ing)\b{_G}\b(?:in|from|on) (?:the |my |our )?(?:next|previous|another|following|earlier|last) (?:response|message|part|reply|paragraph|section|answer|turn|output)|\b(?:length|token|character|space|output|size|word) (?:limits?|limitations?|constraints?|restrictions?)\b|\b(?:story|text|essay|section|chapter|narrative|list|pattern|article) (?:continues|goes on|proceeds) (?:in (?:this|the same)|like this|for another|from here|with)\b|\b(?:truncated|omitted|shortened) (?:here )?(?:for|due to|because)\b|\b(?:next|following|another|separate) (?:response|message|reply)\b|\bwhere (?:we|i|you) left off"),
    ("placeholder", rf"^[\[(]+ ?(?:\w+ )?(?:note\b(?!s? (?:of|that|on))|insert|continue|continuation|rest of|remaining|end of (?:paragraph|section|part)|word count|section|paragraph|omitted|truncated|placeholder|add|your|the (?:story|text|essay|section|paragraph|rest|remaining)|this (?:section|paragraph|part|text)|more|fill|include|here (?:you|goes|comes)|draft|write){_G}(?:\b(?:{_WRITES}|here|words|paragraphs?|sections?|draft|text|own|omitted|follows?|detail\w*)\b)"),
    ("placeholder", r"^(?:please )?note(?: to (?:the )?(?:user|reader|writer|editor|self))?: (?:[^.!?]{0,80})\b(?:this (?:section|paragraph|text|draft|essay|story|response|version|is a (?:draft|sample|template|fictional))|the (?:section|paragraph|text|essay|story) (?:above|below)|words|placeholder|fictional|template|draft|replace|brackets)\b"),
    ("critique", rf"\b(?:this|it|that|your \w+|the \w+) (?:is|was|looks like|seems(?: like)?|makes) (?:already )?(?:an?|off to a) (?:\w+ )?(?:good|great|solid|nice|strong|fine|decent|excellent|promising|wonderful|well-written)(?: \w+)? (?:start|beginning|draft|attempt|paragraph|introduction|essay|story|opening|piece|example|first draft|conclusion|foundation|job|text|point)\b(?!{_G}\bof the (?:novel|film|book|play|season|day|year))|\bwell[- ](?:written|structured|crafted) (?:paragraph|essay|text|story|draft|introduction|piece)"),
    ("critique", rf"\b(?:this|it|your|the) (?:\w+ )?(?:paragraph|essay|text|story|draft|passage|section|introduction|writing|conclusion|piece|sentence|article)\b{_G}(?:\bcould be (?:improved|strengthened|expanded|clearer|more)|\bdoes a (?:good|great|nice)|\bcould (?:use|benefit)|\bwould benefit|\bneeds (?:more|some|a)\b|\bis (?:well[- ]|clear|good|great|a bit|too|engaging))|\bto (?:make|improve|strengthen|enhance|polish) (?:this|the|your) {TEXT}|\bto (?:write|start|begin|continue|complete|expand|improve) this {TEXT}"),
    ("critique", rf"\b(?:i(?:'d| would)? (?:recommend|suggest|advise|propose|encourage)|you (?:could|might|may|can|should)(?: also| want to| consider| have)*|consider|try|it would (?:help|be better))\b{_G}\b(?:add|includ|us|start|open|giv|expand|provid|break|vary|rephras|revis|remov|begin|replac|mak|follow)(?:e|ing|s|ding|d|ed)?\b{_G}\b(?:thesis|more (?:details?|examples?|specific|description)|sentences?|transitions?|paragraphs?|strong (?:image|opening|hook|conclusion)|following structure|tone|concrete (?:examples|details)|this (?:section|text|essay|draft|story|paragraph)|dialogue|topic sentence|structure|your (?:essay|story|text|draft|writing|own (?:guide|essay|text|story)))\b"),
    ("critique", rf"\bthe (?:writer|author|narrator|speaker|text|paragraph|passage) (?:\w+ly )?(?:uses|describes|creates|conveys|explains|mentions|shows|emphasi[sz]es|introduces|discusses|is (?:trying|describing|talking)|provides|gives|wants to say)\b{_G}(?:\b(?:paragraph|passage|text|essay|reader|sentence|story|words|language|imagery|topic)\b)|\bin (?:this|the above|the) (?:paragraph|passage|excerpt), |\b(?:the|this) (?:paragraph|passage|excerpt)(?: above)? (?:is about |describes|introduces|discusses|explains|conveys|explores|highlights|shows)"),
    ("own length", rf"^(?:in|at|with|within|over|using|to stay within)\b[^.!?,]{{0,40}}\b{_LENGTH}\b[^.!?,]{{0,20}}, (?:(?:this|the(?: following)?) {TEXT}|(?:i|we)(?:'ll| will)\b)|\b(?:this|the following) (?:\w+ )?{TEXT},? (?:of|at|with|in|using|spans|covers|runs to|contains|has) (?:a length of |only |just |no more than |less than |fewer than )?(?:about |around |roughly |approximately |exactly |nearly )?{_LENGTH}\b|\b(?:in )?this {_LENGTH} {TEXT}(?:, (?:i|we)\b| (?:has been|was written|is|will|aims|explores|examines|discusses|covers|tells|describes|explains)\b)|\b(?:this|the following) {TEXT}\b[^.!?]{{0,80}}\b(?:using|in) (?:only|just|about|exactly|no more than|less than|fewer than) {_LENGTH}(?: in length| in total)?$"),
    ("note to writers", r"^(?:another|one more|an?|the) (?:\w+ )?(?:note|tip|reminder)\b[^.!?]{0,40}\b(?:writers|authors|storytellers)\b"),
    ("critique", r"\b(?:note|tip|rule|advice|lesson|mistake|trick|reminder)s?\b[^.!?]{0,40}\b(?:many|most|some|all|aspiring|new|beginning|young|other) (?:writers|authors|storytellers)\b"),
    ("own length", r"\bmy (?:story[ -]?(?:writing|telling)|writing|narrative|creative|literary) (?:arsenal|toolbox|toolkit|repertoire)\b"),
    ("critique", rf"\b(?:this|the) (?:\w+ )?(?:anecdote|passage|paragraph|scene|section|excerpt|introduction|opening|prologue) (?:serves|is meant|is intended|is designed|functions|acts) (?:as|to)\b{_G}\b(?:readers?|narrative|plot|themes?|characters?|story|tone|essay|hook|protagonist)\b|\b(?:story|tale|narrative|anecdote|essay|passage) above (?:shows|demonstrates|illustrates|describes|explores|highlights|is)\b|\b(?:next|following|final|last) part of the (?:narrative|story|essay|text)\b{_G}\bthe readers?\b"),
    ("task", rf"\b(?:the|this|my|your) (?:task|assignment|prompt|instructions?|question|request|brief|outline|plan|guidelines?|writing steps?|user)(?: (?:here|now|for this \w+|above|given))? (?:is|are|was|says?|asks?|asked|mentions?|requires?|specif\w+|states?|calls?|wants?|tells?|told|needs?|gives?|gave|provided|includes?|allows?|lists?)\b{_G}(?:\bwrit\w+|\bparagraphs?\b|\bsections?\b|\bwords?\b|\bstory\b|\bessay\b|\bpart\b|\bchapter\b|\btext\b|\bme\b|\btone\b)(?!\b.{{0,20}}\bof the bridge)"),
    ("task", rf"\b(?:according to|based on|following|as per|per|given|in line with|in accordance with|to follow|as (?:planned|outlined|requested|instructed|specified|required|stated|described|you asked|you requested|asked)(?: in| by)?)\b{_G}(?:\b(?:outline|plan|instructions?|prompt|guidelines|requirements|request|brief|writing steps|steps|information (?:that )?you|you|user)\b)?{_G}(?:\bthis (?:\w+ )?(?:section|part|paragraph|text|draft|version|essay)\b|\b(?:next|following|second|third|first|final) (?:part|section|paragraph|chapter|step)\b|\bparagraph\b|\bhere(?:'s| is)\b|\bi(?:'ve| have|'ll| will)? (?:written|write|kept|keep|drafted|continue|focus)|\bi wrote\b)"),
    ("task", rf"{_YOU_ASKED}{_G}(?:\bparagraphs?\b|\bdraft\b|\bfollowing (?:section|text|version|story|essay)|\bis (?:a|the) (?:following|text)|\bwritten\b)|\b(?:paragraphs?|section|version|text|essay|draft|story|outline) (?:that )?you (?:asked|requested|wanted|gave|provided|shared|sent|pasted)|\b(?:from|with|to|in) your (?:request|prompt|instructions?)\b{_G}|\byour (?:prompt|next (?:question|prompt|request))\b|\bfollows? (?:the|your) (?:guidelines|instructions?|outline|requirements|prompt)\b"),
    ("plan step", rf"^(?:step|paragraph|section|part) (?:\d+|one|two|three|four|five|six|seven|eight|nine|ten)\W+(?:write|describe|introduce|discuss|explain|summari[sz]e|conclude|develop|cover|outline|draft|start with|end with|expand|present)\b{_G}(?:\b(?:paragraph|conclusion|introduction|essay|arguments?|section|chapter|story|reader|thesis|main)\b|\d+ words)|\bmain (?:point|idea|topic|focus) (?:of|for|in) (?:this|the (?:\w+ )?)(?:paragraph|section|part|passage|essay|text|chapter)|\b(?:writing|paragraph) plan\b"),
    ("ramble", rf"\bthe following (?:paragraph|sentence|text|passage|essay|draft|version|excerpt)s?\b(?! (?:from|was (?:found|published)))|\byour next (?:question|request|prompt)|\bour (?:discussion|conversation)\b{_G}\b(?:you|your|next)\b|\bhow (?:can|may|could) i (?:assist|help) you (?:with|today|further)?\b{_G}(?:\bwrit|\btext|\btoday|\bfurther|\bessay|\bparagraph)|\b(?:example|sample) of (?:a|how|the|an) (?:\w+ )?(?:sentence|paragraph|essay|passage|text|you|one|way)\b|\bthat you can use (?:to|as|for|in)\b{_G}{TEXT}|\bsample from your\b|\bhow you (?:could|can|might) (?:write|start|structure)\b"),
)  # fmt: skip

_CN = r"[一二三四五六七八九十百千两零\d]"
_HAN_WRITE = r"(?:撰写|续写|改写|重写|润色|修改|扩写|缩写|调整|补充|生成|创作|完善|删减|压缩|扩展|改成|改为|完成|写|编写|展开|精简|优化|加入|拟|起草|接着写|替换|调换|删去|控制|避免|保留)"
_HAN_TEXT = r"(?:段落?|这[段节章篇部]|下[一]?[段节章部]|文[章案字稿本]|原文|全文|部分|正文|版本|内容|结尾|开头|要点|字数|语气|篇幅|一节|一章|大纲|提纲|初稿|草稿|范文|作文|故事|表达|介绍|例句|引言|结论|细节|风格|标题)"
_HAN_RULES = (
    ("closes", r"(?:可以|能)?(?:让我重写|再写一[个段篇]|换成第.人称)|(?<![天晚早上午夜])接着写|还需要我[^。？]{0,4}(?:补充|修改|写|调整|添加)|(?:意见|建议)[^。]{0,6}(?:提出|告诉我)[^。]{0,8}(?:改|调)|祝[您你]写作|(?:要是|如果|若)嫌(?:长|短)|要[^。]{0,10}版本[^。]{0,4}告诉我|[您你]要的(?:这)?[^。]{0,6}(?:写完|写好|已)|请过目|感谢您的阅读和指正"),
    ("labels", r"^(?:第[一二三四五六七八九十\d]+段|续写|正文|正文开始|改写|修改稿|修改说明|写作要点|以下为[^。]{0,6}稿|范文|开头)(?:可以这样写)?[:：]|(?:语句|句子|错别字|语序)[^。]{0,8}(?:理顺|改|调整|通顺)|(?:两段|段落)[^。]{0,6}合并|与?(?:原稿|原文|初稿)相比[^。]{0,10}(?:这一?版|更加?简洁|更加?|本文)"),
    ("plan", r"(?:对应|根据|按照?)(?:大纲|计划|提纲)[^。]{0,10}(?:点|要|写|交代|部分)|按计划，?这里|(?:引言|结尾|开头|结论)(?:部分)?(?:应当?|要|需要)[^。]{0,12}(?:吸引|点明|升华|呼应|总结|概括|引出)|下一步要写|(?:环境|心理|人物|细节)描写，?控制|这(?:一部分|里|一节)(?:不应该?|不要|从|应)[^。]{0,12}(?:重复|写起|引言)|上一部分[^。]{0,10}(?:结束|所以)|题目要我们|(?:还剩|写到)[^。]{0,8}[一二三四五六七八九十百千\d]+字"),
    ("critique", r"(?:文章|作文|语言|全文)(?:结构|语言)?(?:清晰|流畅|通顺|优美)|中心思想|修辞手法|写这类文章|详略得当|[您你]可以从[^。]{0,8}写起|(?:阅读|根据)(?:上文|以上内容)[^。]{0,6}(?:回答|续写|完成)|(?:祝|愿)[您你]?写作"),
    ("self", r"(?:身为|作为)(?:一[个名款])?(?:ai|人工智能)(?:[，,]|，?我)|^[问用]户?[:：].*"),
    ("placeholder", r"^[\[（(【][^\])）】]*(?:以此类推|从略|省略|插入|下条|例子|此处)|请在此处填写[^。]*(?:您|你)|下条继续|因长度"),
    ("word count", r"(?:这一?段|全文|本文|篇幅|字数)[^。]{0,8}[一二三四五六七八九十百千\d]+字?(?:左右)?(?:$|。|，符合)"),
    ("accepts", r"^(?:好的|好嘞|没问题|收到|明白(?:了|您的意思了)?|了解(?:了)?|可以的|当然可以)[，,!！:：。]|^当然[!！]|^(?:当然|行|可以|好)[，,!！][^。！？\n]{0,12}(?:以下|下面|我|这[是段就])[^。！？\n]{0,12}(?:写|续|段|文|帮您|帮你)|^(?:很高兴|乐意|很乐意)(?:为|帮)"),
    ("presents", r"(?:以下|下面|这|上面|以上)(?:就|便)?(?:[是为]|将是)[^。！？\n]{0,24}?(?:段落?|章|节|部分|正文|版本?|开头|结尾|范文|例句|示例|草稿|初稿|续写|改写|润色|修改|大纲|提纲|全文|文章|文案|作文|内容|稿|故事)[^。！？\n]{0,16}?(?:[:：，,]|$|。)(?<!合同)"),
    ("presents", r"^(?:以下|下面)(?:这[段篇])?(?:内容|文字|段落)|(?:根据|按照)[您你]的?(?:大纲|提纲|要点)|"
     r"^(?:以下|下面)(?:[是为])?[^。！？\n]{0,10}(?:改写|润色|续写|修改|扩写|撰写|整理|重写|精简|优化|生成|写)[^。！？\n]{0,12}|请看(?:正文|下文|下面)|(?:改写|修改|润色|优化|续写|正文|重写|扩写|精简|示例|内容|全文|调整)(?:后的?(?:版本|段落|文本|文字|内容))?如下|^(?:改写|修改|润色|优化|精简|调整)(?:后|版|稿)[^。\n]{0,8}[:：]|这(?:就|便)?是(?:我)?[为替给帮][您你](?:写|撰|准|续|改)"),
    ("this part", rf"本段|这一?段(?:话|文字|落)?(?:的)?(?:主要|将|要|应|需|写的|描写|介绍|任务|重点|目的|内容|共|约|大约|讲|表达|说明|我|承接|继续|是为|是(?:独立|按|根)|可以|以)|第{_CN}+(?:个?自然)?段(?:落)?(?:应|要|将|主要|需|写|讲|可以|的(?:重点|内容|要点|任务|主旨)|介绍|描述|从|继续)(?<!的)"),
    ("this part", r"(?:下一?段|上一?段|前一?段|(?<!最)后一?段|前几段|前面(?:的|几)?(?:段落?|内容|部分|文字)|上文|前文|下文)[^。！？\n]{0,10}(?:写|看不到|已经|将|会|要|衔接|呼应|铺垫|延续|介绍|讲|重复|提到|继续|应|风格|语气)|(?:延续|承接|衔接|呼应|重复|接着?)(?:了)?(?:上一?段|前一?段|前文|上文|前面|已经写)|作铺垫|为下文"),
    ("this part", r"这一?(?:节|部分|章|篇|段)(?:我|的(?:任务|要点|重点|内容是)|应该?|需要|要写|约|共|字数|控制|写(?:的|得)|已)"),
    ("writes", rf"我(?:来|会|将|可以|也可以|还可以|需要|已经?|对|把|尽量|为[您你]|帮[您你]|接着|继续|现在|先|只|按|根据|随时|再|试着|直接|马上){{1,4}}[^。！？\n]{{0,12}}{_HAN_WRITE}(?!信|给)[^。！？\n]{{0,16}}(?:{_HAN_TEXT}|一下|$)|我(?:来|会|将|可以)?(?:为|帮|替|给)[您你][^。！？\n]{{0,8}}{_HAN_WRITE}(?!信)"),
    ("writes", r"我(?:已|对|把|将|适当)?(?:调整|修改|润色|删减|精简|改写|优化|压缩|重写)了?[^。！？\n]{0,14}(?:句|段|文|语|表达|顺序|结构|用词|内容|开头|结尾)|[您你]看这样(?:写)?|需要的话[，,]?我(?:再|可以|来)|^请(?:你|您)?(?:写|描写|用|以|围绕|根据)[^。！？\n]{0,30}(?:字|段|描写|文章|作文|故事)|(?:不少于|不超过|控制在|大约)[一二三四五六七八九十百千\d]+字(?:以内|左右)?[。！]?$"),
    ("writes", rf"(?:我们?|现在|接下来|首先|下面)(?:我们?|先|就)?(?:需要|要|应该|得|该|来|开始)(?:写|撰写|续写|改写|描写|完成)(?:的是)?[^。！？\n]{{0,30}}(?:{_HAN_TEXT}|一段|一篇|字)|^让我(?:们)?(?:来)?(?:想想|思考|考虑|看看|先|继续|开始)[^。！？\n]{{0,14}}(?:写|段|部分|内容|文章|大纲|这一?节)|要写好(?:这|一|本)"),
    ("writes", r"我(?:把|将|对|已|在)[^。！？\n]{0,16}(?:润色|改写|修改|删|调整|压缩|精简|改成|改为|替换|补充|扩充|合并|重写|优化)"),
    ("hopes", r"希望(?=[^。！？\n]*[您你])(?:这|以上|本|上述|该|能|这些|对[您你]|[您你])[^。！？\n]{0,18}(?:(?:帮助|有用|有所启发|参考)(?:$|[！!。])|(?:满足|符合)[您你]?的?(?:要求|需求|期望|期待|预期)|满意|合[您你]|喜欢(?:这|$))|希望(?:这[段篇个]|以上|本|上述)(?:文字|内容|文章|段落?|回答|版本|稿|范文)"),
    ("closes", r"(?:如果?|若|要是|假如|倘若|[您你])(?:[您你])?[^。！？\n]{0,16}(?:需要|想|希望|觉得|不满意|需|有其他|有任何|认为|还要|愿意)[^。！？\n]{0,20}(?:修改|调整|续写|继续写|扩写|更长|更短|润色|告知|改写|补充|精简|换[一个]?种|版本|(?:我|随时)[^。！？\n]{0,8}(?:写|改|调))"),
    ("closes", r"随时(?:告诉我|提出|吩咐|告知|说)[^。！？\n]{0,10}|供[您你]参考|仅(?:为|供)(?:示例|参考|范例)|(?:自行|酌情|灵活)(?:修改|调整|替换|增删|删减|补充)|(?:是否|要不要|需不需要|需要|想要|希望|要)(?:我)(?:来|再|继续|接着|帮|为|把|就)?[^。！？\n]{0,12}(?:写|改|润色|续|扩|调整|生成)[^。！？\n]{0,10}(?:[吗？?呢]|$)|(?:回复|输入|发送|说)[“\"'「 ]{0,6}(?:继续)?[^。！？\n]{0,6}(?:继续|我会|我就|我将)|请?告诉我[^。\n]{0,16}(?:续写|修改|调整|扩展|继续写|继续撰写)"),
    ("closes", r"(?:以上|这)(?:就|便)?是(?:我)?(?:为[您你]|根据|按|全部|本次|全文|本[段节章])|以上(?:内容|文字|段落|文章|版本)(?:[仅约共已为是]|符合|大约)|(?:本段|本节|本章|本部分|该段|全文)(?:到此)?(?:结束|完毕|完$)"),
    ("word count", rf"字数[^。\n]{{0,6}}[:：约为是共]?\s*{_CN}{{2,}}|(?:共计?|总计|合计|总字数|以上|本文|全文|本段|本节|正文|这一?段|约|大约|目前)[^。！？\n]{{0,8}}{_CN}{{2,}}余?字(?:左右)?[^\u4e00-\u9fff]*$|字数(?:已?达|符合|控制|要求|限制|不足|超|统计)|{_CN}{{2,}}字(?:的)?(?:要求|限制|以内的?要求|左右的(?:要求|开头|段落?|文章|介绍|结尾))|^[（(【\[]*(?:共|约)?{_CN}{{2,}}字[)）\]】]*$"),
    ("own length", r"^(?:本文|这篇[\u4e00-\u9fff]{2,4}|下面|以下|接下来(?:的[\u4e00-\u9fff]{2,3})?)(?:，|将|就|会|拟|准备|我)*(?:用|以|在|约|大约|共|控制在)(?:大约|约|不到|不超过)?[一二三四五六七八九十百千两\d]{2,}个?字"),
    ("critique", r"^文章(?:的)?(?:开头|结尾|开篇|中间)(?:部分)?[^。！？，]{0,6}(?:采用|运用|使用|通过)|(?:故事|例子|片段|开头|段落?)的(?:作用|目的)(?:是|在于)[^。！？]{0,10}(?:引出|读者|铺垫|点题|主题)|为下文(?:做|作|埋下)?(?:了)?(?:铺垫|伏笔)"),
    ("self", rf"\bi(?:'m| am) an? helpful assistant|作为(?:一[个名款种]|[您你]的|一位)?[^，。,]{{0,6}}{HAN_MODEL}(?:[，,]|我|没有|无法|不)|我(?:只|仅|仅仅|不过)?是(?:一[个名款种位]|[您你]的|个)?.{{0,6}}(?:ai|人工智能|语言模型|(?:写作|智能|文字|虚拟)助手)"),
    ("self", r"我的(?:知识|训练|数据)(?:数据|库)?(?:里|中)?(?:只|仅)?[^。！？，]{0,4}(?:截止|截至|止于|更新到|更新至|没有(?:收录|包含)|有限)|我(?:无法|不能|没有办法)(?:联网|上网|访问互联网)"),
    ("placeholder", r"(?:其余|其他|其它|剩下的?|后面的?|另外)[^。！？，]{0,8}[段篇章条首节封则个份篇][^。！？，]{0,4}(?:写法|格式|句式)[^。！？]{0,8}(?:类似|相同|一样|同上|如此|照此)"),
    ("self", r"我(?:看不到|没有看到|无法看到|不知道|没看到)(?:前|上|之前|原|全)[^。！？\n]{0,6}(?:段|文|内容|章|节)|^(?:用户|助手|提示词?|指令|人类)[:：]"),
    ("placeholder", r"(?:篇幅|字数|长度|回复|输出|回答)(?:的)?(?:限制|所限|有限|原因)|(?:此处|这里|以下|中间)(?:省略|略去|略)|(?:下一?[条次个](?:回复|消息|回答|对话))|^[（(【\[][^）)】\]]{0,20}(?:待续|未完|接上[文段]|续上[文段]|下[一]?段|省略|后文|此处|插入|填写|补充|继续)|后文将|剩余部分|其余部分"),
    ("placeholder", r"^[（(【\[]?(?:注|说明|备注|提示)[:：](?:本段|本文|本节|此|该|以上|这|请|文中|括号)[^。！？\n]{0,40}(?:字|段|替换|虚构|示例|修改|填|文|改|调整)"),
    ("task", r"(?:按照?|根据|依照|遵照|依据|遵循|基于|结合)(?:[您你](?:的|所)?|大纲|提纲|写作|计划|指令|题目|要求|前文|上文|前面|用户)[^。！？\n]{0,14}(?:[，,]?(?:这|本|该|接下来|下一|以下|下面|我)?(?:一)?(?:撰写|续写|写|段|节要|部分)|以下|下面|我(?:为|将|来|会)?(?:您|你)?(?:撰|续|写|改))"),
    ("task", r"(?<!老师)(?<!妈妈)(?:指令|题目|提示词?|写作要求|任务|大纲|提纲|要求|提示语|用户)(?:中|里|上|的)?(?:说明|要求|提到|规定|写明|写着|指出|是(?:写|让|要)|让我|希望我?|想要|需要|指定|没有(?:说|提)|给出|给的)[^。！？\n]{0,20}(?:写|段|字|文|内容|部分|节|篇)|(?:任务|目标)是[^。\n]{0,10}(?:写|段|总结全文|点明|描写|续)"),
    ("critique", r"^(?:这|您的|你的|这段|整体|总体|该)[^。！？\n]{0,6}(?:是)?(?:一[个段篇])?[^。\n]{0,4}(?:不错|很好|很棒|非常好|优秀|精彩)的?(?:开头|开始|段落?|文章|故事|结尾|作文|例子|尝试|初稿|草稿)|[您你]的(?:文[章字案]|作文|段落|故事|开头|稿子|写作)[^。\n]{0,10}(?:是|很|也|非常|可以|需要|写得|已|结构)"),
    ("critique", r"(?:可以|建议|应该?|不妨|最好)(?:在(?:结尾|开头|文中|文末|最后|中间)(?:处)?)?(?:再|多|适当|考虑|进一步|在|先)?(?:加入|增加|补充|添加|加一|写得|用一|用|使用|删)[^。！？\n]{0,12}(?:描写|细节|例子|过渡|段|对话|论据|修辞|一句话点题|比喻|例证|论点|开头|结尾|点题)|(?:表达|体现|抒发|反映)了?作者|(?:这篇文章|这段文字|该段|短文|全文)(?:通过|用了?|运用|描写了|主要(?:讲|写|介绍|描述|表达)|讲述了|采用)[^。\n]{2,}"),
    ("example", r"(?:可以|可)(?:用在|作为|用作|放在|用于)[^。！？\n]{0,10}(?:段|文|开头|结尾|引言)|(?:例句|范文|模板|示例)[^。\n]{0,10}[:：]|以下是一[个段篇份][^。\n]{0,16}(?:例|示范|模板|参考)"),
)  # fmt: skip

_ENGLISH = tuple((name, re.compile(pattern)) for name, pattern in _RULES)
_CHINESE = tuple((name, re.compile(pattern)) for name, pattern in _HAN_RULES)
_ALL = (*_CHINESE, *_ENGLISH)
_SET = PatternSet([pattern for _, pattern in _ALL])
_HAN = re.compile(r"[\u4e00-\u9fff]")
_HINT = re.compile(  # an English rule counts only in a sentence that holds one of these
    rf"{TEXT}|{_PART}|\b(?:i|we|me|you|your|let|here|below|following|sure|certainly|of course|absolutely|okay|ok|got it|"
    r"understood|no problem|will do|tasks?|plan|prompt|instructions?|assignment|outline|user|guidelines|changes|edits|count|length|"
    r"limit\w*|continu\w+|next|(?:re)?written|revised|edited|requested|happy|hope|note|step|main|aim|todo|"
    r"human|assistant|ai|model|details?|improved|concise|suggestion|setting|clearer|stronger|tone|goal|focus|key|task|feel|shall|want|well|consider|output|author|writers?|narrator|my|drafted|so on)\b|^[\[(<{]|:$"
)
_LETTER = re.compile(
    r"\b(?:letter|e-?mail|message|note|reply|sms|text to)\b|信|邮件|微信|短信|消息|留言|回复|通知|公函|答复函"
)
_DIARY = re.compile(r"\b(?:diary|journal|log ?book)\b|日记|日志")
_POLITE = frozenset(
    {"let me know", "if you need", "asks", "hopes", "closes", "offers", "feel free", "topic", "anything else"}
)
_SURE = frozenset({"self", "topic", "note to writers", "this sentence"})
_OF_EXERCISES = frozenset(
    {"task", "this sentence", "asks for text", "writes", "word count", "plan step", "section should"}
)
_OF_MY_WORK = frozenset({"rewrote", "plans", "writes", "closes", "word count", "topic"})
"""What somebody who writes says in a diary of that work."""
_TO_READER = re.compile(r"\byou\b|\byour\b|[您你]|\bparagraphs?\b|段落?|\binstructions?\b|要求")
_THE_TEXT = re.compile(rf"{_TALK_OF_TEXT}|\b(?:rewrite|revise|rephrase)\b|{_HAN_TEXT}|要求")
_WRITING_TASK = re.compile(
    r"\bhow to (?:write|outline|draft|edit|revise|structure|punctuate)\b|写提纲|\b(?:give|hold|deliver|prepare) an? (?:\w+ )?(?:speech|talk|presentation)\b|\bwriting (?:guide|tips|advice|handbook|course)|\bcover letters?\b|\b(?:guide|advice|tips|lesson|article|essay) (?:on|about|to|for) (?:\w+ ){0,3}(?:writ|essay|paragraph|editing)|怎样写|如何写|写作(?:指南|技巧|课|教程|方法)|求职信|作文(?:课|指导)"
)
_EXERCISE = re.compile(
    r"\b(?:workbook|worksheet|exercises? (?:for|on|in|page|book)|handout|exam|quiz)\b|试卷|练习|习题|试题|作业|课程(?:说明|大纲)"
)
_REVIEW = re.compile(r"\b(?:review|criticism|analysis|analy[sz]e|critique)|书评|影评|读后感|评论|赏析|分析")
_ABOUT_PROMPTS = re.compile(
    r"\bprompts\b|\bprompting\b|\bprompt engineer|\b(?:a|good|better|effective) prompt\b|\bjson\b|\byaml\b|\btoml\b|\bfront matter\b"
    r"|\bconfig(?:s|uration\w*| files?)?\b|提示词|配置"
)
_TOLD_BY_MODEL = re.compile(
    r"\b(?:told|narrated|spoken|written) by\b|\bperspective\b|\bpoint of view\b|\bvoice\b|\bfirst[- ]person\b|\bmonologue|\bdiary\b|\b(?:story|tale|poem)\b|自述|独白|第一人称|视角|故事"
)
_MODEL_TELLS = re.compile(
    r"\b(?:ai|a\.i\.|artificial intelligence|robot|machine|chat ?bot|computer|android)s?\b|人工智能|机器人|电脑"
)
_OF_PROMPTS = frozenset({"task", "the prompt", "label", "labels", "roles"})
_OF_WRITING = frozenset({
    "asks for text", "of a paragraph", "nth paragraph", "section should", "this part", "this sentence", "critique", "plan step",
})  # fmt: skip


_KINDS = (
    r"article|story|tale|fable|letter|speech|essay|report|script|introduction|notice|note|poem|post|column|editorial|monologue|eulogy"
    r"|chapter|scene|sermon|discussion|conclusion|diary entry|press release|invitation|toast"
)
_KIND = re.compile(rf"\b(?:{_KINDS})\b")
_GUIDE = re.compile(r"\b(?:guide|recipe|manual|instructions|handbook|how to|steps?|tutorial|lesson)\b")
_STEP = re.compile(  # a step of the plan: what a text of these kinds does not hold
    r"\W*(?:step|paragraph|section|part|scene) \d{1,2} ?[.:–—-]+ ?(?:describe|introduce|summari[sz]e|conclude|show how|explain|discuss|develop"
    r"|(?:end|close|begin|start|open) with)\b",
    re.IGNORECASE,
)
_ECHO = re.compile(  # the request once more, instead of the text
    rf"^an? (?:[\w-]+ ){{0,2}}?(?P<kind>{_KINDS}|proposal) (?:focused|focusing|cent(?:er|re)d|revolving|aimed|designed|exploring|examining|(?:written|told) (?:for|in|from|as|by)"
    rf"|(?:about|on|of) [^.!?]{{1,60}}?, (?:(?:written|told) (?:for|in|from|as|by)|in (?:about|around|just|no more than) \d))"
)
_ALIKE = {
    "story": ("tale", "narrative"),
    "tale": ("story", "narrative"),
    "fable": ("story", "tale", "narrative"),
    "script": ("scene",),
}
_DESCRIBES = re.compile(  # a text that tells what is in it, instead of being it
    rf"^(?P<this>the|this) (?:\w+ )?(?P<kind>{_KINDS}|text|narrative|passage)(?: section)?(?: (?:of an?|(?:to|for) (?:an?|this|the|your)) [^.!?]{{0,60}}?)? (?:\w+ly |also |then |will )?"
    r"(?:explores?|examines?|delves?|discusses|highlights?|focuses|revolves|follows|conveys?|captures|paints|summari[sz]es|sets the stage"
    r"|is (?:set|told|written|structured|designed|well[ -]written)|has been (?:edited|written|revised)|aims to|provides (?:an?|readers)|offers"
    r"|begins (?:by|with an? (?:\w+ )?(?:description|image|scene|vision|moment))|starts by"
    r"|can be (?:divided|structured|organi[sz]ed)|(?:should|would|could) (?:then |also )?(?:begin|start|open|end|go on|be (?:organi[sz]ed|written|divided|structured)))\b"
)
_GREETS = re.compile(  # what an assistant says to the person who asks, before its text
    r"^(?:oh,? )?(?:i'm|i am) (?:so |very |really |truly |just )?(?:glad|happy|pleased|delighted|thrilled|excited) (?:that |to (?:hear|see|know|learn) (?:that )?)?"
    r"you(?:'re|'ve| are| have)? (?:so )?(?:interested|curious|ask(?:ed|ing)|chose|chosen|brought|like|liked|enjoy\w*|want(?:ed)?|looking|consider\w*|decided|reach\w*)\b"
    r"|^(?:sure|certainly|of course|absolutely|great|perfect|okay|ok)[,!] ?(?:just|exactly|precisely) what (?:i|you|we)(?:'ve|'re| have| are| was| were)? (?:need|want|look|ask|hop|wait)\w*"
    r"|^(?:wow[,!] ?)?(?:(?:that's|that is|this is|what) an? |an? )?(?:really |very |truly )?(?:great|good|excellent|wonderful|fantastic|fascinating|interesting|lovely|brilliant) (?:question|topic|prompt|request|writing prompt|story idea)[.!:]*$"
    r"|^i (?:really )?(?:love|like) (?:this|your|the) (?:\w+ )?(?:prompt|topic|idea|question|request)[.!]*$"
    r"|^(?:我)?(?:很|非常|十分)(?:高兴|开心|荣幸|乐意)(?:看到|听到|得知|知道)?[您你][^。！？，]{0,4}(?:对[^。！？，]{1,20}感兴趣|提[出到]|选择|问[到起这])|^(?:哇[，,！!] ?)?(?:这|那)?(?:真)?是(?:一?个)?(?:很|非常|十分|真)?(?:好|棒|有趣|有意思|精彩)的?(?:问题|话题|主题|题目|请求)[！!。]"
)
_CHAT_TITLE = re.compile(
    r"^chat\b[^.!?\n]{0,60}[(\[ ](?:smollm|chatgpt|gpt-?\d|claude|gemini|llama|qwen|mistral|deepseek)[\w.-]{0,12}[)\]]?$"
)
_IN_PRINT = re.compile(r"\b(?:magazine|newspaper|local paper|journal|blog)\b")
_IN_THIS = re.compile(r"^in this (?:story|tale|narrative|passage|piece), ")
_OF_ITSELF = frozenset(
    {
        "essay",
        "report",
        "proposal",
        "chapter",
        "note",
        "notice",
        "introduction",
        "discussion",
        "column",
        "editorial",
    }
)
"""Kinds of texts that may say "this essay explores" about themselves."""
_EXCLAIMS = re.compile(  # a greeting of the task
    rf"^(?:the|an?) (?:{_KINDS}|opening|beginning|end) (?:to|of|for|about) [^.!?]{{1,80}}?(?: [–—-]+ ?|, |: |! ?)(?:how|what an?) \w+(?: \w+)?!?$"
    rf"|^here(?:'s| is| are) (?:an?|some) (?:\w+ ){{0,3}}?(?:{_KINDS})s? (?:idea )?(?:for|to) your\b"
)


def describing_sentence(text: str, instruction: str = "") -> str | None:
    """Return the sentence at the start of a text that describes the text or greets the task, or None; in lower case.

    "The article explores how …" describes the text if the instruction asks for an article first of all. A review
    and a text about writing may describe texts.
    """
    first, *others = sentences(text[:_WINDOW])[:_SENTENCES] or [""]
    request = instruction.lower()
    is_greeting = _GREETS.search(first) and not _LETTER.search(request)
    if is_greeting or _EXCLAIMS.search(first) or _CHAT_TITLE.search(first):
        return first
    if not request or _REVIEW.search(request) or _WRITING_TASK.search(request):
        return None
    if inside := next((part for part in (first, *others) if _IN_THIS.search(part)), None):
        return inside
    match, asked = _DESCRIBES.search(first), _KIND.search(request)
    if asked and _STEP.match(text) and not _GUIDE.search(request):
        return f"{first} {others[0] if others else ''}".strip()
    echo = _ECHO.search(first)
    if echo and echo["kind"] in request:
        return first
    if not match:
        return None
    kinds = [
        "text",
        "passage",
        "introduction",
        "conclusion",
        *(["article"] if _IN_PRINT.search(request) else []),
    ]
    kinds += [asked[0], *_ALIKE.get(asked[0], ())] if asked else []
    is_own = match["this"] == "this" and match["kind"] in _OF_ITSELF
    return first if match["kind"] in kinds and not is_own else None


def talking_sentence(text: str, instruction: str = "") -> str | None:
    """Return the first or last sentence of a text that talks about the task, or None; in lower case.

    Args:
        text: A text, or a passage of one, in English or Chinese.
        instruction: The instruction, or empty if it is not known: a letter may offer changes itself.
    """
    match = _match(text, instruction)
    return match[1] if match else None


def is_sure(text: str, instruction: str = "") -> bool:
    """Tell whether the rules alone decide about `talking_sentence`, because the models do not know such sentences.

    The models take "Being an AI, I have never tasted saffron, …" for a text about saffron.
    """
    match = _match(text, instruction)
    return match is not None and match[0] in _SURE


def speaks_of_texts(instruction: str) -> bool:
    """Tell whether a request is for a text that may speak about texts or to a reader, such as a review or a letter."""
    request = instruction.lower()
    return any(pattern.search(request) for pattern in (_WRITING_TASK, _REVIEW, _LETTER))


def speaks_of_prompts(instruction: str) -> bool:
    """Tell whether a request is for a text about prompts for models, or about files of settings."""
    return _ABOUT_PROMPTS.search(instruction.lower()) is not None


def sets_tasks(instruction: str) -> bool:
    """Tell whether a request is for a text that itself asks its readers to write: an exam, a worksheet."""
    return _EXERCISE.search(instruction.lower()) is not None


def _match(text: str, instruction: str) -> tuple[str, str] | None:
    ends = sentences(text[:_WINDOW])[:_SENTENCES] + sentences(text[-_WINDOW:])[-_SENTENCES:]
    for sentence in dict.fromkeys(ends):
        candidates = _SET.candidates(sentence)
        if not candidates or CREDIT.fullmatch(sentence) or NARRATED.match(sentence):
            continue
        is_chinese = _HAN.search(sentence) is not None
        for position in candidates:
            name, pattern = _ALL[position]
            if position < len(_CHINESE) and not is_chinese:
                continue
            if (
                pattern.search(sentence)
                and (is_chinese or _HINT.search(sentence))
                and not _is_meant(name, sentence, instruction.lower())
            ):
                return name, sentence
    return None


def _is_meant(name: str, sentence: str, request: str) -> bool:
    """Tell whether a sentence that matches a rule belongs to the text that was requested."""
    if name in ("of a paragraph", "word count") and (_THIRD.search(sentence) or _ON_WRITING.search(sentence)):
        return True
    if name == "note to writers":
        return _WRITING_TASK.search(request) is not None
    if name == "critique" and _REVIEW.search(request):
        return True
    if name in _OF_PROMPTS and speaks_of_prompts(request):
        return True
    if name == "self" and _MODEL_TELLS.search(request) and _TOLD_BY_MODEL.search(request):
        return True
    if name in _OF_EXERCISES and _EXERCISE.search(request):
        return True
    if name in _OF_MY_WORK and _DIARY.search(request) and not _TO_READER.search(sentence):
        return True
    if name in _POLITE and _LETTER.search(request) and not _THE_TEXT.search(sentence):
        return True
    return name in _OF_WRITING and bool(
        _WRITING_TASK.search(request) or (name != "critique" and _ON_WRITING.search(sentence))
    )
