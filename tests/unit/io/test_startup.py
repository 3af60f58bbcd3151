import gc
import json
import subprocess
import sys
from pathlib import Path

import pytest

from longwriter.io import startup


def test_the_garbage_collector_is_paused_only_while_the_block_imports():
    assert gc.isenabled()
    with startup.imports():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_the_garbage_collector_runs_again_after_an_import_that_fails():
    with pytest.raises(ImportError), startup.imports():
        raise ImportError("no such module")
    assert gc.isenabled()


def test_a_library_is_hidden_only_while_the_block_imports(monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with startup.without("colorsys"), pytest.raises(ImportError):
        import colorsys
    import colorsys

    with startup.without("colorsys"):
        assert sys.modules["colorsys"] is colorsys


LOAD = """
import json, sys
from pathlib import Path
from longwriter.io import startup
startup.without_torch()
from longwriter.tokens import tokenizer
ids = tokenizer.load(Path(sys.argv[1]))("Ships, 船, and rain.")["input_ids"]
print(json.dumps([ids, [name for name in sys.modules if name.startswith("torch")]]))
"""


def test_a_tokenizer_gives_the_same_ids_without_pytorch(tiny_model: Path):
    from longwriter.tokens import tokenizer

    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(tiny_model)], capture_output=True, text=True, check=True
    )
    ids = tokenizer.load(tiny_model)("Ships, 船, and rain.")["input_ids"]
    assert json.loads(done.stdout) == [ids, ["torch"]]
    assert done.stderr == ""
