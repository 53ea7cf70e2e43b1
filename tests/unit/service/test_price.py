"""What a request costs, and what its answer bills."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsrun.service.catalog import load_catalog
from dsrun.service.operation_file import parse_price
from dsrun.service.price import MOST_GRAINS, Bill

WANX = load_catalog()["wanx-v1"].price


def item(units, amount="1", **more):
    return {"unit": "unit", "amount": amount, "units": units, **more}


def price(*items):
    return parse_price({"currency": "CNY", "as_of": "2026-05", "items": list(items)})


def cost(of, request=None, *, asked=1, seconds=None):
    grains = of.planned(request or {}, asked=asked, seconds=seconds)
    return None if grains is None else of.of(grains).amount


def bill(of, claimed, request=None, *, asked=1, made=1, **more):
    units, warning = of.billed(request or {}, claimed, asked=asked, made=made, **more)
    return of.of(units).amount, warning


LENGTHS = {"a.wav": Decimal("9.5"), "b.wav": Decimal(3)}


@pytest.mark.parametrize(
    ("units", "request_", "count"),
    [
        ({"count": True}, {}, 3),
        ({"value": "/p/s"}, {"p": {"s": 5}}, 5),
        ({"value": "/p/s"}, {"p": {"s": 2.5}}, "2.5"),
        ({"value": "/p/s"}, {"p": {"s": 0}}, 0),
        ({"value": "/p/s"}, {}, None),
        ({"value": "/p/s"}, {"p": {"s": "5"}}, None),
        ({"value": "/p/s"}, {"p": {"s": True}}, None),
        ({"value": "/p/s"}, {"p": {"s": -1}}, None),
        ({"value": "/p/s", "else": 5}, {}, 5),
        ({"value": "/p/s", "else": 0}, {"p": {}}, 0),
        ({"value": "/p/s", "most": 15}, {"p": {"s": -1}}, 15),
        ({"chars": ["/t"]}, {"t": "灯 a!"}, 4),
        ({"chars": ["/t"], "wide": 2}, {"t": "灯 a!"}, 5),
        ({"chars": ["/t"], "wide": 2}, {"t": "、。カ한"}, 4),
        ({"chars": ["/t"], "wide": 2}, {"t": "𠮷々〇"}, 6),
        ({"chars": ["/t"]}, {}, 0),
        ({"chars": ["/t", "/u"], "wide": 2}, {"t": "ab", "u": "灯"}, 4),
        ({"chars": ["/m/*/text"]}, {"m": [{"text": "ab"}, {"image": "x"}, {"text": "c"}]}, 3),
        ({"tokens": ["/t"]}, {"t": "four灯"}, 5),
        ({"tokens": ["/t"]}, {"t": "😀"}, 4),
        ({"tokens": ["/t/*"]}, {"t": ["a", "bc"]}, 3),
        ({"items": "/l"}, {"l": [1, 2, 3]}, 3),
        ({"items": "/l"}, {"l": []}, 0),
        ({"items": "/l"}, {"l": "one"}, 1),
        ({"items": "/l", "else": 1}, {}, 1),
        ({"items": "/l"}, {}, 0),
        ({"items": "/l/*/image"}, {"l": [{"image": "a"}, {"text": "b"}, {"image": "c"}]}, 2),
        ({"media_seconds": "/f"}, {"f": "a.wav"}, "9.5"),
        ({"media_seconds": "/f/*"}, {"f": ["a.wav", "b.wav"]}, "12.5"),
        ({"media_seconds": "/f/*"}, {"f": ["a.wav", "https://x"]}, None),
        ({"media_seconds": "/f"}, {}, None),
        ({"media_seconds": "/f", "most": 300}, {"f": "https://x"}, 300),
        ({"most": 300}, {}, 300),
        ({"count": True, "times": {"value": "/s"}}, {"s": 2}, 6),
        ({"media_seconds": "/f", "times": {"items": "/c"}}, {"f": "a.wav"}, "9.5"),
        ({"media_seconds": "/f", "times": {"items": "/c"}}, {"f": "a.wav", "c": [0, 1]}, 19),
        ({"count": True, "times": {"value": "/s"}}, {}, None),
    ],
)
def test_the_units_of_a_request(units, request_, count):
    paid = cost(price(item(units, "0.3")), request_, asked=3, seconds=LENGTHS.get)
    assert paid == (None if count is None else Decimal("0.3") * Decimal(count))


def test_a_request_pays_for_every_item():
    tokens = [item({"tokens": ["/in"]}, "0.8", per=1000), item({"most": 100}, "2", per=1000)]
    assert cost(price(*tokens), {"in": "abc"}) == Decimal("0.2024")
    assert cost(price(*tokens, item({"value": "/s"})), {"in": "abc"}) is None
    assert cost(price(*tokens, item({"value": "/s"}, "0")), {"in": "abc"}) == Decimal("0.2024")


def test_the_amount_is_looked_up_with_the_request():
    table = {"by": ["/r", "/a"], "table": {"720P": {"false": "0.15", "*": "0.30"}}}
    film = price(item({"value": "/s"}, table))
    assert cost(film, {"r": "720P", "a": False, "s": 5}) == Decimal("0.75")
    assert cost(film, {"r": "720P", "s": 5}) == Decimal("1.50")
    assert cost(film, {"r": "480P", "s": 5}) is None
    assert str(film) == "0.15 to 0.30 CNY a unit"
    assert film.as_json()["amount"] is None


class TestBills:
    FILM = price(item({"value": "/s"}, "0.6", billed=["/usage/duration"]))
    MOST = price(item({"value": "/s"}, "0.6", billed=["/usage/duration"], sure="at_most"))

    def test_a_fraction_counts(self):
        assert bill(self.FILM, [Decimal("4.041667")], {"s": 5}) == (Decimal("2.4250002"), "")

    def test_the_last_part_of_a_millionth_counts_whole(self):
        assert bill(self.FILM, [Decimal("0.0000001")], {"s": 5}) == (Decimal("0.0000006"), "")

    def test_what_is_not_told_is_what_was_asked_for(self):
        assert bill(self.FILM, [], {"s": 5}) == (3, "")
        assert bill(self.FILM, [None], {"s": 5}, made=0) == (0, "")

    def test_no_more_is_paid_than_was_asked_for(self):
        paid, warning = bill(self.FILM, [Decimal("5.5")], {"s": 5})
        assert paid == 3
        assert warning == "the answer bills 5.5 x unit, and 5 x unit was asked for; 5 counts"

    def test_where_the_plan_is_no_promise_the_answer_counts_within_reason(self):
        assert bill(self.MOST, [Decimal("5.5")], {"s": 5}) == (Decimal("3.3"), "")
        assert bill(self.MOST, [Decimal(50)], {"s": 5}) == (30, "")
        paid, warning = bill(self.MOST, [Decimal(51)], {"s": 5})
        assert (paid, bool(warning)) == (3, True)

    def test_what_nobody_could_tell_is_what_the_answer_says(self):
        assert bill(self.FILM, [Decimal(7)]) == (Decimal("4.2"), "")
        assert bill(self.FILM, []) == (0, "")
        assert bill(self.FILM, [Decimal(10) ** 12])[1] != ""

    @pytest.mark.parametrize("most", [{}, {"most": 43200}])
    def test_what_the_plan_knew_of_a_file_bounds_the_answer(self, most):
        speech = price(item({"media_seconds": "/f", **most}, "0.00008"))
        reserved = speech.planned({"f": "a.wav"}, asked=1, seconds=LENGTHS.get)
        assert bill(speech, [Decimal(9)], {"f": {}}, reserved=reserved) == (Decimal("0.00072"), "")
        assert bill(speech, [], {"f": {}}, reserved=reserved) == (Decimal("0.00076"), "")
        paid, warning = bill(speech, [Decimal(90)], {"f": {}}, reserved=reserved)
        assert (paid, "9.5 counts" in warning) == (Decimal("0.00076"), True)

    def test_a_failed_call_is_paid_only_where_the_price_says_so(self):
        free, paid = (
            price(item({"count": True}, "0.003", free_on_failure=is_free))
            for is_free in (True, False)
        )
        assert bill(free, [], made=0, is_failed=True) == (0, "")
        assert bill(free, [Decimal(1)], made=0, is_failed=True) == (0, "")
        assert bill(paid, [], made=0, is_failed=True) == (Decimal("0.003"), "")
        assert bill(paid, [Decimal(0)], made=0, is_failed=True) == (0, "")

    def test_a_bound_may_be_billed_in_part(self):
        song = price(item({"most": 300}, "0.002", billed=["/usage/duration"], sure="at_most"))
        assert cost(song) == Decimal("0.6")
        assert song.items[0].claim(212.5) == Decimal("212.5")
        assert bill(song, [Decimal("212.5")]) == (Decimal("0.425"), "")

    def test_each_item_has_its_own_figure(self):
        both = price(item({"tokens": ["/t"]}, "0.001"), item({"most": 10}, "0.002", sure="at_most"))
        assert bill(both, [Decimal(3), Decimal(7)], {"t": "abcd"}) == (Decimal("0.017"), "")
        assert bill(both, [None, Decimal(7)], {"t": "abcd"}) == (Decimal("0.018"), "")


class TestGrains:
    def test_a_steady_price_counts_artifacts(self):
        assert (WANX.steady, str(WANX.grain)) == (1, "0.16")
        assert WANX.planned({}, asked=4) == 4
        assert str(WANX.of(4).amount) == "0.64"

    @pytest.mark.parametrize(
        ("items", "grain"),
        [
            ([item({"count": True}, "0.20")], "0.20"),
            ([item({"chars": ["/t"]}, "0.8", per=10000)], "0.00008"),
            ([item({"value": "/s"}, "0.6")], "0.0000006"),
            (
                [item({"tokens": ["/t"]}, "0.8", per=1000), item({"items": "/l"}, "2", per=1000)],
                "0.0004",
            ),
            ([item({"count": True}, "0")], "0"),
        ],
    )
    def test_the_grain_divides_whatever_is_billed(self, items, grain):
        assert price(*items).grain == Decimal(grain)

    def test_what_is_free_is_counted_all_the_same(self):
        free = price(item({"count": True}, "0"))
        assert free.planned({}, asked=3) == 3
        assert cost(free, asked=3) == 0

    def test_amounts_too_far_apart_are_refused(self):
        with pytest.raises(ValueError, match="too far apart"):
            price(item({"value": "/s"}, "1000000"), item({"count": True}, "0.000000001"))

    @given(
        st.lists(
            st.tuples(
                st.decimals(0, 100, places=4, allow_nan=False),
                st.sampled_from([1, 1000, 10000, 1000000]),
                st.integers(0, 2000),
            ),
            min_size=1,
            max_size=3,
        ),
        st.lists(st.integers(1, 50), max_size=20),
    )
    def test_every_sum_is_exact(self, parts, jobs):
        items = [
            item(
                {"value": f"/{number}"} if per == 1 else {"items": f"/{number}"},
                str(amount),
                per=per,
            )
            for number, (amount, per, _) in enumerate(parts)
        ]
        request = {
            str(number): units if per == 1 else ["x"] * units
            for number, (_, per, units) in enumerate(parts)
        }
        try:
            one = price(*items)
        except ValueError:
            return
        exact = sum(Fraction(amount) * units / per for amount, per, units in parts)
        grains = one.planned(request, asked=1)
        if grains is None:  # a dear job at a very fine grain
            assert exact > MOST_GRAINS * Fraction(one.grain)
            return
        assert Fraction(one.of(grains * sum(jobs)).amount) == exact * sum(jobs)


def test_a_bill_of_a_known_price_is_as_ever():
    assert WANX.billed({}, [Decimal(2)], asked=4, made=4) == Bill(2)


@pytest.mark.parametrize(
    ("unit", "text"),
    [("image", "an image"), ("voice", "a voice"), ("10k characters", "per 10k characters")],
)
def test_a_price_is_told_of_one_unit(unit, text):
    one = price({**item({"count": True}, "0.16"), "unit": unit})
    assert str(one) == f"0.16 CNY {text}"
    assert str(one.of(5)) == "0.8 CNY"
