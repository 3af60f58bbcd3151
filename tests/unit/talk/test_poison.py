import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.talk import poison
from longwriter.text.basics.prompts import Refused

ERRORS = [
    "Max tries. Failed.",
    "The ship sailed on. Max tries. Failed.",
    "Error code: 429",
    "Error code: 429 - {'error': {'message': 'x'}}",
    "The sea was calm. Error code: 500 - {'error': {'message': 'x'}}",
    "Internal Server Error",
    "500 Internal Server Error",
    "HTTP/1.1 502 Bad Gateway",
    "Error 503",
    "HTTP error 503: Service Unavailable",
    "Error: 429 Too Many Requests",
    "[ERROR] Max retries exceeded",
    "[ERROR] model output blocked",
    "Insufficient credits",
    "The sea was calm.\n\nService temporarily unavailable.",
    "Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Used 29000.",
    "rate limit reached for requests",
    "Rate limit exceeded. Please try again in 20s.",
    "<!DOCTYPE html><html><head><title>Sign in</title></head>",
    "<html>\n<head><title>502 Bad Gateway</title></head>",
    '<html lang="en"><body>Out of order',
    '{"error": {"message": "x", "type": "y"}}',
    'The sea was calm. {"error": {"message": "x"}}',
    '{"object":"error","message":"x"}',
    '{"detail":"Not Found"}',
    '{"code": 500, "msg": "x"}',
    '{"message": "Internal server error"}',
    'Traceback (most recent call last):\n  File "a.py", line 3, in <module>',
    "upstream connect error or disconnect/reset before headers. reset reason: overflow",
    "no healthy upstream",
    "openai.APITimeoutError: Request timed out.",
    "The lamp went out. openai.RateLimitError: Request timed out.",
    "HTTPSConnectionPool(host='api.example.com', port=443): Max retries exceeded with url: /v1",
    "This model's maximum context length is 8192 tokens. However, you asked for 9000.",
    "You exceeded your current quota, please check your plan and billing details.",
    "The server had an error while processing your request. Sorry about that!",
    "The server is overloaded or not ready yet.",
    "Request timed out.",
    "Connection error.",
    "Incorrect API key provided: sk-x.",
    "服务器繁忙，请稍后再试。",
    "系统繁忙",
    "请求过于频繁，请稍后重试",
    "错误：请求超时",
    "内部服务器错误",
    "海面平静。\n网络错误，请稍后重试。",
    "系统检测到输入或生成内容可能包含不安全或敏感内容，请您避免输入",
    "您的账户已达到速率限制，请您控制请求频率",
    "账户余额不足",
]
NO_ERRORS = [
    "",
    "The printer showed Error code: 429 and stopped for the third time that day.",
    "On the screen stood the words Internal Server Error, and she laughed.",
    "“Internal Server Error,” he read aloud.",
    "An Internal Server Error tells the reader that the fault is not his.",
    "500 Internal Server Error\nThe first of these codes means that the server has failed.",
    "Rate limit reached for the third time that night, the engineer sighed and went home.",
    "When the rate limit is reached, wait; a rate limit of 60 a minute is common.",
    "Max tries. He failed yesterday, and he tries again.",
    "Max tries to open the door. It failed to move.",
    "The line Traceback (most recent call last): is what a beginner fears most.",
    '```python\nTraceback (most recent call last):\n  File "x.py", line 1\n```\nThis is what Python prints.',
    '```json\n{"error": {"message": "x"}}\n```\nSuch an answer tells what went wrong.',
    "<html> is the root element of each page, and <head> comes first.",
    "The <title> element names the page.",
    "Error: the word haunted him through the years that followed, and he never said it.",
    "Handle openai.RateLimitError by waiting.",
    "ValueError: this is raised where a value is out of range.",
    "Connection errors are common on trains.",
    "A bad gateway to the castle stood open.",
    "Service unavailable, said the sign on the door, and so they walked on.",
    "The server had an error in its past: it was built in a hurry.",
    "Her request timed out, as requests do in the mountains.",
    "He exceeded his current quota of coffee by noon.",
    "The upstream connection was a bridge of rope.",
    "服务器繁忙的时候，他总是去喝茶。",
    "请求超时是分布式系统中常见的问题。",
    "屏幕上写着：“系统繁忙，请稍后再试。”",
    "网络错误让他错过了面试。",
    "他的账户余额不足以支付房租。",
]
TALK = [
    "好的，正如您所说，这一段要写灯塔。",
    "好的，下面是第三段。他说，灯亮了。",
    "The essay will continue to argue that rivers matter to the people who live beside them.",
    "The paragraph should then go on to describe the mill.",
    "Here is paragraph 3:\nThe sea",
    "Here's the third paragraph of the story: The sea",
    "**Here is your paragraph**\nThe sea",
    "Here is the essay:\n\nThe sea",
    "Below is the continuation of the essay: the sea",
    "Sure! The sea is wide.",
    "Certainly! Here is a draft.",
    "Sure, here is the next section: the sea",
    "Of course, I'd be happy to write this.",
    "Okay. Let's continue with the text.",
    "This paragraph discusses the sea.",
    "I have written the next paragraph below.",
    "Continuing the story: the sea",
    "Paragraph 2 of 5: the sea",
    "The sea is wide. I hope this helps!",
    "The sea is wide.\n\nI hope this paragraph meets your needs.",
    "The sea. Let me know if you would like me to continue.",
    "The sea. Let me know if you want any changes.",
    "The sea. Would you like me to write the next part?",
    "The sea. [Continued in the next part]",
    "[Continued in the next part]",
    "(To be continued in the next paragraph)\nThe sea",
    "The sea. (312 words)",
    "“Sure! Here is paragraph 2.”",
    "以下是第三段：大海很宽。",
    "以下是第三段\n大海",
    "好的，大海很宽。",
    "当然！大海很宽。",
    "当然，我可以为您写这一段。",
    "以下是正文：\n大海",
    "下面是文章的第二部分：大海",
    "大海很宽。希望这段文字对您有所帮助。",
    "大海。如果需要我继续写，请告诉我。",
    "大海。（未完待续）",
    "大海。（共300字）",
]
NO_TALK = [
    "好的，他说，我明天就去修灯。",
    "好的，老船长点点头，我等你。",
    "没问题，父亲说：我们明天出发。",
    "Sure, the keeper said, I will write to the Board.",
    "The essay will also be printed in May.",
    "The paragraph would then cost the paper its licence.",
    "",
    "Of course, the sea was cold, and nobody swam.",
    "Certainly, the reform changed the town.",
    "Sure, the city was loud, but it was home.",
    "Great care was taken.",
    "Great, the captain said, and turned the wheel.",
    "Okay, so the tide comes in twice a day.",
    "Here is what we know: the sea rises.",
    "Here are three reasons: cost, time and trust.",
    "Here the river ends.",
    "Here is the plan: we leave at dawn.",
    "This is the letter that changed everything: it came on a Monday.",
    "This is your story, and nobody else's.",
    '"Sure! Here is your letter," said the postman.',
    "“I hope this helps,” she said.",
    "I hope this helps you understand why I left the village.",
    "Let me know if you can make it on Friday.",
    "Let me know if you have any questions.",
    "Shall I go on? The road was long.",
    "The story was to be continued by her daughter.",
    "The paragraph in the contract says: no pets.",
    "In this section, we look at the tide.",
    "As requested, I packed the bags.",
    "The hall held many (about 300).",
    "当然，这并不意味着大海是平静的。",
    "好的开始是成功的一半。",
    "以下是三个原因：成本、时间和信任。",
    "希望这座桥能对村民有所帮助。",
    "他需要我继续走下去。",
    "根据您的要求，我们公司将于下周派人维修。",
    "请告诉我们您的到达时间。",
    "第三段路最难走。",
]
PLAN_LINES = [
    "Paragraph 3 - Main Point: The keeper - Word Count: 80 words",
    "The sea.\nParagraph 3 - Main Point: x\nThe sea.",
    "**Main Point:** the sea",
    "The sea is wide. - Word Count: 80 words",
    "Word Count: 300\nThe sea",
    "The sea.\n(Word count: about 300)",
    '{"steps": [{"main_point": "x", "word_count": 80}]}',
    "第3段 - 要点：大海 - 字数：300字",
    "大海很宽。\n字数：300字",
]
NO_PLAN_LINES = [
    "He checked the word count: 512, and smiled.",
    "The main point of the treaty was trade.",
    "The main point: trade made them rich.",
    "这篇文章的字数不多，但意思很深。",
]


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        *(("error_text", text) for text in ERRORS),
        *(("meta_talk", text) for text in TALK),
        *(("plan_line", text) for text in PLAN_LINES),
        ("reasoning_text", "<think>The sea first.</think>The sea is wide."),
        ("reasoning_text", "The sea is wide.\n</think>"),
        ("control_token", "The sea<|im_end|>"),
        ("control_token", "The sea [/INST] is wide."),
        ("control_token", "The sea\x00 is wide."),
        ("meta_talk", "The sea is wide.\n\nHere is the next paragraph: the sea\n\nIt ends."),
        ("refusal", "I'm sorry, but I can't help with that."),
        ("refusal", "抱歉，我无法完成。"),
    ],
)
def test_each_poison_is_found_and_shown(reason, text):
    found = poison.check_text(text)
    assert found is not None
    assert found.reason == reason
    assert found.detail


