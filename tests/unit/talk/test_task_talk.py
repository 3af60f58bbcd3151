import pytest

from longwriter.talk.poison import meta_talk


@pytest.mark.parametrize(
    "text",
    [
        "The essay, using only 280 words in length, explains the rise of the printing press. It spread fast.",
        "In about 500 words, this essay will discuss how cities can become cooler in summer.",
        "At 300 words in total, the passage describes the first day of the harvest.",
        "In no more than two hundred words, I'll share a tale of a dog named Max.",
        "This narrative of approximately 800 words explores themes of loss and hope.",
        "In this 600-word essay, I will argue that school should start later.",
        "This 1,000-word piece has been written to inform and to entertain.",
        "Writing this tale adds to my storywriting arsenal and makes me a better author.",
        "This particular anecdote serves to hook the reader and introduce the theme of courage.",
        "The story above demonstrates how a simple object can change a life.",
        "本文约500字，主要介绍城市绿化的意义。",
        "接下来的部分将用五百字左右展开论述。",
        "文章开头采用倒叙的手法，目的是引起读者的兴趣。",
    ],
)
def test_a_text_that_names_its_own_length_or_effect_talks_about_the_task(text):
    assert meta_talk(text)


@pytest.mark.parametrize(
    ("text", "instruction"),
    [
        ("The constitution of the island is only 280 words in length, and every child learns it.", ""),
        ("Her editor wanted the column in about 500 words, and she sent him four thousand.", ""),
        ("In 1,000 words a day, she finished the novel before the snow melted.", ""),
        ("He had learned 700 words of Turkish, and with them he bought a boat.", ""),
        ("The catapult was the newest weapon in the arsenal of the besiegers.", ""),
        ("The bridge serves to connect the two halves of the town.", ""),
        ("This story serves as a reminder that small things may last.", ""),
        ("The prologue serves to introduce the two families.", "Write a review of Romeo and Juliet"),
        ("《道德经》全文约五千字，分为八十一章。", ""),
        ("这份遗嘱只有五百字，却让三兄弟争了十年。", ""),
        ("小说开头采用倒叙的手法，先写老人的葬礼。", "写一篇书评"),
    ],
)
def test_prose_with_a_number_of_words_or_a_purpose_does_not(text, instruction):
    assert meta_talk(text, instruction) is None
