"""A run as a JUnit report for continuous integration: a suite for each step, a case for each job.

Written case by case with the standard library, since packages hold the whole report in memory.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any
from xml.etree import ElementTree as ET

from dsrun.common.escaping import escaped
from dsrun.common.models import OPEN, JobStatus
from dsrun.common.redaction import mask
from dsrun.ledger.history import seconds_between
from dsrun.report.entries import label_of

# Characters that `escaped` leaves alone and XML 1.0 cannot hold, not even escaped.
_NO_XML = re.compile("[\ufffe\uffff]")
_NOT_RUN = (*OPEN, JobStatus.SKIPPED)
_FAILED = (JobStatus.FAILED, JobStatus.PARTIAL, JobStatus.CANCELLED)


def junit_report(
    name: str, counts: Mapping[str, Mapping[JobStatus, int]], lines: Iterable[Mapping[str, Any]]
) -> Iterator[bytes]:
    """The file in parts, from counts by step and status and the lines of results.jsonl."""
    yield b'<?xml version="1.0" encoding="utf-8"?>\n'
    yield _opening("testsuites", name, counts.values())
    for step, jobs in groupby(lines, key=lambda line: str(line["step"])):
        yield _opening("testsuite", step, [counts.get(step, {})])
        for job in jobs:
            yield ET.tostring(_case(name, job), encoding="unicode").encode() + b"\n"
        yield b"</testsuite>\n"
    yield b"</testsuites>\n"


def _opening(tag: str, name: str, counts: Iterable[Mapping[JobStatus, int]]) -> bytes:
    sums = {status: sum(count.get(status, 0) for count in counts) for status in JobStatus}
    element = ET.Element(
        tag,
        name=_fit(name),
        tests=str(sum(sums.values())),
        failures=str(sum(sums[status] for status in _FAILED)),
        errors=str(sums[JobStatus.UNKNOWN]),
        skipped=str(sum(sums[status] for status in _NOT_RUN)),
    )
    return ET.tostring(element, encoding="unicode").removesuffix(" />").encode() + b">\n"


def _case(name: str, job: Mapping[str, Any]) -> ET.Element:
    values = ", ".join(f"{axis}={label_of(value)}" for axis, value in job["matrix"].items())
    title = f"{job['index']}: {values}" if values else str(job["index"])
    taken = seconds_between(job["submitted_at"], job["ended_at"]) if job["submitted_at"] else None
    case = ET.Element(
        "testcase",
        name=_fit(title),
        classname=_fit(f"{name}.{job['step']}"),
        time=f"{taken or 0:.3f}",
    )
    status = JobStatus(job["status"])
    error = job["error"] or {"code": status.value, "message": "", "class": ""}
    if status in _NOT_RUN:
        why = "not ended" if status in OPEN else _fit(error["message"])
        ET.SubElement(case, "skipped", message=f"{status}: {why}")
    elif status in _FAILED or status is JobStatus.UNKNOWN:
        tag = "error" if status is JobStatus.UNKNOWN else "failure"
        words = _fit(f"{status}: {error['code']}: {error['message']}")
        told = ET.SubElement(case, tag, type=_fit(error["code"]), message=words)
        told.text = _fit(f"job {job['job_id']}, task {job['task_id']}, request {job['request_id']}")
    return case


def _fit(text: str) -> str:
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", escaped(mask(text)))