@pytest.mark.parametrize("text", ["null", "undefined", "None", "[object Object]", " **N/A** "])
def test_a_missing_value_is_no_text_and_in_prose_a_word(text):
    assert poison.check_text(text).reason == "error_text"
    assert poison.check_text(f"How many boats came back?\n\n{text} came back that night.") is None


@pytest.mark.parametrize("text", [*NO_ERRORS, *NO_TALK, *NO_PLAN_LINES])
def test_ordinary_prose_that_looks_like_it_is_let_through(text):
    assert poison.check_text(text) is None


@pytest.mark.parametrize("text", [*ERRORS, *PLAN_LINES])
def test_poison_is_found_behind_prose_too(text):
    assert poison.check_text(f"The sea is wide.\n\n{text}").reason in ("error_text", "plan_line")


@pytest.mark.parametrize(
    ("text", "finish_reason", "refused"),
    [
        ("The sea.", "stop", None),
        ("The sea.", "length", None),
        ("\u200b\ufeff\n", "stop", Refused("empty_answer", "no text (finish_reason stop)")),
        (" \n", "stop", Refused("empty_answer", "no text (finish_reason stop)")),
        ("The", "content_filter", Refused("content_filter", "the endpoint cut the answer off: The")),
    ],
)
def test_an_answer_is_text_that_no_filter_cut_off(text, finish_reason, refused):
    assert poison.check_answer(text, finish_reason) == refused


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        ("Internal Server Error", "error_text"),
        ("Main Point: the sea", "plan_line"),
        ("Sure! The sea", "meta_talk"),
        ("The sea (200 words)", None),
        ("What an internal server error is, and what it is not", None),
        ("Explain why I'm sorry is not enough", None),
    ],
)
def test_a_main_point_is_looked_at_as_one(point, reason):
    refused = poison.check_point(point)
    assert (refused and refused.reason) == reason


