"""A random Llama chat model of 100 kB, as Hugging Face folder and as GGUF of the same weights.

Dimension 0 of the residual stream is constant, so that column 0 of the head acts as a bias: it makes
ASCII letters and spaces likely. Such a model writes readable nonsense.
"""

from __future__ import annotations

from pathlib import Path

HIDDEN, LAYERS, HEADS, KV_HEADS, FEED_FORWARD, CONTEXT = 64, 2, 4, 2, 128, 4096
BOS, EOS = "<|im_start|>", "<|im_end|>"
SPECIAL = ("<|endoftext|>", BOS, EOS)
MERGES = (("t", "h"), ("th", "e"), ("a", "n"), ("i", "n"), ("e", "r"))
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def _vocabulary() -> list[str]:
    from tokenizers.pre_tokenizers import ByteLevel

    return [*SPECIAL, *sorted(ByteLevel.alphabet()), *("".join(pair) for pair in MERGES)]


def write(folder: Path, seed: int = 0) -> Path:
    """Write the model into `folder` and return it."""
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    words = _vocabulary()
    bpe = Tokenizer(models.BPE(vocab={w: i for i, w in enumerate(words)}, merges=list(MERGES)))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.add_special_tokens([AddedToken(word, special=True) for word in SPECIAL])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token=BOS, eos_token=EOS, pad_token=EOS, unk_token="<|endoftext|>"
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=HIDDEN, intermediate_size=FEED_FORWARD, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=KV_HEADS, max_position_embeddings=CONTEXT,
        bos_token_id=1, eos_token_id=2, pad_token_id=2, tie_word_embeddings=False,
    )  # fmt: skip
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.model.embed_tokens.weight.normal_(0, 0.5)
        model.model.embed_tokens.weight[:, 0] = 1.0
        model.lm_head.weight.normal_(0, 0.1)
        model.lm_head.weight[:, 0] = torch.tensor([_bias(word) for word in words])
    model.generation_config = GenerationConfig(do_sample=True, bos_token_id=1, eos_token_id=2, pad_token_id=2)
    model.save_pretrained(folder)
    _write_gguf(model, words, folder / "model.gguf")
    return folder


def _bias(word: str) -> float:
    if word == EOS:
        return 0.0  # an answer has about 70 tokens
    if word in SPECIAL:
        return -3.0
    return 1.0 if word == "Ġ" else 0.0 if word.isascii() and word.isalpha() else -3.0


def _write_gguf(model: object, words: list[str], path: Path) -> None:
    import gguf

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(len(words))
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(words)
    kinds = [gguf.TokenType.CONTROL if word in SPECIAL else gguf.TokenType.NORMAL for word in words]
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in MERGES])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, LAYERS)
    for name, tensor in model.state_dict().items():  # type: ignore[attr-defined]
        rows = tensor.float().numpy()
        if name.endswith(("q_proj.weight", "k_proj.weight")):  # rotary halves: HF's layout to llama.cpp's
            heads = HEADS if name.endswith("q_proj.weight") else KV_HEADS
            half = rows.shape[0] // heads // 2
            rows = rows.reshape(heads, 2, half, HIDDEN).swapaxes(1, 2).reshape(rows.shape)
        if rows.ndim == 2:  # OpenVINO reads no matrices of 32 bits
            rows = rows.astype("float16")
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), rows.copy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
