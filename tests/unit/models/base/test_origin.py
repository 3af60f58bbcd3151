import pytest

from longwriter.models.base.origin import licence_of


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlanguage: en\nlicense: Apache-2.0\n---\n# A model\n", "apache-2.0"),
        ('---\nlicense: "llama3.1"\n---\n', "llama3.1"),
        ("---\nlanguage: en\n---\nlicense: mit\n", None),
        ("# A model\nlicense: mit\n", None),
        ("---\nlicense: <script>alert(1)</script>\n---\n", None),
        ("---\nlicense: [mit]\n---\n", None),
        ("---\nlicense: " + "a" * 100 + "\n---\n", None),
        ("", None),
    ],
)
def test_a_licence_is_the_identifier_in_the_front_matter_of_a_card(tmp_path, card, licence):
    (tmp_path / "README.md").write_text(card, encoding="utf-8")
    assert licence_of(tmp_path) == licence


def test_without_a_card_the_licence_is_that_of_the_gguf(tmp_path, tiny_model):
    assert licence_of(tiny_model) is None
    import gguf

    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_license("apache-2.0")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    assert licence_of(tmp_path) == "apache-2.0"
