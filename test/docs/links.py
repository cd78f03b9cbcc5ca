# RUN: %python %s
"""Checks the links of every Markdown page: files and headings of this project are there,
addresses elsewhere are well-formed (nothing is fetched).
"""

import pathlib
import re
import sys
import urllib.parse

from blocks import ROOT, pages


def prose(text: str) -> str:
    """A page without its code."""
    text = re.sub(r"^( *)(```+|~~~+).*?^ *\2$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"(`+).*?\1", lambda match: "`" * len(match[0]), text, flags=re.DOTALL)


def anchors(path: pathlib.Path) -> set:
    """The anchors of a page's headings, as viewers of repositories make them."""
    found: set = {""}
    text = re.sub(r"^( *)(```+|~~~+).*?^ *\2$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    for heading in re.findall(r"^#+ +(.*?) *$", text, re.MULTILINE):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        name, count = slug, 0
        while name in found:
            count += 1
            name = f"{slug}-{count}"
        found.add(name)
    return found


def check(page: str, target: str) -> str:
    """What is wrong with a link of a page."""
    url = urllib.parse.urlsplit(target)
    if url.scheme or url.netloc:
        good = url.scheme in ("http", "https") and re.fullmatch(r"[\w.-]+\.[a-z]+(:\d+)?", url.netloc)
        return "" if good else "is no address"
    path = ROOT / page
    if url.path:
        path = (path.parent / urllib.parse.unquote(url.path)).resolve()
        if not path.is_relative_to(ROOT) or not path.exists():
            return "is not there"
    if url.fragment and (path.suffix != ".md" or urllib.parse.unquote(url.fragment) not in anchors(path)):
        return "has no such heading"
    return ""


def main() -> None:
    wrong, count = [], 0
    for page in pages():
        for target in re.findall(r"\]\(([^)\s]+)\)", prose((ROOT / page).read_text())):
            count += 1
            if why := check(page, target):
                wrong.append(f"{page}: {target} {why}")
    if wrong or count < 50:
        sys.exit("\n".join(wrong) or f"error: {count} links were found")
    print(f"{count} links on {len(pages())} pages")


if __name__ == "__main__":
    main()
