"""What to do about a job that has not succeeded, in one sentence."""

from fnmatch import fnmatchcase

from dsrun.common.models import Json

_RETRY = "`dsrun PIPELINE --retry-failed` sends it again."
_BY_CODE = (
    (
        ("datainspectionfailed", "ipinfringementsuspect", "*datainspection"),
        "The service refuses the content: reword the prompt, then run the pipeline again.",
    ),
    (
        ("arrearage", "*overdue", "*unpurchased", "*budgetlimit*", "commoditynotpurchased"),
        "The account is not in order: settle that at the service, then use --retry-failed.",
    ),
    (
        ("*freetieronly", "*allocationquota"),
        "A quota of the account is used up: raise it at the service, then use --retry-failed.",
    ),
    (
        ("invalidurl*", "*downloadfailed", "invalidfile*", "invalidimage*"),
        "The service could not use a file of the request: check its address and format.",
    ),
    (
        ("filechanged",),
        "A local file changed while dsrun ran: run the pipeline again with the file as it is now.",
    ),
    (
        ("invalidparameter*", "badrequest*", "invalid*"),
        "The service refuses the request: compare it with `dsrun schema OPERATION` and change it.",
    ),
    (
        ("internalerror*", "systemerror", "*timeout", "*unavailable", "modelservingerror"),
        f"A fault of the service, often a passing one. {_RETRY}",
    ),
)
_BY_STATUS = {
    "partial": "What came is kept. `dsrun PIPELINE --retry-failed` asks for the missing pictures.",
    "failed": _RETRY,
    "cancelled": _RETRY,
    "unknown": "It may have been paid. Each run looks for it; `--resubmit-unknown` sends it again.",
    "pending": "Not sent yet: run the pipeline again.",
    "submitting": "dsrun stopped while sending: run the pipeline again, and it is looked for.",
    "submitted": "Sent and not finished: run the pipeline again to fetch it.",
}


def advise(status: str, error: Json) -> str | None:
    """`error` is that of results.jsonl; None where nothing is to be done."""
    if error and status in ("failed", "cancelled"):
        code = error["code"].lower().replace("_", "")
        for patterns, words in _BY_CODE:
            if any(fnmatchcase(code, pattern) for pattern in patterns):
                return words
    return _BY_STATUS.get(status)
