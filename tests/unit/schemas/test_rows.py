import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.schemas.contents import Unusable
from longwriter.schemas.rows import SourceRow, parse, schema

TALE = "Write a tale."


def turns(*pairs, role="role", text="content"):
    return [{role: who, text: said} for who, said in pairs]


@pytest.mark.parametrize(
    "value",
    [
        {"prompt": TALE},
        {"conversation": turns(("user", TALE), ("assistant", "Once.")), "language": "English", "turn": 1},
        {"messages": turns(("system", "Be brief."), ("user", TALE), ("user", "More."))},
        {
            "conversations": turns(
                ("system", "Hi."), ("human", TALE), ("gpt", "Once."), role="from", text="value"
            )
        },
        {"conversations": turns(("user", TALE), role="from", text="value"), "messages": None},
        {"prompt": TALE, "conversation": turns(("user", "Not this."))},
        {"prompt": None, "messages": turns(("user", TALE))},
    ],
)
def test_the_first_turn_of_a_user_is_the_prompt_in_every_schema(value):
    assert parse(value) == SourceRow(TALE)


def test_what_a_plain_row_states_is_kept():
    row = {"prompt": "写", "type": " News Report ", "length": 500, "language": "Chinese", "id": 7}
    assert parse(row) == SourceRow("写", "News Report", 500, "zh")
    assert parse({"prompt": "a", "language": "EN"}).language == "en"
    assert parse({"prompt": "a", "type": None, "length": None, "language": None}) == SourceRow("a")
    assert parse({"prompt": "a", "length": 300.0}) == SourceRow("a", None, 300)
    assert parse({"prompt": "a", "length": Decimal("300.00")}) == SourceRow("a", None, 300)
    assert parse({"prompt": "a", "length": Decimal("1.5")}).reason == "malformed"
    assert parse({"prompt": "a", "length": Decimal("NaN")}) == SourceRow("a")


@pytest.mark.parametrize(
    ("flags", "turn", "toxic", "redacted"),
    [
        ({"toxic": True, "redacted": True}, {}, True, True),
        ({"toxic": False, "redacted": False}, {"toxic": True, "redacted": True}, True, True),
        ({"toxic": False, "redacted": True}, {"toxic": False, "redacted": False}, False, False),
        ({"toxic": "True", "redacted": 1}, {}, True, True),
        ({"toxic": "no", "redacted": 0.0}, {"toxic": 1.0, "redacted": "YES"}, True, True),
        ({"toxic": float("nan"), "redacted": ""}, {"toxic": "false", "redacted": Decimal(0)}, False, False),
        ({"toxic": 0, "redacted": "True"}, {"redacted": "0"}, False, False),
    ],
)
def test_the_sources_own_flags_are_read_and_names_that_are_missing_elsewhere_do_not_count(
    flags, turn, toxic, redacted
):
    row = parse({"conversation": [{"role": "user", "content": "a", **turn}], **flags})
    assert (row.toxic, row.redacted) == (toxic, redacted)


SEA = "Describe the sea at night."
USER = {"role": "user", "content": SEA}


@pytest.mark.parametrize(
    "column", ["prompt", "conversation", "messages", "conversations", "dialog", "chat", "turns"]
)
@pytest.mark.parametrize(
    "chat",
    [
        [USER],
        [{"role": "system", "content": "Be brief."}, {"role": "User", "content": SEA}],
        [{"from": "system", "value": "Be brief."}, {"from": "HUMAN", "value": SEA}, {"from": "gpt", "value": "x"}],
        [{"role": "prompter", "text": SEA}],
        [{"from": "Human:", "content": SEA}],
        [{"role": "用户", "value": SEA}],
        [{"human": SEA, "assistant": "The sea."}],
        [{"assistant": "Hello."}, {"User": SEA}],
        [{"role": "tool", "content": {"result": 4}}, USER],
        [{"role": "assistant", "content": None, "tool_calls": [{"id": 1}]}, USER],
        [{"role": "user", "content": ""}, {"role": "assistant", "content": "Hello"}, USER],
        [{"role": "user", "content": None}, {"role": "user"}, {"role": "user", "content": " \n"}, USER],
        [{"role": "user", "content": [{"type": "tool_result", "content": "4"}]}, USER],
        [{"role": None, "content": None}, USER],
        [{"role": "user", "content": SEA, "from": None, "value": None}],
        [{"role": "user", "content": [{"type": "text", "text": SEA}]}],
        [{"role": "user", "content": [{"type": "text", "text": SEA, "image_url": None}]}],
        [{"role": "user", "content": [SEA]}],
        [{"role": "user", "content": {"content_type": "text", "parts": [SEA]}}],
        [{"role": "user", "content": [{"type": "text", "text": {"value": SEA, "annotations": []}}]}],
        [{"role": "user", "parts": [{"text": SEA}]}],
        [{"role": "user", "content": SEA.encode()}],
    ],
)  # fmt: skip
def test_a_chat_is_read_in_every_shape_and_every_column(column, chat):
    assert parse({column: chat}) == SourceRow(SEA)


