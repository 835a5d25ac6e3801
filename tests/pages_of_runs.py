"""A page of a run, read as a browser would: numbers, words and drawings by what they are."""

from html.parser import HTMLParser

VOID = {"meta", "wbr", "br"}


class Page(HTMLParser):
    """The elements of a page, in order, each with its attributes and the text in it."""

    def __init__(self, path):
        super().__init__()
        self.source = path.read_text("utf-8")
        self.elements, self.open = [], []
        self.feed(self.source)
        assert not self.open, f"never closed: {[tag for tag, *_ in self.open]}"

    def handle_starttag(self, tag, attributes):
        element = (tag, dict(attributes), [])
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        for _, _, texts in self.open:
            texts.append(data)

    def all(self, tag, kind=None):
        """Attributes and text of each element of this name, and of this class."""
        return [
            (attributes, "".join(texts))
            for name, attributes, texts in self.elements
            if name == tag and (kind is None or kind in (attributes.get("class") or "").split())
        ]

    def text(self, tag, kind=None):
        return [text for _, text in self.all(tag, kind)]

    def history(self):
        """The table of all numbers, as they are: a list for each column, None for what is not."""
        tags = [i for i, (tag, attributes, _) in enumerate(self.elements) if tag == "table"]
        start = next(i for i in tags if self.elements[i][1]["class"] == "epochs")
        rows = []
        names = []
        for tag, attributes, texts in self.elements[start:]:
            if tag == "th" and attributes["scope"] == "col":
                names.append("".join(texts).replace(" ", "_"))
            if tag == "tr":
                rows.append([])
            if tag == "td":
                rows[-1].append(None)
            if tag == "data":
                rows[-1][-1] = float(attributes["value"])
        return dict(zip(names[1:], map(list, zip(*rows[1:], strict=True)), strict=True))
