import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.text.basics import markup

CONTROL_TOKENS = [
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end|>", "<|user|>", "<｜end▁of▁sentence｜>",
    "<｜Assistant｜>", "<s>", "</s>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<start_of_turn>", "<end_of_turn>",
    "<bos>", "<eos>", "<pad>", "<unk>", "<file_sep>", "<repo_name>", "<jupyter_code>", "<fim_prefix>", "<extra_id_7>",
    "<unused99>", "<0x0A>", "[TOOL_CALLS]", "[SYSTEM_PROMPT]", "[gMASK]", "]~b]", "<|turn>", "<turn|>", "[|endofturn|]",
    "[e~[", "<reserved_106>", "<SPECIAL_12>", "<BOS_TOKEN>", "<EOS>", "<PAD>", "<tool_call>", "</tool_response>", "<eoh>",
    "<seed:eos>", "<longcat_user>", "<end_of_sentence>", "<_user>", "<[BOS_never_used_51bce0c785ca2f68081bfa7d91973934]>",
]  # fmt: skip
PROSE = [
    "A list [1] of <b>bold</b> words, 3 < 4 > 2, and a|b.",
    "He pressed [ESC], then <Enter>. The end|>",
    "In F#, `x |> f <| y` applies f.",
    "见【注】和〔二〕。",
    "The s> and <string> of the harp.",
    "「<」 and 「>」",
]


@pytest.mark.parametrize("token", CONTROL_TOKENS)
def test_control_tokens_are_found_inside_a_text_and_removed_around_it(token):
    assert markup.control_token(f"The tide {token} came in.").startswith(token)
    assert markup.without_outer_tokens(f"{token} The tide came in. {token}\n{token}") == "The tide came in."


def test_a_bare_role_before_the_text_is_removed():
    assert markup.without_outer_tokens("assistant\n\nThe tide came in.") == "The tide came in."
    assert markup.without_outer_tokens("assistantfinalThe tide came in.") == "The tide came in."
    assert markup.without_outer_tokens("assistantThe tide came in.") == "The tide came in."
    assert markup.without_outer_tokens("\ufeff\u200bThe tide came in.") == "The tide came in."
    assert markup.without_outer_tokens("assistants came") == "assistants came"
    assert markup.without_outer_tokens("assistant professors\ncame") == "assistant professors\ncame"


@pytest.mark.parametrize(
    ("rest", "evidence"),
    [
        ("\nuser\nThanks!\nassistant\nWelcome.", "assistant\\nWelcome."),
        ("\nassistant\n", "assistant\\n"),
        ("\n\nAssistant:", "Assistant:"),
        ("\nASSISTANT: \n", "ASSISTANT: \\n"),
    ],
)
def test_the_role_of_a_turn_whose_tokens_a_server_left_out_counts_as_control_token(rest, evidence):
    assert markup.control_token(f"The tide came in.{rest}") == evidence


@pytest.mark.parametrize(
    "rest", ["\nuser manuals\n", "\nAssistant: Yes, doctor.", "\nAssistant\n", "\nThe user\n"]
)
def test_a_line_of_prose_with_such_a_word_does_not(rest):
    assert markup.control_token(f"The tide came in.{rest}") is None


def test_a_control_token_that_was_cut_at_the_end_of_a_text_is_found_and_removed():
    assert markup.control_token("The tide came in.<|im_") == "<|im_"
    assert markup.without_outer_tokens("The tide came in.<|im_") == "The tide came in."


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("<answer>\nThe tide.\n</answer>", "\nThe tide.\n"),
        ("<output>The tide.</output>\n", "The tide."),
        ("<assistant>The tide.</assistant>", "The tide."),
        ("<paragraph>\nThe tide.\n</paragraph>\n", "\nThe tide.\n"),
        ("<answer>The tide.", "<answer>The tide."),
        ("The tide.</answer>", "The tide.</answer>"),
    ],
)
def test_tags_around_a_whole_answer_are_removed_and_one_tag_alone_only_after_thinking(text, bare):
    assert markup.without_wrapper(text, has_thinking=False) == bare
    assert markup.without_wrapper(text).strip() == "The tide."


