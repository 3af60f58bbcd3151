"""Pure. Reads the error bodies of LLM APIs: the message, and whether the error concerns the account.

If an account has no money or its key is wrong, every request fails, but each API has its own status: LiteLLM
reports a spent budget as 400, Gemini a wrong key as 400, OpenAI a spent quota as 429, OpenRouter missing credit
as 402 or within a 200. If only the status counted, every row of a night would be rejected, one by one.

Messages about rate limits use the same words ("add a payment method to increase your limit"). Rate limits
pass without help, so such a message is not taken as one about the account.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

_CODE = re.compile(r"[a-z0-9]+")
_ACCOUNT_CODES = re.compile(
    r"insufficient_(?:quota|balance|credits?|funds)|billing_\w+|payment_required|arrearage|budget_exceeded|"
    r"exceeded_?budget|exceeded_current_quota\w*|credit_limit\w*|credits?_(?:exhausted|depleted)|"
    r"(?:spend|spending|key)_limit\w*|(?:account|organization|consumer|subscription|user|team)_"
    r"(?:deactivated|suspended|disabled|restricted|blocked|not_active|inactive)|"
    r"(?:invalid|incorrect|expired|missing)_(?:x_)?api_key|api_key_(?:invalid|expired|missing|service_blocked)|"
    r"invalid_authentication\w*|authentication_error|unauthenticated|access_terminated\w*|"
    r"token_not_found_in_db|expired_key"
)  # fmt: skip
_RATE_CODES = ("rate_limit", "ratelimit", "throttl", "overloaded", "requests", "tokens")
_RATE = re.compile(
    r"rate.?limit|too many requests|\b(?:per|a|each) ?(?:second|sec|minute|min|hour)\b|perminute|persecond|"
    r"\b[rt]pm\b|(?:try|retry)(?: again)? (?:in|after) \d|retrydelay|"
    r"/ ?(?:second|sec|minute|min|hour)\b|每(?:秒|分钟|小时)|速率|频率",
    re.IGNORECASE,
)
_SUBJECT = re.compile(
    r"\bbudgets?\b|\bbilling\b|\bcredits?\b|\b(?:account|wallet|remaining|current|your|insufficient|enough|outstanding) balance\b|"
    r"\bquotas?\b|\bapi[ _-]?keys?\b|\bx-api-key\b|\bvirtual keys?\b|\bkey limit\b|\bsubscription\b|\bpayments?\b|"
    r"\bprepaid\b|\bwallet\b|\b(?:cost|spending) limit\b|\byour (?:current )?plan\b|\b(?:this|the current|your) (?:month|billing)\b|"
    r"\b(?:access|security|server|provided|bearer|auth(?:entication|orization)?) token\b|\busage limits?\b|\bfree tier\b|\btrial\b|"
    r"\bspend(?:ing)?\b|\b(?:daily|weekly|monthly) (?:\w+ ){0,2}(?:limit|allocation|allowance|cap)\b|\bfunds\b|\b(?:your|this|the|user|team) (?:account|organi[sz]ation|project|team)\b|"
    r"\b(?:account|organi[sz]ation) (?:is|has|was|with|associated|deactivated|suspended|disabled)\b",
    re.IGNORECASE,
)
_TROUBLE = re.compile(
    r"exceed|insufficient|\breach|used (?:all|up)|\btoo low\b|not valid|invalid|incorrect|\bexpired|disabled|"
    r"suspended|deactivated|\brevoked|required?s?\b|overdue|unpaid|depleted|exhausted|inactive|not (?:been )?active|"
    r"\bout of\b|top.?up|recharge|restricted|crossed|\bover\b|\bblocked|not enough|hard limit|missing|"
    r"good standing|outstanding|\bleaked\b|\bany credits?\b|didn't provide|not provided|\bno\b|must be verified|terminated|\bpurchase\b|negative|"
    r"declined|\bempty\b|\breached\b|(?:does not|doesn't|not) include|\brun out\b|"
    r"not enabled|\benable\b|\blow\b|have reached|has ended|must add|not authori[sz]ed|limited to",
    re.IGNORECASE,
)
_NO_SUBJECT = re.compile(
    r"thinking|reasoning|concurren|budget_tokens|token budget|\bcontext\b|credit card", re.IGNORECASE
)
_ACCOUNT_WORDS = re.compile(
    r"欠[费費]|[余餘][额額](?:不足|已)|余量(?:已|不足)|(?:额度|配额|額度|配額)(?:已|不足|用|超)|充值|儲值|[账帳][户戶号號](?:已|被|异常|異常)|"
    r"密[钥鑰](?:无效|無效|错误|錯誤|已)|[无無]效的(?:密[钥鑰]|令牌)|令牌(?:已过期|状态不可用)|"
    r"残高.{0,9}(?:不足|足りま|ありま)|クレジット.{0,9}(?:不足|足りま|使い切)|キーが(?:無効|期限)|"
    r"(?:잔액|크레딧|할당량).{0,9}(?:부족|소진|초과)|키가 (?:유효하지|잘못|만료)|"
    r"\b(?:guthaben|kontingent|kredit)\b.{0,30}(?:aufgebraucht|erschöpft|überschritten|reicht nicht|nicht ausreichend)|"
    r"\b(?:crédits?|solde|fonds|quota|saldo|créditos?|crediti?o?|fondos|fundos|cuota|cota)\b.{0,30}"
    r"(?:insuff?i[cs]|épuisé|dépassé|agotad|esgotad|excedid|esaurit|superat)|"
    r"\b(?:clé|clave|chave|chiave)\b.{0,20}(?:invalid|no válid|no es válid|inválid|non valid|expir|scadut)|schlüssel.{0,20}(?:ungültig|abgelaufen|falsch)|"
    r"\bauthentication (?:error|failed|failure)\b|"
    r"недостаточно (?:средств|кредитов|денег)|(?:баланс|квот|кредит)\w{0,3}\b.{0,30}(?:исчерпан|превышен|недостаточ)|неверн\w{2} (?:api.)?ключ",
    re.IGNORECASE,
)  # also in other languages than English: Chinese, Japanese, Korean, German, French, Spanish, Portuguese, Italian, Russian
_QUOTED = re.compile(r"\"[^\"]{0,2000}\"|`[^`]{0,2000}`|“[^”]{0,2000}”|(?<!\w)'[^']{0,2000}'(?!\w)")
_SENTENCE = re.compile(r"[.!?;]\s|[\n。！；]")
_NO_QUOTA_AT_ALL = re.compile(r"limit: 0\b|requestsperday|tokensperday", re.IGNORECASE)
_OF_A_DAY = re.compile(r"\bper[ -]day\b|\bper 86,?400 ?s|ByDay\b", re.IGNORECASE)
_PASSES_SOON = re.compile(r"(?:try|retry)(?: again)? in\b", re.IGNORECASE)
_FIELD_REFUSED = re.compile(
    r"unsupported ?params?\b|does(?: not|n't) support param|unsupported parameter|"
    r"no endpoints found that (?:support|can handle)|unrecognized request argument",
    re.IGNORECASE,
)
_MESSAGES = (
    "message", "detail", "msg", "title", "status_msg", "errorMessage", "error_msg", "Message", "faultstring",
)  # fmt: skip
_WRAPPERS = ("error", "base_resp", "errors", "Error", "fault")  # MiniMax, Cloudflare, Tencent, Apigee
_LONGEST = 4000  # characters that are read


def message(body: bytes) -> str:
    """Return the error message in a reply's body; if there is none, the beginning of the body."""
    error = _error(body)
    while isinstance(error, dict | list):  # FastAPI gives a list of objects as `detail`
        error = {"message": error[0]} if isinstance(error, list) and error else error
        error = next((error[key] for key in _MESSAGES if error.get(key)), None) if error else None
    return error if isinstance(error, str) and error else body[:2000].decode(errors="replace")