@pytest.mark.parametrize(
    "value",
    [
        {"prompt": "", "messages": [USER]},
        {"prompt": " \n", "conversations": [{"from": "human", "value": SEA}]},
        {"prompt": None, "messages": [], "conversations": [USER]},
        {"messages": json.dumps([USER])},
        {"messages": str([USER, {"role": "assistant", "content": None}])},
        {"conversation": [{"input": SEA, "output": "The sea."}, {"input": "More.", "output": "No."}]},
        {"conversations": [{"question": SEA, "answer": "The sea."}]},
        {
            "chat_messages": [
                {"sender": "human", "text": SEA, "content": []},
                {"sender": "assistant", "text": "x"},
            ]
        },
        {"id": "0", "data": [SEA, "The sea.", "More."]},
        {"inputs": SEA, "targets": "The sea."},
        {"prompt": SEA, "length": float("nan"), "type": float("nan"), "language": float("nan")},
        {"messages": json.dumps([USER]).encode()},
        {"conversations": json.dumps([{"from": "human", "value": SEA}], indent=1)},
        {"prompt": json.dumps([USER])},
        {"prompt": [USER], "completion": [{"role": "assistant", "content": "x"}]},
        {"prompt": SEA, "completion": "The sea."},
        {"prompt": SEA.encode()},
        {"messages": {"role": ["system", "user"], "content": ["Be brief.", SEA]}},
        {"messages": USER},
        {"messages": [[("role", "user"), ("content", SEA)]]},
        {"instruction": SEA, "input": "", "output": "The sea."},
        {"instruction": SEA, "input": None},
        {"question": SEA, "answer": "The sea."},
        {"query": SEA, "response": "The sea.", "type": 3, "length": -1},
        {"input": SEA, "output": "The sea."},
        {"Question": SEA, "Answer": "The sea."},
        {"Messages": [USER]},
        {"turns": 3, "chat": "a name", "dialog": [1], "instruction": SEA},
    ],
)
def test_an_instruction_is_found_in_every_common_schema(value):
    assert parse(value) == SourceRow(SEA)


SAID = {"role": "assistant", "content": "The sea."}
CHAT_TEXTS = [
    f"### Human: {SEA}### Assistant: The sea.### Human: More.",
    f"\n\nHuman: {SEA}\n\nAssistant: The sea.\n\nHuman: More.\n\nAssistant:",
    f"USER: {SEA} ASSISTANT: The sea.</s>",
    f"<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n{SEA}<|im_end|>\n<|im_start|>assistant\n",
    f"<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n{SEA} [/INST] The sea. </s>",
    f"Below is an instruction.\n\n### Instruction:\n{SEA}\n\n### Response:\nThe sea.",
    f"<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n{SEA}<|eot_id|>",
    f"<start_of_turn>user\n{SEA}<end_of_turn>\n<start_of_turn>model\nThe sea.<end_of_turn>",
    f"<|user|>\n{SEA}</s>\n<|assistant|>\nThe sea.</s>",
    f"[Round 0]\n问：{SEA}\n答：The sea.",
    f"用户：{SEA}\n助手：The sea.",
    f"Question: {SEA}\nAnswer: The sea.",
    f"**User:** {SEA}\n\n**Assistant:** The sea.",
    f"<user>{SEA}</user><assistant>The sea.</assistant>",
    f"# Instruction\n{SEA}\n\n# Response\nThe sea.",
    f"<extra_id_0>System\nBe brief.\n<extra_id_1>User\n{SEA}\n<extra_id_1>Assistant\n",
    f"<｜User｜>{SEA}<｜Assistant｜>The sea.",
    f"<|Human|>: {SEA}<eoh>\n<|MOSS|>: The sea.<eom>",
    f"[|user|]{SEA}\n[|assistant|]The sea.[|endofturn|]",
]


@pytest.mark.parametrize("text", CHAT_TEXTS)
def test_a_chat_with_role_marks_in_one_text_gives_what_its_user_says_first(text):
    assert parse({"text": text, "id": 4}) == SourceRow(SEA)


def test_a_prompt_with_role_marks_is_read_only_if_it_begins_as_a_chat():
    assert parse({"prompt": f"\n\nHuman: {SEA}\n\nAssistant: "}) == SourceRow(SEA)
    assert parse({"chosen": f"\n\nHuman: {SEA}\n\nAssistant: The sea."}) == SourceRow(SEA)
    quoted = "Continue this chat.\nHuman: Hi.\nAssistant: Hello."
    assert parse({"prompt": quoted}) == SourceRow(quoted)
    assert parse({"prompt": "User: the word for a person"}) == SourceRow("User: the word for a person")


def test_a_prompt_with_the_turns_of_a_template_gives_what_its_user_says_first():
    for text in (
        f"<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n{SEA}<|im_end|>\n<|im_start|>assistant\n",
        f"<s><|user|>\n{SEA}</s>\n<|assistant|>\n",
        f"{SEA}\n<extra_id_1>Assistant\nThe sea.\n<extra_id_1>User\nMore.",
        f"System: Be brief.\nUser: {SEA}\nAssistant:",
    ):
        assert parse({"prompt": text}) == SourceRow(SEA)


