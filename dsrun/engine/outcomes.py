"""What a create request came to."""

from decimal import Decimal
from typing import NamedTuple

from dsrun.common.doubt import Doubt
from dsrun.common.models import JobResult
from dsrun.service.replies import Answer


class Submitted(NamedTuple):
    """A task that was accepted; `doubt` where its answer was lost, and the service listed it."""

    task_id: str
    reserved: Decimal
    doubt: Doubt | None = None

    @property
    def is_new(self) -> bool:
        """Accepted just now, so that its result takes a while."""
        return self.doubt is None


class Answered(NamedTuple):
    """A create of an operation that answers at once, accepted."""

    answer: Answer
    reserved: Decimal


class Lost(NamedTuple):
    """A create that may have been accepted."""

    words: str
    request_id: str | None = None
    is_foreign: bool = False  # what answered may not be the API


Outcome = Submitted | Answered | JobResult
