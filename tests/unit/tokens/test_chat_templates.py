"""What SFT and DPO train is what an engine sees and where it stops, under the template of each known family."""

import hashlib
import re
from pathlib import Path

import pytest
import trl

from longwriter.errors import ModelUnusable
from longwriter.models.base import chat
from longwriter.records import Message, Rejection
from longwriter.tokens.packing import IGNORE_INDEX
from longwriter.tokens.tokenizer import Coder
from tests.chat_templates import FAMILIES, Family, tokenizer_of

ORIGINALS = Path(trl.__file__).parent / "chat_templates"
SHIPPED = Path("src/longwriter/prompts/chat/llama3.jinja")
PUBLISHED = sorted(path.stem for path in ORIGINALS.glob("*.jinja") if "_training" not in path.stem)
REFUSED = {  # by the stage base_model, before anything is paid
    "deepseek_r1_distill": "opens an answer with '<｜Assistant｜><think>",
    "deepseekv3": "opens an answer with '<｜Assistant｜><think>",
    "idefics3": "leaves the text of a message out",
    "llava_next": "cannot render",
    "smolvlm": "leaves the text of a message out",
}
EACH = pytest.mark.parametrize("name", FAMILIES)


def template(family):
    return SHIPPED.read_text(encoding="utf-8") if family.template == "file" else family.template


def configured(name):
    """Return the tokenizer as the stage base_model leaves it."""
    family = FAMILIES[name]
    has_none = family.template == "file"
    coder = tokenizer_of(family, None if has_none else family.template)
    chat.configure(coder, template(family) if has_none else None, None)
    return coder


def messages(*texts, system=None):
    roles = ("user", "assistant") * len(texts)
    turns = [Message(role=role, content=text) for role, text in zip(roles, texts, strict=False)]
    return [*([Message(role="system", content=system)] if system else []), *turns]


def seen_by_engine(coder, turns):
    """Return the ids that vLLM and transformers make of a chat that is to be answered."""
    turns = [turn.model_dump() for turn in turns]
    return coder.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)


def targets(row):
    return [label for label in row.labels if label != IGNORE_INDEX]


CHATS = {
    "one answer": messages("Write 9 words.", "The tide came in."),
    "two answers": messages("Write.", "The tide.", "Shorter.", "Tide.\n\nSea."),
    "Chinese": messages("写一首诗。", "潮水来了。"),
    "spaces inside": messages("Go\n\non", "One.\n\n\n  Two.  \n\nThree."),
}


@EACH
def test_the_retyped_template_renders_as_the_original_and_the_original_is_known_by_its_digest(name):
    family = FAMILIES[name]
    assert len(family.sha256) == 64
    if family.original is None:
        return
    original = (ORIGINALS / f"{family.original}.jinja").read_text(encoding="utf-8")
    assert hashlib.sha256(original.encode()).hexdigest() == family.sha256
    ours, theirs = tokenizer_of(family, template(family)), tokenizer_of(family, original)
    chats = [*CHATS.values(), *([messages("Hi", "Ho", system="Be brief.")] if family.takes_system else [])]
    for turns in chats:
        for length in range(1, len(turns) + 1):
            rows = [turn.model_dump() for turn in turns[:length]]
            for opening in (False, True):
                texts = [
                    coder.apply_chat_template(rows, tokenize=False, add_generation_prompt=opening)
                    for coder in (ours, theirs)
                ]
                assert texts[0] == texts[1]


@EACH
def test_the_end_of_an_answer_comes_from_the_chat_template(name):
    family, coder = FAMILIES[name], configured(name)
    assert coder.eos_token == family.end
    stops = chat.stops(coder.eos_token_id, coder.convert_tokens_to_ids(list(family.stops)))
    numbers = stops if isinstance(stops, list) else [stops]
    assert numbers[0] == coder.eos_token_id
    assert set(coder.convert_ids_to_tokens(numbers)) == {family.end, *family.stops}


@EACH
@pytest.mark.parametrize("kind", CHATS)
def test_sft_trains_each_answer_behind_what_the_engine_sees_and_with_the_token_at_which_it_stops(name, kind):
    family, coder, turns = FAMILIES[name], configured(name), CHATS[kind]
    rows = Coder(coder).chat(turns, 10_000, "r", "pack")
    answers = [place for place, turn in enumerate(turns) if turn.role == "assistant"]
    spoken = [(row, targets(row)) for row in rows]
    for place in answers:
        seen = seen_by_engine(coder, turns[:place])
        wanted = family.opening + turns[place].content + family.end
        matches = [
            row.labels[len(seen) :]
            for row, _ in spoken
            if row.input_ids[: len(seen)] == seen and row.labels[len(seen)] != IGNORE_INDEX
        ]
        [labels] = matches
        end = labels.index(coder.eos_token_id) + 1
        assert coder.decode(labels[:end]) == wanted
    assert sum(ids.count(coder.eos_token_id) for _, ids in spoken) == len(answers)


@EACH
@pytest.mark.parametrize("kind", CHATS)
def test_dpo_completes_the_prompt_of_the_engine_with_the_targets_of_sft(name, kind):
    coder, turns = configured(name), CHATS[kind]
    answer = Coder(coder).answer(turns, 10_000, "r", "dpo")
    assert answer.prompt_ids == seen_by_engine(coder, turns[:-1])
    last = Coder(coder).chat(turns, 10_000, "r", "pack")[-1]
    assert last.input_ids == [*answer.prompt_ids, *answer.completion_ids]
    assert last.labels[-len(answer.completion_ids) :] == answer.completion_ids


