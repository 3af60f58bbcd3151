import pytest

from longwriter.talk.poison import meta_talk, talking_paragraph
from longwriter.talk.task_talk import describing_sentence


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


@pytest.mark.parametrize(
    ("text", "instruction"),
    [
        ("The article explores how one grain becomes popcorn.", "Write an article on popcorn."),
        ("The article discusses onions and tears.", "Write an explanation for a children's magazine."),
        ("The story follows a girl who finds a lamp.", "Tell the tale of a lamp in a cave."),
        ("The speech should begin with a warm greeting.", "Write a speech for a football club."),
        ("The report can be divided into four parts.", "Write a report for the council."),
        (
            "The introduction sets the stage for a book about rivers.",
            "Write the introduction to a book about rivers.",
        ),
        ("Jack sold his boat. In this story, he learns why.", "Write a short story about a boat."),
        ("The opening of a speech about kindness – what a wonderful idea!", ""),
        ("The introduction to a book on salt – how exciting! Salt is old.", ""),
        ("Here's a warm invitation for your garden party.", ""),
    ],
)
def test_a_text_that_describes_itself_at_its_start_is_talk(text, instruction):
    assert describing_sentence(text, instruction) is not None


@pytest.mark.parametrize(
    ("text", "instruction"),
    [
        ("The article explores how one grain becomes popcorn.", ""),
        ("The story follows a girl who finds a lamp.", "Write a review of a film about a lamp."),
        ("The story follows a doctor who reads too much.", "Write an article on a story by Chekhov."),
        ("This essay explores why small shops matter.", "Write an essay on small shops."),
        ("The introduction of the potato changed what the poor could eat.", "Write an essay on the potato."),
        ("The story of the mill begins in 1871, when two brothers bought it.", "Write the story of a mill."),
        ("The letter said that the house had been sold.", "Write a letter to a friend."),
        ("How exciting it was to see the sea!", "Write a diary entry."),
        ("Here is a recipe that my aunt brought from Lisbon.", "Write a column on food."),
        ("", "Write a story."),
    ],
)
def test_a_text_about_other_texts_describes_nothing_of_its_own(text, instruction):
    assert describing_sentence(text, instruction) is None


WELL = "Write an essay about wells"


@pytest.mark.parametrize(
    "text",
    [
        "I am so pleased that you want to know more about wells! A well begins with a stone.",
        "I'm delighted you chose wells. They are older than towns.",
        "Of course, exactly what we need. A well is a door to the dark.",
        "That's a truly fascinating topic! Wells were dug by hand.",
        "What a lovely prompt! The well had been dry for years.",
        "I really love this topic. Wells keep secrets.",
        "很荣幸您提到水井这个话题！井是村庄的心脏。",
        "这真是一个有意思的话题！水井比城市还要古老。",
        "Another useful note, and a vital one for most writers: begin at the bottom of the well.",
        "Chat Deep Wells 4 (SmolLM2-135M)\n\nThe well stood in the yard.",
    ],
)
def test_a_greeting_of_the_person_who_asks_is_talk(text):
    assert meta_talk(text, WELL)


@pytest.mark.parametrize(
    "text",
    [
        "I'm glad you're home, she told the well, because nobody else was there.",
        "I like the idea of a well better than the water in it.",
        "A good question lies at the bottom of each well: who dug it?",
        "What a lovely well it was, and how far from the house.",
        "Sure, just what you would expect of a well: moss, a bucket and frogs.",
        "很高兴村里的井又出水了。",
        "Chat began at the well, and so did most marriages (ours too).",
        "Most writers keep a notebook; my aunt kept a bucket.",
    ],
)
def test_prose_that_is_glad_or_praises_is_no_talk(text):
    assert meta_talk(text, WELL) is None
    assert meta_talk(text) is None


@pytest.mark.parametrize(
    ("text", "instruction"),
    [
        ("I'm so happy you asked about our mill. It has stood by the river since 1804.", "Write a letter to a guest"),
        ("A useful prompt names the reader and the tone.", "Write an article about prompts"),
        ("The prompt should say who reads the text.", "Explain what makes a good prompt"),
        ("text: the words on the sign\nsize: its width", "Explain the YAML file of a sign"),
        ("Every prompt has a reader.", ""),
        ("As an AI, I was built to count the buckets.", "Write a story told by an AI at a well"),
        ("作为一台人工智能，我只会数水桶。", "写一个机器人的自述"),
    ],
)  # fmt: skip
def test_what_is_talk_elsewhere_belongs_to_a_text_of_that_kind(text, instruction):
    assert talking_paragraph(text, instruction) is None


def test_a_model_that_names_itself_talks_also_in_an_essay_about_models():
    text = "As an AI, I cannot have opinions on machines. They learn from us."
    assert meta_talk(text, "Write an essay about artificial intelligence")


@pytest.mark.parametrize(
    ("text", "instruction"),
    [
        ('Drafted: "The council has met twice this spring."', "Write a letter of complaint."),
        ("Section goal: make the reader care about the well.", ""),
        ("Scene 2: Describe the quarrel and end with the slammed door.", "Write a story of two sisters."),
        ("A story centred on a miller, one that is full of surprises.", "Write a story about a miller."),
        ("The tale of the miller is long and could be rewritten for clarity.", "Tell the tale of a miller."),
        ("This sentence is about hammers and what they mean.", "Write a review of a hammer."),
        ("The subject that I am currently working on involves how tides move.", "Write an essay on tides."),
        (
            "Another useful tip, and one that many writers forget, is patience.",
            "Write a story about a letter.",
        ),
        ("Being an AI, I have never slept in a tent, but campers praise the silence.", ""),
        ("My knowledge ends in 2023, so some fares may have changed.", ""),
        ("我的训练数据截至去年春天，票价可能有变。", ""),
        ("其余五首诗的写法与此相同。", "写六首短诗。"),
        ("Your outline lists three causes, and the second comes here.", ""),
        ("Is there anything else I can assist you with today?", "Write a text about the committee."),
        ("Possible continuation: she puts down the spoon.", "Write a story."),
    ],
)
def test_plans_echoes_and_words_of_a_model_about_itself_are_talk(text, instruction):
    assert meta_talk(text, instruction)


@pytest.mark.parametrize(
    ("text", "instruction"),
    [
        ("Text: Ann Berg. Pictures: Tom Lund.\n\nThe mill stood still for forty years.", "Write an article."),
        ("Text: Ann Berg, pictures: Tom Lund", ""),
        ("I must decline, the captain wrote, for the sea is no place for a child.", "Write an essay."),
        ("I don't have enough words for her kindness.", "Write an essay about an aunt."),
        ("Step 2: Describe your garden to a neighbour, and listen.", "Write a guide for new gardeners."),
        ("Finish the sentences, and write no more than 50 words.", "Write a worksheet for pupils."),
        ("本题要求写一段话，不少于一百字。", "出一份语文试卷。"),
        ("今晚把第二章改短了，明天再接着写。", "写一篇作家的日记。"),
        ("I have rewritten the first chapter and cut the part about my uncle.", "Write a novelist's diary."),
        ("希望这对你有帮助，也希望你早点睡。", "给朋友写一封信"),
        (
            "The subject I am working on for my degree is the tides of the estuary.",
            "Write a letter to an aunt.",
        ),
        ("A proposal focused on the harbour was rejected in 1911.", "Write a history of the harbour."),
    ],
)
def test_credits_exercises_and_diaries_of_writers_are_not(text, instruction):
    assert meta_talk(text, instruction) is None