PIECES = st.sampled_from(
    [*ERRORS, *NO_ERRORS, *TALK, *NO_TALK, *PLAN_LINES, "“", '"', "'", "\n", "```", "(", "字数"]
)


@given(st.one_of(st.text(), st.lists(PIECES).map("".join)))
def test_any_text_is_let_through_or_refused_with_evidence(text):
    refused = poison.check_text(text)
    assert refused is None or (refused.reason and refused.detail)


@pytest.mark.parametrize(
    "text",
    [
        "Every program must end. In C, the end is a return:\n\n```c\nreturn 0;\n```\n\nThe zero means that all went well.",
        "The following version is shorter, but not faster:\n\n```python\n[x for x in xs]\n```",
        "Here is an example of a regular expression that matches a date:\n\n```\n\\d{4}-\\d{2}\n```\n\nIt knows no month.",
        "A paragraph stands in <p> and </p>, and the whole page in <html>.",
    ],
)
def test_a_text_about_code_may_announce_its_code(text):
    assert poison.check_text(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "Here is the script that you asked for:\n\n```python\nprint(1)\n```",
        "Here is the rewritten paragraph:\n\n```\nThe tide came in.\n```",
        "```markdown\nHere is the rewritten paragraph:\n\nThe tide came in.\n```",
    ],
)
def test_code_and_fences_hide_no_talk(text):
    refused = poison.check_text(text)
    assert refused is not None
    assert refused.reason == "meta_talk"