def of_published(name):
    """Return a tokenizer with a published template and its marks, whose end-of-text token ends no turn."""
    template = (ORIGINALS / f"{name}.jinja").read_text(encoding="utf-8")
    marks = re.findall(r"<[|｜][^<>\s'\"]{1,30}[|｜]>|<\|?[a-z_]{2,20}\|?>|\[/?[A-Z_]{3,20}\]", template)
    tokens = tuple(dict.fromkeys([*marks, "<s>", "<|endoftext|>"]))
    family = Family("TRL", "", "", template, tokens, "<s>", "<|endoftext|>", (), "")
    return tokenizer_of(family, template)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_template_is_refused_at_once_or_trains_what_an_engine_sees_and_ends_it(name):
    coder = of_published(name)
    if name in REFUSED:
        with pytest.raises(ModelUnusable, match=re.escape(REFUSED[name])):
            chat.configure(coder, None, None)
        return
    chat.configure(coder, None, None)
    assert coder.eos_token != "<|endoftext|>"
    for turns in CHATS.values():
        answer = Coder(coder).answer(turns, 10_000, "r", "dpo")
        assert answer.prompt_ids == seen_by_engine(coder, turns[:-1])
        assert answer.completion_ids.index(coder.eos_token_id) == len(answer.completion_ids) - 1
        assert coder.decode(answer.completion_ids).endswith(turns[-1].content + coder.eos_token)
        last = Coder(coder).chat(turns, 10_000, "r", "pack")[-1]
        assert last.input_ids == [*answer.prompt_ids, *answer.completion_ids]


def test_a_template_that_opens_answers_with_reasoning_is_switched_to_none():
    coder = of_published("nemotron_3_nano")
    chat.configure(coder, None, None)
    assert coder.decode(seen_by_engine(coder, CHATS["one answer"][:1])).endswith("assistant\n<think></think>")


def test_a_template_that_changes_history_gives_one_sequence_an_answer_and_others_one_a_chat():
    rows = {name: Coder(configured(name)).chat(CHATS["two answers"], 999, "r", "pack") for name in FAMILIES}
    assert {name: len(found) for name, found in rows.items()} == {
        name: 1 + (name == "Qwen3") for name in FAMILIES
    }


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if not family.takes_system])
def test_a_chat_that_the_template_refuses_is_rejected_with_its_words(name):
    row = Coder(configured(name)).chat(messages("Hi", "Ho", system="Be brief."), 999, "r", "pack")
    assert isinstance(row, Rejection)
    assert (row.reason, "roles must alternate" in row.detail) == ("template", True)


def test_a_template_that_opens_an_answer_and_takes_the_opening_back_is_a_reason_to_reject():
    coder = configured("SmolLM2")
    opening = "{% if add_generation_prompt %}<|im_start|>assistant\n"
    coder.chat_template = coder.chat_template.replace(opening, f"{opening}<think>\n")
    row = Coder(coder).chat(CHATS["one answer"], 999, "r", "pack")
    assert isinstance(row, Rejection)
    assert row.reason == "template"


@EACH
def test_no_control_token_of_the_vocabulary_gets_into_a_row_or_a_pair(name):
    coder = Coder(configured(name))
    for token in FAMILIES[name].tokens:
        for turns in (messages(f"Say {token}.", "No."), messages("Say it.", f"It is {token}.")):
            for row in (coder.chat(turns, 999, "r", "pack"), coder.answer(turns, 999, "r", "dpo")):
                assert isinstance(row, Rejection)
                assert row.reason == "control_token"


def test_a_base_model_without_template_says_which_parameter_it_needs():
    from longwriter.errors import ModelUnusable

    coder = tokenizer_of(FAMILIES["Llama-3.1 base"], None)
    with pytest.raises(
        ModelUnusable, match=r"base_model\.chat_template to a file of src/longwriter/prompts/chat"
    ):
        chat.configure(coder, None, None)
    with pytest.raises(ModelUnusable, match=r"base_model\.end_of_turn: found '<no>'.*<\|eot_id\|>"):
        chat.configure(coder, SHIPPED.read_text(), "<no>")
    chat.configure(coder, SHIPPED.read_text(), "<|end_of_text|>")
    assert coder.eos_token == "<|end_of_text|>"


@EACH
def test_a_continuation_has_the_ids_of_its_whole_answer_and_is_the_only_target(name):
    coder = Coder(configured(name))
    prompt = messages("Write 9 words.", "The tide came in.")
    endings = ["It went out.", "It rose."]
    answers = [Message(role="assistant", content=text) for text in endings]
    pair = coder.pair(prompt, answers, 500, "p", "dpo")
    for turn, text in zip(pair, endings, strict=True):
        whole = coder.answer(messages("Write 9 words.", f"The tide came in.\n\n{text}"), 500, "p", "dpo")
        assert [*turn.prompt_ids, *turn.completion_ids] == [*whole.prompt_ids, *whole.completion_ids]
        assert configured(name).decode(turn.completion_ids[:-1]).strip() == text
    assert pair[0].prompt_ids == pair[1].prompt_ids
    assert coder.pair(prompt[:1], answers, 500, "p", "dpo") == [
        coder.answer([prompt[0], answer], 500, "p", "dpo") for answer in answers
    ]
    assert coder.pair(prompt, answers, 5, "p", "dpo").reason == "too_long"
