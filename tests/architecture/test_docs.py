"""The docs say what is so: their words, paths, tables and examples are held against the code."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from offload import JobHandle, Retry, task
from offload.core import hooks
from offload.testing import Pipeline
from tests.architecture.generated_docs import DOCUMENTS, PART, PARTS, with_parts

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "shared" / "offload"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


# What is made from the code


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_is_made_from_the_code_is_up_to_date(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert [part for part, _ in PART.findall(text)] == DOCUMENTS[name]
    assert with_parts(text) == text, "run `make docs`"


def test_every_part_stands_in_some_document():
    assert sorted(part for parts in DOCUMENTS.values() for part in parts) == sorted(PARTS)


# Words

OLD_WORDS = (
    "actor", "actors", "adopt", "adoption", "buried", "bury", "followed", "insist", "linger", "luck", "marked",
    "parked", "renew", "renewal", "renewed", "startable", "suspect", "turn",
    "gave_back", "give_back", "given_back", "hand_back", "handed_back", "put_off",
)  # fmt: skip
"""Words that `docs/glossary.md` has replaced; an underscore joins two words that stand side by side in a name."""

WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")


def words_of(name: str) -> str:
    """Return a name's words in lower case, each between underscores."""
    return f"_{'_'.join(word.lower() for word in WORD.findall(name))}_"


def names_in(source: str) -> set[str]:
    """Return the names of a module: its identifiers, and texts that are one, such as the attributes of a record."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    names = {token.string for token in tokens if token.type == tokenize.NAME}
    texts = {node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)}
    return names | {text for text in texts if isinstance(text, str) and text.isidentifier()}


@pytest.mark.parametrize("path", sorted(LIBRARY.rglob("*.py")), ids=lambda path: path.relative_to(LIBRARY).as_posix())
def test_no_name_has_a_word_that_was_replaced(path):
    names = {*names_in(path.read_text(encoding="utf-8")), path.stem}
    assert not {name for name in names for old in OLD_WORDS if f"_{old}_" in words_of(name)}


@pytest.mark.parametrize(
    ("name", "words"),
    [("handed_back", "_handed_back_"), ("ToDLQ", "_to_dlq_"), ("_LONGEST", "_longest_"), ("isTurn2", "_is_turn_2_")],
)
def test_the_words_of_a_name(name, words):
    assert words_of(name) == words


# Paths

CODE_BLOCK = re.compile(r"```.*?```", re.DOTALL)
SPAN = re.compile(r"`([^`]+)`")
FILE = re.compile(r"([\w./-]+\.(?:py|md|toml|yml|txt))(?:: ([\w.]+))?")
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")
ABSENT = {"functions/greet/handler.py", "requirements.txt", "handler.py", "conftest.py"}
"""Files of a user's project."""


def spans(page: Path) -> list[str]:
    """Return what a page has between backticks, outside of its code blocks."""
    return SPAN.findall(CODE_BLOCK.sub("", page.read_text(encoding="utf-8")))


def find(path: str) -> Path | None:
    """Return the file or folder that a page names; paths of the library may begin inside of it."""
    return next((base / path for base in (ROOT, LIBRARY) if (base / path).exists()), None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_is_there_and_has_the_names_that_are_given(page):
    wrong = []
    for span in spans(page):
        named = FILE.fullmatch(span)
        if named is None or named[1] in ABSENT:
            continue
        path = find(named[1])
        text = path.read_text(encoding="utf-8") if path is not None else ""
        inner = named[2].split(".") if named[2] else []
        if path is None or not all(re.search(rf"\b{name}\b", text) for name in inner):
            wrong.append(span)
    assert not wrong


def classes() -> dict[str, str]:
    """Return the text of each class of the library, by its name."""
    return {
        node.name: ast.get_source_segment(text, node) or ""
        for text in (path.read_text(encoding="utf-8") for path in LIBRARY.rglob("*.py"))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef)
    }


def test_every_member_of_a_class_that_is_named_is_there():
    known = classes()
    named = {span for page in PAGES for span in spans(page) if re.fullmatch(r"[A-Z]\w*[a-z]\w*\.\w+", span)}
    assert named
    members = [(span, *span.split(".")) for span in sorted(named)]
    wrong = [span for span, owner, member in members if not re.search(rf"\b{member}\b", known.get(owner, ""))]
    assert not wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_folder_that_is_named_is_there(page):
    folders = {span for span in spans(page) if re.fullmatch(r"(?:shared|tests|infra|functions|docs)(?:/\w+)*/?", span)}
    assert not {folder for folder in folders if find(folder) is None}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for path, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        target = page.parent / path if path else page
        assert target.exists(), path
        headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE) if anchor else []
        assert not anchor or anchor in {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings}


