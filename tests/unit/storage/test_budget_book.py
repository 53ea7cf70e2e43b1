"""The book that all runs of an output root share."""

from decimal import Decimal

import pytest

from dsrun.common.errors import SetupError
from dsrun.storage.budget_book import BudgetBook


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".budget.sqlite3"


def total(book, *, since="", currency="CNY"):
    with book.writing() as page:
        return page.total(currency, since=since)


def test_it_adds_up_what_was_spent_from_a_time_on_in_one_currency(path):
    book = BudgetBook(path)
    with book.writing() as page:
        page.add("a/1", "2026-11-27T17:4", "CNY", Decimal("0.16"))
        page.add("a/1", "2026-11-27T17:4", "CNY", Decimal("0.02"))
        page.add("b/2", "2026-11-27T17:5", "CNY", Decimal("0.0000000001"))
        page.add("b/2", "2026-11-27T17:5", "USD", Decimal(5))
    assert total(book) == Decimal("0.1800000001")
    assert total(book, since="2026-11-27T17:5") == Decimal("0.0000000001")
    assert total(book, since="2026-11-27T18:0") == 0


def test_no_time_gives_money_to_another(path):
    """What is given back at a time at which nothing was spent is worth nothing."""
    book = BudgetBook(path)
    with book.writing() as page:
        page.add("a/1", "2026-11-27T17:4", "CNY", Decimal("0.16"))
        page.add("a/1", "2026-11-28T00:0", "CNY", Decimal("-0.16"))
        page.add("a/1", "2026-11-28T00:0", "CNY", Decimal("-0.16"))
    assert total(book) == Decimal("0.16")


def test_a_run_is_written_down_as_a_whole(path):
    book = BudgetBook(path)
    for amount in (1, 2):
        with book.writing() as page:
            page.set_run("a/1", [("t", "CNY", Decimal(amount))], state="s", is_kept=True)
    assert total(book) == 2
    with book.writing() as page:
        assert page.entry("a/1") == ("s", True)
        page.disown("a/1")
        assert page.entry("a/1") == ("", False)
        assert page.entry("b/1") is None
    assert total(book) == 2


def test_what_fails_in_between_leaves_no_trace(path):
    book = BudgetBook(path)
    with pytest.raises(TypeError), book.writing() as page:
        page.set_run("a/1", [("t", "CNY", Decimal(1)), ("t", "CNY", None)], state="", is_kept=True)
    assert total(book) == 0


@pytest.mark.parametrize("spoil", ["remove", "replace", "garbage", "version"])
def test_a_book_that_is_lost_while_it_is_open_is_begun_anew_and_shared_again(path, spoil):
    first, second = BudgetBook(path), BudgetBook(path)
    with first.writing() as page:
        page.add("a/1", "t", "CNY", Decimal(1))
    if spoil == "remove":
        path.unlink()
    elif spoil == "replace":
        path.unlink()
        path.write_bytes(b"")
    elif spoil == "garbage":
        path.write_bytes(b"no database" * 999)
    else:
        path.unlink()
        BudgetBook(path)._db.execute("PRAGMA user_version = 99")
    with first.writing() as page:
        page.add("b/2", "t", "CNY", Decimal(2))
    assert total(second) == 2


def test_sums_that_no_file_can_count_are_told(path):
    book = BudgetBook(path)
    with book.writing() as page:
        page.add("a/1", "t", "CNY", Decimal(10) ** 15)
    with book.writing() as page:
        page.add("b/1", "t", "CNY", Decimal(10) ** 15)
    with pytest.raises(SetupError, match="Nothing more is sent"):
        total(book)


def test_a_folder_that_is_gone_is_not_made_again(tmp_path):
    with pytest.raises(SetupError, match="is gone"):
        BudgetBook(tmp_path / "outputs/.budget.sqlite3")
    assert not (tmp_path / "outputs").exists()
