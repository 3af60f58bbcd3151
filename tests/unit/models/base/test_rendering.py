"""A chat template is a program of a stranger: it may take neither the time nor the memory of a stage."""

import sys

import pytest

from longwriter.errors import ModelUnusable
from longwriter.models.base import rendering
from tests import forking
from tests.chat_templates import FAMILIES

LOOP = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}{{ bos_token }}{{ m.content }}{% endfor %}",
        "{{ raise_exception('no user') }}",  # is reported where the template is used
        "{% for i in range(10**9) %}{% endfor %}",  # Jinja's sandbox refuses it
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% if",
        *[family.template for family in FAMILIES.values() if "{" in str(family.template)][:2],
    ],
)
def test_a_template_that_ends_is_no_trouble_here(template, monkeypatch):
    monkeypatch.setattr(sys, "executable", forking.python_of_templates())
    rendering.check(template, {"bos_token": "<s>", "eos_token": "</s>"})


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (LOOP, "does not end within 1 seconds"),
        ("{% set x = 10 ** (10 ** 9) %}", "does not end within 1 seconds"),
        ("{% if add_generation_prompt %}" + LOOP + "{% endif %}", "does not end within 1 seconds"),
        ("{{ 'a' * 10 ** 12 }}", "takes more than 1,024 MiB"),
        ("{{ 'a' * 10 ** 7 }}", "writes more than 1,000,000 characters"),
    ],
)
def test_a_template_without_end_is_stopped_and_named(template, reason, monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    with pytest.raises(ModelUnusable, match=f"^the chat template {reason}.*set base_model.chat_template"):
        rendering.check(template, {}, cpu_s=1)
