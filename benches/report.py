"""Rebuilds the tables of BENCHMARKS.md, two rows of README.md, benches/chart.svg and benches/producers.svg from what was measured.

    cargo bench --bench codec
    benches/peers/run
    python3 benches/report.py

Reads target/criterion, target/avx2/criterion (the same bench with at most eight lanes; without it that table stays as it is) and
target/peers/results, below CARGO_TARGET_DIR if that is set. With `--peers` it reads the last alone, and prints the tables;
benches/peers/run calls it so. What was not measured is shown as a dash. A figure of criterion is the best sample of its run; beside
each ratio stands that of the medians.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from datetime import datetime, timezone
from math import floor, log10
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
SIZES = ("20", "100", "1000")
CODECS = ("json", "postcard", "bincode", "prost")

# (group, parameter): at least this multiple of the other's throughput, with AVX-512.
TARGETS = {
    ("decode_batch", "20"): 12, ("decode_batch", "100"): 13, ("decode_batch", "1000"): 14,
    ("decode_one", "20"): 2.0, ("decode_one", "100"): 1.4, ("decode_one", "1000"): 1.1,
    ("encode_batch", "20"): 6, ("encode_batch", "100"): 9, ("encode_batch", "1000"): 12,
    ("encode_one", "20"): 1.7, ("encode_one", "100"): 1.3, ("encode_one", "1000"): 1.1,
    ("digest", "1"): 1.2, ("digest", "16"): 12, ("digest", "200"): 12,
}  # fmt: skip
# At least so much of the throughput of md-5 alone on the same bytes.
MD5_TARGETS = {
    ("decode_one", "20"): 0.9, ("decode_one", "100"): 0.9, ("decode_one", "1000"): 0.9,
    ("encode_one", "100"): 0.85, ("encode_one", "1000"): 0.85,
}  # fmt: skip
# At most this multiple of the time of by_hand and raw together.
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
            if size := (benchmark.get("throughput") or {}).get("Bytes"):
                self.rates[name] = size / seconds
            self.times.append(estimates.stat().st_mtime)

    def of_medians(self, ours, *others):
        """How many times the median time of `ours` goes into that of the others together."""
        if any(name not in self.medians for name in (ours, *others)):
            return None
        return sum(self.medians[name] for name in others) / self.medians[ours]


def peers(part):
    """What benches/peers/measure.py has left of a part."""
    path = TARGET / f"peers/results/{part}.json"
    return json.loads(path.read_text()) if path.exists() else {"figures": {}, "versions": {}, "failed": {}}


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
            if target and "one" not in group and parameter != "1":
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


def limit_table(figures):
    """Writing beside what it takes at least."""
    rows = []
    for size in SIZES:
        ours, limit, prost = (figures.rates.get(f"encode_batch/{size}/{who}") for who in ("kpl", "limit", "prost"))
        rows.append([f"`encode_batch/{size}`", rate(ours), rate(limit), times(ratio(ours, limit)), times(ratio(limit, prost))])
    return table(["id", "kpl, GB/s", "the limit, GB/s", "kpl / the limit", "the limit / prost"], rows)


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


CODEC_PEERS = (
    "kpl, 200 at once", "kpl", "prost and md-5", "Java module", "AggregatorUtil of the KCL", "Go module", "Node.js module",
    "Python module", "aiokpl",
)  # fmt: skip
ONLY_READ = ("AggregatorUtil of the KCL", "Go module")
PRODUCERS = ("kpl-stream", "KPL", "aiokpl")
READERS = ("kpl-stream's Reader", "kcl-rs")
SCHEMES = {"http": "HTTP", "https": "TLS"}


def middle(runs, value):
    return statistics.median(map(value, runs))


def rates(runs):
    return sorted((run["records"] / run["seconds"] for run in runs), reverse=True)


def million(name):
    """Seconds of a run for a million records."""
    return lambda run: run[name] / run["records"] * 1e6


def spread(runs, scale):
    """The best, the median and the worst of the rates."""
    found = rates(runs)
    return [number(value / scale) for value in (found[0], statistics.median(found), found[-1])]


def codec_table(figures):
    """All that is known of records of 100 bytes."""
    tables = []
    for what, title in (("read", "reading"), ("write", "writing")):
        rows = []
        for name in CODEC_PEERS:
            runs = figures.get(name, {}).get(what, {}).get("100")
            if not runs:
                rows.append([name, *[DASH] * 7])
                continue
            times = [number(middle(runs, lambda run: run[key]) * 1e6) for key in ("p50", "p99")]
            memory = f"{max(run['memory'] for run in runs):.0f}"
            rows.append([name, *spread(runs, 1e6), number(middle(runs, million("cpu"))), memory, *times])
        head = [
            f"{title} records of 100 bytes", "million/s, best", "median", "worst", "CPU s for a million", "memory, MiB", "p50, µs", "p99, µs",
        ]  # fmt: skip
        tables.append(table(head, rows))
    return "\n\n".join(tables)


def sizes_table(figures, title, cell):
    rows = []
    for name in CODEC_PEERS:
        runs = [figures.get(name, {}).get(what, {}).get(size) for what in ("read", "write") for size in SIZES]
        rows.append([name, *(cell(found) if found else DASH for found in runs)])
    return table([title] + [f"{way}/{size}" for way in ("read", "write") for size in SIZES], rows)


def sizes_tables(figures):
    def speed(runs):
        _, median, worst = spread(runs, 1e6)
        return f"{median} ({worst})"

    yield sizes_table(figures, "million/s, median (worst)", speed)
    yield sizes_table(figures, "CPU s for a million, median", lambda runs: number(middle(runs, million("cpu"))))


def producers_table(figures):
    rows = []
    for scheme, title in SCHEMES.items():
        for name in PRODUCERS:
            runs = figures.get(name, {}).get(scheme)
            if not runs:
                rows.append([f"{name}, {title}", *[DASH] * 13])
                continue
            full, fixed = runs["full"], runs["fixed"]
            row = [f"{name}, {title}", *spread(full, 1e3)]
            for kind in (full, fixed):
                row.append(number(middle(kind, million("cpu"))))
                row += [number(middle(kind, lambda run: run[key]) * 1e3) for key in ("p50", "p99")]
            worst = max(run["p99"] for run in fixed) * 1e3
            memory = f"{max(run['memory'] for run in full + fixed):.0f}"
            server = number(middle(full, lambda run: run["server"] / run["seconds"]))
            rows.append([*row, number(worst), memory, f"{runs['together']:.0f}", server])
    head = [
        "as fast as it goes, then at a fixed rate", "thousand/s, best", "median", "worst", "CPU s for a million", "p50, ms", "p99, ms",
        "fixed: CPU s for a million", "p50, ms", "p99, ms", "worst p99, ms", "memory, MiB", "user records in a Kinesis record",
        "cores that the server used",
    ]  # fmt: skip
    return table(head, rows)


def readers_table(figures):
    rows = []
    for name in READERS:
        if not (found := figures.get(name)):
            rows.append([name, *[DASH] * 6])
            continue
        costs = sorted(map(million("cpu"), found["runs"]))
        memory = f"{max(run['memory'] for run in found['runs']):.0f}"
        spent = [costs[0], statistics.median(costs), costs[-1]]
        rows.append([name, *map(number, spent), number(found["idle"] * 3600), memory, number(found["ready"])])
    head = [
        "reading a stream", "CPU s for a million, best", "median", "worst", "CPU s for an hour without records", "memory, MiB",
        "s until the shard is read",
    ]  # fmt: skip
    return table(head, rows)


def circumstances(result, names):
    """When it was measured, what with, and what was not."""
    lines = []
    if result["figures"]:
        before, after = result["load"]
        lines.append(
            f"* {result['date']}, {result['cores']} cores, for {result['minutes']:.0f} minutes; load when it began {before:.1f}, "
            f"when it ended {after:.1f}; {processor()}; {output('rustc', '--version')}"
        )
    for name in names:
        if name in result["failed"]:
            lines.append(f"* {name}: failed")
        elif name not in result["figures"]:
            lines.append(f"* {name}: not measured")
        else:
            lines.append(f"* {name}: {result['versions'][name]}")
    return "\n".join(lines)


def readme_rows(codec, producers):
    """The rows of README.md that have figures, by how they begin; none if something was not measured."""

    def both(name):
        found = [(what, codec.get(name, {}).get(what, {}).get("100")) for what in ("write", "read")]
        found = [(what, spread(runs, 1e6)[1]) for what, runs in found if runs]
        only = f" {found[0][0]} only" if len(found) == 1 else ""
        return " and ".join(value for _, value in found) + only if found else DASH

    def sent(name):
        runs = producers.get(name, {}).get("https")
        if not runs:
            return "not measured"
        return f"{spread(runs['full'], 1e3)[1]} thousand/s, {number(middle(runs['full'], million('cpu')))} CPU s"

    if not codec or not producers:
        return {}
    modules = ", ".join(f"{both(f'{name} module')} in {name}" for name in ("Java", "Node.js", "Python", "Go"))
    return {
        "100-byte records, written and read, million/s": f"{both('kpl')}; {both('kpl, 200 at once')} in a batch | – | {modules} | –",
        "100-byte records, sent over TLS; CPU for a million": f"{sent('kpl-stream')} | {sent('KPL')} | – | –",
    }


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
    return {16: "16 lanes (AVX-512)", 8: "8 lanes (AVX2)", 4: "4 lanes (SSE2 or NEON)", 1: "1 lane"}[lanes]


def dates(moments):
    days = sorted({datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%d") for moment in moments})
    return DASH if not days else days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"


def machine(figures, lanes):
    return "\n".join(
        [
            f"* processor: {processor()}, {os.cpu_count()} cores given to the machine",
            f"* lanes used by kpl: {lanes_name(lanes)}",
            f"* compiler: {output('rustc', '--version')}",
            f"* date of the run: {dates(figures.times)}",
        ]
    )


INK, GRID = "#767676", "#9aa0a6"
COLOURS = {"kpl": "#d9730d", "prost": "#5b8def"}


def label(at, y, body, anchor="start", size=13, extra=""):
    return f'<text x="{at:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"{extra}>{body}</text>'


def chart(title, note, panels):
    """Panels of horizontal bars, each with its own logarithmic axis: title, lowest power of ten, powers, labels, and rows of name,
    median, worst, and what is said if there is none."""
    width, left, right = 760, 190, 84
    row, bar = 26, 16
    plot = width - left - right
    parts, y = [label(12, 24, title, size=14, extra=' font-weight="600"')], 62
    for panel, low, decades, names, rows in panels:

        def x(value):
            return left + plot * min(1, max(0, (log10(value) - low) / decades))

        parts.append(label(12, y + 4, panel, size=14, extra=' font-weight="600"'))
        top = y + 14
        bottom = top + row * len(rows)
        for decade in range(decades + 1):
            at = left + plot * decade / decades
            parts.append(f'<path d="M{at:.1f} {top}V{bottom}" stroke="{GRID}" stroke-opacity="0.3"/>')
            parts.append(label(at, bottom + 16, names[decade], "middle", 12))
        for position, (name, value, worst, otherwise) in enumerate(rows):
            center = top + row * position + row / 2
            parts.append(label(left - 10, center + 4.5, name, "end"))
            if value is None:
                parts.append(label(left + 8, center + 4.5, otherwise, extra=' font-style="italic"'))
                continue
            colour = next((colour for prefix, colour in COLOURS.items() if name.startswith(prefix)), "#8c959f")
            length = max(1.0, x(value) - left)
            parts.append(
                f'<rect x="{left}" y="{center - bar / 2:.1f}" width="{length:.1f}" height="{bar}" rx="2" fill="{colour}"/>'
            )
            parts.append(f'<path d="M{x(worst):.1f} {center - bar / 2 - 2:.1f}v{bar + 4}" stroke="{INK}" stroke-width="2"/>')
            weight = ' font-weight="600"' if name.startswith("kpl") else ""
            parts.append(label(max(left + length, x(worst)) + 6, center + 4.5, number(value), extra=weight))
        y = bottom + 50
    height = y + 10
    parts.append(label(12, height - 12, note, size=12))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" font-family="system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif" '
        f'fill="{INK}">\n<title>{title}</title>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def codec_chart(result):
    panels = []
    for what, title in (("read", "Reading"), ("write", "Writing")):
        rows = []
        for name in CODEC_PEERS:
            runs = result["figures"].get(name, {}).get(what, {}).get("100")
            found = rates(runs) if runs else None
            otherwise = "only reads" if what == "write" and name in ONLY_READ else "not measured"
            rows.append((name, *((statistics.median(found) / 1e6, found[-1] / 1e6) if found else (None, None)), otherwise))
        panels.append((f"{title}, million records a second", -2, 4, ("0.01", "0.1", "1", "10", "100"), rows))
    title = "User records of 100 bytes in aggregates of 50 KB, one thread"
    note = f"Logarithmic scale. The median of each peer; the mark is its worst run. {processor().split(' (')[0]}, {result['date'][:10]}."
    return chart(title, note, panels)


def producers_chart(result):
    def rows(value, worst):
        for scheme, title in SCHEMES.items():
            for name in PRODUCERS:
                runs = result["figures"].get(name, {}).get(scheme)
                yield f"{name}, {title}", *((value(runs["full"]), worst(runs["full"])) if runs else (None, None)), "not measured"

    cpu = million("cpu")
    speed = rows(lambda runs: statistics.median(rates(runs)) / 1e3, lambda runs: rates(runs)[-1] / 1e3)
    cost = rows(lambda runs: middle(runs, cpu), lambda runs: max(map(cpu, runs)))
    panels = [
        ("Thousand records a second", 0, 3, ("1", "10", "100", "1,000"), list(speed)),
        ("CPU seconds for a million records", 0, 3, ("1", "10", "100", "1,000"), list(cost)),
    ]
    title = "User records of 100 bytes, sent to one Kinesis server, with their outcomes"
    note = f"Logarithmic scale. The median of each peer; the mark is its worst run. {processor().split(' (')[0]}, {result['date'][:10]}."
    return chart(title, note, panels)


def fill(document, sections):
    """Replaces what stands between the marks of each section."""
    for name, body in sections.items():
        begin, end = f"<!-- generated: begin {name} -->", f"<!-- generated: end {name} -->"
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        document, count = pattern.subn(lambda _: f"{begin}\n{body}\n{end}", document)
        if count != 1:
            sys.exit(f"BENCHMARKS.md has {count} sections {name!r} instead of one")
    return document


def write_peers():
    """Writes what is known of peers, and returns its sections."""
    codec, producers, readers = map(peers, ("codec", "producers", "readers"))
    sections = {}
    if codec["figures"]:
        tables = [codec_table(codec["figures"]), *sizes_tables(codec["figures"]), circumstances(codec, CODEC_PEERS)]
        sections["languages"] = "\n\n".join(tables)
        (ROOT / "benches/chart.svg").write_text(codec_chart(codec))
    if producers["figures"]:
        tables = [producers_table(producers["figures"]), circumstances(producers, PRODUCERS)]
        sections["producers"] = "\n\n".join(tables)
        (ROOT / "benches/producers.svg").write_text(producers_chart(producers))
    if readers["figures"]:
        sections["readers"] = "\n\n".join([readers_table(readers["figures"]), circumstances(readers, READERS)])
    path = ROOT / "README.md"
    readme = path.read_text()
    for begin, rest in readme_rows(codec["figures"], producers["figures"]).items():
        readme, count = re.subn(rf"^\| {re.escape(begin)} \|.*$", lambda _: f"| {begin} | {rest} |", readme, flags=re.MULTILINE)
        if count != 1:
            sys.exit(f"README.md has {count} rows {begin!r} instead of one")
    path.write_text(readme)
    return sections


def main():
    parser = argparse.ArgumentParser(description="Rebuilds BENCHMARKS.md's tables and the charts.")
    parser.add_argument("--lanes", type=int, choices=(1, 4, 8, 16), help="what kpl used, if not what it would use here")
    parser.add_argument("--peers", action="store_true", help="only what benches/peers/run has measured; prints the tables")
    arguments = parser.parse_args()
    path = ROOT / "BENCHMARKS.md"
    sections = write_peers()
    if arguments.peers:
        path.write_text(fill(path.read_text(), sections))
        print("\n\n".join(sections.values()))
        return
    lanes = arguments.lanes or detected_lanes()
    figures = Criterion(TARGET / "criterion")
    if not figures.times:
        sys.exit(f"nothing measured in {TARGET / 'criterion'}: run `cargo bench --bench codec` first")
    avx2 = Criterion(TARGET / "avx2/criterion")
    share = {16: 1.0, 8: AVX2_SHARE}.get(lanes)  # nothing is asked for with fewer
    if avx2.times:
        narrow = throughput_table(avx2, BATCHES + [("digest", ("16", "200"), "md-5")], AVX2_SHARE)
        sections["avx2"] = narrow + f"\n\nDate of this run: {dates(avx2.times)}."
    sections |= {
        "machine": machine(figures, lanes),
        "batch": throughput_table(figures, BATCHES, share),
        "one": throughput_table(figures, ONES),
        "limit": limit_table(figures),
        "md-5": md5_table(figures),
        "digest": throughput_table(figures, DIGESTS, share),
        "typed": typed_table(figures),
    }
    path.write_text(fill(path.read_text(), sections))
    print("wrote BENCHMARKS.md")


if __name__ == "__main__":
    main()