TEMPLATES = [
    f"<|start|>system<|message|>Be brief.<|end|><|start|>user<|message|>{SEA}<|end|><|start|>assistant",
    f"<|begin_of_text|><|header_start|>user<|header_end|>\n\n{SEA}<|eot|><|header_start|>assistant<|header_end|>\n\nThe sea.",
    f"<|start_of_role|>system<|end_of_role|>Be brief.<|end_of_text|>\n<|start_of_role|>user<|end_of_role|>{SEA}<|end_of_text|>\n",
    f"<BOS_TOKEN><|START_OF_TURN_TOKEN|><|USER_TOKEN|>{SEA}<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>The sea.",
    f"<|im_system|>system<|im_middle|>Be brief.<|im_end|><|im_user|>user<|im_middle|>{SEA}<|im_end|><|im_assistant|>assistant<|im_middle|>",
    f"<seed:bos>user\n{SEA}<seed:eos><seed:bos>assistant\nThe sea.<seed:eos>",
    f"<beginning_of_sentence>user name=Ann\n{SEA}<end_of_sentence>\n<beginning_of_sentence>ai name=Bo\nThe sea.",
    f"]~!b[]~b]system\nBe brief.[e~[\n]~b]user\n{SEA}[e~[\n]~b]ai\n<think>",
    f"[gMASK]<sop><|user|>\n{SEA}<|assistant|>\nThe sea.",
    f"<|im_start|>user<|im_sep|>{SEA}<|im_end|><|im_start|>assistant<|im_sep|>",
    f"[|system|]Be brief.[|endofturn|]\n[|user|]{SEA}\n[|assistant|]The sea.",
    f"<｜hy_begin▁of▁sentence｜><｜hy_User｜>{SEA}<｜hy_Assistant｜>The sea.",
    f"<s><|User|>:{SEA}<eoh>\n<|Bot|>:The sea.<eoa>",
    f"<s><|system_start|>Be brief.<|system_end|><|user_start|>{SEA}<|user_end|><|assistant_start|>The sea.",
    f"<role>SYSTEM</role>Be brief.<role>HUMAN</role>{SEA}<role>ASSISTANT</role>The sea.",
    f"<|bom|><|system|> Be brief.<|eom|><|bom|><|user|> {SEA}<|eom|><|bom|><|assistant|> The sea.<|eom|>",
    f"<|endoftext|><|user|>\n{SEA}\n<|assistant|>\nThe sea.",
    f"GPT4 Correct User: {SEA}<|end_of_turn|>GPT4 Correct Assistant: The sea.",
    f"<|USER|>{SEA}<|ASSISTANT|>The sea.",
    f"<|prompter|>{SEA}<|endoftext|><|assistant|>The sea.",
    f"<SPECIAL_10>System\n\n<SPECIAL_11>User\n{SEA}\n<SPECIAL_11>Assistant\nThe sea.",
    f"<bos><|turn>user\n{SEA}<turn|>\n<|turn>model\nThe sea.",
    f"<s>Human: {SEA}\n\nAssistant: </s>The sea.",
    f"<|begin_of_sentence|>User: {SEA}\nAssistant: The sea.",
    f"[Round 0] USER:{SEA} ASSISTANT:The sea.",
    f"[Round 1]\n\n问：{SEA}\n\n答：The sea.",
    f"<|userprompt|>{SEA}<|endofuserprompt|><|response|>The sea.",
    f"<｜BOT｜>user\n{SEA}<｜EOT｜><｜BOT｜>assistant\nThe sea.",
    f"<s>[SYSTEM_PROMPT]Be brief.[/SYSTEM_PROMPT][INST]{SEA}[/INST]The sea.</s>",
    f"<|startoftext|><|im_start|>user\n{SEA}<|im_end|>\n<|im_start|>assistant\n",
]


@pytest.mark.parametrize("text", TEMPLATES)
@pytest.mark.parametrize("column", ["text", "prompt", "instruction", "inputs", "question"])
def test_a_chat_in_the_template_of_any_model_gives_what_its_user_says_first(text, column):
    assert parse({column: text}) == SourceRow(SEA)


@pytest.mark.parametrize(
    "text",
    [
        "<|endoftext|> ends a document. Explain in 500 words why.",
        "<user> and <assistant> are two tags: what does each of them do in a page?",
        "User: Hi.\nAssistant: Hello.\nGo on with this talk for 300 words.",
        "[INST] is a mark of Llama 2. Write about its history.",
        "<s>Write a story about the sea.",
    ],
)
def test_an_instruction_about_marks_of_templates_stays_whole(text):
    assert parse({"instruction": text}) == SourceRow(text)


@pytest.mark.parametrize(
    "text",
    [
        "Question: why is the sea salty?\nAnswer: in 500 words, please.",
        "<user>Ada, 9 years old</user>\nWrite her a poem.",
        "问：什么是潮汐？\n答：请用五百字。",
        "Say what <|im_start|>assistant means in a template.",
    ],
)
def test_a_prompt_that_only_looks_like_a_chat_is_a_prompt(text):
    assert parse({"prompt": text}) == SourceRow(text)


def test_what_follows_an_instruction_of_alpaca_stays_without_its_heading():
    text = "### Instruction:\nSum it up.\n\n### Input:\nThe tide.\n\n### Response:\n"
    assert parse({"text": text}) == SourceRow("Sum it up.\n\nThe tide.")


LANGCHAIN = {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "HumanMessage"]}