BOXED = "The tide came in over the sand at {six} and left at ten."


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        (f"\\boxed{{{BOXED}}}", BOXED),
        (f"$$\\boxed{{\\text{{{BOXED}}}}}$$\n", BOXED),
        (f"\\[\n\\boxed{{{BOXED}}}\n\\]", BOXED),
        ("\\boxed{42}", "\\boxed{42}"),
        (
            "\\boxed{The tide came in over the sand} and {at six}",
            "\\boxed{The tide came in over the sand} and {at six}",
        ),
        (f"It is \\boxed{{{BOXED}}}", f"It is \\boxed{{{BOXED}}}"),
    ],
)
def test_a_text_in_a_box_comes_out_and_a_value_stays(text, bare):
    assert markup.without_wrapper(text, has_thinking=False) == bare


@pytest.mark.parametrize("text", PROSE)
def test_brackets_of_prose_are_no_control_tokens_and_no_thinking(text):
    assert markup.control_token(text) is None
    assert markup.without_outer_tokens(text) == text
    assert markup.reasoning_text(text) is None
    assert markup.split_thinking(text) == (text, "", True)


@pytest.mark.parametrize(
    "character", ["\x00", "\x08", "\x1b", "\x1f", "\x7f", "\x9f", "\ud800", "\ufffd", "\uffff"]
)
def test_control_and_damaged_characters_count_as_control_tokens(character):
    assert markup.control_token(f"The tide{character} came in.") is not None
    assert markup.control_token(f"The tide came in.{character}")


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("<think>a</think>b", ("b", "a", True)),
        ("<Thinking mode='on'>a</THINKING >b", ("b", "a", True)),
        ("<seed:think>a</seed:think>b", ("b", "a", True)),
        ("&lt;think&gt;a&lt;/think&gt;b", ("b", "a", True)),
        ("◁think▷a◁/think▷b", ("b", "a", True)),
        ("<|begin_of_thought|>a<|end_of_thought|>b", ("b", "a", True)),
        ("<|START_THINKING|>a<|END_THINKING|>b", ("b", "a", True)),
        ("<|channel>thought\na<channel|>b", ("b", "\na", True)),
        ("a</think>b", ("b", "a", True)),
        ("b<think>a</think>c", ("bc", "a", True)),
        ("<think>a</think>b<think>c</think>d", ("bd", "a\nc", True)),
        ("<think>a <think> b</think>c", ("c", "a <think> b", True)),
        ("<think>I end it with `</think>`.</think>b", ("b", "I end it with `</think>`.", True)),
        ("<think/>b", ("b", "", True)),
        ("<think>a<\\think>b", ("b", "a", True)),
        ("<reasoning_content>a</reasoning_content>b", ("b", "a", True)),
        ("<|reasoning|>a<|/reasoning|>b", ("b", "a", True)),
        ("[think]a[/think]b", ("b", "a", True)),
        ("<思考>a</思考>b", ("b", "a", True)),
        ("Thought: a\nFinal Answer: b", (" b", " a\n", True)),
        ("**Reasoning:** a\n\n**Answer:** b", (" b", " a\n", True)),
        ("### Reasoning\na\n### Answer\nb", ("\nb", "a\n", True)),
        ("## Thinking\na\n\n## Final answer\n\nb", ("\n\nb", "a\n\n", True)),
        ("## Thinking\nIt is slow.\n\n## Answers\nb", ("## Thinking\nIt is slow.\n\n## Answers\nb", "", True)),
        ('<details type="reasoning" done="true">\n<summary>Thought for 3 s</summary>\na\n</details>\nb',
         ("\nb", "\n<summary>Thought for 3 s</summary>\na\n", True)),
        ('<details type="reasoning">a', ("", "a", False)),
        ("<details>a</details>b", ("<details>a</details>b", "", True)),
        ("Thought: a good word to begin with.", ("Thought: a good word to begin with.", "", True)),
        ("```thinking\na\n```\nb", ("\nb", "a", True)),
        ("Thinking...\na\n...done thinking.\n\nb", ("\n\nb", "a\n", True)),
        ("Thinking...\nShe waited.", ("Thinking...\nShe waited.", "", True)),
        ("<unused94>thought\na<unused95>b", ("b", "a", True)),
        ("thought\na<unused95>b", ("b", "a", True)),
        ("<planning>a</planning>b", ("b", "a", True)),
        ("<think>a", ("", "a", False)),
        ("a</think", ("", "a", True)),
        ("b<think>a", ("b", "a", False)),
        ("<think>a</think>b</think>c", ("b", "</think>c", False)),
        ("<think>a <think>b</think> c</think>d", ("d", "a <think>b\n c", True)),
        ("<think>a<think>b<think>c</think>d</think>e</think>f", ("f", "a<think>b<think>c\nd\ne", True)),
        ("<think>a<think>b</think>c</think>d</think>e", ("d", "</think>e", False)),
        ("<internal>a</internal>b", ("b", "a", True)),
        ("<thought_process>a</thought_process>b", ("b", "a", True)),
        ("<reasoning_engine>a</reasoning_engine>b", ("b", "a", True)),
        ("<cot>a</cot>b", ("b", "a", True)),
        ("<think:v2>a</think:v2>b", ("b", "a", True)),
        ("<think>a<｜end▁of▁thinking｜>b", ("b", "a", True)),
        ("<|im_start|>think\na<|im_end|>\n<|im_start|>answer\nb", ("b", "a<|im_end|>\n", True)),
        ("Here is my thought process: a Here is my response: b", (" b", " a ", True)),
        ("Here are my reasoning steps:\na\n[BEGIN FINAL RESPONSE]b", ("b", "\na\n", True)),
        ("Here is my thought process: a", ("", " a", False)),
        ("analysisNow a.assistantcommentaryMore.assistantfinalB.", ("B.", "Now a.assistantcommentaryMore.", True)),
        ("commentaryNow a.", ("", "Now a.", False)),
        ("analysis of the tide", ("analysis of the tide", "", True)),
    ],
)  # fmt: skip
def test_thinking_is_split_off_where_its_end_is_clear(text, split):
    assert markup.split_thinking(text) == split
    assert (markup.reasoning_text(text) is None) == (split == (text, "", True))


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b<|return|>", ("b", "a", True)),
        ("<|channel|>analysis<|message|>a<|channel|>final<|message|>b", ("b", "a", True)),
        ("<|channel|>analysis a <|channel|>final b", (" b", " a ", True)),
        ("analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b", ("b", "a", True)),
        ("<|channel|>commentary to=functions.x <|constrain|>json<|message|>{}<|call|>", ("", "{}", False)),
        ("<|channel|>final<|message|>b<|end|>then more", ("bthen more", "", False)),
        ("<|channel|>analysis<|message|>a", ("", "a", False)),
    ],
)  # fmt: skip
def test_only_the_final_channel_is_the_answer(text, split):
    found = markup.split_thinking(text)
    assert (found.text, found.is_clean) == (split[0], split[2])
    assert split[1] in found.thinking


