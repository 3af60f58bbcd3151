import gc

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