@pytest.mark.parametrize(
    "value",
    [
        {"conversations": [SEA, "The sea."], "source": "LIMA"},
        {"messages": f"[{USER}\n {SAID}]"},
        {"prompt": json.dumps([SEA, "More."]), "response_a": json.dumps(["The sea."])},
        {"history": [[SEA, "The sea."], ["More.", "No."]]},
        {"instruction": "More.", "input": "", "output": "No.", "history": [[SEA, "The sea."]]},
        {"prompt": "More.", "response": "No.", "history": [[SEA, "The sea."]]},
        {"query": "More.", "history": json.dumps([[SEA, "The sea."]])},
        {"instruction": SEA, "history": []},
        {"instruction": SEA, "history": None},
        {"prompt": SEA, "history": "In 1900."},
        {"messages": [[USER, SAID]]},
        {"messages": [{"type": "human", "content": SEA}, {"type": "ai", "content": "x"}]},
        {"messages": [{"type": "system", "data": {"content": "x"}}, {"type": "human", "data": {"content": SEA}}]},
        {"messages": [{**LANGCHAIN, "kwargs": {"content": SEA}}]},
        {"contents": [{"role": "user", "parts": [{"text": SEA}]}, {"role": "model", "parts": [{"text": "x"}]}]},
        {"key": "a", "request": {"contents": [{"parts": [{"text": SEA}]}]}},
        {"custom_id": "1", "body": {"model": "m", "messages": [USER]}},
        {"inputs": {"messages": [USER]}, "outputs": {"generations": []}},
        {"inputs": {"question": SEA}, "outputs": {"answer": "x"}},
        {"input": [USER], "output": SAID},
        {"input": {"messages": [USER], "tools": []}, "preferred_output": [SAID]},
        {"fields": {"prompt": SEA, "response": "x"}, "suggestions": {}},
        {"data": {"prompt": SEA}, "annotations": []},
        {"data": {"dialogue": [{"author": "user", "text": SEA}]}, "annotations": []},
        {"chat": {"title": "t", "messages": [USER], "history": {"currentId": "2"}}},
        {"items": [{"from": "human", "value": SEA}], "avatarUrl": ""},
        {"conversation_a": [USER, SAID], "conversation_b": [USER, SAID], "winner": "model_a"},
        {"chosen": [USER, SAID], "rejected": [USER, SAID]},
        {"context": [USER], "response1": "x", "response2": "y"},
        {"question": SEA, "context": [{"title": "t", "text": "x"}]},
        {"text": SEA, "role": "prompter", "parent_id": None, "lang": "en"},
        {"user": SEA, "assistant": "The sea."},
        {"problem": SEA, "solution": "x"},
        {"text_input": SEA, "output": "x"},
        {"chat": {"turn_1": {"Human": f"<|Human|>: {SEA}<eoh>\n", "MOSS": "<|MOSS|>: x<eom>"}}, "num_turns": 1},
        {"question_id": 81, "category": "writing", "turns": [SEA, "More."]},
        {"prompt": [SEA, "More."], "category": "writing", "prompt_id": 81},
        {"question_id": "a", "turns": [{"content": SEA}], "cluster": "c"},
        {"prompt": {"text": SEA, "toxicity": 0.1}},
        {"attributes.llm.input_messages": [{"message.role": "user", "message.content": SEA}]},
        {"input_messages": [{"message": {"role": "user", "content": SEA}}]},
        {"request_body": {"model": "m", "messages": [USER]}, "response_body": {}},
        {"request": json.dumps({"messages": [USER]})},
        {"input": json.dumps({"messages": [USER]}), "output": "x"},
        {"input": json.dumps([USER]), "metadata": "{}"},
        {"messages": [{"text": SEA, "isCreatedByUser": True}, {"text": "x", "isCreatedByUser": False}]},
        {"messages": [{"role": "Role.USER", "content": SEA}]},
        {"utterances": [{"speaker": "USER", "utterance": SEA}]},
        {"Human": SEA, "Assistant": "x"},
        {"user_prompt": SEA, "system_prompt": "Be brief."},
        {"user_query": SEA, "response": "x"},
        {"prompt": float("nan"), "messages": [USER]},
        {"opening_prompt": SEA, "conversation_turns": 3},
        {"custom_id": "1", "params": {"model": "m", "messages": [USER]}},
        {"recordId": "1", "modelInput": {"messages": [USER]}},
        {"instruction_en": SEA, "meta_instruction": "Be brief."},
        {"inputs": [1, 2], "inputs_pretokenized": SEA, "targets": [1]},
    ],
)  # fmt: skip
def test_exports_and_chats_in_other_columns_are_read(value):
    assert parse(value) == SourceRow(SEA)


def test_names_that_hold_something_else_are_not_read_as_instructions():
    for name in (
        "system_prompt",
        "meta_instruction",
        "prompt_id",
        "question_type",
        "judge_prompt",
        "message",
    ):
        assert parse({name: SEA}).reason == "malformed"


