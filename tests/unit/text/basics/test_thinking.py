import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.text.basics import thinking


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
        ("analysis\na\nfinal\nb", ("b", "a", True)),
        ("【思考】a【/思考】b", ("b", "a", True)),
        ("《思考》a《/思考》\nb", ("\nb", "a", True)),
        ("【思考】a【思考结束】b", ("b", "a", True)),
        ("【思考】为什么会涨潮？\n想一想。", ("【思考】为什么会涨潮？\n想一想。", "", True)),
        ("【思考过程】a\n【正文】b", ("b", "a\n", True)),
        ("**思考过程**\na\n\n**正文**\nb", ("\nb", "a\n", True)),
        ("[thinking]a[/thinking]b", ("b", "a", True)),
        ("b [[Thoughts]]a[[/Thoughts]] c", ("b  c", "a", True)),
        ("(thinking) She waited.", ("(thinking) She waited.", "", True)),
        ("(Thinking: a)\nb", ("b", " a", True)),
        ("（思考：a）\nb", ("b", "a", True)),
        ("\\<think\\>a\\</think\\>b", ("b", "a", True)),
        ("<|think_start|>a<|think_end|>b", ("b", "a", True)),
        ("<think|>a<|/think>b", ("b", "a", True)),
        ("<outline>a</outline>\nb", ("\nb", "a", True)),
        ("> **Thinking**\n> a\n> b\n\nc", ("c", " a\n> b", True)),
        ("> *Thinking*\nis a poem.\n\nc", ("> *Thinking*\nis a poem.\n\nc", "", True)),
        ("An <outline>a</outline> is drawn.", ("An <outline>a</outline> is drawn.", "", True)),
        ("<outline> is a tag.", ("<outline> is a tag.", "", True)),
        ("<details>\n<summary>Thoughts</summary>\na</details>b", ("b", "s</summary>\na", True)),
        ("```think\na\n```\nb", ("\nb", "a", True)),
        ("think>\nb", ("\nb", "think>", True)),
        ("k>\nb", ("\nb", "k>", True)),
        ("think>\na\n</think>\nb", ("\nb", "think>\na\n", True)),
        ("```xml\n<think>a</think>\n```\nb", ("\nb", "a</think>", True)),
        ("**Thoughts:**\na\n\n**Final text:**\nb", ("\nb", "\na\n\n", True)),
        ("k> 3 is small.", ("k> 3 is small.", "", True)),
        ("<!-- plan: a -->\nb", ("\nb", "plan: a", True)),
        ("b\n<!-- a\nc -->\nd", ("b\n\nd", "a\nc", True)),
        ("b\n<!-- a", ("b\n", " a", False)),
        ("A note <!-- a --> is hidden.", ("A note <!-- a --> is hidden.", "", True)),
        ("```html\n<!-- a -->\n```\nb", ("```html\n<!-- a -->\n```\nb", "", True)),
        ("<!doctype html>\n<!-- a -->\nb", ("<!doctype html>\n<!-- a -->\nb", "", True)),
        ("<!-- a --><think>c</think>b", ("b", "a\nc", True)),
        ("## Thinking\nI should begin with the tide.\n\nb", ("", "I should begin with the tide.\n\nb", False)),
        ("## Thinking\nI should begin with the tide.\n\n---\nb", ("b", "I should begin with the tide.\n\n", True)),
        ("## Thinking process\na\n\n## The tide\nb", ("## The tide\nb", "a\n\n", True)),
        ("## Thinking\n\nA sailor does not think; he steers.", ("## Thinking\n\nA sailor does not think; he steers.", "", True)),
        ("Planning: the user wants a text.\n\nb", ("", " the user wants a text.\n\nb", False)),
        ("🤔 Let me open with the tide.\n\nb", ("", "Let me open with the tide.\n\nb", False)),
        ("🤔 Why does the tide come twice a day?", ("🤔 Why does the tide come twice a day?", "", True)),
        ("*thinking* I need a tide. *thinking ends*\nb", ("b", "I need a tide. ", True)),
        ("*thinks for a moment*\n\nb", ("\nb", "*thinks for a moment*", True)),
        ("*Thinking of you*, said the card.", ("*Thinking of you*, said the card.", "", True)),
        ("Thinking...\n\nb", ("\nb", "Thinking...", True)),
        ("Thought for 12 seconds\n\nb", ("\nb", "Thought for 12 seconds", True)),
        ("已深度思考（用时 12 秒）\n潮水。", ("潮水。", "已深度思考（用时 12 秒）", True)),
        ("[Thinking...]\n\nb", ("\nb", "[Thinking...]", True)),
        ("🤔 Thinking...\n\nb", ("\nb", "🤔 Thinking...", True)),
        ("My reasoning:\nI should begin.\n\n---\nb", ("b", "\nI should begin.\n\n", True)),
        ("**Internal monologue:** I will begin.\n\nb", ("", " I will begin.\n\nb", False)),
        ("#### Thought process\na\n\n#### Final text\nb", ("\nb", "a\n\n", True)),
        ("Planning: my father never planned a day.", ("Planning: my father never planned a day.", "", True)),
        ("channel: analysis\na\nchannel: final\nb", ("\nb", "\na\n", True)),
        ("Models write between <think> and </think>, and nobody reads it.",
         ("Models write between <think> and </think>, and nobody reads it.", "", True)),
        ("It opens with a <think> tag.", ("It opens with a <think> tag.", "", True)),
        ("I should go on </think>, and stop", (", and stop", "I should go on ", True)),
    ],
)  # fmt: skip
def test_thinking_is_split_off_where_its_end_is_clear(text, split):
    assert thinking.split_thinking(text) == split
    assert (thinking.reasoning_text(text) is None) == (split == (text, "", True))


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
    found = thinking.split_thinking(text)
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
    split = thinking.split_thinking("".join(parts))
    if split.is_clean and "`" not in split.text and "<|" not in split.text:
        assert thinking.reasoning_text(split.text) is None
