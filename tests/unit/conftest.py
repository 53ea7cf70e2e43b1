"""What no unit test may meet: a clock that makes a slow machine a failure, others' secrets."""

import pytest
from hypothesis import settings

from dsrun.common import redaction
from dsrun.ledger.writer import Ledger
from tests.fakes import AT

settings.register_profile("steady", deadline=None)
settings.load_profile("steady")


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch):
    """The process remembers every secret that it has met."""
    monkeypatch.setattr(redaction, "_secrets", set())


@pytest.fixture
async def ledger(tmp_path):
    """The ledger of a run that has started at `AT` and has no jobs yet."""
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    await ledger.start_run(at=AT, version="1", endpoint="http://a", host="h", pid=1, live_since=AT)
    yield ledger
    ledger.close()
