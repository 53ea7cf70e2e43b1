"""How a run ended, told to machines: JUnit, Prometheus, GitHub."""

from decimal import Decimal
from xml.etree import ElementTree as ET

from dsrun.common.models import JobStatus
from dsrun.common.run_summary import RunEnd
from dsrun.common.units import Money
from dsrun.report.github import step_summary
from dsrun.report.junit import junit_report
from dsrun.report.prometheus import metrics_text

END = RunEnd(
    pipeline="posters", outcome="failure", exit_code=1, reason=None, host="h", emulated=False,
    started_at="2026-11-22T03:00:00.000Z", ended_at="2026-11-22T03:00:10.500Z", duration_s=10.5,
    directory="/out/posters/0123", results="/out/posters/0123/results.jsonl", report=None,
    jobs={JobStatus.SUCCEEDED: 3, JobStatus.FAILED: 1},
    cost=(Money(amount=Decimal("0.48"), currency="CNY"),),
    errors=(("Bad|Code", "<img src=x> *no*\nsk-fedcba9876543210beef", 1),),
)  # fmt: skip


def line(index, status, **others):
    known = {
        "job_id": f"id{index}", "step": "s", "index": index, "matrix": {"a": index},
        "status": status, "error": None, "task_id": None, "request_id": None,
        "submitted_at": "2026-11-22T03:00:00.000Z", "ended_at": "2026-11-22T03:00:01.250Z",
    }  # fmt: skip
    return known | others


def report(counts, lines):
    return ET.fromstring(b"".join(junit_report("posters", counts, lines)))


class TestJunit:
    def test_a_job_is_a_case_and_its_status_a_verdict(self):
        error = {"code": "Bad", "message": "no", "class": "job"}
        lines = [
            line(0, "succeeded"),
            line(1, "failed", error=error),
            line(2, "partial", error=error),
            line(3, "unknown", error=error),
            line(4, "submitted", ended_at=None),
            line(5, "pending", submitted_at=None, ended_at=None),
            line(0, "cancelled", step="t", matrix={}),
        ]
        counts = {
            "s": {JobStatus(one["status"]): 1 for one in lines[:6]},
            "t": {JobStatus.CANCELLED: 1},
        }
        root = report(counts, lines)
        assert [(s.tag, dict(s.attrib)) for s in (root, *root)] == [
            (tag, {"name": name, "tests": t, "failures": f, "errors": e, "skipped": k})
            for tag, name, t, f, e, k in (
                ("testsuites", "posters", "7", "3", "1", "2"),
                ("testsuite", "s", "6", "2", "1", "2"),
                ("testsuite", "t", "1", "1", "0", "0"),
            )
        ]
        verdicts = [[child.tag for child in case] for case in root.iter("testcase")]
        assert verdicts == [
            [], ["failure"], ["failure"], ["error"], ["skipped"], ["skipped"], ["failure"],
        ]  # fmt: skip
        case = root[0][1]
        assert dict(case.attrib) == {"name": "1: a=1", "classname": "posters.s", "time": "1.250"}
        assert case[0].get("message") == "failed: Bad: no"

    def test_what_xml_cannot_hold_and_what_is_secret_is_replaced(self):
        error = {
            "code": "Bad",
            "message": "\x00\x1b]0;<&\ud800 sk-0123456789abcdef0123",
            "class": "",
        }
        job = line(0, "failed", error=error, matrix={"a": '"\x07>'})
        root = report({"s": {JobStatus.FAILED: 1}}, [job])
        case = root[0][0]
        assert case.get("name") == r'0: a="\x07>'
        assert case[0].get("message") == r"failed: Bad: \x00\x1b]0;<&\ud800 ***"

    def test_no_jobs_is_a_report_too(self):
        assert list(report({}, [])) == []


class TestMetrics:
    def test_are_lines_of_the_text_format(self):
        lines = metrics_text(END, last_success="2026-11-21T03:00:00.000Z").splitlines()
        samples = [one for one in lines if not one.startswith("#")]
        assert samples[:4] == [
            'dsrun_last_run_timestamp_seconds{pipeline="posters"} 1795316410.5',
            'dsrun_last_success_timestamp_seconds{pipeline="posters"} 1795230000.0',
            'dsrun_last_run_exit_code{pipeline="posters"} 1',
            'dsrun_last_run_duration_seconds{pipeline="posters"} 10.5',
        ]
        assert 'dsrun_jobs{pipeline="posters",status="failed"} 1' in samples
        assert samples[-1] == 'dsrun_last_run_cost{pipeline="posters",currency="CNY"} 0.48'
        named = [one.split()[2] for one in lines if one.startswith("# TYPE")]
        assert len(named) == len(set(named)) == 6

    def test_a_pipeline_that_never_succeeded_has_no_time_of_it(self):
        assert "last_success" not in metrics_text(END, last_success=None)


class TestStepSummary:
    def test_counts_stand_in_a_table(self):
        text = step_summary(END)
        assert text.startswith("### dsrun posters: failure\n\n| exit code | jobs | cost |")
        assert "| 1 | 3 succeeded, 1 failed | 0.48 CNY | 10 s |" in text

    def test_the_words_of_others_are_no_markdown(self):
        text = step_summary(END)
        assert r"- 1 x Bad\|Code: \<img src=x\> \*no\*\\n\*\*\*" in text
        assert "sk-" not in text


def test_the_line_for_people_says_it_all():
    assert END.text == ("dsrun posters: failure (exit code 1): 3 succeeded, 1 failed; 0.48 CNY")
