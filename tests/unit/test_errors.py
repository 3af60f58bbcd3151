import pytest

from longwriter.errors import without_password


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cannot reach https://ann:s3cret@host:80/x now", "cannot reach https://host:80/x now"),
        ("postgresql://u:p@db/a and http://t@h", "postgresql://db/a and http://h"),
        ("http://127.0.0.1:5000/#/runs/1, mail a@b", "http://127.0.0.1:5000/#/runs/1, mail a@b"),
    ],
)
def test_a_text_that_is_logged_names_no_user_and_no_password(text, told):
    assert without_password(text) == told
