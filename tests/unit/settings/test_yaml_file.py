"""YAML is read as DVC reads it, or refused with its line."""

import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from longwriter import params
from longwriter.errors import BadParams
from longwriter.settings import yaml_file
from tests.unit.params.fields import text_with

LAUGHS = "a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]\n" for n in range(1, 12)
)
NO_FILE_OF_PARAMS = [
    (b"", "params.yaml: (whole file): found null; allowed: a mapping with the keys base_model, "),
    (b"# nothing\n", "params.yaml: (whole file): found null; "),
    (b"---\n...\n", "params.yaml: (whole file): found null; "),
    (b"- llm\n", "params.yaml: (whole file): found a list of 1; allowed: a mapping"),
    (b"llm", "params.yaml: (whole file): found 'llm'; allowed: a mapping"),
    (b"\xef\xbb\xbfseed: 1\n", "params.yaml:1: found a byte order mark; allowed: UTF-8 without one"),
    (b"seed: 1\nlabel: caf\xe9\n", "params.yaml:2: found bytes that are not UTF-8; allowed: "),
    ("seed: 1\n".encode("utf-16"), "params.yaml:1: found bytes that are not UTF-8; allowed: "),
    (b"seed: 1\nname: a\x00b\n", "params.yaml:2: not valid YAML: unacceptable character #x0000"),
    (b"seed:\n\tvalue: 1\n", "params.yaml:2: not valid YAML: a tab before the first word; indent with spaces"),
    (b"seed: 1\n---\nseed: 2\n", "params.yaml:2: found a second document after ---; allowed: one document"),
    (b"%YAML 1.1\n---\nseed: 010\n", "params.yaml:1: found a directive"),
    (b"%TAG ! tag:me,2000:\n---\nseed: 1\n", "params.yaml:1: found a directive"),
    (b"seed: {a: [1, 2}\n", "params.yaml:1: not valid YAML: "),
    (b"seed: 'open\n", "not valid YAML: "),
    (b"seed: a: b\n", "params.yaml:1: not valid YAML: mapping values are not allowed"),
    (b"seed: 1\n  other: 2\n", "params.yaml:2: not valid YAML: "),
    (b'name: "\\ud83d"\n', "params.yaml:1: not valid YAML: "),
    (b"seed: " + b"[" * 100_000, "params.yaml:1: found more than 20 levels of nesting; allowed: at most 20"),
    (b"seed: " + b"{a: " * 50_000, "params.yaml:1: found more than 20 levels of nesting"),
    (b"".join(b" " * n + b"a:\n" for n in range(300)), "params.yaml:22: found more than 20 levels of nesting"),
    (b"{" * 3_000, "params.yaml:1: found more than 20 levels of nesting"),
    (b"? " * 3_000, "params.yaml:1: found more than 20 levels of nesting"),
    (b"a: &a [[[[[[[[[[1]]]]]]]]]]\nb: [[[[[[[[[[[[*a]]]]]]]]]]]]\n", "params.yaml:2: found more than 20 levels"),
    (LAUGHS.encode(), "found more than 100,000 values; allowed: at most 100,000, aliases filled in"),
    (b"# " + b"x" * 2**20 + b"\n", "params.yaml: found 1,048,579 bytes; allowed: at most 1,048,576"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "message"), NO_FILE_OF_PARAMS)
