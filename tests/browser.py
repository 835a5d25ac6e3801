"""A real browser for tests of pages: Debian's Chromium without a window, driven by selenium.

A test in `tests/pages` takes the fixture `browser` and is skipped, with the reason, where one of
the two is missing; with BACKPROP_BROWSER=required in the environment it fails there.

    def test_the_page_is_readable_on_a_phone(browser, tmp_path):
        browser.open(tmp_path / "report.html")  # or the address of a server
        browser.phone(360)

        assert not browser.too_wide() and not browser.faint() and not browser.errors()
"""

import base64
import importlib.util
import os
import shutil
from pathlib import Path

CHROMIUM, DRIVER = "chromium", "chromedriver"
REQUIRED = os.environ.get("BACKPROP_BROWSER") == "required"
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # which root, and many containers, cannot have; the pages are our own
    "--disable-dev-shm-usage",  # 64 MB in containers
    "--disable-gpu",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--disable-background-networking",
)
DESK = {"width": 1200, "height": 900, "deviceScaleFactor": 1, "mobile": False}


def missing():
    """What is not installed, as the reason to skip; None where all is there."""
    if importlib.util.find_spec("selenium") is None:
        return "a browser is driven by selenium: pip install selenium"
    absent = [name for name in (CHROMIUM, DRIVER) if shutil.which(name) is None]
    if absent:
        return f"no {' and no '.join(absent)}: apt-get install chromium chromium-driver"
    return None


class Browser:
    """One window, which `reset` makes as good as new."""

    def __init__(self):
        from selenium import webdriver

        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which(CHROMIUM)
        for argument in ARGUMENTS:
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        # the path of the driver, else selenium asks the network for one
        service = webdriver.ChromeService(shutil.which(DRIVER))
        self.driver = webdriver.Chrome(options=options, service=service)
        self.reset()

    def quit(self):
        self.driver.quit()

    def reset(self):
        self.driver.get("about:blank")
        self.errors()
        self._command("Emulation.setEmulatedMedia", media="", features=[])
        self._screen(**DESK)
        self.offline(False)

    def _command(self, name, **arguments):
        """One of the Chrome DevTools Protocol."""
        return self.driver.execute_cdp_cmd(name, arguments)

    # ------------------------------------------------------------------ how it is looked at

    def open(self, page):
        """A file, or an address."""
        self.driver.get(page.resolve().as_uri() if isinstance(page, Path) else page)

    def dark(self, on=True):
        wish = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
        self._command("Emulation.setEmulatedMedia", features=[wish])

    def phone(self, width=360, height=780):
        """A screen of so many CSS pixels; a page that has no viewport of its own is shown as if it
        were 980 wide, as phones do."""
        self._screen(width=width, height=height, deviceScaleFactor=2, mobile=True)

    def _screen(self, **size):
        self.width = size["width"]
        self._command("Emulation.setDeviceMetricsOverride", **size)

    def printed(self):
        self._command("Emulation.setEmulatedMedia", media="print")

    def offline(self, on=True):
        speed = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self._command("Network.enable")
        self._command("Network.emulateNetworkConditions", offline=on, **speed)

    # ------------------------------------------------------------------ what is to be seen

    def run(self, script, *arguments):
        """What a JavaScript function's body returns; its arguments are `arguments[0]` ..."""
        return self.driver.execute_script(script, *arguments)

    def text(self, selector="body"):
        """What is written there, as it is seen."""
        return self.run("return document.querySelector(arguments[0]).innerText", selector)

    def texts(self, selector):
        """What is written in each that the selector finds, hidden or not."""
        script = (
            "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent.trim())"
        )
        return self.run(script, selector)

    def requested(self):
        """The addresses of all that the page has loaded besides itself."""
        return self.run("return performance.getEntriesByType('resource').map(e => e.name)")

    def errors(self):
        """What the console has said since the last time: errors, warnings, files not found."""
        return [f"{e['level']}: {e['message']}" for e in self.driver.get_log("browser")]

    def too_wide(self):
        """What reaches beyond the screen's right or left edge and cannot be scrolled to within a
        box of its own: as ``tag.class``."""
        return self.run(SCRIPTS + "return too_wide(arguments[0])", self.width)

    def faint(self, normal=4.5, large=3.0):
        """Texts with less contrast to what is behind them than WCAG AA asks for, with the ratio."""
        return self.run(SCRIPTS + "return faint(arguments[0], arguments[1])", normal, large)

    def small(self, least=11.0):
        """Texts that are shown in fewer CSS pixels, with their size: in an SVG as it is scaled."""
        return self.run(SCRIPTS + "return small(arguments[0])", least)

    def cut_off(self):
        """Texts of drawings that reach beyond the drawing's edge, where they are not seen."""
        return self.run(SCRIPTS + "return cut_off()")

    def screenshot(self, path, whole=True):
        """A PNG file of the page, or of what a screen shows of it."""
        found = self._command("Page.captureScreenshot", captureBeyondViewport=whole)
        Path(path).write_bytes(base64.b64decode(found["data"]))


