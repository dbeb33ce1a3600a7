"""The page of a report in a real browser: at the width of a desk and of a phone, light and dark."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from cnnjax.report import evidence, page
from cnnjax.train import run
from tests import tiny
from tests.test_report_page import CLASSES, many_classes

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_compilation")]
# Where .ci/run puts what `npm pack axe-core` gives.
AXE = Path(os.environ.get("AXE_CORE", Path(sys.prefix) / "axe" / "package" / "axe.min.js"))
LOADED = "[...document.images].every(i => i.complete && i.naturalWidth > 0)"
WIDTH = "document.documentElement.scrollWidth"


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs Chromium (Debian: apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The pages of one run, of two side by side, and of a thousand classes."""
    folder = tmp_path_factory.mktemp("pages")
    run.run(tiny.config(**CLASSES), folder / "run")
    one = evidence.gather(folder / "run")
    pages = {"one": [one], "two": [one, one], "many": [many_classes(one)]}
    for name, runs in pages.items():
        page.write(runs, folder / f"{name}.html")
    return folder


def opened(browser, path, width, colours="light"):
    """Returns the page as it is shown, and what went wrong in it."""
    shown = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=colours)
    wrong = []
    shown.on("pageerror", lambda error: wrong.append(str(error)))
    shown.on("console", lambda message: wrong.append(message.text))
    shown.on("requestfailed", lambda request: wrong.append(request.url[:80]))
    shown.on("request", lambda r: None if r.url[:5] in ("file:", "data:") else wrong.append(r.url))
    shown.goto(path.as_uri())
    return shown, wrong


@pytest.mark.parametrize("name", ["one", "two", "many"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_picture_loads_and_nothing_is_wider_than_the_screen(browser, written, name, width):
    shown, wrong = opened(browser, written / f"{name}.html", width)
    assert wrong == []
    assert shown.evaluate("document.images.length") > 10 and shown.evaluate(LOADED)
    assert shown.evaluate(WIDTH) <= width
    assert len(shown.screenshot(full_page=True)) > 50_000
    shown.close()


@pytest.mark.parametrize(
    ("name", "width", "colours"), [("one", 1280, "light"), ("two", 390, "dark")]
)
def test_axe_finds_nothing(browser, written, name, width, colours):
    if not AXE.exists():
        pytest.skip(f"needs axe-core: npm pack axe-core, unpacked to {AXE.parent}")
    shown, _ = opened(browser, written / f"{name}.html", width, colours)
    shown.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    shown.add_script_tag(path=str(AXE))
    found = shown.evaluate("axe.run()")["violations"]
    assert [(v["id"], v["nodes"][0]["html"], v["nodes"][0]["failureSummary"]) for v in found] == []
    shown.close()


def test_tables_are_sorted_by_a_press_of_their_heading(browser, written):
    shown, wrong = opened(browser, written / "many.html", 1280)
    table = shown.locator("#run1-class-table")
    column = "[...document.querySelectorAll('#run1-class-table tbody td:nth-child(5)')]"
    recalls = f"{column}.map(cell => Number(cell.dataset.value))"
    button = table.get_by_role("button", name="recall")
    button.focus()
    shown.keyboard.press("Enter")
    up = shown.evaluate(recalls)
    assert up == sorted(up) and up[0] < up[-1] and len(up) == 1000
    assert table.locator("th[aria-sort=ascending]").inner_text().strip() == "recall"
    button.click()
    assert shown.evaluate(recalls) == up[::-1] and wrong == []
    shown.close()


def test_filters_hide_what_does_not_fit(browser, written):
    shown, wrong = opened(browser, written / "many.html", 1280)
    shown.fill("#run1-class-filter", "99>")
    rows = shown.locator("#run1-class-table tbody tr:visible")
    assert (
        rows.count() == 10 and shown.locator("#run1-class-filter-said").inner_text() == "10 of 1000"
    )
    choice = shown.locator("#run1-by-loss-filter")
    true = shown.locator("#run1-by-loss-pictures li").first.get_attribute("data-words")
    choice.select_option(true)
    left = shown.locator("#run1-by-loss-pictures li:visible")
    assert 1 <= left.count() < 24
    assert {item.get_attribute("data-words") for item in left.all()} == {true} and wrong == []
    shown.close()


def test_a_number_of_the_matrix_opens_its_pictures_by_keyboard(browser, written):
    shown, _ = opened(browser, written / "one.html", 1280)
    assert shown.locator(".cell:visible").count() == 0
    link = shown.locator(".matrix td a").first
    link.focus()
    shown.keyboard.press("Enter")
    behind = shown.locator(".cell:visible")
    count = int(link.inner_text())
    assert behind.count() == 1 and 1 <= behind.locator("img").count() <= count
    shown.close()


def test_print_opens_the_tables_whole(browser, written):
    shown, _ = opened(browser, written / "many.html", 800)
    shown.emulate_media(media="print")
    heights = "[...document.querySelectorAll('.scroll')].map(s => [s.scrollHeight, s.clientHeight])"
    assert all(inner <= outer + 1 for inner, outer in shown.evaluate(heights))
    assert not shown.locator("nav").first.is_visible()
    shown.close()
