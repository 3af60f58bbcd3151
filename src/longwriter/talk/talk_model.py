"""Scores how much a sentence talks about the task, by its wording and its meaning; it helps the rules.

As for refusals, a linear model of the words is cheap enough for every sentence, and a small neural network
reads the meaning of the few that pass it. `infra/bench/train_talk.py` trains both and says how good they are.

Pure.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np

from longwriter.talk import classifier
from longwriter.talk.sentences import CREDIT, NARRATED, SPEECHLESS, sentences
from longwriter.text.basics.wording import unspoken

SCALE = 6.0
"""The meaning's numbers are about 0.04 each; the network learns faster from larger ones."""
WORDING_SHARE = 0.6
"""How much the wording's score adds to the network's, as for refusals."""
THRESHOLD = 2.6
"""A sentence with at least this score talks about the task."""
VETO = -2.0
"""A sentence with a lower score does not, whatever the rules say."""
SURE = 4.0
"""The threshold for a text that may speak of texts itself, such as a review."""
READ = 2000
"""Characters at each end of a text that are read."""
_FILE = "talk.safetensors"
_GENERAL = re.compile(  # of any prompt, of another kind of text, or what a paragraph is in general
    r"(?:an?|every|each|no|most|many|some|good|bad) (?:\w+ ){0,2}prompts?\b"
    r"|(?:求职信|简历|请柬|悼词|论文|演讲稿|书评|议论文|记叙文|说明文|合同|[一每任]何?[篇封首部份]好?)[^，。]{0,6}的(?:第|开头|结尾|最后|标题|段落)"
    r"|(?:段落|句子|标题|章节|标点|文章|散文|写作)(?:就|其实|首先|不过)?(?:是|像)一[种扇座条场次道把面]"
)
_LONGEST = 300  # characters of a sentence
_MOST = 8  # sentences of a text whose meaning is read


def parts(text: str) -> list[str]:
    """Return the sentences that are read of a text, in lower case; none if the whole text is speech."""
    text = text.strip()
    if text[:1] in ('"', "\u201c") and unspoken(text[:READ]) == text[:READ]:
        return []
    read = sentences(text[:READ]) + (sentences(text[-READ:]) if len(text) > READ else [])
    return list(dict.fromkeys(part[:_LONGEST] for part in read))


def talking_part(text: str, speaks_of_texts: bool = False) -> str | None:
    """Return the sentence of a text that talks about the task most plainly, or None.

    Args:
        text: A text, or a passage of one, in English or Chinese.
        speaks_of_texts: The requested text may speak of texts, or to its reader: then the threshold is higher.
    """
    likely = _likely(text)
    talks = [part for part in likely if talk_score(part) >= _threshold(part, speaks_of_texts)]
    return max(talks, key=talk_score, default=None)


def _likely(text: str) -> list[str]:
    """Return the sentences that may talk about the task, by their wording, the likeliest first."""
    floor = float(classifier.read_weights(_FILE)["wording_floor"][0])
    read = [
        part
        for part in parts(text)
        if not (CREDIT.fullmatch(part) or NARRATED.match(part) or SPEECHLESS.match(part))
    ]
    words = dict(zip(read, classifier.wording_scores(_FILE, read), strict=True))
    return sorted((part for part in words if words[part] >= floor), key=lambda part: -words[part])[:_MOST]


def _threshold(part: str, speaks_of_texts: bool) -> float:
    return SURE if speaks_of_texts or _GENERAL.match(part) else THRESHOLD


@lru_cache(maxsize=4096)
def talk_score(sentence: str) -> float:
    """Return how much a sentence of `parts` talks about the task: above 0 if it is more likely than not."""
    weights = classifier.read_weights(_FILE)
    sentence = sentence[:_LONGEST]
    meaning = SCALE * classifier.meanings_of([sentence])[0]
    score = classifier.score_of_network(weights, np.asarray(meaning, np.float32))
    return score + WORDING_SHARE * classifier.wording_score(_FILE, sentence)
