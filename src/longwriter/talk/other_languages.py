"""Finds refusals in French, German, Spanish, Italian and Russian, in which a model sometimes refuses an English or Chinese request.

A refusal opens the answer. In its first sentences the model says no ("je ne peux pas") and names the text or the
request, or says no to the reader ("vous aider") after an apology. A letter in these languages does neither so early.

Pure.
"""

from __future__ import annotations

import re

from longwriter.talk.sentences import sentences

_OPENING = 400  # characters
_SENTENCES = 2
_GAP = r"[^.!?]{0,40}?"

_FRENCH = (
    r"(?:désolée?|navrée?|regrette|malheureusement|excus\w*|pardon)",
    r"(?:ne (?:peux|puis|pourrais?|saurais) (?:\w+ )?pas|ne suis (?:\w+ )?pas (?:en mesure|autorisée?|capable|habilitée?|programmée?|conçue?|à l'aise)"
    r"|m'est (?:impossible|interdit)|m'est pas (?:possible|permis)|refuse|dois (?:\w+ )?(?:refuser|décliner)|n'ai pas (?:accès|la capacité|le droit))",
    r"(?:écrire|rédiger|créer|générer|produire|composer|fournir|continuer|poursuivre|répondre|satisfaire|traiter|accéder|réaliser|effectuer|inventer|raconter)",
    r"(?:textes?|articles?|essais?|dissertation|histoires?|romans?|nouvelles?|récits?|lettres?|discours|livres?|poèmes?|contenus?|demandes?|requêtes?|questions?|paragraphes?|documents?|tâches?|monologues?|scènes?|chapitres?|sujets?|cela|ça)",
    r"(?:vous|t'|te )(?:\s?y)? ?aider",
    r"(?:en tant qu(?:e |')|je (?:ne )?suis qu?'?(?:une? )?)(?:\w+ )?(?:modèle|ia\b|intelligence artificielle|assistante?)",
    r"\b(?:dit|disait|répondit|écrivit|murmura|soupira)\b",
)
_GERMAN = (
    r"(?:tut mir leid|leider|entschuldig\w*|verzeih\w*|bedauere?)",
    r"(?:kann|könnte|darf|möchte|werde|will) (?:ich )?(?:[\wäöüß]+ ){0,6}?nicht|nicht (?:in der lage|befugt|möglich|berechtigt|imstande|erlaubt)|kann (?:ich )?(?:[\wäöüß]+ ){0,3}?keinen?|lehne",
    r"(?:schreiben|verfassen|erstellen|generieren|produzieren|fortsetzen|liefern|bearbeiten|beantworten|erfüllen|nachkommen|erzeugen|formulieren|weiterschreiben|ab\b)",
    r"(?:texte?s?|artikels?|aufsatz|aufsätze|geschichten?|romane?|briefe?|rede|bücher|buch|gedichte?|inhalte?|anfragen?|bitte|fragen?|absätze|absatz|dokumente?|aufgaben?|berichte?|essays?|monologe?|szenen?|kapitel|themas?|das)",
    r"(?:ihnen|dir|euch)\b[^.!?]{0,40}\b(?:weiter)?(?:helfen|geholfen)|(?:weiter)?helfen",
    r"(?:als (?:\w+ )?(?:ki\b|künstliche intelligenz|sprachmodell|assistent)|ich bin (?:nur |lediglich )?(?:eine? )?(?:ki\b|sprachmodell))",
    r"\b(?:sagte|antwortete|schrieb|flüsterte|seufzte|rief)\b",
)
_SPANISH = (
    r"(?:lo siento|lamentable\w*|lamento|disculp\w*|perd[oó]n\w*|desafortunadamente|me temo)",
    r"(?:no (?:puedo|podr[eéií]a?|soy capaz|estoy (?:autorizad[oa]|capacitad[oa]|programad[oa]|en condiciones)|me es posible|me est[aá] permitido|tengo (?:acceso|la capacidad|permitido))|me es imposible|me niego|debo (?:rechazar|negarme|declinar))",
    r"(?:escribir|redactar|crear|generar|producir|componer|proporcionar|continuar|responder|cumplir|procesar|atender|realizar|elaborar|inventar|contar|rechazar|hacer)",
    r"(?:textos?|art[ií]culos?|ensayos?|historias?|cuentos?|novelas?|relatos?|cartas?|discursos?|libros?|poemas?|contenidos?|solicitud|solicitudes|petici[oó]n|preguntas?|p[aá]rrafos?|documentos?|tareas?|mon[oó]logos?|escenas?|cap[ií]tulos?|temas?|eso|esto)",
    r"(?:ayudarte|ayudarle|ayudarlo|ayudarles|ayudar)",
    r"(?:como (?:\w+ ){0,2}(?:modelo|ia\b|inteligencia artificial|asistente)|soy (?:s[oó]lo |solo )?(?:una? )?(?:ia\b|modelo|asistente))",
    r"\b(?:dijo|decía|respondió|escribió|murmuró|suspiró)\b",
)
_ITALIAN = (
    r"(?:mi dispiace|spiacente|purtroppo|mi scuso|scusa\w*|temo)",
    r"(?:non (?:posso|potrei|sono (?:in grado|autorizzat[oa]|programmat[oa]|capace)|mi è (?:possibile|permesso|consentito)|ho (?:accesso|la capacità))|mi rifiuto|devo (?:rifiutare|declinare))",
    r"(?:scrivere|redigere|creare|generare|produrre|comporre|fornire|continuare|rispondere|soddisfare|elaborare|inventare|raccontare)",
    r"(?:test[oi]|articol[oi]|sagg[io]o?|stori[ae]|raccont[io]|romanz[oi]|letter[ae]|discors[oi]|libr[oi]|poesi[ae]|contenut[oi]|richiest[ae]|domand[ae]|paragraf[oi]|document[oi]|compit[oi]|monolog[oh]i?|scen[ae]|capitol[oi]|argoment[oi]|ciò|questo)",
    r"(?:aiutarti|aiutarla|aiutarvi|aiutare)",
    r"(?:(?:in quanto|come) (?:\w+ )?(?:modello|ia\b|intelligenza artificiale|assistente)|sono (?:solo )?(?:un['’]?a? ?)?(?:ia\b|modello|assistente))",
    r"\b(?:disse|diceva|rispose|scrisse|mormorò|sospirò)\b",
)
_RUSSIAN = (
    r"(?:извините|простите|к сожалению|сожалею|прошу прощения)",
    r"(?:не (?:могу|смогу|буду|в состоянии|имею (?:возможности|права))|отказываюсь|вынужден\w? отказать\w*)",
    r"(?:(?:на)?писать|созда(?:ть|вать)|сочин(?:ить|ять)|продолж(?:ить|ать)|предостав(?:ить|лять)|ответить|отвечать|выполнить|состав(?:ить|лять)|(?:с)?генерировать|рассказать)",
    r"(?:текст\w*|стать\w+|эссе|истори\w+|рассказ\w*|роман\w*|письм\w+|реч\w+|книг\w+|стих\w*|контент\w*|запрос\w*|вопрос\w*|абзац\w*|документ\w*|задани\w+|монолог\w*|сцен\w+|глав\w+|тем[уаые])",
    r"(?:помочь|помогать)",
    r"(?:как (?:\w+ )?(?:модель|ии\b|искусственный интеллект|ассистент)|я (?:всего лишь |просто )?(?:ии\b|языковая модель|ассистент))",
    r"\b(?:сказал\w*|говорил\w*|ответил\w*|прошептал\w*|вздохнул\w*)\b",
)


def _refusal(sorry: str, no: str, act: str, thing: str, helps: str, model: str, said: str) -> re.Pattern[str]:
    """Return the pattern of a sentence that refuses in one language."""
    writes = rf"(?=.{{0,120}}\b{thing}\b).{{0,80}}?\b(?:{no})\b{_GAP}\b{act}\b"
    assists = rf"\b(?:{sorry}\b|{model}){_GAP}(?:{no})\b{_GAP}(?:{helps})\b|(?:{no})\b{_GAP}{sorry}{_GAP}(?:{helps})\b"
    return re.compile(rf"^(?!.*{said})(?:{writes}|.{{0,20}}?{assists})")


_REFUSALS = (
    _refusal(*_FRENCH),
    _refusal(*_GERMAN),
    _refusal(*_SPANISH),
    _refusal(*_ITALIAN),
    _refusal(*_RUSSIAN),
)


def refuses_in_another_language(text: str) -> bool:
    """Tell whether an answer begins with a refusal in another language.

    The text may hold such a sentence as speech: quoted text does not count.
    """
    parts = sentences(text[:_OPENING])[:_SENTENCES]
    return any(pattern.match(part) for part in parts for pattern in _REFUSALS)