def test_what_contributors_are_told_to_write_something_beside_is_there():
    beside = re.findall(r"<!-- beside: (\S+) -->\n```python\n(.*)\n", (ROOT / "CONTRIBUTING.md").read_text("utf-8"))
    assert len(beside) == 5
    assert not [(path, line) for path, line in beside if line not in (ROOT / path).read_text("utf-8").splitlines()]


def test_every_page_is_linked_from_the_readme():
    linked = {path for path, _ in LINK.findall((ROOT / "README.md").read_text(encoding="utf-8"))}
    assert {page.relative_to(ROOT).as_posix() for page in PAGES} - {"README.md"} <= linked


def test_the_glossary_says_each_word_once_in_one_sentence_and_where():
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").partition("## Words we do not use")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ") and "meaning" not in line]
    rows = [line.strip("|").split(" | ") for line in lines]
    assert len(rows) > 100
    for word, meaning, where in rows:
        assert meaning.endswith("."), word
        assert FILE.fullmatch(where.strip().strip("`")), where
    assert len({word for word, _, _ in rows}) == len(rows)


# The example of docs/tasks.md


@pytest.fixture
def asking(monkeypatch):
    """The functions of the example, and the stack that they speak to."""
    example = dict(EXAMPLE.findall((ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")))["results"]
    monkeypatch.setattr(hooks, "_registered", ())
    with Pipeline(ship) as pipeline:
        module = {"__name__": "shop"}
        exec(example, module)
        yield SimpleNamespace(**module, pipeline=pipeline)


def test_the_example_for_results_gives_the_result_or_says_why_there_is_none(asking):
    asking.pipeline.expect_dead_letters()
    again = ship.options(key="order-13").delay(13)
    asking.pipeline.drain()
    assert again.status() == "RETRYING"
    again.cancel()
    assert asking.ship(13) == "it has no result, and never will"

    asking.pipeline.clock.advance(2 * 86_400)  # the key is free again
    ship.options(key="order-13").delay(13)
    job = ship.options(key="order-1", key_window="30d").delay(1)
    asking.pipeline.run_until_idle()
    assert asking.ship(13) == "ConnectionError in attempt 3: the carrier is closed"
    assert asking.ship(1) == "shipped 1"
    assert asking.ask_later(job.id) == "SUCCEEDED"

    asking.pipeline.clock.advance(8 * 86_400)
    assert asking.ship(1) == "done, and the result is deleted"
    assert asking.ship(2).startswith("not yet: ask later for ")


def test_the_table_of_results_names_every_error_that_a_job_can_end_with():
    table = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8").partition("## Asking for results")[2]
    named = set(re.findall(r"`(\w+)`", table.partition("\n- ")[0]))
    raised = re.findall(r"^            (\w+): ", JobHandle.result.__doc__ or "", re.MULTILINE)
    assert set(raised) <= named
    assert "ResultTimeout" in raised


# Examples of docs/hooks.md

EXAMPLE = re.compile(r"<!-- example: (\S+) -->\n```python\n(.*?)```", re.DOTALL)
EXAMPLES = dict(EXAMPLE.findall((ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")))


@task(retry=Retry(max_attempts=3))  # whatever the defaults of the app are that another test has loaded
def ship(order: int) -> str:
    if order == 13:
        raise ConnectionError("the carrier is closed")
    return f"shipped {order}"


class Calls(list):
    """What an example asked of a package: each call's name and arguments."""

    def of(self, name, answer=None):
        """Return a function that notes its calls under `name`."""

        def call(*args, **kwargs):
            self.append((name, *args, *kwargs.items()))
            return answer

        return call

    def named(self, name):
        return [entry[1:] for entry in self if entry[0] == name]


@pytest.fixture
def calls():
    return Calls()


@pytest.fixture
def run(monkeypatch):
    """Call it with an example's name and stand-ins for the packages that it imports: jobs 1 and 13 run under it."""
    monkeypatch.setattr(hooks, "_registered", ())

    def run(name, stand_ins):
        for module, members in stand_ins.items():
            made = ModuleType(module)
            vars(made).update(members)
            monkeypatch.setitem(sys.modules, module, made)
        exec(EXAMPLES[name], {"__name__": "functions"})
        with Pipeline(ship) as pipeline:
            pipeline.expect_dead_letters()
            jobs = [ship.options(id=f"job-{order}").delay(order) for order in (1, 13)]
            pipeline.run_until_idle()
        return [job.status() for job in jobs]

    return run


def test_the_example_for_sentry_reports_a_failed_job_once(run, calls, caplog):
    class Scope:
        def __enter__(self):
            return SimpleNamespace(set_tag=calls.of("set_tag"))

        def __exit__(self, *_error):
            calls.append(("scope ends",))

    names = ("init", "capture_exception", "flush")
    assert run("sentry", {"sentry_sdk": {"new_scope": Scope, **{name: calls.of(name) for name in names}}}) == [
        "SUCCEEDED",
        "FAILED",
    ]
    (reported,) = calls.named("capture_exception")
    assert str(reported[0]) == "the carrier is closed"
    assert calls.named("set_tag") == [("task", "ship"), ("job_id", "job-13")]
    assert calls.index(("capture_exception", *reported)) < calls.index(("scope ends",))
    assert calls[0] == ("init",)
    assert calls[-1] == ("flush", ("timeout", 2))
    assert "a hook failed" not in caplog.text


def test_the_example_for_opentelemetry_makes_a_span_of_each_run(run, calls, caplog):
    class Span:
        def __init__(self, name, attributes=None):
            self.name = name
            calls.append(("start", name, attributes))

        def __getattr__(self, name):
            return calls.of(name)

    class Provider:
        add_span_processor = staticmethod(calls.of("add_span_processor"))
        force_flush = staticmethod(calls.of("force_flush", answer=True))

        def get_tracer(self, _name):
            return SimpleNamespace(start_span=Span)

    trace = ModuleType("opentelemetry.trace")
    trace.set_span_in_context = lambda span: {"span": span.name}
    trace.get_current_span = lambda: Span("a request")
    context = SimpleNamespace(attach=calls.of("attach", answer="token"), detach=calls.of("detach"))
    states = run(
        "opentelemetry",
        {
            "opentelemetry": {"context": context, "trace": trace},
            "opentelemetry.trace": {
                "Status": lambda code: code,
                "StatusCode": SimpleNamespace(ERROR="error"),
            },
            "opentelemetry.sdk.trace": {"TracerProvider": Provider},
            "opentelemetry.sdk.trace.export": {"BatchSpanProcessor": lambda exporter: exporter},
            "opentelemetry.exporter.otlp.proto.http.trace_exporter": {"OTLPSpanExporter": lambda: "exporter"},
        },
    )
    assert states == ["SUCCEEDED", "FAILED"]
    runs = [attributes for name, attributes in calls.named("start") if name == "run ship"]
    assert runs == [{"offload.job_id": "job-1", "offload.attempt": 1}] + [
        {"offload.job_id": "job-13", "offload.attempt": attempt} for attempt in (1, 2, 3)
    ]
    assert [attributes["offload.job_id"] for _, attributes in calls.named("add_event")] == ["job-1", "job-13"]
    assert len(calls.named("attach")) == len(calls.named("end")) == 4
    assert calls.named("detach") == [("token",)] * 4
    assert [str(error) for (error,) in calls.named("record_exception")] == ["the carrier is closed"] * 3
    assert calls.named("set_status") == [("error",)] * 3
    assert calls[-1] == ("force_flush",)
    assert "a hook failed" not in caplog.text


def test_the_example_for_django_closes_connections_around_each_run(run, calls, caplog):
    django = {"django": {}, "django.db": {"close_old_connections": calls.of("close_old_connections")}}
    assert run("django", django) == ["SUCCEEDED", "FAILED"]
    assert len(calls) == 2 * 4
    assert "a hook failed" not in caplog.text


LOGGING_TASK = """
import logging
import sys

from offload import task
from offload.testing import Pipeline


@task
def ship(order: int) -> None:
    logging.getLogger("carrier").info("picked up")


with Pipeline(ship) as pipeline:
    ship.options(id="job-1").delay(1)
    pipeline.run_until_idle()
"""


@pytest.mark.parametrize("in_lambda", [True, False])
def test_the_example_for_logs_writes_json_lines_inside_lambda(monkeypatch, in_lambda):
    if in_lambda:
        monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "offload-ship")
    monkeypatch.setenv("POWERTOOLS_LOG_LEVEL", "INFO")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", EXAMPLES["logs"] + LOGGING_TASK],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "picked up" in line]
    assert [('"job_id":"job-1"' in line, '"attempt":1' in line) for line in lines] == [(True, True)] * in_lambda


def test_every_example_of_hooks_is_tested():
    assert sorted(EXAMPLES) == ["django", "logs", "opentelemetry", "sentry"]