@pytest.mark.parametrize(
    ("value", "column"),
    [
        ({"task": SEA, "id": 1}, "task"),
        ({"request": SEA}, "request"),
        ({"指令": "写一篇关于大海的文章"}, "指令"),
        ({"recordId": "1", "modelInput": {"inputText": SEA}}, "modelinput.inputtext"),
        ({"input_text": SEA, "output_text": "x"}, "input_text"),
        ({"role_1": "Writer", "topic": "sea", "message_1": SEA, "message_2": "x"}, "message_1"),
        ({"role_1": "a", "specified_task": SEA, "message_1": {"instruction": "x", "input": "y"}}, "specified_task"),
        ({"message": SEA, "chat_history": []}, "message"),
        ({"message": "More.", "chat_history": [{"role": "USER", "message": SEA}]}, "chat_history"),
        ({"conversation": {"id": "1"}, "responses": [{"response": {"sender": "human", "message": SEA}}]}, "responses"),
        ({"contents": {"role": "user", "parts": {"text": SEA}}}, "contents"),
        ({"full_conversation": [{"user": USER, "model_side_a": {"role": "assistant", "content": "x"}}]}, "full_conversation"),
        ({"chat": {"history": {"messages": {"1": {**USER, "id": "1"}, "2": {"role": "assistant", "content": "x"}}}}},
         "chat.history.messages"),
        ({"mapping": {"1": {"parent": None, "message": {"fragments": [{"type": "REQUEST", "content": SEA}]}}}}, "mapping"),
        ({"messages": [{"versions": [{"role": "user", "content": "Old."}, USER], "currentlySelected": 1}]}, "messages"),
        ({"schemaType": "x", "input": {"inputBodyJson": {"messages": [USER]}}}, "input.inputbodyjson.messages"),
        ({"segments": [{"label": False, "text": SEA}, {"label": True, "text": "x"}]}, "segments"),
        ({"segments": [{"label": False, "text": f"<s>[INST] {SEA} [/INST]"}, {"label": True, "text": "x</s>"}]}, "segments"),
        ({"bubbles": [{"type": "user", "text": SEA}, {"type": "ai", "text": "x"}]}, "bubbles"),
        ({"conversation": [{"type": 1, "bubbleId": "a", "text": SEA}, {"type": 2, "bubbleId": "b", "text": "x"}]}, "conversation"),
        ({"requests": [{"message": {"text": SEA, "parts": []}, "response": [{"value": "x"}]}]}, "requests"),
        ({"instances": [{"prompt": SEA}], "parameters": {}}, "instances.prompt"),
        ({"chunkedPrompt": {"chunks": [{"text": SEA, "role": "user"}]}}, "chunkedprompt.chunks"),
        ({"header": "Gemini Apps", "title": f"Prompted {SEA}", "products": ["Gemini Apps"]}, "title"),
        ({"header": "Gemini Apps", "title": f"Prompted\u00a0{SEA}", "products": ["Gemini Apps"]}, "title"),
        ({"segments": [{"label": 0, "text": SEA}, {"label": 1, "text": "x"}]}, "segments"),
        ({"turns": SEA}, "turns"),
        ({"turns": f"['{SEA}', 'Shorter.']"}, "turns"),
        ({"messages": [{"sender": "You", "text": SEA}, {"sender": "Claude", "text": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "contentParts": [{"type": "text", "text": SEA}]}]}, "messages"),
        ({"User Prompt": SEA}, "prompt"),
    ],
)  # fmt: skip
def test_more_exports_and_requests_are_read_and_their_column_is_named(value, column):
    assert parse(value).prompt in (SEA, "写一篇关于大海的文章")
    assert schema(value).split(" (")[0] == column


def test_a_column_that_often_names_a_kind_is_an_instruction_only_if_it_holds_a_sentence_and_there_is_no_text():
    assert parse({"task": "summarization"}).reason == "malformed"
    assert parse({"task": SEA, "text": "The sea is wide."}).reason == "malformed"
    assert parse({"task": "summarization", "prompt": SEA}) == SourceRow(SEA)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"role": "user", "content": SEA}, "the row is one message of a chat: put all messages"),
        ({"from": "human", "value": SEA}, "one message of a chat"),
        ({"name": "Ann", "is_user": True, "mes": SEA}, "one message of a chat"),
        ({"user_name": "Ann", "character_name": "Bo"}, "one message of a chat"),
        ({"spec": "chara_card_v2", "data": {"name": "Bo", "first_mes": "Hi."}}, "data: the row is a character card"),
        ({"custom_id": "1", "response": {"body": {}}}, "an answer of a batch, without its prompt"),
        ({"type": "message", "user": "U1", "text": SEA, "ts": "1"}, "one message of a chat"),
        ({"conversation": "Sea", "author": "Human", "message": SEA}, "if each row is one message, put all messages"),
        ({"messages": [{"author": {"name": "ann"}, "content": SEA}]}, "messages of a group, such as Discord's"),
        ({"turns": f"['{SEA}"}, "no prompt: one of the columns"),
        ({"title": "T-shirt", "products": ["a"]}, "no prompt: one of the columns"),
        ({"instances": [{"prompt": SEA}, {"prompt": SEA}]}, "no instance or several: put each of them into a row"),
        ({"id": 1, "data": {"text": SEA}, "annotations": []}, "if one of them holds the instructions, rename it to prompt"),
    ],
)  # fmt: skip
def test_a_row_of_a_known_kind_without_an_instruction_says_what_to_do(value, told):
    assert parse(value).reason == "malformed"
    assert told in parse(value).detail


def test_an_activity_that_is_no_prompt_is_no_instruction():
    row = parse({"header": "Gemini Apps", "title": "Used Gemini Apps", "products": ["Gemini Apps"]})
    assert row.reason == "no_instruction"


def test_a_text_of_python_with_a_number_as_key_is_read():
    assert parse({"messages": str([{"role": "user", 5: "x", "content": SEA}])}) == SourceRow(SEA)
    assert parse({"messages": "[{'a': 1, 5: 'x'}]"}).reason == "malformed"


