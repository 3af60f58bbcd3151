import pytest

from longwriter.calls.meter import Meter
from longwriter.calls.prices import FREE, Price
from longwriter.errors import ModelUnusable
from tests.unit.llm.endpoint import call

PRICE = Price(input=2.5, cached_input=1.25, output=10.0)


def test_a_meter_tells_what_was_used_in_one_line():
    meter = Meter("m", PRICE, None)
    meter.add(call("a"))
    meter.add(call("b", replayed=True))
    assert meter.note() == "1 call, 1 replayed, 200 tokens in (0 cached), 20 out, $0.00"
    assert meter.usage()["cost_usd"] == pytest.approx(2 * (100 * 2.5 + 10 * 10) / 1e6)
    assert "$" not in Meter("m", FREE, None).note()


def test_a_limit_that_cannot_be_kept_since_answers_do_not_say_what_they_took_stops():
    silent = call("a")
    silent = silent._replace(completion=silent.completion._replace(usage=None))
    with pytest.raises(ModelUnusable, match="no usable token counts"):
        Meter("m", PRICE, 1.0).add(silent)
    Meter("m", PRICE, None).add(silent)
    Meter("m", FREE, 1.0).add(silent)
