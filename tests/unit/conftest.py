"""What no unit test may meet: a clock that makes a slow machine a failure, others' secrets."""

import pytest
from hypothesis import settings

from dsrun.common import redaction

settings.register_profile("steady", deadline=None)
settings.load_profile("steady")


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch):
    """The process remembers every secret that it has met."""
    monkeypatch.setattr(redaction, "_secrets", set())
