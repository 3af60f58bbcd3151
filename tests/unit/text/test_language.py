import pytest

from longwriter.text.language import UNKNOWN, identify


@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        ("Write a story about a boy who finds a key.", "en"),
        ("Translate 你好 into English and tell me where the phrase comes from.", "en"),
        ("写一个故事", "zh"),
        ("寫一篇關於台灣的文章", "zh"),
        ("基于OpenStack和Ceph的存储集群的搭建，写5000字", "zh"),
        ("短い物語を書いてください。猫の話です。", "ja"),
        ("짧은 이야기를 써 주세요", "ko"),
        ("Escribe una historia de 500 palabras sobre un faro.", "es"),
        ("Écris un poème sur l'hiver et la neige", "fr"),
        ("Напиши рассказ о реке", "ru"),
        ("", UNKNOWN),
        ("12345 !!", UNKNOWN),
        ("🌊🌊", UNKNOWN),
    ],
)
def test_the_language_of_a_prompt(prompt, code):
    assert identify(prompt) == code


@pytest.mark.parametrize("noise", ["\x00", "\x01\x02", "\ufffe", "\u200b", "\x7f"])
def test_invisible_characters_do_not_matter(noise):
    assert identify(f"Write a story{noise} about a boy who finds a key.") == "en"


def test_the_language_of_ten_megabytes_is_that_of_their_beginning():
    assert identify("Write a story about the sea. " * 350_000) == "en"
