"""A task of the service, whoever asked for it."""

from dataclasses import dataclass


@dataclass
class Task:
    task_id: str
    request_id: str
    body: dict
    made_at: float  # epoch seconds by the computer's clock, as all times here
    listed_at: float
    starts_at: float
    ends_at: float
    marks: list  # of its pictures; None where one fails
    hidden_until: float = 0.0  # the list, which had it or not, lacks it for so long
    is_mute: bool = False  # a proxy answers every question for it

    @property
    def is_failure(self):
        return not any(self.marks)

    def is_listed(self, now):
        return now >= max(self.listed_at, self.hidden_until)

    def status(self, now):
        if now < self.starts_at:
            return "PENDING"
        if now < self.ends_at:
            return "RUNNING"
        return "FAILED" if self.is_failure else "SUCCEEDED"
