"""What the event source mapping gets back from a function, under AWS's own runtime client."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

from tests.rie.endpoint import batch, failures

BUSY = 8
"""Seconds of an invocation whose end matters: three more than a job needs, as the machine may be busy."""


def test_a_batch_that_succeeds_reports_no_failures(aws, probe):
    sent = [aws.send() for _ in range(3)]

    assert probe.invoke(batch(*sent)) == {"batchItemFailures": []}
    for one in sent:
        job = aws.job(one)
        assert (job["state"], job["attempt"], job["result"]) == ("SUCCEEDED", 1, '"attempt 1"')


def test_only_the_message_that_failed_comes_back(aws, probe):
    good, bad = aws.send(), aws.send(do="raise")

    assert probe.invoke(batch(good, bad)) == failures(bad)
    assert aws.job(good)["state"] == "SUCCEEDED"
    job = aws.job(bad)
    assert (job["state"], job["attempt"], job["reason"]) == ("RETRYING", 1, "ValueError: as it was told to")
    assert bad.message_id not in aws.receive()  # it waits for its next attempt


def test_a_body_that_breaks_the_contract_is_recorded_and_fails_again_until_it_is_moved(aws, probe):
    poison, good = aws.send_raw("no JSON at all"), aws.send()

    assert probe.invoke(batch(poison, good)) == failures(poison)
    job = aws.job(poison)
    assert (job["state"], job["attempt"]) == ("FAILED", 0)
    assert "the body is not JSON" in job["reason"]
    assert aws.job(good)["state"] == "SUCCEEDED"
    assert poison.message_id in aws.receive()  # visible at once: the redrive policy counts receives


def test_a_task_that_ends_the_process_takes_nobody_along(aws, probe):
    before, deadly, after = aws.send(), aws.send(do="exit"), aws.send()

    assert probe.invoke(batch(before, deadly, after)) == failures(deadly)
    job = aws.job(deadly)
    assert (job["state"], job["attempt"], job["error"]["type"]) == ("RETRYING", 1, "SystemExit")
    assert [aws.job(one)["state"] for one in (before, after)] == ["SUCCEEDED", "SUCCEEDED"]


def test_a_duplicate_in_another_sandbox_runs_nothing(aws, probe, start):
    sent = aws.send(do="sleep", seconds=1)
    other = _warm(start(), aws)

    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(one.invoke, batch(sent)) for one in (probe, other)]
        first, second = (answer.result() for answer in answers)
    done = {"batchItemFailures": []}

    # Whichever came second found the job running and left it to the first.
    assert sorted([first, second], key=str) == sorted([done, failures(sent)], key=str)
    assert other.invoke(batch(sent)) == done
    job = aws.job(sent)
    assert (job["state"], job["attempt"]) == ("SUCCEEDED", 1)


def test_jobs_that_do_not_fit_in_the_time_left_go_back_uncharged(aws, start):
    function = _warm(start(timeout=BUSY, soft_timeout="5s"), aws)
    slow, late = aws.send(do="sleep", seconds=4), aws.send()

    assert function.invoke(batch(slow, late)) == failures(late)
    assert aws.job(slow)["state"] == "SUCCEEDED"
    assert aws.job(late) is None
    assert late.message_id in aws.receive()


def test_a_timeout_charges_its_job_and_the_next_delivery_takes_over(aws, probe, start):
    function = _warm(start(timeout=BUSY, soft_timeout="5s"), aws)
    done, culprit, bystander = aws.send(), aws.send(do="hang", seconds=30), aws.send()

    answer = function.invoke(batch(done, culprit, bystander))
    assert f"timed out after {BUSY}" in json.dumps(answer).lower()
    killed_at = time.time() * 1000
    job = aws.job(culprit)
    assert (job["state"], job["attempt"]) == ("RUNNING", 1)
    assert aws.job(done)["state"] == "SUCCEEDED"
    assert aws.job(bystander) is None
    assert job["lease_until"] < killed_at + 2_000  # nobody has to end it

    time.sleep(max(0, job["lease_until"] + 50 - time.time() * 1000) / 1000)
    assert probe.invoke(batch(done, culprit, bystander)) == {"batchItemFailures": []}
    job = aws.job(culprit)
    assert (job["state"], job["attempt"], job["result"]) == ("SUCCEEDED", 2, '"attempt 2"')
    assert "the worker before it died" in str(job["history"])
    assert [aws.job(one)["attempt"] for one in (done, bystander)] == [1, 1]


def test_a_task_that_does_not_import_says_so(aws, start):
    answer = start("broken").invoke(batch(aws.send()))

    assert answer["errorType"] == "DefinitionError"
    assert answer["errorMessage"].startswith("functions/broken/handler.py does not import: ModuleNotFoundError")
    assert "a_package_nobody_installed" in answer["errorMessage"]


def test_a_cold_start_needs_no_home_and_writes_nothing_to_its_bundle(aws, bundles, start):
    # Root is not stopped by modes, so the folder is compared as well.
    before = _contents(bundles("probe"))
    sent = aws.send(do="look")

    assert start().invoke(batch(sent)) == {"batchItemFailures": []}
    root = bundles("probe").resolve()
    assert json.loads(aws.job(sent)["result"]) == f"{root} {root / 'functions/probe/handler.py'}"
    assert _contents(bundles("probe")) == before


def test_a_cold_start_loads_none_of_what_few_jobs_need(aws, probe):
    sent = aws.send(do="list")
    probe.invoke(batch(sent))

    assert aws.job(sent)["result"] == '"pydantic"'


def test_what_a_task_enqueues_by_name_is_checked_by_its_bundle(aws, probe):
    wrong = aws.send(do="enqueue", seconds=1)
    probe.invoke(batch(wrong))
    job = aws.job(wrong)
    assert (job["state"], job["error"]["type"]) == ("FAILED", "PayloadError")
    assert "probe: seconds: Input should be a valid number" in job["reason"]


def test_every_line_of_a_job_carries_its_id_and_the_request_is_measured(aws, probe):
    sent = aws.send()
    probe.invoke(batch(sent))
    lines = probe.logged()

    ended = [line for line in lines if line.get("job_id") == sent.job_id]
    assert [line["message"] for line in ended] == ["job ended"]
    assert ended[0]["message_id"] == sent.message_id
    assert any("JobsSucceeded" in line for line in lines)


def _warm(function, aws):
    """Get the cold start out of the way of a case that is about time."""
    assert function.invoke(batch(aws.send())) == {"batchItemFailures": []}
    return function


def _contents(folder):
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}
