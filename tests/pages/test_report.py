"""The page of `HTMLReport` in a real browser: on a desk and on a phone, by day and by night."""

import warnings

import numpy as np
import pytest

import backprop as bp
from backprop.callbacks import HTMLReport
from backprop.callbacks.html_report import callback

NASTY = "<script>document.title = 'caught'</script>"
LOOKS = [(None, False), (None, True), (360, False), (360, True)]


def sound(folder):
    """A run that went well, of a chain with long names, and its history."""
    bp.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(96, 6, 6, 2))
    y = (x.mean((1, 2, 3)) > 0).astype(int)
    model = bp.Sequential(
        [
            bp.Input((6, 6, 2)),
            bp.layers.Conv2D(4, 3, name="a_convolution_of_a_very_long_name_indeed"),
            bp.layers.BatchNormalization(),
            bp.layers.ReLU(),
            bp.layers.GlobalAveragePooling2D(),
            bp.layers.Dense(2, "softmax"),
        ],
        name="a_model_whose_name_is_longer_than_the_screen_of_any_telephone_is_wide",
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(
        *(x, y),
        epochs=14,
        verbose=0,
        validation_split=0.25,
        callbacks=[HTMLReport(folder / "sound.html")],
    )
    return history.history


def broken(folder):
    """One that went wrong, of a graph, with names that are tags and numbers that are none."""
    bp.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    a, b = bp.Input((4,), name="a"), bp.Input((5,), name="b", dtype="int32")
    x = bp.layers.Dense(8, "relu", name=NASTY)(a)
    x = bp.layers.Add()([x, bp.layers.Dense(8)(bp.layers.Dense(8)(x))])
    e = bp.layers.LSTM(4)(bp.layers.Embedding(9, 4)(b))
    x = bp.layers.Concatenate()([x, e])
    model = bp.Model([a, b], [bp.layers.Dense(1, name="one")(x), bp.layers.Dense(1)(x)], name=NASTY)
    model.compile(bp.optimizers.SGD(100.0), ["mse", "mae"])
    y = rng.normal(size=(64, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(
            [rng.normal(size=(64, 4)), rng.integers(9, size=(64, 5))],
            [y, y],
            epochs=9,
            verbose=0,
            validation_split=0.25,
            validation_freq=2,
            callbacks=[HTMLReport(folder / "broken.html")],
        )


def begun(folder):
    """One that has just begun."""
    seen = HTMLReport(folder / "begun.html")
    model = bp.Sequential([bp.Input((3,)), bp.layers.Dense(1)])
    model.compile("sgd", "mse")
    seen.set_model(model)
    seen.set_params({"epochs": 5, "steps": None})
    seen.on_train_begin()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(callback, "PATIENCE", np.inf)  # for a machine that has something else to do
        broken(folder)
        begun(folder)
        return folder, sound(folder)


@pytest.mark.parametrize("name", ["sound", "broken", "begun"])
@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_it_is_readable(browser, pages, name, width, dark):
    browser.offline()
    browser.dark(dark)
    if width:
        browser.phone(width)
    browser.open(pages[0] / f"{name}.html")
    browser.run("for (const all of document.querySelectorAll('details')) all.open = true")

    assert not browser.errors()
    assert not browser.requested()
    assert not browser.too_wide()
    assert not browser.faint()
    assert not browser.small()
    assert not browser.cut_off()


def test_its_numbers_are_those_of_the_history(browser, pages):
    folder, history = pages
    browser.open(folder / "sound.html")

    cells = browser.run(
        "return [...document.querySelectorAll('table.epochs tr')].map(row => "
        "[...row.cells].map(cell => cell.querySelector('data')?.value ?? cell.textContent))"
    )
    names = [name.replace(" ", "_") for name in cells[0]]
    columns = dict(zip(names, zip(*cells[1:], strict=True), strict=True))
    for name, values in history.items():
        assert [float(value) for value in columns[name]] == values
    figures = dict(zip(browser.texts("dt"), browser.texts("dd"), strict=True))
    assert figures["accuracy, held out"] == f"{history['val_accuracy'][-1]:.4g}"
    assert figures["gradients certified"] == "PASS"


def test_its_curves_are_where_the_numbers_are(browser, pages):
    folder, history = pages
    browser.open(folder / "sound.html")

    places = browser.run("""
        const chart = [...document.querySelectorAll('figure')]
            .find(f => f.querySelector('figcaption').textContent === 'accuracy');
        const middle = e => (e.getBoundingClientRect().top + e.getBoundingClientRect().bottom) / 2;
        const ticks = [...chart.querySelectorAll('text.y')].map(t => [+t.textContent, middle(t)]);
        const dots = [...chart.querySelectorAll('.touch circle.held')].map(middle);
        return [ticks, dots];
    """)
    (low, at_low), *_, (high, at_high) = places[0]
    found = [low + (y - at_low) / (at_high - at_low) * (high - low) for y in places[1]]
    np.testing.assert_allclose(found, history["val_accuracy"], atol=0.02)


def test_what_lies_under_the_pointer_is_marked_and_said(browser, pages):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By

    browser.open(pages[0] / "sound.html")
    band = browser.driver.find_elements(By.CSS_SELECTOR, ".touch")[2]
    seen = "return getComputedStyle(arguments[0].querySelector('circle')).opacity"
    assert browser.run(seen, band) == "0"
    ActionChains(browser.driver).move_to_element(band).perform()

    assert browser.run(seen, band) == "1"
    said = browser.run("return arguments[0].querySelector('title').textContent", band)
    loss = pages[1]["loss"][2], pages[1]["val_loss"][2]
    assert said == "epoch 3\ntraining {:.5g}\nheld out {:.5g}".format(*loss)


def test_names_that_are_tags_are_text(browser, pages):
    browser.open(pages[0] / "broken.html")

    assert browser.text("h1") == NASTY
    assert browser.run("return document.title") == f"{NASTY} · training report"
    assert browser.run("return document.scripts.length") == 0
    assert NASTY in browser.texts("table.activations th")


def test_texts_of_a_network_stand_in_their_boxes_and_beside_each_other(browser, pages):
    for name in ("sound", "broken"):
        browser.open(pages[0] / f"{name}.html")
        found = browser.run("""
            const found = [];
            for (const box of document.querySelectorAll('.network g')) {
                const edge = box.querySelector('rect').getBoundingClientRect();
                const [kind, name, size, shape] = [...box.querySelectorAll('text')]
                    .map(t => t.getBoundingClientRect());
                if (kind.left < edge.left || size.right > edge.right || shape.bottom > edge.bottom
                    || (size.width && kind.right > size.left)
                    || (name.width && shape.width && name.right > shape.left))
                    found.push(box.querySelector('title').textContent);
            }
            return found;
        """)
        assert found == []