def test_a_row_of_oasst_that_is_no_opening_is_no_instruction():
    assert parse({"text": "x", "role": "assistant", "parent_id": "a"}).reason == "no_instruction"
    assert parse({"text": "More.", "role": "prompter", "parent_id": "b"}).reason == "no_instruction"


@pytest.mark.parametrize(
    "chat",
    [
        [{"role": "user", "content": json.dumps([{"type": "text", "text": SEA}])}],
        [{"role": "user", "content": str([{"type": "text", "text": SEA}])}],
        [{"role": "user", "content": [{"type": "text", "content": SEA}]}],
        [{"role": "user", "content": [{"type": "Text", "value": SEA}]}],
        [{"role": "user", "content": {"value": SEA}}],
        [{"role": "user", "content": "\u200b"}, USER],
        [{"role": "user", "content": "\u2800\u3164"}, USER],
        [{"role": "user", "content": "NaN"}, {"role": "user", "content": float("nan")}, USER],
        [None, USER],
        [{"Role": "User", "Content": SEA}],
        [{"role": "usuario", "content": SEA}, {"role": "asistente", "content": "x"}],
        [{"role": "ユーザー", "content": SEA}],
        [{"role": "使用者", "content": SEA}, {"role": "助理", "content": "x"}],
        [json.dumps(USER), json.dumps({"role": "assistant", "content": "x"})],
        json.dumps(json.dumps([USER])),
        "\ufeff" + json.dumps([USER]),
        [{"author": {"role": "user"}, "content": {"parts": [SEA]}}],
        [{"author": {"name": "Ann", "is_human": True}, "candidates": [{"raw_content": SEA}]}, {"author": {"name": "Bo"}, "candidates": []}],
        [{"role": "user", "fragments": [{"ft": "content", "part": {"pt": "text", "text": SEA}}]}],
        [{"role": "user", "content": "", "contentChunks": [{"type": "text", "text": SEA}]}],
    ],
)  # fmt: skip
def test_a_chat_is_read_where_its_turns_are_stored_in_rarer_ways(chat):
    assert parse({"messages": chat}) == SourceRow(SEA)


@pytest.mark.parametrize(
    "nothing", ["\u200b", "\ufeff", "\u2800", "null", "nan", "None", "N/A", "[]", "{}", "-", "…", [], {}]
)
def test_a_prompt_that_says_nothing_leaves_the_messages(nothing):
    assert parse({"prompt": nothing, "messages": [USER]}) == SourceRow(SEA)


@pytest.mark.parametrize("nothing", ["none", "NaN", "<NA>", "undefined"])
def test_a_programs_word_for_a_missing_value_is_no_instruction(nothing):
    assert parse({"prompt": nothing}).reason == "no_instruction"
    assert parse({"prompt": f"{nothing} of us"}) == SourceRow(f"{nothing} of us")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([{"role": "visitor", "content": SEA}, {"role": "assistant", "content": "x"}], "the roles are 'assistant', 'visitor'"),
        ([{"role": "user", "body": SEA}], "a turn of the user has no text: one of content,"),
        ([{"messages": [USER]}], "messages: it holds whole chats"),
    ],
)  # fmt: skip
def test_a_chat_whose_user_nobody_can_name_is_not_called_a_chat_without_a_user(value, told):
    row = parse({"messages": value})
    assert (row.reason, told in row.detail) == ("malformed", True)


def test_a_chat_may_be_the_whole_row_or_stand_in_an_object_with_messages():
    for value in (
        [USER, SAID],
        {"prompt": json.dumps(USER)},
        {"prompt": {"messages": [USER]}},
        {"messages": json.dumps({"messages": [USER]})},
    ):
        assert parse(value) == SourceRow(SEA)
        assert "(a chat: role, content)" in schema(value)
    assert parse([1]).reason == parse([[]]).reason == "malformed"


def test_an_event_of_a_coding_agent_is_one_message_of_a_chat():
    for value in ({"type": "user", "message": USER}, {"type": "response_item", "payload": USER}):
        assert "one message of a chat" in parse(value).detail


@pytest.mark.parametrize("name", ["Toxic", "TOXIC", "is_toxic", "Is_Toxic", "isToxic"])
def test_a_flag_is_read_under_its_name_in_any_case(name):
    assert parse({"prompt": SEA, name: "True"}) == SourceRow(SEA, toxic=True)
    assert parse({"messages": [{**USER, name: 1}]}) == SourceRow(SEA, toxic=True)


def test_the_flags_beside_an_envelope_count():
    assert parse({"inputs": {"question": "a"}, "toxic": 1}) == SourceRow("a", toxic=True)


@pytest.mark.parametrize("text", ["\u200b", "\ufeff \n\u2060"])
def test_a_prompt_of_invisible_characters_is_no_instruction(text):
    assert parse({"prompt": text}) == Unusable("no_instruction", "no text in prompt")


def message(role, *parts, hidden=False, kind="text"):
    content = {"content_type": kind, "parts": list(parts)}
    metadata = {"is_visually_hidden_from_conversation": True} if hidden else {}
    return {"author": {"role": role, "metadata": {}}, "content": content, "metadata": metadata}


