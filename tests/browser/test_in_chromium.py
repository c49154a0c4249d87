"""The pages of `runllm serve` in a real Chromium."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.browser.conftest import Tab, violations
from tests.docs.made_up_runs import record_runs
from tests.integration.serving import Service, Waiting, until

from runllm.report.page import as_page
from runllm.serve import Access
from runllm.stats.store import Store
from runllm.testing import ScriptedEngine

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.soak
HOSTILE = "</script><img src=x onerror=alert(1)>"
MAIL = {
    "type": "object",
    "title": "E-mail",
    "properties": {"kind": {"const": "mail"}, "to": {"type": "string", "format": "email"}},
    "required": ["kind", "to"],
    "additionalProperties": False,
}
CHAT = {"type": "object", "title": "Chat", "properties": {"kind": {"const": "chat"}}, "required": ["kind"]}
FULL: dict[str, Any] = {
    "text": {"type": "string", "title": "Ticket", "description": HOSTILE, "minLength": 3},
    "tone": {"enum": ["warm", "plain"], "default": "warm"},
    "most": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
    "share": {"type": ["number", "null"], "default": 0.5},
    "day": {"type": "string", "format": "date"},
    "sure": {"type": "boolean"},
    "loud": {"type": "boolean", "default": True},
    "tags": {"type": "array", "items": {"type": "string", "maxLength": 20}, "uniqueItems": True, "maxItems": 4},
    "who": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 30, "pattern": "^[A-Z]"}}, "required": ["name"], "additionalProperties": False},
    "way": {"oneOf": [MAIL, CHAT]},
    "facts": {"type": "object", "additionalProperties": {"type": "integer"}},
    "other": {},
}  # fmt: skip
OUTPUT = {
    "type": "object",
    "properties": {
        "answer": {"type": "string", "title": "The answer"},
        "rows": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}, "said": {"type": "string"}}, "required": ["n", "said"], "additionalProperties": False}},
    },
    "required": ["answer", "rows"],
    "additionalProperties": False,
}  # fmt: skip
ANSWER = {
    "answer": f"Dear {HOSTILE}\n\nYes.",
    "rows": [{"n": 12345678901234567890 + n, "said": "a"} for n in range(250)],
}
Serve = Callable[..., Service]


def app(folder: Path, properties: Any = FULL, output: Any = OUTPUT, required: Any = ("text",)) -> Path:
    schema = {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}
    path = folder / "reply.rllm"
    path.write_text(
        f"---\nname: reply\ndescription: Replies.\ninput_schema: {json.dumps(schema)}\noutput_schema: {json.dumps(output)}\n"
        "llm: {model: openai/gpt-4o-mini, num_retries: 0}\nmax_context_window: 128000\n---\n{{ input }}\n",
        encoding="utf-8",
    )
    return path


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    with ExitStack() as closing:

        def begin(engine: ScriptedEngine | None = None, access: Access | None = None, **more: Any) -> Service:
            given = engine or ScriptedEngine(lambda _: json.dumps(ANSWER))
            return closing.enter_context(Service(app(tmp_path, **more), engine=given, access=access))

        yield begin


def test_a_form_gives_what_is_written_in_it_by_keyboard_alone(tab: Tab, serve: Serve) -> None:
    page = tab.page
    page.goto(f"{serve().url}/apps/reply")
    page.get_by_label("Ticket", exact=True).focus()
    press, write = page.keyboard.press, page.keyboard.type
    write("Line 1\nLine 2")
    for key in ("Tab", "ArrowDown", "Tab"):
        press(key)
    write("7") if page.evaluate("document.activeElement.select(), true") else None
    press("Tab")
    press("ControlOrMeta+A")
    press("Delete")  # null, where leaving it out would give 0.5
    page.get_by_label("Day").fill("2026-11-30")
    page.get_by_label("Sure").select_option("No")
    page.get_by_label("Loud").press("Space")
    page.get_by_role("group", name="Tags").get_by_role("button", name="Add an item").press("Enter")
    write("one")
    page.get_by_role("group", name="Tags").get_by_role("button", name="Add an item").press("Enter")
    write("two")
    page.get_by_label("Move item 2 up").press("Enter")
    page.get_by_role("checkbox", name="Who").press("Space")
    page.get_by_label("Name", exact=True).fill("Ada")
    page.get_by_label("Way").select_option("E-mail")
    page.get_by_role("textbox", name="To", exact=True).fill("a@b.org")
    page.get_by_role("button", name="Add an entry").press("Enter")
    write("__proto__")
    press("Tab")
    write("12345678901234567890")
    page.get_by_label("Other").fill('{"a": [1.5, null]}')
    press("Control+Enter")
    page.locator("#facts dl").wait_for()
    assert tab.given() == (
        '{"text":"Line 1\\nLine 2","tone":"plain","most":7,"share":null,"day":"2026-11-30","sure":false,"loud":false,'
        '"tags":["two","one"],"who":{"name":"Ada"},"way":{"kind":"mail","to":"a@b.org"},'
        '"facts":{"__proto__":12345678901234567890},"other":{"a":[1.5,null]}}'
    )


def test_a_result_is_text_with_every_digit_and_its_json_beside_it(tab: Tab, serve: Serve) -> None:
    page = tab.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{serve().url}/apps/reply")
    page.get_by_label("Ticket", exact=True).fill("abc")
    page.click("#run")
    page.locator("#facts dl").wait_for()
    assert page.locator("#result dt").first.inner_text() == "The answer"
    assert page.locator("#result .prose").first.inner_text() == ANSWER["answer"]
    assert page.locator("#result img").count() == 0
    assert page.locator("#result td").first.inner_text() == "12345678901234567890"
    assert page.locator("#result tbody tr").count() == 200
    assert "50 more" in page.locator("#result").inner_text()
    assert [one.inner_text() for one in page.locator("#steps li span:first-child").all()][-1] == "an answer is here"
    assert "1\nRepairs\n0" in page.locator("#facts").inner_text()
    page.locator("summary", has_text="JSON").click()
    page.click("#copy")
    page.get_by_text("Copied").wait_for()
    assert json.loads(page.evaluate("navigator.clipboard.readText()")) == ANSWER


def test_what_does_not_fit_is_said_at_its_field(tab: Tab, serve: Serve) -> None:
    page = tab.page
    page.goto(f"{serve().url}/apps/reply")
    page.get_by_label("Other").fill("{a}")
    page.click("#run")
    assert page.evaluate("document.activeElement.closest('.field').innerText").startswith("Ticket")
    assert [one.evaluate("one => one.closest('.field').querySelector('label').innerText.split('\\n')[0]") for one in page.locator("[aria-invalid]").all()] == ["Ticket", "Other optional"]  # fmt: skip
    page.get_by_label("Other").fill("")
    page.get_by_label("Ticket", exact=True).fill("ab")  # no browser minds what a script writes
    page.get_by_role("checkbox", name="Who").check()
    page.get_by_label("Name", exact=True).fill("ada")
    for _ in range(2):
        page.get_by_role("group", name="Tags").get_by_role("button", name="Add an item").click()
        page.keyboard.type("a")
    page.click("#run")
    page.locator(".trouble").wait_for()
    faults = [one.inner_text() for one in page.locator(".fault:visible").all()]
    assert len(faults) == 3
    assert ["shorter than 3" in faults[0], "non-unique" in faults[1], '"^[A-Z]"' in faults[2]] == [True] * 3
    assert page.evaluate("document.activeElement.getAttribute('aria-invalid')") == "true"
    described = page.locator("[aria-invalid]").first.get_attribute("aria-describedby") or ""
    assert faults[0] in [page.locator(f"#{one}").inner_text() for one in described.split()]


def test_cancel_stops_the_call_and_a_run_is_taken_up_again(tab: Tab, serve: Serve) -> None:
    engine = Waiting(json.dumps(ANSWER))
    page = tab.page
    page.goto(f"{serve(engine).url}/apps/reply")
    page.get_by_label("Ticket", exact=True).fill("first")
    page.click("#run")
    until(lambda: engine.under_way)
    page.click("#cancel")
    page.get_by_text("Cancelled.").wait_for()
    until(lambda: engine.stopped == 1)
    engine.open.set()
    page.get_by_label("Way").select_option("Chat")
    page.click("#run")
    page.locator("#facts dl").wait_for()
    page.click("#clear")
    assert page.get_by_label("Ticket", exact=True).input_value() == ""
    page.reload()
    page.locator("#past button").click()
    assert page.get_by_label("Ticket", exact=True).input_value() == "first"
    assert page.get_by_label("Way").locator("option:checked").inner_text() == "Chat"
    assert page.locator("#facts dl").is_visible()


def test_a_text_comes_from_a_file(tab: Tab, serve: Serve, tmp_path: Path) -> None:
    page = tab.page
    page.goto(f"{serve().url}/apps/reply")
    (tmp_path / "a.txt").write_bytes("\ufeffGrüße\r\n".encode())
    (tmp_path / "b.bin").write_bytes(b"\xff\xfe\x00")
    page.set_input_files("[aria-label='Ticket: the text of a file']", tmp_path / "b.bin")
    page.get_by_text("b.bin is no UTF-8 text.").wait_for()
    page.set_input_files("[aria-label='Ticket: the text of a file']", tmp_path / "a.txt")
    page.wait_for_function("document.querySelector('textarea').value === 'Grüße\\n'")
    page.evaluate(
        "() => { const data = new DataTransfer(); data.items.add(new File(['dropped'], 'c.txt'));"
        "document.querySelector('textarea').dispatchEvent(new DragEvent('drop', {dataTransfer: data, cancelable: true})); }"
    )
    page.wait_for_function("document.querySelector('textarea').value === 'dropped'")
    assert page.locator(".fault:visible").count() == 0


def test_a_value_of_ten_megabytes_is_refused_and_the_page_lives(tab: Tab, serve: Serve) -> None:
    page = tab.page
    page.goto(f"{serve().url}/apps/reply")
    page.evaluate("document.querySelector('textarea').value = 'x'.repeat(10_000_000)")
    page.click("#run")
    page.locator(".trouble").wait_for()
    page.get_by_label("Ticket", exact=True).fill("short")
    page.click("#run")
    page.locator("#facts dl").wait_for()


def test_odd_schemas_have_a_form(tab: Tab, serve: Serve) -> None:
    deep: Any = {"type": "string"}
    for _ in range(30):
        deep = {"type": "object", "properties": {"in": deep}, "required": ["in"]}
    odd = {
        "__proto__": {"type": "integer"},
        "constructor": {"type": "string"},
        "deep": deep,
        "pair": {"type": "array", "prefixItems": [{}]},
    }
    page = tab.page
    page.goto(f"{serve(properties=odd, required=['deep', '__proto__']).url}/apps/reply")
    page.get_by_label("proto").fill("4")
    inner: Any = "x"
    for _ in range(30 - 9 + 1):
        inner = {"in": inner}
    page.get_by_role("textbox", name="In", exact=True).fill(json.dumps(inner))
    page.get_by_label("Pair").fill("[1]")
    page.click("#run")
    page.locator("#facts dl").wait_for()
    assert '"__proto__":4' in tab.given()


def test_a_table_is_checked_run_and_downloaded(tab: Tab, serve: Serve, tmp_path: Path) -> None:
    page = tab.page
    page.goto(f"{serve().url}/apps/reply")
    rows = tmp_path / "rows.csv"
    rows.write_text("Body\nabc\nx\nabd\n", encoding="utf-8")
    page.set_input_files("#table", rows)
    page.locator("#feeds-text").select_option("Body")
    page.get_by_role("button", name="Check with these columns").click()
    page.get_by_role("button", name="Run 2 rows").wait_for()
    assert page.locator("#batch td").first.inner_text() == "3"
    rows.write_text("Body\nabc\nabcd\nabd\n", encoding="utf-8")  # corrected, and chosen again under the same name
    with page.expect_file_chooser() as chooser:
        page.locator("#table").click()
    chooser.value.set_files(rows)
    page.locator("#feeds-text").select_option("Body")
    page.get_by_role("button", name="Check with these columns").click()
    page.get_by_role("button", name="Run 3 rows").wait_for()
    assert "undefined" not in page.inner_text("#batch")
    page.get_by_role("button", name="Run 3 rows").press("Enter")
    link = page.get_by_role("link", name="Download the result")
    link.wait_for()
    assert page.evaluate("document.activeElement.innerText") == "Download the result"
    with page.expect_download() as download:
        link.press("Enter")
    assert download.value.suggested_filename == "rows-reply.csv"
    assert Path(download.value.path()).read_text("utf-8").startswith("Body,answer,rows")
    page.reload()  # the tab finds it again
    page.get_by_role("button", name="Remove it from the service").click()
    page.get_by_text("Removed.").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing_and_no_page_is_wider_than_the_screen(
    browser: Browser, serve: Serve, axe: str, tmp_path: Path, width: int, scheme: Any
) -> None:
    service = serve()
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()

    def sound(state: str) -> None:
        assert violations(page, axe) == [], state
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{state} is too wide"

    for path in ("/", "/docs", "/apps/reply"):
        page.goto(service.url + path)
        sound(path)
    page.click("#run")
    sound("what does not fit")
    page.get_by_label("Ticket", exact=True).fill("abc " * 300)
    page.get_by_role("checkbox", name="Who").check()
    page.get_by_label("Name", exact=True).fill("Ada")
    page.get_by_label("Way").select_option("E-mail")
    page.get_by_role("textbox", name="To", exact=True).fill("a@b.org")
    page.get_by_role("group", name="Tags").get_by_role("button", name="Add an item").click()
    page.keyboard.type("one")
    page.get_by_role("button", name="Add an entry").click()
    page.keyboard.type("a")
    sound("all of the form")
    page.locator(".pair input").last.fill("1")
    page.click("#run")
    page.locator("#facts dl").wait_for()
    page.locator("summary", has_text="JSON").click()
    sound("a result")
    rows = tmp_path / "rows.csv"
    rows.write_text("text\nabc\nx\n", encoding="utf-8")
    page.set_input_files("#table", rows)
    page.get_by_text("Which column feeds what").click()
    sound("a table")
    page.get_by_role("button", name="Run 1 row").click()
    page.get_by_role("link", name="Download the result").wait_for()
    sound("the end of a table")
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing_in_the_page_of_the_statistics(
    browser: Browser, axe: str, tmp_path: Path, width: int, scheme: Any
) -> None:
    record_runs(tmp_path / "stats.db")
    with Store(tmp_path / "stats.db") as store:
        for name, since in (("all", None), ("none", 9e9)):
            runs = store.runs(since=since, limit=10)
            page = as_page(store.summary(since=since, buckets=30), "all apps", 1_796_000_000.0, runs)
            (tmp_path / f"{name}.html").write_text(page, encoding="utf-8")
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    for name in ("all", "none"):
        page.goto((tmp_path / f"{name}.html").as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert violations(page, axe) == [], name
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is too wide"
    context.close()


def test_nothing_moves_while_a_page_is_made(tab: Tab, serve: Serve) -> None:
    page = tab.page
    page.add_init_script(
        "window.moved = 0; new PerformanceObserver(list => list.getEntries().forEach(one => moved += one.value))"
        ".observe({type: 'layout-shift', buffered: true})"
    )
    url = serve().url
    for path in ("/", "/apps/reply", "/docs"):
        page.goto(url + path)
        page.wait_for_timeout(500)
        assert page.evaluate("moved") < 0.01, path


def test_the_browser_gives_the_token_by_itself(browser: Browser, serve: Serve) -> None:
    token = "a-token-of-sixteen-and-more"
    service = serve(access=Access(token=token))
    context = browser.new_context(http_credentials={"username": "any", "password": token})
    page = context.new_page()
    page.goto(f"{service.url}/apps/reply")
    page.get_by_label("Ticket", exact=True).fill("abc")
    page.click("#run")
    page.locator("#facts dl").wait_for()
    context.close()
