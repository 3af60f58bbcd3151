import time

import pytest

from longwriter.text.basics import markup, thinking

CONTROL_TOKENS = [
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end|>", "<|user|>", "<｜end▁of▁sentence｜>",
    "<｜Assistant｜>", "<s>", "</s>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<start_of_turn>", "<end_of_turn>",
    "<bos>", "<eos>", "<pad>", "<unk>", "<file_sep>", "<repo_name>", "<jupyter_code>", "<fim_prefix>", "<extra_id_7>",
    "<unused99>", "<0x0A>", "[TOOL_CALLS]", "[SYSTEM_PROMPT]", "[gMASK]", "[UNUSED_TOKEN_146]", "<mask:3>", "]~b]", "<|turn>", "<turn|>", "[|endofturn|]",
    "[e~[", "<reserved_106>", "<SPECIAL_12>", "<BOS_TOKEN>", "<EOS>", "<PAD>", "<tool_call>", "</tool_response>", "<eoh>",
    "<image_soft_token>", "[IMG_BREAK]", "<seed:eos>", "<longcat_user>", "<end_of_sentence>", "<_user>", "<[BOS_never_used_51bce0c785ca2f68081bfa7d91973934]>",
]  # fmt: skip
PROSE = [
    "A list [1] of <b>bold</b> words, 3 < 4 > 2, and a|b.",
    "He pressed [ESC], then <Enter>. The end|>",
    "In F#, `x |> f <| y` applies f.",
    "见【注】和〔二〕。",
    "The s> and <string> of the harp.",
    "「<」 and 「>」",
    "见【1】和【注†】。",
    "SentencePiece writes New▁York for New York.",
]


@pytest.mark.parametrize("token", CONTROL_TOKENS)
def test_control_tokens_are_found_inside_a_text_and_removed_around_it(token):
    assert markup.control_token(f"The tide {token} came in.").startswith(token)
    assert markup.without_outer_tokens(f"{token} The tide came in. {token}\n{token}") == "The tide came in."


@pytest.mark.parametrize(
    "mark",
    [
        "<role>HUMAN</role>",
        '<｜DSML｜invoke name="x">',
        "【4†source】",
        "【12:0†L3-L9】",
        "\ue200cite\ue202turn0search1\ue201",
        "The▁tide▁came▁in.",
    ],
)
def test_marks_of_roles_sources_and_spaces_that_a_server_left_in_a_text_count_as_control_tokens(mark):
    text = f"{mark} The tide came in. {mark} It was noon."
    assert markup.control_token(text)
    assert "The tide came in." in markup.without_outer_tokens(text)


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


@pytest.mark.parametrize("text", PROSE)
def test_brackets_of_prose_are_no_control_tokens_and_no_thinking(text):
    assert markup.control_token(text) is None
    assert markup.without_outer_tokens(text) == text
    assert thinking.reasoning_text(text) is None
    assert thinking.split_thinking(text) == (text, "", True)


@pytest.mark.parametrize(
    "character", ["\x00", "\x08", "\x1b", "\x1f", "\x7f", "\x9f", "\ud800", "\ufffd", "\uffff"]
)
def test_control_and_damaged_characters_count_as_control_tokens(character):
    assert markup.control_token(f"The tide{character} came in.") is not None
    assert markup.control_token(f"The tide came in.{character}")


@pytest.mark.parametrize(
    "call",
    [
        '<function=write>{"a": 1}</function>', '<tool_call>{"name": "x"}</tool_call>', '[TOOL_CALLS][{"name": "x"}]',
        "<|python_tag|>print(1)", '<function_calls><invoke name="x">', "<｜tool▁calls▁begin｜>", "<|tool_call|>[]",
        "✿FUNCTION✿: x", 'functools[{"name": "x"}]', "Action: search\nAction Input: tide", "```tool_code\nf()\n```",
        "<tool>search(1)</tool>", "<ipython>print(1)</ipython>", "<functions.search>a</functions.search>", "<execute>print(1)</execute>", "<search>tide</search>", "<tool_output>ok</tool_output>",
        "<tool/>", '<invoke name="search"/>', '<tool_use id="1" />', "to=browser {}", "assistant to=python print(1)", "commentary to=functions.write json {}",
        "```tool_outputs\nok\n```", "<minimax:tool_call>", '{"name": "write", "arguments": {"text": "The tide."}}',
    ],
)  # fmt: skip
def test_a_call_of_a_tool_is_found(call):
    evidence = repr(call)[1:-1]
    assert markup.tool_call(call) == markup.control_token(call) == evidence
    assert call.startswith("{") or markup.tool_call(f"The tide.\n{call}") == evidence


