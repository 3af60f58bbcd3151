"""Error bodies as the providers' public documentation and users' reports show them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.calls.error_bodies import concerns_account, message, refuses_request


def openai(text, code=None, kind="invalid_request_error"):
    return {"error": {"message": text, "type": kind, "param": None, "code": code}}


def gemini(code, text, status, *details):
    return [{"error": {"code": code, "message": text, "status": status, "details": list(details)}}]


ACCOUNT = {
    "OpenAI: no money": (429, openai("You exceeded your current quota, please check your plan and billing details.", "insufficient_quota", "insufficient_quota")),
    "OpenAI: hard limit": (400, openai("Billing hard limit has been reached", "billing_hard_limit_reached")),
    "OpenAI: inactive": (429, openai("Your account is not active, please check your billing details on our website.", "billing_not_active")),
    "OpenAI: deactivated": (403, openai("The OpenAI account associated with this API key has been deactivated.", "account_deactivated")),
    "OpenAI: wrong key": (401, openai("Incorrect API key provided: sk-7Jq2.", "invalid_api_key")),
    "OpenAI: unverified": (400, openai("Your organization must be verified to use the model `o3`.")),
    "xAI: wrong key": (400, {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***7Q."}),
    "xAI: spent": (403, {"code": "The caller does not have permission", "error": "Your team 7f has either used all available credits or reached its monthly spending limit."}),
    "Anthropic: no credit": (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade."}}),
    "Anthropic: wrong key": (401, {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}}),
    "Gemini: wrong key": (400, gemini(400, "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT", {"reason": "API_KEY_INVALID"})),
    "Gemini: expired key": (400, gemini(400, "API key expired. Please renew the API key.", "INVALID_ARGUMENT", {"reason": "API_KEY_INVALID"})),
    "Gemini: billing off": (403, gemini(403, "This API method requires billing to be enabled.", "PERMISSION_DENIED", {"reason": "BILLING_DISABLED"})),
    "Gemini: no quota at all": (429, gemini(429, "You exceeded your current quota. * Quota exceeded for metric: free_tier_requests, limit: 0, model: gemini-2.5-pro. Please retry in 38.8s.", "RESOURCE_EXHAUSTED")),
    "LiteLLM: budget": (400, openai("Budget has been exceeded! Current cost: 10.02, Max budget: 10.0", "400", "budget_exceeded")),
    "LiteLLM: budget as auth": (400, openai("Budget has been exceeded! Current cost: 0.0010747, Max budget: 0.0", "400", "auth_error")),
    "LiteLLM: end user": (400, openai("ExceededBudget: End User=ann over budget. Spend=0.0008, Budget=0.0001", "400", "budget_exceeded")),
    "LiteLLM: router": (429, openai("No deployments available - crossed budget: Exceeded budget for deployment gpt", "429", "None")),
    "LiteLLM: wrapped": (400, openai("litellm.BadRequestError: OpenAIException - Budget has been exceeded! Current cost: 14.2, Max budget: 100. Received Model Group=llama", "400", None)),
    "OpenRouter: no credit": (402, {"error": {"code": 402, "message": "Insufficient credits. Add more using https://openrouter.ai/settings/credits"}}),
    "OpenRouter: within a 200": (200, {"error": {"code": 402, "message": "This request requires more credits, or fewer max_tokens."}}),
    "OpenRouter: within a choice": (200, {"choices": [{"finish_reason": "error", "message": {"content": ""}, "error": {"code": 402, "message": "Insufficient credits"}}]}),
    "OpenRouter: key limit": (403, {"error": {"code": 403, "message": "Key limit exceeded (total limit). Manage it using https://openrouter.ai/settings/keys"}}),
    "DeepSeek: no money": (402, openai("Insufficient Balance", "invalid_request_error", "unknown_error")),
    "DashScope: unpaid": (400, openai("Access denied, please make sure your account is in good standing.", "Arrearage", "Arrearage")),
    "Zhipu: unpaid": (429, {"error": {"code": "1113", "message": "您的账户已欠费，请充值后重试"}}),
    "one-api: spent": (403, openai("该令牌额度已用尽", "", "one_api_error")),
    "Azure: wrong key": (401, {"error": {"code": "401", "message": "Access denied due to invalid subscription key or wrong API endpoint."}}),
    "Together: limit": (402, openai("Credit limit exceeded, please navigate to the billing page", None, "credit_limit")),
    "Groq: restricted": (400, openai("Organization has been restricted. Please reach out to support.", "organization_restricted")),
    "Moonshot: suspended": (429, openai("Your account org-1 is suspended, please check your plan and billing details", None, "exceeded_current_quota_error")),
    "hub: monthly credits": (402, {"error": "You have exceeded your monthly included credits for Inference Providers."}),
    "LiteLLM: unknown key": (400, openai("Authentication Error, Invalid proxy server token passed. Received API Key = sk-...9Qa, Key Hash =6f1. Unable to find token in cache", "400", "token_not_found_in_db")),
    "MiniMax: within a 200": (200, {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}),
    "Anthropic: own limit": (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."}}),
    "Cohere: trial": (429, {"message": "You are using a Trial key, which is limited to 1000 API calls / month. You can upgrade to a Production key."}),
    "Bedrock: expired": (400, {"message": "The security token included in the request is expired"}),
    "Bedrock: not authorised": (400, {"message": "Your account is not authorized to invoke this API operation."}),
    "a gateway: no card": (400, {"detail": [{"msg": "You must add a payment method to use this model.", "type": "value_error"}]}),
    "a gateway: free tier": (400, {"detail": "Free tier exhausted. Upgrade to continue."}),
    "a gateway: trial": (422, {"errorMessage": "Your trial has ended."}),
    "new-api: quota": (503, openai("用户配额已用尽", "", "new_api_error")),
    "a gateway: 500": (500, {"detail": "upstream: your account has been suspended"}),
    "Cloudflare: daily": (429, {"errors": [{"code": 4006, "message": "AiError: you have used up your daily free allocation of neurons"}], "success": False}),
    "watsonx: quota": (400, {"errors": [{"code": "token_quota_reached", "message": "Token quota exceeded for the plan"}], "status_code": 400}),
    "Tencent: spent": (200, {"Response": {"Error": {"Code": "FailedOperation.ResourcePackExhausted", "Message": "后付费已关闭，资源包余量已用尽"}}}),
    "Baidu: unpaid": (200, {"error_code": 336501, "error_msg": "账号余额不足"}),
    "Hunyuan: spent": (200, openai("资源包余量不足", "2003")),
    "Bedrock: day": (429, {"message": "Too many tokens per day, please wait before trying again."}),
    "OpenRouter: free models of a day": (429, {"error": {"code": 429, "message": "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day"}}),
    "GitHub: day": (429, {"error": {"code": "RateLimitReached", "message": "Rate limit of 50 per 86400s exceeded for UserByModelByDay. Please wait 70211 seconds before retrying."}}),
    "Mistral: month": (429, {"message": "Monthly token limit exceeded", "type": "monthly_limit"}),
    "SiliconFlow: balance": (400, {"code": 30001, "message": "Sorry, your account balance is insufficient", "data": None}),
    "Novita: balance": (429, {"code": 403, "reason": "NOT_ENOUGH_BALANCE", "message": "not enough balance"}),
    "DeepInfra: unpaid": (503, {"detail": "Please pay your outstanding balance"}),
    "xAI: new team": (400, {"error": "Your newly created team doesn't have any credits yet."}),
    "Gemini: leaked key": (400, gemini(400, "Your API key was reported as leaked. Please use another API key.", "PERMISSION_DENIED")),
    "a plain text": (429, "quota exceeded for this month"),
    "Chinese, traditional": (400, openai("餘額不足")),
    "Japanese": (429, openai("クレジット残高が不足しています。")),
    "Japanese: key": (400, openai("APIキーが無効です。")),
    "Korean": (400, openai("잔액이 부족합니다.")),
    "German": (400, openai("Ihr Guthaben ist aufgebraucht.")),
    "French": (503, openai("Crédit insuffisant. Veuillez recharger votre compte.")),
    "Spanish": (400, openai("Saldo insuficiente en su cuenta.")),
    "Portuguese": (400, openai("A sua cota foi excedida.")),
    "Italian": (400, openai("Credito esaurito.")),
    "Russian": (400, openai("Недостаточно средств на балансе.")),
    "a gateway: 503": (503, {"message": "The project budget was exceeded"}),
    "a gateway: prepaid": (412, {"message": "The prepaid balance of this workspace is exhausted"}),
    "a gateway: card": (400, {"message": "The payment method on file was declined."}),
    "a gateway: wallet": (422, {"detail": "Wallet empty"}),
    "a gateway: cost limit": (503, {"error": "Cost limit of today reached (20 USD)"}),
    "a gateway: plan": (403, {"error": {"message": "Your current plan does not include this model."}}),
    "a gateway: month": (400, {"error": {"message": "You ran out, or have run out, of tokens for this month."}}),
    "Cloudflare: key": (400, {"errors": [{"code": 10000, "message": "Authentication error"}], "success": False}),
    "a gateway: token": (400, {"error": "The provided token was revoked."}),
    "French: key": (400, openai("Votre clé d'API est invalide.")),
    "Spanish: key": (400, openai("La clave no es válida.")),
    "German: key": (400, openai("Der API-Schlüssel ist abgelaufen.")),
}  # fmt: skip

OTHER = {
    "OpenAI: rate": (429, openai("Rate limit reached for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000, Used 29800. Please try again in 6ms. You can increase your rate limit by adding a payment method to your account at https://platform.openai.com/account/billing.", "rate_limit_exceeded", "tokens")),
    "Azure: rate": (429, {"error": {"code": "429", "message": "Requests to the ChatCompletions_Create Operation have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 20 seconds. Please go here: https://aka.ms/oai/quotaincrease"}}),
    "Gemini: rate": (429, gemini(429, "You exceeded your current quota, please check your plan and billing details. Please retry in 23.4s.", "RESOURCE_EXHAUSTED", {"violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel"}]})),
    "Vertex: busy": (429, gemini(429, "Resource exhausted. Please try again later.", "RESOURCE_EXHAUSTED")),
    "OpenAI: context": (400, openai("This model's maximum context length is 8192 tokens. However, you requested 9000 tokens. Please reduce the length of the messages.", "context_length_exceeded")),
    "OpenAI: policy": (400, openai("Invalid prompt: your prompt was flagged as potentially violating our usage policy.", "invalid_prompt")),
    "Azure: policy": (400, openai("The response was filtered due to the prompt triggering Azure OpenAI's content management policy.", "content_filter", None)),
    "OpenAI: temperature": (400, openai("Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is supported.", "unsupported_value")),
    "Gemini: thinking budget": (400, gemini(400, "Thinking budget 0 is invalid. This model only works in thinking mode.", "INVALID_ARGUMENT")),
    "Gemini: field": (400, gemini(400, 'Invalid JSON payload received. Unknown name "seed": Cannot find field.', "INVALID_ARGUMENT")),
    "a quoted prompt": (400, openai("Invalid prompt: 'Explain why a household budget was exceeded and the credit balance is too low.'")),
    "vLLM: context": (400, {"object": "error", "message": "max_tokens=131072 cannot be greater than max_model_len=40960.", "type": "BadRequestError", "param": None, "code": 400}),
    "llama.cpp: busy": (503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}),
    "OpenAI: down": (500, openai("The server had an error processing your request. Sorry about that!", None, "server_error")),
    "OpenRouter: upstream": (200, {"error": {"code": 502, "message": "Provider returned error"}}),
    "OpenRouter: moderation": (403, {"error": {"code": 403, "message": "Your chosen model requires moderation and your input was flagged", "metadata": {"reasons": ["violence"], "flagged_input": "..."}}}),
    "Cohere: rate": (429, {"message": "You are using a Trial key, which is limited to 20 API calls / minute. You can continue to use the Trial key for free."}),
    "Zhipu: rate": (429, {"error": {"code": "1302", "message": "您的账户已达到速率限制，每分钟请求额度已满，请稍后重试"}}),
    "OpenAI: output limit": (400, openai("Could not finish the message because max_tokens or model output limit was reached.")),
    "a server: concurrency": (429, openai("concurrency limit exceeded for account, max 4")),
    "MiniMax: rate": (200, {"choices": None, "base_resp": {"status_code": 1002, "status_msg": "rate limit"}}),
    "a server: list": (422, {"detail": [{"msg": "field required", "loc": ["body", "model"]}]}),
    "Google: list of errors": (400, {"error": {"code": 400, "message": "The prompt is too long.", "errors": [{"message": "The prompt is too long.", "reason": "badRequest"}]}}),
    "Zhipu: policy": (400, {"contentFilter": [{"level": 1}], "error": {"code": "1301", "message": "系统检测到输入内容可能包含敏感内容，请您避免输入。"}}),
    "Groq: too large": (413, openai("Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 9000. Need more tokens? Upgrade to Dev Tier today", "rate_limit_exceeded", "tokens")),
    "OpenAI: requests of a day, which pass": (429, openai("Rate limit reached for m on requests per day (RPD): Limit 200, Used 200, Requested 1. Please try again in 7m12s.", "rate_limit_exceeded", "requests")),
    "a prompt of a day": (400, openai("Invalid prompt: how many glasses of water per day")),
    "a server: parallel": (429, openai("Limit reached for your account: 4 concurrent requests")),
    "a server: month in a text": (400, openai("The parameter month is invalid.")),
    "German: policy": (400, openai("Die Anfrage wurde vom Inhaltsfilter abgelehnt.")),
    "no choices": (200, {"id": "x", "choices": [], "usage": {"cost": 0, "credits": "exceeded"}}),
}  # fmt: skip


@pytest.mark.parametrize("name", ACCOUNT)
def test_an_account_that_cannot_be_used_is_seen_under_any_status(name):
    status, body = ACCOUNT[name]
    assert concerns_account(status, json.dumps(body).encode())


@pytest.mark.parametrize("name", OTHER)
def test_a_rate_limit_and_a_refused_request_say_nothing_of_the_account(name):
    status, body = OTHER[name]
    assert not concerns_account(status, json.dumps(body).encode())


def test_a_prompt_that_the_server_quotes_says_nothing_of_the_account():
    prompt = "Tell why the budget of the town was exceeded and no credit was left."
    body = json.dumps(openai(f"Cannot process: {prompt}")).encode()
    assert concerns_account(400, body)
    assert not concerns_account(400, body, prompt)


def test_a_web_page_says_nothing_of_the_account_except_by_its_status():
    page = b"<html><body>Your account: no credit left</body></html>"
    assert not concerns_account(502, page)
    assert concerns_account(402, page)


@pytest.mark.parametrize(
    ("status", "body", "refuses"),
    [
        (403, OTHER["OpenRouter: moderation"][1], True),
        (403, ACCOUNT["OpenRouter: key limit"][1], False),
        (404, openai("No endpoints found that can handle the requested parameters."), True),
        (404, openai("No endpoints found for acme/none."), False),
        (500, openai("ollama does not support parameters: {'seed': 1}, for model=llama3."), True),
        (500, openai("litellm.UnsupportedParamsError: groq does not support parameters: ['seed']"), True),
        (500, openai("The server had an error"), False),
        (429, openai("Unsupported parameter"), False),
    ],
)
def test_a_status_of_the_model_or_the_server_may_concern_one_request(status, body, refuses):
    assert refuses_request(status, json.dumps(body).encode()) is refuses


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (json.dumps(openai("too long")), "too long"),
        (json.dumps(gemini(400, "no field", "INVALID_ARGUMENT")), "no field"),
        ('{"detail": "not found"}', "not found"),
        ('{"error": "model busy"}', "model busy"),
        ('{"object": "error", "message": "too long", "code": 400}', "too long"),
        ("plain words", "plain words"),
        ("[]", "[]"),
        ("潮", "潮"),
    ],
)
def test_the_message_is_found_in_each_shape_of_body(body, text):
    assert message(body.encode()) == text


@given(st.integers(200, 599).filter(lambda status: status != 402), st.binary(max_size=300))
def test_any_bytes_have_a_message_and_a_verdict(status, body):
    assert isinstance(message(body), str)
    assert isinstance(concerns_account(status, body), bool)
