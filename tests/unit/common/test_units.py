"""Money: sums, texts and JSON."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsrun.common.units import (
    Money,
    duration_words,
    first_as_json,
    parse_money,
    sum_money,
)


@pytest.mark.parametrize(
    ("texts", "sums"),
    [
        pytest.param([], [], id="none"),
        pytest.param(["1 CNY", "0.1 CNY", "0.2 CNY"], ["1.3 CNY"], id="exact"),
        pytest.param(["1 USD", "2 CNY", "3 USD"], ["4 USD", "2 CNY"], id="order"),
        pytest.param(["0 CNY"], ["0 CNY"], id="zero"),
    ],
)
def test_each_currency_has_one_sum_in_the_order_in_which_it_comes(
    texts: list[str], sums: list[str]
) -> None:
    assert list(map(str, sum_money(map(parse_money, texts)))) == sums


@given(st.decimals(min_value=0, max_value=10**9, places=6))
def test_an_amount_comes_back_from_its_json(amount: Decimal) -> None:
    money = Money(amount=amount, currency="CNY")
    assert Money.from_json(money.as_json()) == money


def test_amounts_of_two_currencies_have_no_sum() -> None:
    with pytest.raises(ValueError, match="1 CNY and 2 USD have no sum"):
        parse_money("1 CNY") + parse_money("2 USD")


def test_a_key_for_one_amount_shows_the_first_or_zero() -> None:
    amounts = [parse_money("2 USD"), parse_money("1 CNY")]
    assert first_as_json(amounts) == {
        "amount": 2.0,
        "currency": "USD",
    }
    assert first_as_json([]) == {"amount": 0.0, "currency": "CNY"}
    assert first_as_json([], currency="USD") == {"amount": 0.0, "currency": "USD"}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 s"), (0.553, "0.55 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.6, "1 min 0 s"),
        (200.0, "3 min 20 s"), (3599.7, "1 h 0 min"), (240_000.0, "66 h 40 min"),
        (259_200.0, "3 d 0 h"), (1_200_000.0, "13 d 21 h"),
    ],
)  # fmt: skip
def test_a_time_in_words(seconds: float, words: str) -> None:
    assert duration_words(seconds) == words