@pytest.mark.parametrize(
    "prose",
    [
        "The tag `<tool_call>` opens a call.", "In Lua, function=print is an assignment.", "Action: he ran.\nThe end.",
        '```xml\n<invoke name="x">\n```', 'Her name: {"name": "Ann", "age": 3}', "They invoke <b>the law</b>.",
        "He wrote to=python on the board.", "Close it with <tool/> in the line.", "<search> is the newest element of HTML.", "Between <action> and </action> stands the deed.",
    ],
)  # fmt: skip
def test_a_text_about_tools_is_no_call(prose):
    assert markup.tool_call(prose) is None


@pytest.mark.parametrize(
    "end",
    [
        "</s", "<eos", "<|", "<thi", "<end_of_turn", "[/INST", "|im_end|", "</im_end>", "<END>", "[end of text]", "[DONE]",
        "\n###", "\n---", "<br/>", "<END_OF_TEXT>", "[/ASSISTANT]", "END_OF_PARAGRAPH", "【完】",
    ],
)  # fmt: skip
def test_a_cut_token_and_a_mark_of_the_end_go(end):
    assert markup.without_outer_tokens(f"The tide came in.{end}") == "The tide came in."


@pytest.mark.parametrize(
    "start", ["im_end|>", "s>", "/INST]", "|>\n", "<|im_start|>assistant", "[ASSISTANT] "]
)
def test_the_rest_of_a_token_at_the_start_goes(start):
    assert markup.without_outer_tokens(f"{start}The tide came in.") == "The tide came in."


@pytest.mark.parametrize(
    "text", ["He is 5 <b", "The tide came in.\n\nTHE END", "Is a <b", "s> is a mark", "The list [1]"]
)
def test_ends_and_starts_of_prose_stay(text):
    assert markup.without_outer_tokens(text) == text


ADVERSARIES = [
    "<!--", "<!-- a -->\n", "\n<!--", "-->", "【思考】", "[/thinking]", "[thinking]", "<tool_call>", "<outline>", "Action: a\n",
    "think>", "\\<", "【", "\n#",
    "<", "<think", "<think>", "</think>", "<think>a</think>", "`<think>`", "<|", "<|a", "</s> ", "</s>x", "[", "[INST]",
    "&lt;", "analysis", "assistantfinal", "Here is my thought process:", "<|channel|>", "<|channel|>final", " ", "\n\n",
    "<answer>", "Thought:", "Answer\n", "*", "**Answer", "\x1b[", "\x00", "a", "潮", "```\n", "<think ", "]~b", "im_end",
]  # fmt: skip


@pytest.mark.parametrize("unit", ADVERSARIES)
def test_each_search_is_linear(unit):
    def cpu_s(length):
        text = (unit * (length // len(unit) + 1))[:length]
        start = time.process_time()
        for text_of_kind in (text, f"<think>{text}", f"analysisA{text}", f"{text}</think>."):
            thinking.split_thinking(text_of_kind)
            thinking.reasoning_text(text_of_kind)
            markup.control_token(text_of_kind)
            markup.without_outer_tokens(text_of_kind)
            markup.tool_call(text_of_kind)
            markup.without_control_characters(text_of_kind)
        return time.process_time() - start

    assert any(
        cpu_s(100_000) <= 6 * cpu_s(25_000) + 0.005 for _ in range(8)
    )  # a busy machine: the best of eight


@pytest.mark.parametrize(
    "sign", ["\x1b]0;a title\x07", "\x1b]8;;x\x1b\\", "\x9b1;31m", "\x1b(B", "\x1b=", "\x1b[?25l"]
)
def test_all_of_a_terminals_sign_goes(sign):
    assert markup.without_control_characters(f"The {sign}tide") == "The tide"
