"""Checks that reading and writing are as many times faster than prost and md-5 as benches/ratios.json says.

    python3 benches/check.py            measures, and ends with 1 if a ratio is below 90 % of its figure twice in a row
    python3 benches/check.py --write    lowers the figures to the ratios of the last `cargo bench --bench codec`, or notes them

Both sides of a ratio are the best samples of one run. A figure is the lowest of several runs, some of them on a busy machine, so that only
the code can make a ratio much lower; without benches/ratios.json, `--write` begins anew. Figures are for one kind of processor: on another
nothing is checked. CARGO_TARGET_DIR is honoured.
"""

import json
import subprocess
import sys

from report import ROOT, SIZES, TARGET, Criterion, detected_lanes, lanes_name, processor

FIGURES = ROOT / "benches/ratios.json"
GROUPS = ("decode_one", "decode_batch", "encode_one", "encode_batch")
ALL = [f"{group}/{size}" for group in GROUPS for size in SIZES]
LEAST = 0.9


def ratios(names):
    """How many times the rate of prost kpl has, by the last run."""
    rates = Criterion(TARGET / "criterion").rates
    missing = [name for name in names if f"{name}/kpl" not in rates or f"{name}/prost" not in rates]
    if missing:
        sys.exit(f"not measured: {', '.join(missing)}")
    return {name: rates[f"{name}/kpl"] / rates[f"{name}/prost"] for name in names}


def measure(names, seconds, samples):
    """Ratios of a run with this many samples for each side, which take about this many seconds."""
    pattern = f"^({'|'.join(names)})/(kpl|prost)$"
    options = ["--warm-up-time", "0.5", "--measurement-time", str(seconds), "--sample-size", str(samples)]
    command = ["cargo", "bench", "--quiet", "--bench", "codec", "--", *options, pattern]
    run = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if run.returncode:
        sys.exit(run.stdout)
    return ratios(names)


def main():
    machine = f"{processor()}, {lanes_name(detected_lanes())}"
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    if sys.argv[1:] == ["--write"]:
        before = figures.get(machine, {})
        figures[machine] = {name: min(round(value, 2), before.get(name, value)) for name, value in ratios(ALL).items()}
        FIGURES.write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n")
        return
    if machine not in figures:
        print(f"bench: nothing is checked on {machine}")
        return
    wanted = figures[machine]
    slow = list(wanted)
    # The second run is longer, so that something else that used the machine for a moment does not count twice.
    for attempt, seconds, samples in (("first", 1, 20), ("second", 5, 50)):
        found = measure(slow, seconds, samples)
        for name in slow:
            print(f"bench: {name}: {found[name]:.2f} times prost, {found[name] / wanted[name]:.0%} of {wanted[name]}")
        slow = [name for name in slow if found[name] < LEAST * wanted[name]]
        if not slow:
            return
        print(f"bench: below {LEAST:.0%} in the {attempt} run: {', '.join(slow)}")
    sys.exit(1)


if __name__ == "__main__":
    main()
