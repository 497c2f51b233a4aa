"""A preprocessor of mdBook: pages of the repository that chapters link to become chapters of their own, below "Reference".

Chapters link to them as files, `../kpl-stream/README.md`, so that the links are right in the repository as well. In the book the page is
`kpl-stream.md`, beside the chapters.
"""

import base64
import json
import pathlib
import posixpath
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# A link or an image of Markdown, or the definition of a link, with its target and its anchor.
LINK = re.compile(r"(\]\(|^\[[^\]]+\]:\s+)([^)\s#]+)(#[^)\s]*)?", re.MULTILINE)


def name(path):
    """The page of the book for a page of the repository."""
    folder, file = posixpath.split(path)
    if folder == "docs":
        return file
    stem = folder.replace("/", "-") or "kpl" if file == "README.md" else file.removesuffix(".md").lower()
    return f"{stem}.md"


class Pages:
    def __init__(self):
        self.found = []

    def rewrite(self, path, text):
        """Links that leave the folder docs are changed to what they are in the book. `path` is that of the page in the repository."""

        def target(match):
            before, link, anchor = match.groups()
            if ":" in link:
                return match.group()
            file = posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
            if file.endswith(".svg"):
                return f"{before}data:image/svg+xml;base64,{base64.b64encode((ROOT / file).read_bytes()).decode()}"
            if not file.endswith(".md"):
                return match.group()
            if file not in self.found and not file.startswith("docs/"):
                self.found.append(file)
            return f"{before}{name(file)}{anchor or ''}"

        return LINK.sub(target, text)

    def chapter(self, path):
        text = (ROOT / path).read_text()
        title = re.search(r"^# (.*)$", text, re.MULTILINE).group(1)
        content = self.rewrite(path, text)
        return {
            "Chapter": {
                "name": title,
                "content": content,
                "number": None,
                "sub_items": [],
                "path": name(path),
                "source_path": None,
                "parent_names": [],
            }
        }


def chapters(items):
    for item in items:
        if isinstance(item, dict) and "Chapter" in item:
            yield item["Chapter"]
            yield from chapters(item["Chapter"]["sub_items"])


def main():
    _context, book = json.load(sys.stdin)
    pages = Pages()
    for chapter in chapters(book["items"]):
        chapter["content"] = pages.rewrite(f"docs/{chapter['source_path']}", chapter["content"])
    reference = []
    for path in pages.found:  # it grows
        reference.append(pages.chapter(path))
    reference.sort(key=lambda item: item["Chapter"]["name"].lower())
    book["items"] += [{"PartTitle": "Reference"}, *reference]
    json.dump(book, sys.stdout)


if sys.argv[1:2] == ["supports"]:
    sys.exit(0 if sys.argv[2:] == ["html"] else 1)
main()
