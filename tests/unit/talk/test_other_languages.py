import pytest

from longwriter.talk.other_languages import refuses_in_another_language
from longwriter.talk.poison import check_text
from longwriter.talk.refusals import is_refusal


@pytest.mark.parametrize(
    "answer",
    [
        "Désolé, je ne peux pas répondre à cette demande.",
        "Je suis navré, mais je ne suis pas en mesure de vous aider.",
        "Je ne suis qu'une IA et je ne peux pas vous aider.",
        "Es tut mir leid, ich kann diese Anfrage nicht bearbeiten.",
        "Als KI bin ich nicht in der Lage, einen Roman zu schreiben.",
        "Ich kann keine Geschichte über dieses Thema schreiben.",
        "Lo siento, no puedo escribir sobre ese tema.",
        "Como asistente de IA, no puedo ayudarte con eso.",
        "No puedo generar este tipo de contenido. La noche era fría.",
        "Mi dispiace, ma non posso scrivere questo testo.",
        "In quanto modello linguistico, non sono in grado di aiutarti.",
        "Извините, но я не могу написать этот текст.",
        "К сожалению, я не могу помочь вам с этим.",
    ],
)
def test_a_refusal_in_another_language_is_found(answer):
    assert is_refusal(answer, "Write a short story.")
    assert check_text(answer, "Write a short story.").reason == "refusal"


@pytest.mark.parametrize(
    "text",
    [
        "Je ne peux pas écrire ton nom sans trembler.",
        "Malheureusement, je ne peux pas venir à ta fête.",
        "Leider kann ich am Montag nicht arbeiten.",
        '"Es tut mir leid, ich kann Ihnen nicht helfen", said the porter, and he closed the gate.',
        "Lo siento mucho por tu abuela.",
        "Lo siento, no puedo ayudarle, dijo el médico, y cerró la puerta.",
        "The French phrase je ne sais quoi is older than the hotel.",
        "Non posso scrivere il tuo nome senza tremare.",
        "Mi dispiace, disse il medico, non posso aiutarla.",
        "К сожалению, я не могу приехать в понедельник.",
        "Извините, не могу вам помочь, сказал доктор.",
        "抱歉，先生。",
        "",
    ],
)
def test_a_text_that_regrets_something_is_no_refusal(text):
    assert not refuses_in_another_language(text)