def concerns_account(status: int, body: bytes, prompt: str = "") -> bool:
    """Tell whether a reply without an answer says that the account cannot be used: key, money or quota.

    Args:
        status: The reply's HTTP status.
        body: The reply's body.
        prompt: The prompt that was sent. Some servers quote it, and its text may be about budgets.
    """
    if body.lstrip()[:1] == b"<":  # a web page, such as a proxy's
        return status == 402
    text = body[:_LONGEST].decode(errors="replace")
    codes = list(_codes(_error(body)))
    if status == 402 or "402" in codes or any(_ACCOUNT_CODES.fullmatch(code) for code in codes):
        return True
    if _NO_QUOTA_AT_ALL.search(text):
        return True
    words = message(body)[:_LONGEST]
    if status == 429 and _OF_A_DAY.search(words) and not _PASSES_SOON.search(words):
        return True  # a limit of a day, which no wait between two requests outlasts
    is_rate = any(code.startswith(_RATE_CODES) for code in codes) or _RATE.search(f"{text}\n{words}")
    if is_rate and status in (200, 429, 503):
        return False
    if len(prompt) > 20:
        words = words.partition(prompt[:20])[0]
    words = _QUOTED.sub(" ", words)
    return any(_blames_account(sentence) for sentence in _SENTENCE.split(words))


def refuses_request(status: int, body: bytes) -> bool:
    """Tell whether a reply concerns only this request, although its status says something else.

    OpenRouter reports moderation as 403 and a field that no provider takes as 404; LiteLLM reports a field
    that its provider does not take as 500.
    """
    if status == 403:
        error = _error(body)
        metadata = error.get("metadata") if isinstance(error, dict) else None
        return isinstance(metadata, dict) and bool(metadata.keys() & {"flagged_input", "reasons"})
    return status in (404, 500) and bool(_FIELD_REFUSED.search(message(body)[:_LONGEST]))


def _blames_account(sentence: str) -> bool:
    if _ACCOUNT_WORDS.search(sentence):
        return True
    is_subject = _SUBJECT.search(sentence) and not _NO_SUBJECT.search(sentence)
    return bool(is_subject and _TROUBLE.search(sentence))


def _error(body: bytes) -> Any:
    """Return the part of a JSON body that describes the error: an object, a text, or None."""
    try:
        content: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if isinstance(content, list):  # Gemini
        content = content[0] if content else None
    if not isinstance(content, dict):
        return content if isinstance(content, str) else None
    choices = content.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict) and choices[0].get("error"):
        return choices[0]["error"]  # OpenRouter, if the provider failed after the answer began
    if isinstance(content.get("Response"), dict):  # Tencent
        content = content["Response"]
    error = next((content[name] for name in _WRAPPERS if content.get(name)), content)
    return error[0] if isinstance(error, list) else error


def _codes(error: Any) -> Iterator[str]:
    """Yield the codes of an error and of its details, as words joined by `_`."""
    if not isinstance(error, dict):
        return
    details = error.get("details")
    parts = [error, *(details if isinstance(details, list) else [])]
    for part in parts:
        for key in ("code", "type", "status", "reason", "error_code"):
            value = part.get(key) if isinstance(part, dict) else None
            if isinstance(value, str | int):
                yield "_".join(_CODE.findall(str(value)[:100].lower()))
