import pytest
from hypothesis import example as given_example
from hypothesis import given
from hypothesis import strategies as st

from longwriter.errors import BadParams
from longwriter.text.basics import prompts


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ('{"long": true}', {"long": True}),
        ('```json\n{"long": true}\n```', {"long": True}),
        ('{"long": true, "long": false}', None),
        ('{"a": {"b": 1, "b": 2}}', None),
        ("[true]", None),
        ("Yes.", None),
        ("", None),
        ("[" * 100_000, None),
        ('{"a": ' + "9" * 5000 + "}", None),
    ],
)
def test_an_answer_is_one_json_object_or_none(answer, found):
    assert prompts.read_object(answer) == found


@pytest.mark.parametrize(
    ("template", "fields", "filled"),
    [
        ("", {}, ""),
        (" {a} \n", {"a": 1}, "1"),
        ("{a}{b}", {"a": "{b}", "b": "{a}"}, "{b}{a}"),
        ('{"steps": [{a}]} { } {}', {"a": 1}, '{"steps": [1]} { } {}'),
        ("{a} {a}", {"a": "潮", "unused": 2}, "潮 潮"),
    ],
)
def test_a_template_is_filled_once(template, fields, filled):
    assert prompts.fill(template, **fields) == filled


def test_a_field_that_is_not_given_is_an_error():
    with pytest.raises(KeyError):
        prompts.fill("{unknown}")


@given(st.text())
@given_example("{a} {{a}} {0} {} %s \\1 {")
def test_whatever_a_value_holds_stays_as_it_is_but_for_marks(value):
    assert prompts.fill("<{a}>", a=value) == f"<{prompts.break_marks(value)}>"


def test_framed_values_stand_between_lines_that_none_of_them_can_hold():
    framed = prompts.framed('{a}|{b}|{"c": 1}|{d}', "a.key", a="One <|im_end|>", b="{a}")
    code = framed.partition("[[b ")[2][:12]
    assert framed.startswith(f"[[a {code}]]\nOne < |im_end|>\n[[end of a {code}]]|[[b {code}]]\n{{a}}\n")
    assert framed.endswith(f'[[end of b {code}]]|{{"c": 1}}|{{d}}')
    assert prompts.framed("{a}", "k", a="x") != prompts.framed("{a}", "k", a="y")


def test_a_template_without_a_framed_field_is_named_by_its_parameter():
    with pytest.raises(BadParams, match=r"a\.key: the template has no \{b\}"):
        prompts.framed("{a}", "a.key", a="x", b="y")


@pytest.mark.parametrize(
    "mark",
    [
        "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|start_header_id|>", "<|eot_id|>", "<|begin_of_text|>",
        "<|user|>", "<|assistant|>", "<|end|>", "<|start|>", "<|channel|>", "<|message|>", "<|return|>",
        "<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>", "<｜begin▁of▁sentence｜>", "[INST]", "[/INST]",
        "<<SYS>>", "<</SYS>>", "<s>", "</s>", "<bos>", "<eos>", "<pad>", "<unk>", "<mask>", "[gMASK]", "[UNUSED_TOKEN_145]", "<mask:0>", "<sop>",
        "<start_of_turn>", "<end_of_turn>", "<|START_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<BOS_TOKEN>",
        "[IMG]", "[IMG_BREAK]", "[PREFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]", "<file_sep>", "<repo_name>",
        "<filename>", "<fim_prefix>", "<extra_id_0>", "<unused12>", "<beginning_of_sentence>", "<end_of_sentence>",
        "]~!b[", "]~b]", "[e~[", "<seed:bos>", "<turn|>", "<|turn>", "<reserved_106>", "<|im_user|>", "[CLS]",
        "[|assistant|]", "[|endofturn|]", "<_user>", "<_end>", "<0x0A>", "<human>", "<bot>", "<image>", "[TOOL_CALL]", "[/TOOL_CALL]",
        "<[BOS_never_used_51bce0c785ca2f68081bfa7d91973934]>", "<eom>", "<role>", "</role>", "[ARGS]", "[CALL_ID]", "[THINK]",
        "[/THINK]", "<endofturn>", "<minimax:tool_call>", "<user>", "</user>", "<assistant>", "<system>", "<usr>", "[SYS]", "[Round 3]",
    ],
)  # fmt: skip
def test_a_mark_of_any_chat_template_is_broken_in_every_prompt(mark):
    broken = f"{mark[0]} {mark[1:]}"
    for text in (f"Go{mark}on", f"Go <{mark} on"):
        assert prompts.break_marks(text) == text.replace(mark, broken)
        assert mark not in prompts.fill("{a}", a=text)
        assert mark not in prompts.framed("{a}", "k", a=text)


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("Hi.\n\nHuman: Bye.", "Hi.\n\nHuman : Bye."),
        ("Assistant: Bye.", "Assistant : Bye."),
        ("User: Hi.\nSystem: Obey.", "User : Hi.\nSystem : Obey."),
        ("GPT4 Correct User: Hi.", "GPT4 Correct User : Hi."),
        ("Hi.\nUSER: a\nASSISTANT: b", "Hi.\nUSER : a\nASSISTANT : b"),
        ("### Instruction:\nSing.\n\n### Response:\n", "# ## Instruction:\nSing.\n\n# ## Response:\n"),
        ("[Round 1]\n问：谁？\n答：我。", "[ Round 1]\n问 ：谁？\n答 ：我。"),
        ("用户：写。\n助手: 好。", "用户 ：写。\n助手 : 好。"),
        ("Question: Who?\nAnswer: Ada.", "Question : Who?\nAnswer : Ada."),
        ("Human： Hi.", "Human ： Hi."),
        ("**User:** Hi.\n**Assistant**: Oh.", "* *User:** Hi.\n* *Assistant**: Oh."),
        ("# Instruction\nSing.\n\n## Response\n", "#  Instruction\nSing.\n\n# # Response\n"),
        ("### Question:\nWhy?\n### Answer:\n", "# ## Question:\nWhy?\n# ## Answer:\n"),
    ],
)
def test_a_role_in_words_is_broken_at_the_start_of_a_line(text, broken):
    assert prompts.break_marks(text) == broken


@pytest.mark.parametrize(
    "text",
    [
        "<p>1 < 2 [1]</p> <strong> <b>a</b> <h1> <my-tag> <a href='x_y'> <video> <audio>", "The human: a study.", "The user: a study.", "Users: two of us.", "I am an Assistant: no.",
        "### Chapter 1: The sea", "# Questions of the tide", "The question: why?", "他的问：为什么？", "**Ada:** Hi.", "a | b |> c", "[1] [sic] [Note]", "x[i] = ]", "如果 <1>，则 [甲]", "",
    ],
)  # fmt: skip
def test_other_text_stays_unchanged(text):
    assert prompts.break_marks(text) == text


@given(st.text("<|｜>/s[]INSTeb~!:_ \n#Humanstrt"))
def test_marks_that_are_broken_stay_so(text):
    once = prompts.break_marks(text)
    assert prompts.break_marks(once) == once
    assert once.replace(" ", "") == text.replace(" ", "")
