import pytest

from longwriter.text.basics import endings


@pytest.mark.parametrize(
    ("written", "ended"),
    [
        ("", False),
        ("The end.", True),
        ('He said "go."', True),
        ("**The end.**", True),
        ("Why not?", True),
        ("春天来了。", True),
        ("他说：“走吧。”", True),
        ("And so the", False),
        ("春天来了，我们就", False),
        ("We wish you well.\n\nYours,\nAnna", True),
        ("Dear Ben,\nAnna", True),
        ("All is said.\nAnd so they went on to the", False),
        ("Anna", False),
        ("| a | b |", True),
        ("```\ncode\n```", True),
        ("此致。\n李明", True),
        ("他走了。\n然后他又慢慢地沿着那条长长的河边小路", False),
        ("It costs 3", False),
        ("trailing, ", False),
    ],
)
def test_a_text_ends_where_a_sentence_does_or_in_a_signature(written, ended):
    assert endings.ends(written) == ended


@pytest.mark.parametrize(
    ("paragraph", "cut"),
    [
        ("The boats came in before the storm, and the har", True),
        ("The boats came in before the storm, and then,", True),
        ("The boats came in. The keeper lit the lamp and wen", True),
        ("他走了，然后又慢慢地沿着那条长长的河边小", True),
        ("The boats came in before the storm.", False),
        ("The boats came in before the storm: three of them and a tug", True),
        ("The boats came in with these goods on board:", False),
        ("## The boats came in before the storm and the rain", False),
        ("The Boats of the North", False),
        ("The boats came in before the storm began\nThe keeper lit the lamp above the bay", False),
        ("Bring:\n- a coat that keeps out the rain and the wind", False),
        ("The boats came in before the storm, she said**", True),
        ('"The boats came in before the storm," said the keeper "', False),
        ("", False),
    ],
)
def test_prose_that_stops_in_mid_sentence_is_cut(paragraph, cut):
    assert endings.is_cut(paragraph) is cut
