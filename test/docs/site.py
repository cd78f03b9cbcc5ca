"""Checks the pages of a built site: each link within it leads to a page and an anchor
that are there, and a browser loads nothing from elsewhere.

  test/docs/site.py build/docs
"""

import html.parser
import pathlib
import sys
import urllib.parse


class Page(html.parser.HTMLParser):
    """The anchors of a page, its links, and what a browser loads with it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set = {"", "top"}
        self.links: list = []
        self.loaded: list = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        values = dict(attrs)
        self.anchors |= {values[key] for key in ("id", "name") if values.get(key)}
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        elif tag == "link" and values.get("href"):
            self.loaded.append(values["href"])
        elif values.get("src"):
            self.loaded.append(values["src"])


def main() -> None:
    site = pathlib.Path(sys.argv[1]).resolve()
    pages = {path: Page(path.read_text()) for path in site.rglob("*.html")}
    wrong, checked = [], 0
    for path, page in pages.items():
        for target in page.links + page.loaded:
            url = urllib.parse.urlsplit(target)
            if url.scheme or url.netloc:
                if target in page.loaded:
                    wrong.append(f"{path.relative_to(site)} loads {target}")
                continue
            checked += 1
            file = (path.parent / urllib.parse.unquote(url.path)).resolve() if url.path else path
            if not file.is_file():
                wrong.append(f"{path.relative_to(site)}: {target}: no such file")
            elif file in pages and urllib.parse.unquote(url.fragment) not in pages[file].anchors:
                wrong.append(f"{path.relative_to(site)}: {target}: no such anchor")
    for style in site.rglob("*.css"):
        if "url(http" in (text := style.read_text()) or "@import" in text:
            wrong.append(f"{style.relative_to(site)} loads from elsewhere")
    if wrong or len(pages) < 5:
        sys.exit("\n".join(wrong) or f"error: {site} has {len(pages)} pages")
    print(f"{site.name}: {len(pages)} pages, {checked} links within the site, nothing loaded from elsewhere")


main()
