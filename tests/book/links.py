"""Checks the links of the repository's pages and of the built book, without the network: files, anchors, and that chapters are reached; and
that the tests of the format quote its page as it is.

    python3 tests/book/links.py BOOK

BOOK is the folder that mdBook has written. Prints each problem, and ends with 1 if there is one.
"""

import html.parser
import pathlib
import re
import subprocess
import sys
import unicodedata
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
CODE = re.compile(r"^(```+|~~~+).*?^\1\s*$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)|^\[[^\]]+\]:\s+(\S+)", re.MULTILINE)
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*\s*$", re.MULTILINE)


def slug(heading):
    """The anchor that GitHub and mdBook give a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    kept = (c for c in text.lower() if c in "-_ " or unicodedata.category(c)[0] in "LN")
    return "".join(kept).replace(" ", "-")


def anchors(text):
    found = set()
    for heading in HEADING.findall(re.sub(r"^(```+).*?^\1\s*$", "", text, flags=re.MULTILINE | re.DOTALL)):
        anchor, number = slug(heading), 0
        while (name := f"{anchor}-{number}" if number else anchor) in found:
            number += 1
        found.add(name)
    return found


class Page(html.parser.HTMLParser):
    """What is linked from a page of HTML, and what can be linked to in it."""

    def __init__(self, text):
        super().__init__()
        self.links, self.ids = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if "id" in attributes:
            self.ids.add(attributes["id"])
        link = attributes.get("href" if tag in ("a", "link") else "src")
        if link:
            self.links.append(link)


def misquoted():
    """Returns the sentences of docs/format.md that tests quote differently. `[...]` stands for what a quote leaves out."""

    def plain(text):
        return re.sub(r"[\s|]+", " ", text.replace("`", "")).strip()

    page = plain((ROOT / "docs/format.md").read_text())
    wrong = []
    for file in sorted((ROOT / "tests").glob("format_*.rs")):
        for comment in re.findall(r"(?:^[ \t]*//[/!].*\n)+", file.read_text(), re.MULTILINE):
            text = " ".join(re.sub(r"^\s*//[/!] ?", "", line) for line in comment.splitlines())
            quote = re.match(r'(?:Section \d: )?"(.*)"[^"]*$', text)
            parts = quote.group(1).split("[...]") if quote else []
            wrong += [f"{file.relative_to(ROOT)}: docs/format.md does not say: {part}" for part in map(plain, parts) if part not in page]
    return wrong


def check(path, links, ids_of, top):
    """Returns the problems of a file's links. `ids_of` returns the anchors of a file."""
    problems = []
    for link in links:
        parts = urllib.parse.urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else path
        if top not in (target, *target.parents):
            problems.append(f"{path.relative_to(top)}: {link} leads outside")
        elif not target.exists():
            problems.append(f"{path.relative_to(top)}: {link} does not exist")
        elif parts.fragment and target.suffix in (".md", ".html") and parts.fragment not in ids_of(target):
            problems.append(f"{path.relative_to(top)}: {link}: no such heading")
    return problems


def main(book):
    problems, count = [], 0

    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    files = [ROOT / file for file in listed.stdout.split()]
    for file in (file for file in files if file.exists()):
        links = [one or other for one, other in LINK.findall(CODE.sub("", file.read_text()))]
        count += len(links)
        problems += check(file, links, lambda target: anchors(target.read_text()), ROOT)

    pages = {path: Page(path.read_text()) for path in sorted(book.rglob("*.html"))}
    for path, page in pages.items():
        # `print.html` and the page for addresses that do not exist have links that are relative to other pages.
        if path.name in ("404.html", "toc.html"):
            continue
        count += len(page.links)
        problems += check(path, page.links, lambda target: pages[target].ids, book)

    # A chapter that SUMMARY.md does not name is not in the book.
    for chapter in sorted((ROOT / "docs").glob("*.md")):
        if chapter.name != "SUMMARY.md" and book / chapter.with_suffix(".html").name not in pages:
            problems.append(f"{chapter.relative_to(ROOT)} is not in docs/SUMMARY.md")

    problems += misquoted()
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{count} links of {len(files)} pages in the repository and {len(pages)} in the book: {len(problems)} problems")
    return 1 if problems else 0


sys.exit(main(pathlib.Path(sys.argv[1]).resolve()))