@given(
    st.lists(
        st.sampled_from(
            ["<think>", "</think>", "a ", "\n", "`", "```", "<|channel|>", "final", "<|message|>"]
        )
    )
)
def test_what_is_split_cleanly_has_no_mark_left_outside_of_code_and_quotes(parts):
    split = markup.split_thinking("".join(parts))
    if split.is_clean and "`" not in split.text and "<|" not in split.text:
        assert markup.reasoning_text(split.text) is None


ADVERSARIES = [
    "<", "<think", "<think>", "</think>", "<think>a</think>", "`<think>`", "<|", "<|a", "</s> ", "</s>x", "[", "[INST]",
    "&lt;", "analysis", "assistantfinal", "Here is my thought process:", "<|channel|>", "<|channel|>final", " ", "\n\n",
    "<answer>", "Thought:", "Answer\n", "*", "**Answer", "\x1b[", "\x00", "a", "潮", "```\n", "<think ", "]~b", "im_end",
]  # fmt: skip


@pytest.mark.parametrize("unit", ADVERSARIES)
def test_each_search_is_linear(unit):
    def cpu_s(length):
        text = (unit * (length // len(unit) + 1))[:length]
        times = []
        for _ in range(2):
            start = time.process_time()
            for text_of_kind in (text, f"<think>{text}", f"analysisA{text}", f"{text}</think>."):
                markup.split_thinking(text_of_kind)
                markup.reasoning_text(text_of_kind)
                markup.control_token(text_of_kind)
                markup.without_outer_tokens(text_of_kind)
                markup.without_wrapper(text_of_kind)
                markup.without_control_characters(text_of_kind)
            times.append(time.process_time() - start)
        return min(times)

    assert any(
        cpu_s(100_000) <= 6 * cpu_s(25_000) + 0.005 for _ in range(4)
    )  # a busy machine: the best of four
