"""A strict reader of our pages: every element closed in order, known, and without an attribute that acts or asks."""

import unicodedata
from html.parser import HTMLParser

EMPTY = {"meta", "br", "rect", "line"}
KNOWN = EMPTY | set(
    "html head title style body a header footer main div span p h1 h2 h3 h4 strong b bdi code pre mark table thead "
    "tbody tr th td ul li dl dt dd article svg text g details summary".split()
)
ATTRIBUTES = set(
    "lang charset http-equiv content name class href id scope aria-hidden aria-label role tabindex data-label viewBox "
    "viewbox preserveaspectratio width height x y x1 x2 y1 y2 text-anchor open".split()
)


class Page(HTMLParser):
    """What is in a page. text: all that is shown."""

    def __init__(self, html: str):
        super().__init__(convert_charrefs=True)
        self.open, self.text, self.links, self.ids, self.policy = [], [], [], [], ""
        self.tags: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == [], f"left open: {self.open}"
        assert html.count("<!DOCTYPE html>") == 1 and "http-equiv" in html
        for link in self.links:
            local = link.startswith("students/") and ".." not in link
            assert local or (link[0] == "#" and link[1:] in self.ids), link

    def handle_starttag(self, tag, attributes):
        assert tag in KNOWN, tag
        self.tags.append(tag)
        for name, value in attributes:
            assert name in ATTRIBUTES, f"{tag} {name}={value!r}"
            if name == "href":
                self.links.append(value)
            if name == "id":
                assert value not in self.ids
                self.ids.append(value)
        given = dict(attributes)
        if given.get("http-equiv"):
            self.policy = given["content"]
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        assert tag in EMPTY

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> in {self.open}"
        self.open.pop()
        if tag in ("td", "th", "li", "strong", "dt"):
            self.text.append(" ")

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    def handle_comment(self, data):
        raise AssertionError(f"a comment: {data!r}")

    def unknown_decl(self, data):
        raise AssertionError(f"a declaration: {data!r}")

    handle_pi = handle_comment

    @property
    def said(self) -> str:
        return " ".join("".join(self.text).split())


def steering(text: str) -> set[str]:
    """The characters of a text that steer a terminal or the direction of writing."""
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn") and c not in "\n\u200c\u200d"}
