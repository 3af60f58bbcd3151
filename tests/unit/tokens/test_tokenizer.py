"""No text makes a control token, whatever the tokenizer calls one."""

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from longwriter.records import Message, Rejection
from longwriter.tokens import tokenizer as tokenizers

TEMPLATE = "{% for m in messages %}<|open|>{{ m['role'] }}\n{{ m['content'] }}<|close|>\n{% endfor %}{% if add_generation_prompt %}<|open|>assistant\n{% endif %}"


def tiny(normalizer=None):
    """A tokenizer of bytes with two roles, a special token without a role, and three other added tokens."""
    words = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe = Tokenizer(models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=[]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    if normalizer is not None:
        bpe.normalizer = normalizer
    bpe.add_special_tokens(
        [AddedToken(word, special=True, normalized=False) for word in ("<|open|>", "<|close|>", "<part>")]
    )
    bpe.add_tokens([AddedToken(word, special=False) for word in ("<tool_call>", "lighthouse", "    ")])
    coder = PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token="<|open|>", eos_token="<|close|>", pad_token="<|close|>"
    )
    coder.chat_template = TEMPLATE
    return coder


def chat(prompt, answer):
    return [Message(role="user", content=prompt), Message(role="assistant", content=answer)]


def coded(coder, prompt, answer="The sea."):
    rows = tokenizers.Coder(coder).chat(chat(prompt, answer), 10_000, "r1", "pack")
    return rows if isinstance(rows, Rejection) else rows[0]


@pytest.mark.parametrize("mark", ["<|open|>", "<|close|>", "<part>", "<tool_call>"])
def test_a_row_whose_text_holds_an_added_token_is_rejected_by_name(mark):
    for row in (coded(tiny(), f"Go on. {mark}"), coded(tiny(), "Go on.", f"The {mark} sea.")):
        assert isinstance(row, Rejection)
        assert (row.reason, repr(mark) in row.detail) == ("control_token", True)


@pytest.mark.parametrize(
    "text", ["A lighthouse.", "One\n    two", "< part >", "a <b> [c] | d", "part", "很好 👩‍🚀"]
)
def test_an_added_word_a_run_of_spaces_and_other_brackets_are_text(text):
    coder = tiny()
    row = coded(coder, text, text)
    assert not isinstance(row, Rejection)
    assert coder.decode(row.input_ids).count(text) == 2


def test_a_text_that_becomes_a_token_only_within_the_tokenizer_is_rejected():
    row = coded(tiny(normalizers.NFKC()), "See ＜tool_call＞ here.")
    assert isinstance(row, Rejection)
    assert "'<tool_call>'" in row.detail


def test_a_row_without_marks_has_the_ids_that_it_always_had():
    coder = tiny()
    row = coded(coder, "Say hi.", "Hi there.")
    assert (
        coder.decode(row.input_ids) == "<|open|>user\nSay hi.<|close|>\n<|open|>assistant\nHi there.<|close|>"
    )


def test_control_tokens_are_the_special_ones_and_those_that_look_like_marks():
    assert sorted(tokenizers.control_tokens(tiny())) == ["<part>", "<tool_call>", "<|close|>", "<|open|>"]


@pytest.mark.parametrize(
    ("merges", "as_gpt2", "line_ends"),
    [
        ([], True, "\n\n"),
        ([("Ċ", "Ċ")], True, "\n"),  # GPT-2: two line ends are one token only at the end of a text
        ([("Ċ", "Ċ")], False, "\n\n"),
        ([("Ċ", "Ċ"), (".", "ĊĊ")], False, "\n\n"),  # Llama 3: with the full stop
        ([("Ċ", "Ċ"), ("ĊĊ", "A")], False, ""),
    ],
)
def test_a_text_that_goes_on_keeps_the_ids_of_its_line_ends(merges, as_gpt2, line_ends):
    words = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *map("".join, merges)]
    bpe = Tokenizer(models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=merges))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=as_gpt2)
    coder = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="a")
    assert tokenizers.Coder(coder).line_ends("The tide.") == line_ends
