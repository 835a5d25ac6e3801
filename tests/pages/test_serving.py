"""The page of `backprop serve`, as a browser shows it."""

import pytest
from servers import COLUMNS, LEVELS, house_model, serving_model

import backprop as bp
from backprop import serving


@pytest.fixture(scope="module")
def quality(tmp_path_factory):
    path = house_model(tmp_path_factory.mktemp("served"), "quality", "quality")
    with serving_model(path) as client:
        client.path = path
        yield client


def opened(browser, client):
    browser.open(f"http://127.0.0.1:{client.port}/")


def asked(browser, form):
    """Press the button, and wait for the answer."""
    script = """
        const [form, done] = arguments, answer = document.getElementById("answer");
        const button = document.querySelector(`${form} button`);
        button.click();
        const wait = () => button.disabled ? setTimeout(wait, 10) : done(answer.innerText);
        setTimeout(wait, 10);
    """
    return browser.driver.execute_async_script(script, form)


def fill(browser, values):
    browser.run(
        """for (const c of document.querySelectorAll("[data-column]"))
            if (c.dataset.column in arguments[0]) c.value = arguments[0][c.dataset.column];""",
        values,
    )


def test_the_form_of_a_table_is_answered_with_what_the_model_predicts(browser, quality):
    opened(browser, quality)
    row = dict(zip(COLUMNS, ["99.5", "", LEVELS[2], "3.4.2024", "7,5 %"], strict=True))
    fill(browser, row)

    said = asked(browser, "#row")

    found = quality.answer([row])
    assert f"quality: {found['predictions'][0]}" in said
    for p, name in zip(found["probabilities"][0], found["classes"], strict=True):
        assert f"{name}\t{100 * p:.1f} %" in said
    assert not browser.errors()
    assert all(address.endswith("/predict") for address in browser.requested())


def test_names_are_text_and_no_code(browser, quality):
    opened(browser, quality)

    assert browser.texts(".field label") == COLUMNS
    assert len(browser.texts("script")) == 1
    assert not browser.errors()


def test_a_cell_that_does_not_fit_is_marked(browser, quality):
    opened(browser, quality)
    fill(browser, {"area": "wide"})

    said = asked(browser, "#row")

    assert "column 'area' holds numbers" in said
    marked = browser.run(
        "return [...document.querySelectorAll('[aria-invalid]')].map(c => c.dataset.column)"
    )
    assert marked == ["area"]
    assert browser.run("return document.activeElement.dataset.column") == "area"
    fill(browser, {"area": "99"})
    assert "quality: " in asked(browser, "#row")
    assert not browser.run("return document.querySelector('[aria-invalid]')")
    # what the console says of a status of 422 is the browser's own
    assert all("422" in error for error in browser.errors())


def test_rows_of_csv_are_answered_in_their_order(browser, quality):
    text = quality.path.with_suffix(".csv").read_text(encoding="utf-8")
    opened(browser, quality)
    browser.run("document.getElementById('body').value = arguments[0]", text)

    lines = asked(browser, "#rows").splitlines()

    found = quality.answer(text, {"Content-Type": "text/csv"})["predictions"]
    assert lines[0].split("\t") == ["quality", "p(bad)", "p(good)"]
    assert [line.split("\t")[0] for line in lines[1:]] == found


@pytest.mark.parametrize("dark", [False, True])
def test_the_page_is_readable_on_a_phone_and_in_the_dark(browser, quality, dark):
    browser.phone(320)
    browser.dark(dark)
    opened(browser, quality)
    asked(browser, "#row")

    assert not browser.too_wide()
    assert not browser.faint()
    assert not browser.small()
    assert not browser.errors()


def test_arrays_are_tried_as_json(browser):
    a, b = bp.Input((2,), name="a"), bp.Input((2,), name="<b>")
    model = bp.Model([a, b], [a + b, bp.layers.Dense(1, name="<i>")(a)])

    with serving_model(model) as client:
        opened(browser, client)
        browser.run(
            "document.getElementById('body').value = arguments[0]",
            '{"inputs": {"a": [[1, 2]], "<b>": [[3, 4.5]]}}',
        )
        said = asked(browser, "#rows")

    assert "[4,6.5]" in said and "<i>" in said
    assert not browser.errors()


def test_a_server_that_is_gone_is_said(browser, tmp_path):
    with serving_model(house_model(tmp_path), limits=serving.Limits(rows=10)) as client:
        opened(browser, client)

    assert "no answer" in asked(browser, "#row")
    browser.errors()
