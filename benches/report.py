"""Rebuilds the tables of BENCHMARKS.md and benches/chart.svg from what was measured.

    cargo bench --bench codec
    benches/peers/run.sh
    python3 benches/report.py

Reads target/criterion, target/avx2/criterion (the same bench with at most eight lanes, if it was run) and
target/peers/results, below CARGO_TARGET_DIR if that is set. What was not measured is shown as a dash. A figure is the
best sample of its run; beside each ratio stands that of the medians.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from datetime import datetime, timezone
from math import floor, log10
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
SIZES = ("20", "100", "1000")
CODECS = ("json", "postcard", "bincode", "prost")

# (group, parameter): at least so many times the other's throughput, with AVX-512.
TARGETS = {
    ("decode_batch", "20"): 8, ("decode_batch", "100"): 10, ("decode_batch", "1000"): 12,
    ("decode_one", "20"): 1.3, ("decode_one", "100"): 1.3, ("decode_one", "1000"): 1.05,
    ("encode_batch", "20"): 3, ("encode_batch", "100"): 5, ("encode_batch", "1000"): 8,
    ("encode_one", "20"): 1.2, ("encode_one", "100"): 1.2, ("encode_one", "1000"): 1.05,
    ("digest", "1"): 0.98, ("digest", "16"): 12, ("digest", "200"): 12,
}  # fmt: skip
# At least so much of the throughput of md-5 alone on the same bytes.
MD5_TARGETS = {
    ("decode_one", "20"): 0.9, ("decode_one", "100"): 0.9, ("decode_one", "1000"): 0.9,
    ("encode_one", "100"): 0.85, ("encode_one", "1000"): 0.85,
}  # fmt: skip
# At most so many times the time of by_hand and raw together.
TYPED_TARGET = 1.15
# The share of a batch figure that is asked for with at most eight lanes.
AVX2_SHARE = 0.5

DASH = "–"


class Criterion:
    """The figures of one criterion folder, by full id."""

    def __init__(self, folder):
        self.seconds, self.medians, self.rates, self.times = {}, {}, {}, []
        for path in folder.glob("**/new/benchmark.json"):
            estimates, samples = path.with_name("estimates.json"), path.with_name("sample.json")
            if not estimates.exists() or not samples.exists():
                continue
            benchmark = json.loads(path.read_text())
            sample = json.loads(samples.read_text())
            seconds = min(time / count for time, count in zip(sample["times"], sample["iters"])) / 1e9
            name = benchmark["full_id"]
            self.seconds[name] = seconds
            self.medians[name] = json.loads(estimates.read_text())["median"]["point_estimate"] / 1e9
            if throughput := benchmark.get("throughput"):
                self.rates[name] = throughput["Bytes"] / seconds
            self.times.append(estimates.stat().st_mtime)

    def of_medians(self, ours, *others):
        """How many times the median time of `ours` goes into that of the others together."""
        if any(name not in self.medians for name in (ours, *others)):
            return None
        return sum(self.medians[name] for name in others) / self.medians[ours]


def peers():
    """The result of each module in other languages, by name of the language."""
    results = [json.loads(path.read_text()) for path in (TARGET / "peers/results").glob("*.json")]
    times = [path.stat().st_mtime for path in (TARGET / "peers/results").glob("*.json")]
    return {result["language"]: result for result in results}, times


def number(value):
    """Three significant digits, but at most four after the point."""
    if not value:
        return DASH if value is None else "0"
    return f"{value:.{min(4, max(0, 2 - floor(log10(value))))}f}"


def rate(value):
    return number(None if value is None else value / 1e9)


def ratio(a, b):
    return a / b if a is not None and b else None


def times(value):
    return DASH if value is None else f"{value:.2f}x" if value < 10 else f"{value:.1f}x"


def verdict(value, target, least=True):
    if value is None or target is None:
        return DASH
    return "yes" if (value >= target if least else value <= target) else "**no**"


def table(head, rows):
    align = ["---"] + ["--:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, align, *rows])


def throughput_table(figures, groups, share=1.0):
    rows = []
    for group, parameters, other in groups:
        for parameter in parameters:
            ours = figures.rates.get(f"{group}/{parameter}/kpl")
            theirs = figures.rates.get(f"{group}/{parameter}/{other}")
            target = TARGETS.get((group, parameter))
            if target and target > 2:
                target = target * share if share else None
            value = ratio(ours, theirs)
            goal = DASH if target is None else f"{target:g}x"
            medians = figures.of_medians(f"{group}/{parameter}/kpl", f"{group}/{parameter}/{other}")
            row = [f"`{group}/{parameter}`", rate(ours), f"{rate(theirs)} ({other})", times(value), times(medians), goal]
            rows.append([*row, verdict(value, target)])
    return table(["id", "kpl, GB/s", "the other, GB/s", "ratio", "of medians", "at least", "met"], rows)


BATCHES = [("decode_batch", SIZES, "prost"), ("encode_batch", SIZES, "prost")]
ONES = [("decode_one", SIZES, "prost"), ("encode_one", SIZES, "prost")]
DIGESTS = [("digest", ("1", "8", "16", "200"), "md-5")]


def md5_table(figures):
    rows = []
    for group in ("decode_one", "encode_one"):
        for size in SIZES:
            ours = figures.rates.get(f"{group}/{size}/kpl")
            md5 = figures.rates.get(f"{group}/{size}/md-5")
            target = MD5_TARGETS.get((group, size))
            value = ratio(ours, md5)
            goal = DASH if target is None else f"{target:g}x"
            medians = times(figures.of_medians(f"{group}/{size}/kpl", f"{group}/{size}/md-5"))
            row = [f"`{group}/{size}`", rate(ours), rate(md5), times(value), medians, goal]
            rows.append([*row, verdict(value, target)])
    return table(["id", "kpl, GB/s", "md-5 alone, GB/s", "ratio", "of medians", "at least", "met"], rows)


def typed_table(figures):
    rows = []
    for group in ("typed_decode", "typed_encode"):
        for codec in CODECS:
            kpl, hand, raw = (figures.seconds.get(f"{group}/{codec}/{who}") for who in ("kpl", "by_hand", "raw"))
            value = ratio(kpl, hand + raw) if hand and raw else None
            micros = [DASH if seconds is None else f"{seconds * 1e6:.0f}" for seconds in (kpl, hand, raw)]
            goal = [f"{TYPED_TARGET}x", verdict(value, TYPED_TARGET, least=False)]
            medians = figures.of_medians(*(f"{group}/{codec}/{who}" for who in ("kpl", "by_hand", "raw")))
            medians = times(1 / medians if medians else None)
            rows.append([f"`{group}/{codec}`", *micros, times(value), medians, *goal])
    head = ["id", "kpl, µs", "by_hand, µs", "raw, µs", "kpl / (by_hand + raw)", "of medians", "at most", "met"]
    return table(head, rows)


def languages(figures, results):
    """Rows of (name, reading by size, writing by size)."""

    def ours(kind, who):
        return ([figures.rates.get(f"{way}_{kind}/{size}/{who}") for size in SIZES] for way in ("decode", "encode"))

    yield "kpl, a batch", *ours("batch", "kpl")
    yield "kpl, one aggregate", *ours("one", "kpl")
    yield "Rust: prost + md-5", *ours("batch", "prost")
    for language in ("Go", "Java", "Node.js", "Python"):
        result = results.get(language, {})
        yield language, *([result.get(way, {}).get(size) for size in SIZES] for way in ("decode", "encode"))


def peers_table(figures, results):
    rows = [[name, *map(rate, reading + writing)] for name, reading, writing in languages(figures, results)]
    head = ["GB/s"] + [f"{way}/{size}" for way in ("read", "write") for size in SIZES]
    lines = [table(head, rows), ""]
    for language in ("Go", "Java", "Node.js", "Python"):
        if result := results.get(language):
            modules = ", ".join(f"`{name}` {version}" for name, version in sorted(result["modules"].items()))
            lines.append(f"* {language} {result['language_version']}: {modules}")
        else:
            lines.append(f"* {language}: not measured")
    return "\n".join(lines)


def output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def cpu_fields():
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}


def processor():
    fields = cpu_fields()
    name = fields.get("model name") or platform.processor() or platform.machine()
    numbers = [f"{key} {fields[key]}" for key in ("cpu family", "model") if key in fields]
    return f"{name} ({', '.join(numbers)})" if numbers else name


def detected_lanes():
    """What kpl chooses on this machine, with the RUSTFLAGS of this process."""
    flags = cpu_fields().get("flags", "").split()
    lanes = 16 if "avx512f" in flags else 8 if "avx2" in flags else 4
    limit = re.search(r"kpl_max_lanes\W+(\d+)", os.environ.get("RUSTFLAGS", ""))
    return min(lanes, int(limit[1])) if limit else lanes


def lanes_name(lanes):
    return {16: "16 lanes (AVX-512)", 8: "8 lanes (AVX2)", 4: "4 lanes (SSE2 or NEON)", 1: "1 lane (md-5)"}[lanes]


def dates(moments):
    days = sorted({datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%d") for moment in moments})
    return DASH if not days else days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"


def machine(figures, peer_times, lanes):
    return "\n".join(
        [
            f"* processor: {processor()}, {os.cpu_count()} cores given to the machine",
            f"* lanes used by kpl: {lanes_name(lanes)}",
            f"* compiler: {output('rustc', '--version')}",
            f"* date of the run: {dates(figures.times)}; other languages: {dates(peer_times)}",
        ]
    )


def chart(figures, results, lanes, date):
    """Two panels of horizontal bars on one logarithmic axis."""
    width, left, right = 760, 168, 64
    low, decades, row, bar = 1e7, 3, 26, 16
    plot = width - left - right
    text, grid = "#767676", "#9aa0a6"
    colours = {"kpl": "#d9730d", "Rust": "#5b8def"}

    def x(value):
        return left + plot * min(1, max(0, log10(value / low) / decades))

    def label(at, y, body, anchor="start", size=13, extra=""):
        return f'<text x="{at:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"{extra}>{body}</text>'

    rows = list(languages(figures, results))
    parts, y = [], 62
    for title, index in (("Reading", 0), ("Writing", 1)):
        parts.append(label(12, y + 4, title, size=14, extra=' font-weight="600"'))
        top = y + 14
        bottom = top + row * len(rows)
        for decade in range(decades + 1):
            at = x(low * 10**decade)
            parts.append(f'<path d="M{at:.1f} {top}V{bottom}" stroke="{grid}" stroke-opacity="0.3"/>')
            names = ("0.01", "0.1", "1", "10 GB/s")
            parts.append(label(at, bottom + 16, names[decade], "middle", 12))
        for position, entry in enumerate(rows):
            name, value = entry[0], entry[1 + index][SIZES.index("100")]
            middle = top + row * position + row / 2
            parts.append(label(left - 10, middle + 4.5, name, "end"))
            if value is None:
                reason = "its module only reads" if name == "Go" and index and name in results else "not measured"
                parts.append(label(left + 8, middle + 4.5, reason, extra=' font-style="italic"'))
                continue
            colour = next((colour for prefix, colour in colours.items() if name.startswith(prefix)), "#8c959f")
            length = max(1.0, x(value) - left)
            parts.append(
                f'<rect x="{left}" y="{middle - bar / 2:.1f}" width="{length:.1f}" height="{bar}" rx="2" fill="{colour}"/>'
            )
            weight = ' font-weight="600"' if name.startswith("kpl") else ""
            parts.append(label(left + length + 6, middle + 4.5, rate(value), extra=weight))
        y = bottom + 50
    height = y + 10
    title = "User records of 100 bytes in aggregates of 50 KB: GB of aggregate per second"
    parts.insert(0, label(12, 24, title, size=14, extra=' font-weight="600"'))
    note = f"Logarithmic scale. {processor().split(' (')[0]}, {lanes_name(lanes)}, {date}. A batch is 200 aggregates."
    parts.append(label(12, height - 12, note, size=12))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" font-family="system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif" '
        f'fill="{text}">\n<title>{title}</title>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def fill(document, sections):
    """Replaces what stands between the marks of each section."""
    for name, body in sections.items():
        begin, end = f"<!-- generated: begin {name} -->", f"<!-- generated: end {name} -->"
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        document, count = pattern.subn(lambda _: f"{begin}\n{body}\n{end}", document)
        if count != 1:
            sys.exit(f"BENCHMARKS.md has {count} sections {name!r} instead of one")
    return document


def main():
    parser = argparse.ArgumentParser(description="Rebuilds BENCHMARKS.md's tables and benches/chart.svg.")
    parser.add_argument("--lanes", type=int, choices=(1, 4, 8, 16), help="what kpl used, if not what it would use here")
    lanes = parser.parse_args().lanes or detected_lanes()
    figures = Criterion(TARGET / "criterion")
    if not figures.times:
        sys.exit(f"nothing measured in {TARGET / 'criterion'}: run `cargo bench --bench codec` first")
    avx2 = Criterion(TARGET / "avx2/criterion")
    results, peer_times = peers()
    share = {16: 1.0, 8: AVX2_SHARE}.get(lanes)  # nothing is asked for with fewer
    if avx2.times:
        narrow = throughput_table(avx2, BATCHES + [("digest", ("16", "200"), "md-5")], AVX2_SHARE)
        narrow += f"\n\nDate of this run: {dates(avx2.times)}."
    else:
        narrow = "Not measured."
    sections = {
        "machine": machine(figures, peer_times, lanes),
        "batch": throughput_table(figures, BATCHES, share),
        "one": throughput_table(figures, ONES),
        "md-5": md5_table(figures),
        "digest": throughput_table(figures, DIGESTS, share),
        "typed": typed_table(figures),
        "avx2": narrow,
        "languages": peers_table(figures, results),
    }
    path = ROOT / "BENCHMARKS.md"
    path.write_text(fill(path.read_text(), sections))
    (ROOT / "benches/chart.svg").write_text(chart(figures, results, lanes, dates(figures.times)))
    print("wrote BENCHMARKS.md and benches/chart.svg")


if __name__ == "__main__":
    main()
