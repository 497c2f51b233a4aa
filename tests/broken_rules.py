#!/usr/bin/env python3
"""Breaks one rule at a time, in a copy of the repository, and checks that a test notices. The rules are in the scripts that import this:
mutants.py beside the simulations of kpl-stream and kpl-fleet.

Usage: broken_rules.py --check    (only checks, for all these scripts, that each rule is in its file once)
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# What is broken, the file, the rule, and what stands in its place.
Mutant = tuple[str, str, str, str]


def caught_by(output: str, status: int) -> list[str]:
    """Returns what noticed the broken rule: the seed's message, and the names of tests."""
    caught = re.findall(r"^seed \d+: .*", output, re.MULTILINE)[:1]
    names = re.findall(r"^---- (\S+) stdout ----$", output, re.MULTILINE)
    caught += [name for name in names if name != "every_claim_holds_for_every_seed" or not caught]
    if status == 124:
        caught.append("it does not end")
    return caught


def check_rules(sources: str, mutants: list[Mutant]) -> bool:
    """Checks that each rule is in its file exactly once, and names those that are not."""
    agrees = True
    for name, file, rule, _ in mutants:
        path = ROOT / sources / file
        count = path.read_text().count(rule) if path.exists() else 0
        if count != 1:
            print(f"{name}: {file} has the rule {count} times instead of once: {rule}", file=sys.stderr)
            agrees = False
    return agrees


def check_scripts() -> int:
    """Checks the rules of all scripts that import this, and returns the exit status."""
    command = ["git", "grep", "--no-index", "--exclude-standard", "--name-only", "^import broken_rules", "--", "*.py"]
    scripts = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    checks = [[sys.executable, "-B", script, "--check"] for script in scripts]
    return max(subprocess.run(check, cwd=ROOT, check=False).returncode for check in checks)


def run(package: str, sources: str, mutants: list[Mutant], seeds: int, seconds: int, tests: Callable[[str], list[list[str]]]) -> int:
    """Breaks the rules of the files below `sources`, and returns the exit status of the script.

    `tests` returns the arguments of `cargo test` for a broken file: they run one after another until one fails, each at most this many
    seconds, because a broken rule may make a test run without end. The arguments of the script are the number of seeds, by default `seeds`,
    and a word: only rules in whose name or file it occurs are broken. With `--check` instead, the rules are only looked for.
    """
    if not check_rules(sources, mutants):
        return 1
    if sys.argv[1:] == ["--check"]:
        print(f"{package}: {len(mutants)} rules, each once in its file")
        return 0
    seeds = sys.argv[1] if len(sys.argv) > 1 else str(seeds)
    word = sys.argv[2] if len(sys.argv) > 2 else ""
    folder = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / f"{package}-mutants"
    copy = folder / "tree"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("target", ".git", "seeds", "corpus"))
    for _, file, _, _ in mutants:
        # It may be broken in the last build, which is newer than the file that was copied.
        (copy / sources / file).touch()
    environment = os.environ | {"KPL_SEEDS": seeds, "CARGO_TARGET_DIR": str(folder)}
    mutants = [mutant for mutant in mutants if word in mutant[0] or word in mutant[1]]

    def check(file: str, limit: list[str]) -> tuple[str, int]:
        """Runs the tests, and returns the output and the status of the last ones."""
        for arguments in tests(file):
            command = limit + ["cargo", "test", "--quiet", "--package", package, "--no-default-features"]
            ended = subprocess.run(
                command + arguments, cwd=copy, env=environment, capture_output=True, text=True, check=False
            )
            if ended.returncode:
                break
        return ended.stdout + ended.stderr, ended.returncode

    survivors = 0
    width = max(len(name) for name, *_ in mutants + [("nothing",)])
    for name, file, rule, broken in [("nothing", "", "", "")] + mutants:
        path = copy / sources / file
        if rule:
            text = path.read_text()
            path.write_text(text.replace(rule, broken))
        # What they depend on is built by the first run, which may take longer.
        output, status = check(file, ["timeout", str(seconds)] if rule else [])
        if rule:
            path.write_text(text)
        caught = caught_by(output, status)
        if "could not compile" in output or (status and not caught):
            print(f"{name}: does not run:\n{output}")
            return 1
        if not rule:
            if caught:
                print(output)
                return 1
            print(f"{name:{width}} everything passes, with {seeds} seeds", flush=True)
            continue
        survivors += not caught
        print(f"{name:{width}} {'; '.join(caught) or 'SURVIVES'}", flush=True)
    print(f"{len(mutants)} broken rules, {survivors} of them unnoticed")
    return 1 if survivors else 0


if __name__ == "__main__":
    if sys.argv[1:] != ["--check"]:
        sys.exit(__doc__)
    sys.exit(check_scripts())