SCRIPTS = r"""
function shown() {
    const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
        if (!text || element.closest('title, desc, script, style, noscript')) continue;
        const box = element.getBoundingClientRect();
        if (!element.checkVisibility({visibilityProperty: true}) || !box.width || !box.height)
            continue;
        if (getComputedStyle(element).clipPath !== 'none') continue;  // for readers of the screen
        found.push([element, text]);
    }
    return found;
}
function too_wide(screen_width) {
    const width = document.documentElement.clientWidth, found = [];
    if (innerWidth > screen_width) found.push(`the page is laid out ${innerWidth} wide`);
    if (document.documentElement.scrollWidth > width) found.push('the page scrolls sideways');
    for (const element of document.body.querySelectorAll('*')) {
        const box = element.getBoundingClientRect();
        if (!box.width || (box.right <= width + 0.5 && box.left >= -0.5)) continue;
        let within = element.parentElement, scrolls = false;
        for (; within && within !== document.body; within = within.parentElement)
            scrolls ||= getComputedStyle(within).overflowX !== 'visible'
                && within.getBoundingClientRect().right <= width + 0.5;
        if (!scrolls) found.push(element.tagName.toLowerCase() + '.' + element.classList);
    }
    return found;
}
function cut_off() {
    const found = [];
    for (const [element, text] of shown()) {
        if (!(element instanceof SVGElement)) continue;
        const box = element.getBoundingClientRect();
        const edge = element.ownerSVGElement.getBoundingClientRect();
        if (box.left < edge.left - 0.5 || box.right > edge.right + 0.5
            || box.top < edge.top - 0.5 || box.bottom > edge.bottom + 0.5) found.push(text);
    }
    return found;
}
function rgba(colour) {  // any colour that CSS has, as the screen has it
    const canvas = rgba.canvas ||= Object.assign(document.createElement('canvas'),
        {width: 1, height: 1});
    const context = canvas.getContext('2d', {willReadFrequently: true});
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
}
function over(top, below) {
    return [0, 1, 2].map(i => top[3] * top[i] + (1 - top[3]) * below[i]).concat(1);
}
function behind(element) {
    // boxes of HTML, and in an SVG shapes that stand before the element and around its middle
    const layers = [], box = element.getBoundingClientRect();
    const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
    const around = shape => {
        const b = shape.getBoundingClientRect();
        return b.left <= x && x <= b.right && b.top <= y && y <= b.bottom;
    };
    for (let e = element; e; e = e.parentElement)
        if (!(e instanceof SVGElement)) layers.unshift(rgba(getComputedStyle(e).backgroundColor));
    if (element instanceof SVGElement)
        for (const shape of element.ownerSVGElement.querySelectorAll('rect, circle'))
            if (shape.compareDocumentPosition(element) & 4 && around(shape)) {
                const style = getComputedStyle(shape), fill = rgba(style.fill);
                fill[3] *= style.opacity;
                layers.push(fill);
            }
    const dark = getComputedStyle(document.documentElement).colorScheme.includes('dark')
        && matchMedia('(prefers-color-scheme: dark)').matches;
    return layers.reduce((below, top) => over(top, below),
        dark ? [18, 18, 18, 1] : [255, 255, 255, 1]);
}
function luminance(colour) {
    const [r, g, b] = colour.slice(0, 3).map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function faint(normal, large) {
    const found = [];
    for (const [element, text] of shown()) {
        const style = getComputedStyle(element), ground = behind(element);
        let ink = rgba(element instanceof SVGElement ? style.fill : style.color);
        for (let e = element; e; e = e.parentElement) ink[3] *= getComputedStyle(e).opacity;
        ink = over(ink, ground);
        const [a, b] = [luminance(ink), luminance(ground)].sort((x, y) => x - y);
        const ratio = (b + 0.05) / (a + 0.05), size = parseFloat(style.fontSize);
        const big = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
        if (ratio < (big ? large : normal)) found.push(`${text.slice(0, 40)}: ${ratio.toFixed(2)}`);
    }
    return found;
}
function small(least) {
    const found = [];
    for (const [element, text] of shown()) {
        let size = parseFloat(getComputedStyle(element).fontSize);
        if (element instanceof SVGElement) size *= element.getScreenCTM().a;
        if (size < least - 0.01) found.push(`${text.slice(0, 40)}: ${size.toFixed(1)}`);
    }
    return found;
}
"""