def export(end="d", **messages):
    """A chat of ChatGPT's export: a root, a hidden system message, two edits of a question, an answer to `c`."""
    parents = {"root": None, "a": "root", "b": "a", "c": "a", "d": "c"}
    shown = {
        "root": None,
        "a": message("system", "", hidden=True),
        "b": message("user", "An edit that was dropped."),
        "c": message("user", SEA),
        "d": message("assistant", "The sea."),
    } | messages
    tree = {
        name: {"id": name, "message": shown[name], "parent": parents[name], "children": []}
        for name in parents
    }
    return {"title": "The sea", "create_time": 1.5, "mapping": tree, "current_node": end}


@pytest.mark.parametrize(
    "value",
    [
        export(),
        export(end=None),
        export(end="no such node"),
        export(a=message("user", "About me: I fish.", kind="user_editable_context")),
        {"mapping": {"a": {"message": message("user", SEA)}}},
    ],
)
def test_a_chat_that_chatgpt_exported_is_read_along_the_branch_that_was_shown_last(value):
    assert parse(value) == SourceRow(SEA)


def test_an_exported_chat_with_a_picture_or_without_a_user_says_so():
    picture = {"content_type": "image_asset_pointer", "asset_pointer": "file-service://x"}
    seen = parse(export(c=message("user", picture, "What is this?", kind="multimodal_text")))
    assert (seen.reason, seen.detail) == ("not_text", "mapping: the user sends image")
    assert parse(export(c=message("assistant", "Hello."))).reason == "no_instruction"
    assert parse({"mapping": {"a": {"parent": "b"}, "b": {"parent": "a"}}}).reason == "no_instruction"
    assert schema(export()) == "mapping (a chat: role, content)"
    damaged = {"mapping": {"a": {"message": {"author": {"role": "user"}, "content": {"parts": True}}}}}
    assert parse(damaged).reason == "no_instruction"


def test_what_an_instruction_is_about_follows_it():
    assert parse({"instruction": "Sum it up.", "input": "The tide."}) == SourceRow("Sum it up.\n\nThe tide.")
    assert parse({"instruction": "Who?", "context": "Ada."}) == SourceRow("Who?\n\nAda.")


def test_parts_of_a_text_are_joined_by_line_ends():
    parts = [{"type": "text", "text": "One."}, "Two.", {"type": "input_text", "text": "Three."}]
    assert parse({"messages": [{"role": "user", "content": parts}]}) == SourceRow("One.\nTwo.\nThree.")


@pytest.mark.parametrize(
    "text",
    [
        '{"role": "king"',
        '{"role": "king"} is an object.',
        '[{"a": 1}] is a list: what does it hold?',
        '[{"a": 1}]',
        "[\n",
        "[]",
    ],
)
def test_a_prompt_that_looks_like_a_list_is_a_text(text):
    assert parse({"prompt": text}) == SourceRow(text)


