"""Opens pages of `kpl inspect --output html` and `kpl stats --output html` in a headless Chromium: see .ci/html.

    pages.py BROWSER KPL FOLDER
"""

import base64
import hashlib
import html.parser
import json
import pathlib
import subprocess
import sys

MAGIC = bytes.fromhex("f3899ac2")
GOLDEN = pathlib.Path(__file__).parent.parent / "golden"
# It breaks out of text, attributes and scripts, if anything can. A script of it would change the title.
HOSTILE = (
    "\"'></bdi></td></table></script><script>document.title='ran'</script><img src=x onerror=\"document.title='ran'\">"
    "<svg onload=\"document.title='ran'\"><a href=\"javascript:document.title='ran'\">x</a><style>*{display:none}</style>"
    "\u202e\u2066\x00\x1b[31m\x9b&amp;--><!--"
)

browser, kpl, folder = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]).resolve()


def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def sealed(body):
    return MAGIC + body + hashlib.md5(body).digest()


def user_record(key, data, tags=b""):
    return field(3, b"\x08" + varint(key) + field(3, data) + tags)


class Dom(html.parser.HTMLParser):
    """What is in a page: how many of each tag, the rows that are not hidden, and the title."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.rows, self.visible, self.links, self.ids = {}, 0, 0, [], set()
        self.title, self.search_is_visible, self.in_title = "", None, False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.in_title = tag == "title" and not self.title
        if tag == "tr" and attributes.get("class") == "row":
            self.rows += 1
            self.visible += "hidden" not in attributes
        if attributes.get("class") == "search":
            self.search_is_visible = "hidden" not in attributes
        if "href" in attributes:
            self.links.append(attributes["href"])
        if "id" in attributes:
            self.ids.add(attributes["id"])
        for name, value in attributes.items():
            assert not name.startswith("on") and name != "style", (tag, name)
            assert not (value or "").startswith("javascript:"), value

    def handle_data(self, data):
        if self.in_title:
            self.title += data

    def handle_endtag(self, tag):
        self.in_title = False


def chromium(*arguments):
    profile = folder / "profile"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}"]
    flags += ["--enable-logging=stderr", "--v=0", "--force-color-profile=srgb"]
    run = subprocess.run([browser, *flags, *arguments], capture_output=True, text=True, timeout=120)
    console = [line for line in run.stderr.splitlines() if "CONSOLE" in line]
    assert run.returncode == 0, run.stderr
    return run.stdout, console


def write(name, data, *arguments):
    """Writes the page of some input. Returns where it is."""
    source = folder / f"{name}.input"
    source.write_bytes(data)
    page = subprocess.run([kpl, *arguments, "--output", "html", source.name], cwd=folder, capture_output=True)
    assert page.returncode == 0, page.stderr
    path = folder / f"{name}.html"
    path.write_bytes(page.stdout)
    return path


def check(path, rows):
    """A page has these rows, which can be seen with and without scripts; nothing is reported, and nothing of the data runs."""
    written = Dom(path.read_text())
    assert written.rows == written.visible == rows, (path.name, written.rows, rows)
    dom, console = chromium("--dump-dom", path.as_uri())
    assert not console, (path.name, console)
    opened = Dom(dom)
    # Chromium takes apart what was written as it was meant: nothing of the data became a tag.
    assert {tag: count for tag, count in opened.tags.items() if tag != "tbody"} == written.tags, (path.name, opened.tags)
    assert opened.tags.get("script") == 1 and "img" not in opened.tags, path.name
    assert (opened.rows, opened.visible) == (rows, rows), (path.name, opened.visible)
    assert opened.title == written.title != "ran", (path.name, opened.title)
    assert opened.search_is_visible == (rows > 0), path.name
    print(f"{path.name}: {rows} rows")
    return opened


def search(path, wanted, expected):
    """Searching shows these rows. The policy of a page allows no other script, so a copy has one more hash in it."""
    script = (
        f"search.value={json.dumps(wanted)};search.dispatchEvent(new Event('input'));"
        "document.body.dataset.found=found.textContent;"
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = path.read_text().replace("script-src ", f"script-src 'sha256-{digest}' ", 1)
    copy = path.with_suffix(".search.html")
    copy.write_text(text.replace("</body>", f"<script>{script}</script></body>"))
    dom, console = chromium("--dump-dom", copy.as_uri())
    assert not console, console
    opened = Dom(dom)
    assert opened.visible == expected, (wanted, opened.visible, expected)
    assert f'data-found="{expected} of {opened.rows} rows"' in dom, wanted


def screenshot(path, *arguments):
    picture = path.with_suffix(".dark.png" if arguments else ".png")
    _, console = chromium("--window-size=1250,1600", f"--screenshot={picture}", *arguments, path.as_uri())
    assert not console, console
    assert picture.stat().st_size > 20_000, picture


def main():
    for golden in sorted(GOLDEN.glob("*.json")):
        content = json.loads(golden.read_text())
        data = base64.b64decode(content["aggregated"])
        path = write(golden.stem, data, "inspect")
        records = content["userRecords"]
        keys = {record["partitionKey"] for record in records}
        opened = Dom(path.read_text())
        hash_keys = sum(name.startswith("h") and name[1:].isdigit() for name in opened.ids)
        opened = check(path, len(records) + len(keys) + hash_keys)
        assert all(link[1:] in opened.ids for link in opened.links if len(data) <= 8192), golden
    mixed = folder / "kpl-mixed-keys.html"
    search(mixed, "A LONGER part", 1 + sum(record["partitionKey"] == "a longer partition key" for record in json.loads(
        (GOLDEN / "kpl-mixed-keys.json").read_text())["userRecords"]))
    search(mixed, "nothing of this kind", 0)
    screenshot(mixed)
    screenshot(mixed, "--blink-settings=preferredColorScheme=0", "--force-dark-mode")

    damaged = bytearray(base64.b64decode(json.loads((GOLDEN / "kpl-8-records.json").read_text())["aggregated"]))
    damaged[500] = 0xF7
    opened = check(write("damaged", damaged, "inspect"), 13)
    assert "#b496" in opened.links and "b496" in opened.ids
    screenshot(folder / "damaged.html")

    text = HOSTILE.encode()
    tag = field(4, field(1, text) + field(2, text))
    hostile = sealed(field(1, text) + field(2, text) + user_record(0, text, tag) + user_record(9, text))
    check(write("hostile", hostile, "inspect"), 4)
    search(folder / "hostile.html", "<script>", 4)
    screenshot(folder / "hostile.html")
    entry = json.dumps({"PartitionKey": HOSTILE, "SequenceNumber": HOSTILE, "Data": base64.b64encode(text).decode()})
    check(write("hostile-plain", entry.encode(), "inspect"), 0)
    check(write("empty", b"", "inspect", "--raw"), 0)

    many = sealed(field(1, b"key") + user_record(0, b"x") * 1_000_000)
    check(write("many", many, "inspect"), 1_001)
    check(write("large", sealed(field(1, b"key") + user_record(0, b"<" * 9_000_000)), "inspect"), 2)
    for name in ["many", "large"]:
        assert (folder / f"{name}.html").stat().st_size < 1_000_000, name

    shards = {"HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": str(2**128 - 1)}, "ShardId": HOSTILE}
    (folder / "shards.json").write_text(json.dumps({"Shards": [shards]}))
    path = write("stats-hostile", entry.encode(), "stats", "--keys", "--shards", "shards.json")
    opened = check(path, Dom(path.read_text()).rows)
    assert opened.rows > 10

    lines = []
    for number in range(300):
        keys = [b"tenant-42"] + [b"user-%d" % (number * place % 97) for place in range(1, 6)]
        body = b"".join(field(1, key) for key in keys)
        body += b"".join(user_record(place, b"x" * (9000 if place == 0 else 150)) for place in range(6))
        data = base64.b64encode(sealed(body)).decode()
        lines.append(json.dumps({"PartitionKey": "a", "Data": data, "ApproximateArrivalTimestamp": 1795580728 + number / 80}))
    path = write("stats", "\n".join(lines).encode(), "stats", "--keys", "--shards", "4")
    check(path, Dom(path.read_text()).rows)
    search(path, "tenant-42", 2)
    screenshot(path)
    print(f"screenshots: {folder}/*.png")


main()
