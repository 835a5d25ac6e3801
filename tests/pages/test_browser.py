"""What the browser of the tests finds, found on pages that are wrong on purpose."""

import pytest

WELL = '<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">'


@pytest.fixture
def shown(browser, tmp_path):
    def show(body, head=WELL):
        page = tmp_path / "page.html"
        page.write_text(f"{head}<title>A page</title>{body}", "utf-8")
        browser.open(page)
        return browser

    return show


def test_a_page_without_fault_has_none(shown):
    browser = shown("<p>Text</p><svg viewBox='0 0 200 50'><text y='20'>A label</text></svg>")
    browser.phone()

    assert not browser.errors() and not browser.requested()
    assert not browser.too_wide() and not browser.faint() and not browser.small()


def test_the_console_is_heard(shown):
    (error,) = shown("<script>undefined_function()</script>").errors()

    assert "undefined_function is not defined" in error


def test_what_a_page_loads_is_seen_and_offline_it_fails(shown):
    browser = shown("")
    browser.offline()
    browser.open(browser.driver.current_url)
    browser.run("return fetch('http://localhost:9/x.css').catch(() => null)")

    assert browser.requested() == ["http://localhost:9/x.css"]
    assert any("ERR_INTERNET_DISCONNECTED" in error for error in browser.errors())


@pytest.mark.parametrize(
    ("head", "body", "found"),
    [
        (WELL, "<div class='far' style='width:700px'>wide</div>", "div.far"),
        ("<!doctype html>", "<p>made for a desk</p>", "the page is laid out 980 wide"),
        (WELL, "<p style='margin-left:-30px'>cut off</p>", "p."),
    ],
)
def test_what_is_too_wide_for_a_phone_is_named(shown, head, body, found):
    browser = shown(body, head)
    browser.phone()

    assert found in browser.too_wide()


def test_a_wide_table_may_scroll_in_a_box_of_its_own(shown):
    browser = shown("<div style='overflow-x:auto'><div style='width:700px'>wide</div></div>")
    browser.phone()

    assert not browser.too_wide()


@pytest.mark.parametrize(
    "body",
    [
        "<p style='color:#999'>grey</p>",
        "<p style='color:rgb(0 0 0 / 40%)'>grey</p>",
        "<p style='opacity:.4'>grey</p>",
        "<svg><g><rect width='90' height='40' fill='#333'/><text y='20'>grey</text></g></svg>",
    ],
)
def test_a_faint_text_is_named_with_its_contrast(shown, body):
    (found,) = shown(body).faint()

    ratio = float(found.removeprefix("grey: "))
    assert 1.5 < ratio < 3


def test_contrast_is_that_of_the_scheme_in_use(shown):
    browser = shown("<style>:root{color-scheme:light dark}p{color:#222}</style><p>ink</p>")
    assert not browser.faint()
    browser.dark()

    assert len(browser.faint()) == 1


def test_small_texts_are_measured_as_they_are_scaled(shown):
    drawing = "<svg viewBox='0 0 700 100' width='350'><text y='50' font-size='14'>7</text></svg>"

    assert shown(f"<p style='font-size:9px'>9</p>{drawing}").small() == ["9: 9.0", "7: 7.0"]


def test_a_text_beyond_the_edge_of_its_drawing_is_named(shown):
    texts = "<text y='20'>within</text><text x='80' y='20'>beyond the edge</text>"

    assert shown(f"<svg width='100' height='30'>{texts}</svg>").cut_off() == ["beyond the edge"]