IMAGE = {"type": "image_url", "image_url": {"url": "data:,"}}


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        ({"messages": []}, "messages: no turn of a user with a text"),
        ({"messages": ""}, "messages: no turn of a user with a text"),
        ({"messages": "null"}, "messages: no turn of a user with a text"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, "messages: no turn of a user with a text"),
        ({"messages": [{"role": "user", "content": None}]}, "messages: no turn of a user with a text"),
        ({"messages": [{"role": "user", "content": []}]}, "messages: no turn of a user with a text"),
        ({"prompt": "", "messages": None}, "no text in prompt"),
        ({"prompt": None, "text": "a"}, "no text in prompt"),
        ({"conversation": None, "messages": None}, "no text in conversation, messages"),
        ({"instruction": " ", "input": ""}, "no text in instruction, input"),
    ],
)
def test_a_row_without_a_text_of_a_user_is_no_instruction(value, detail):
    assert parse(value) == Unusable("no_instruction", detail)


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        ([IMAGE], "image_url"),
        ([{"type": "text", "text": SEA}, IMAGE, IMAGE], "image_url"),
        ([{"type": "input_audio", "input_audio": {}}, {"type": "file", "file": {}}], "input_audio, file"),
        ([{"image": "a.png"}, {"text": SEA}], "image"),
        ("<image>\nDescribe it.", "image"),
    ],
)
def test_what_a_user_shows_cannot_be_written_about(content, detail):
    chat = [{"role": "user", "content": content}, {"role": "assistant", "content": "x"}, USER]
    assert parse({"messages": chat}) == Unusable("not_text", f"messages: the user sends {detail}")
    assert parse({"prompt": "", "messages": chat, "conversations": []}).reason == "not_text"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([], "an object with named columns is needed, found a list: does the file hold one JSON array"),
        (None, "object"),
        ({}, "no prompt: one of the columns prompt, conversation, messages, conversations, chat_messages"),
        ({"title": "a", "body": "b"}, "is needed, found 'title', 'body'; if one of them holds the instructions, rename it to prompt"),
        ({"text": "<|im_start|>assistant\nHi<|im_end|>"}, "text: this is a whole chat with role marks in one text"),
        ({"text": "\n\nHuman: Hi"}, "text: this is a whole chat"),
        ({"text": "Once upon a time."}, "found 'text'"),
        ({"prompt": 3}, "prompt: text is needed, found int"),
        ({"prompt": True}, "prompt: text is needed, found a boolean"),
        ({"prompt": ["a", "b"]}, "the object is a whole table"),
        ({"prompt": "a\0b"}, "NUL"),
        ({"prompt": "a\ud83c"}, "surrogate"),
        ({"prompt": b"\xff"}, "prompt: no UTF-8"),
        ({"prompt": "a", "type": "\ud83c"}, "type: holds half a character"),
        ({"prompt": "a", "type": " "}, "type"),
        ({"prompt": "a", "type": 3}, "type"),
        ({"prompt": "a", "length": 0}, "length"),
        ({"prompt": "a", "length": -5}, "length"),
        ({"prompt": "a", "length": "300"}, "length"),
        ({"prompt": "a", "length": 300.5}, "length"),
        ({"prompt": "a", "length": float("inf")}, "length"),
        ({"messages": "[{'role': " * 30}, "messages: a list of turns is needed"),
        ({"messages": "[" * 50_000}, "messages: a list of turns is needed"),
        ({"messages": "[{'role': __import__('os')}]"}, "messages: a list of turns is needed"),
        ({"prompt": "a", "length": True}, "length"),
        ({"prompt": "a", "length": 10**30}, "length"),
        ({"prompt": {"0": "a", "1": "b"}, "id": {"0": 1, "1": 2}}, "a whole table: write one row a line, in pandas"),
        ({"question": {"0": "a"}}, "a whole table"),
        ({"prompt": ["a", "b"], "id": [1, 2]}, "a whole table"),
        ({"columns": ["prompt"], "index": [0], "data": [["a"]]}, "a whole table"),
        ({"prompt": "a", "language": ""}, "language"),
        ({"prompt": "a", "language": 5}, "language"),
        ({"prompt": "a", "toxic": "perhaps"}, "toxic: true or false is needed, found 'perhaps'"),
        ({"messages": [USER], "toxic": 0.7}, "toxic: true or false is needed, found '0.7'"),
        ({"messages": [{**USER, "toxic": [True]}]}, "toxic: true or false is needed, found '[True]'"),
        ({"question": "a", "redacted": {}}, "redacted: true or false is needed"),
        ({"conversation": "a"}, "conversation: a list of turns is needed, found a text that is no JSON"),
        ({"conversation": 5}, "conversation: a list of turns is needed, found int"),
        ({"conversation": [1]}, "conversation: each turn is an object"),
        ({"conversation": [[["a"]]]}, "conversation: each turn is an object"),
        ({"body": {"messages": 5}}, "body: messages: a list of turns is needed, found int"),
        ({"data": {"data": {"data": {"data": {"prompt": "a"}}}}}, "data: data: data: no prompt"),
        ({"messages": [{"role": ["user"], "content": "a"}]}, "messages.role: a role is a text, found a list"),
        ({"messages": [{"content": "a"}]}, "messages: a turn has no role: one of role, from"),
        ({"messages": [{"role": "customer", "content": "a"}]}, "the roles are 'customer'; a user is called user, human,"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.content: text is needed, found int"),
        ({"messages": [{"role": "user", "content": [5]}]}, "a part is a text or an object with type, found int"),
        ({"messages": [{"role": "user", "content": [{"a": "b"}]}]}, "a part has neither type nor text"),
        ({"messages": [{"role": "user", "content": [{"type": 5}]}]}, "the type of a part is a text"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": []}]}]}, "the text of a part"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_read_is_malformed_and_the_column_is_named(value, told):
    row = parse(value)
    assert isinstance(row, Unusable)
    assert row.reason == "malformed"
    assert told in row.detail


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"prompt": "a"}, "prompt"),
        ({"prompt": "a", "length": None, "toxic": False, "id": 7}, "prompt, with length, toxic"),
        ({"messages": [USER], "language": "x", "redacted": 0}, "messages (a chat: role, content), with redacted"),
        ({"prompt": "", "messages": [USER]}, "messages (a chat: role, content)"),
        ({"conversations": [{"from": "human", "value": "a"}]}, "conversations (a chat: from, value)"),
        ({"turns": [{"Human": "a"}]}, "turns (a chat: Human)"),
        ({"instruction": "a", "input": "b"}, "instruction and input"),
        ({"a": 1}, "no instruction (no prompt: one of the columns prompt, conversation, messages, conversations, "
                   "chat_messages, instruction, question, query, input, inputs, problem, text_input is needed, found 'a'; if one of them holds the instructions, rename it to prompt)"),
        ({"inputs": {"messages": [USER]}}, "inputs.messages (a chat: role, content)"),
        ({"text": "USER: a ASSISTANT: b"}, "text"),
    ],
)  # fmt: skip
def test_a_schema_is_described_in_words(value, words):
    assert schema(value) == words


KEYS = st.sampled_from(["prompt", "messages", "conversations", "turns", "instruction", "input", "role", "from", "content",
                        "value", "text", "type", "parts", "toxic", "language", "length", "user", "mapping", "current_node",
                        "message", "parent", "author"])  # fmt: skip
VALUES = st.recursive(
    st.sampled_from(["user", "assistant", "text", "image", "", "[{\"role\": 1}]", "\0", "\ud800", "true", b"\xff"])
    | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4)
    | st.lists(st.tuples(KEYS, inner), max_size=2),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(KEYS, VALUES, max_size=5) | VALUES)
def test_whatever_a_row_holds_it_is_a_row_with_a_text_or_unusable(value):
    row = parse(value)
    assert isinstance(row, Unusable) or row.prompt.strip()
    assert isinstance(schema(value), str)