def test_a_file_that_is_not_one_yaml_mapping_is_refused_with_its_line(tmp_path, content, message):
    (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(BadParams) as error:
        params.load(tmp_path / "params.yaml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_a_path_that_is_no_file_is_refused_with_its_reason(tmp_path):
    with pytest.raises(BadParams, match=r"params\.yaml cannot be read \(Is a directory\)"):
        (tmp_path / "params.yaml").mkdir()
        params.load(tmp_path / "params.yaml")
    (tmp_path / "link.yaml").symlink_to("gone.yaml")
    with pytest.raises(BadParams, match=r"link\.yaml is a link to gone\.yaml, which is missing"):
        params.load(tmp_path / "link.yaml")
    (tmp_path / "self.yaml").symlink_to("self.yaml")
    with pytest.raises(BadParams, match=r"self\.yaml cannot be read \(Too many levels of symbolic links\)"):
        params.load(tmp_path / "self.yaml")
    with pytest.raises(BadParams, match=r"none\.yaml is missing: run from the top of the checkout"):
        params.load(tmp_path / "none.yaml")


def test_a_section_or_key_that_occurs_twice_is_named_with_both_lines():
    text, places = text_with()
    last = len(text.splitlines())
    twice = yaml_file.parse(f"{text}llm: {{}}\n", "params.yaml").problems
    assert [str(problem) for problem in twice] == [
        f"params.yaml:{last + 1}: llm: found this key twice (first in line {places['llm']}); "
        "allowed: each key once"
    ]
    assert yaml_file.parse("a: {b: 1, 'b': 2}", "f").problems[0].key == ("a", "b")


@pytest.mark.parametrize("name", ["3", "null", "true", "on", "Yes", "010", "1.5", "~", "2026-03-04", "1_0"])
def test_a_key_that_is_no_text_to_every_reader_is_refused_and_allowed_in_quotes(name):
    [problem] = yaml_file.parse(f"a:\n  {name}: 1\n", "f").problems
    assert str(problem) == f"f:2: a.{name}: found the key {name}; allowed: a name, in quotes"
    assert yaml_file.parse(f"'{name}': 1", "f").values == {name: 1}


def test_values_that_anchors_share_are_read_as_dvc_reads_them():
    text = "a: &a {x: 1, z: [2]}\nb: {<<: *a, x: 3, w: 4}\nc: {<<: [{x: 5, v: 6}, *a]}\nd: *a\n"
    document = yaml_file.parse(text, "f")
    assert document.problems == []
    assert document.values == as_dvc_reads(text)
    assert document.values["c"] == {"x": 5, "v": 6, "z": [2]}


def as_dvc_reads(text):
    return YAML(typ="safe").load(io.StringIO(text))


SCALARS = st.one_of(
    st.text(alphabet="0123456789_.:-+eExob ", min_size=1, max_size=8),
    st.sampled_from(["yes", "No", "on", "OFF", "true", "False", "null", "~", "y", "=", "<<", "-", ".", ".inf", ".NaN"]),
    st.from_regex(r"[-+]?[0-9]{1,3}(\.[0-9]{0,2})?([eE][-+]?[0-9]{1,3})?", fullmatch=True),
    st.from_regex(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ][0-9:.Z]{1,8})?", fullmatch=True),
    st.text(max_size=6),
)  # fmt: skip


@given(
    st.lists(SCALARS, min_size=1, max_size=4),
    st.sampled_from(["k{0}: {1}\n", "- {1}\n", "k{0}: '{1}'\n", "{1}: x{0}\n"]),
)
@settings(max_examples=200, deadline=None)
def test_what_is_accepted_has_the_values_that_dvc_reads(scalars, form):
    text = "".join(form.format(place, scalar) for place, scalar in enumerate(scalars))
    try:
        document = yaml_file.parse(text, "f")
    except BadParams:
        return
    if not document.problems:
        assert document.values == as_dvc_reads(text)
        assert repr(document.values) == repr(as_dvc_reads(text))  # 1 is not 1.0 and not True


@given(st.text(alphabet="ab01:-[]{}&*!,'\"#|>% \n\t", max_size=60))
@settings(max_examples=500, deadline=None)
def test_any_text_is_read_as_dvc_reads_it_or_refused(text):
    try:
        document = yaml_file.parse(text, "f")
    except BadParams as error:
        assert "\n" not in str(error)
        return
    if not document.problems:
        assert document.values == as_dvc_reads(text)


@given(st.text(max_size=200))
@example("<<")
@settings(max_examples=500, deadline=None)
def test_no_text_does_anything_but_to_be_read_or_refused(text):
    try:
        document = yaml_file.parse(text, "f")
    except BadParams:
        return
    if document.problems:  # the loader refuses it
        return
    try:
        as_dvc_reads(text)
    except YAMLError:
        raise AssertionError(text) from None
