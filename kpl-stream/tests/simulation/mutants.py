#!/usr/bin/env python3
"""Breaks one rule of the pipeline at a time, in a copy, and checks that the simulation notices.

Usage: mutants.py [SEEDS]    (default 2000)
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PIPELINE = "kpl-stream/src/producer/pipeline/"

# (what is broken, file, the rule, what stands in its place)
MUTANTS = [
    ("retried records are not predicted anew", "stream.rs",
     "Mode::Predicted => self.shards.index_of(held.record.hash_key()),",
     "Mode::Predicted if held.attempts.is_empty() => self.shards.index_of(held.record.hash_key()),\n            Mode::Predicted => 0,"),
    ("new shards do not move what is held", "stream.rs",
     "            records.extend(self.dissolve(lane));\n        }\n        records.extend(self.unrouted.drain(..));",
     "            records.extend(self.dissolve(lane));\n        }\n        if let Some(lane) = self.lanes.first_mut().filter(|_| self.order.is_none()) {\n"
     "            records.drain(..).for_each(|held| lane.push(held, turn.now, &mut Vec::new(), |_| ()));\n        }\n"
     "        records.extend(self.unrouted.drain(..));"),
    ("strays count as delivered", "judge.rs",
     "Landed::Wrong => self.wrong_shard(entry, written, times, turn),\n        }\n    }\n\n    /// The shards were listed",
     "Landed::Wrong => self.deliver(entry, written, times, turn),\n        }\n    }\n\n    /// The shards were listed"),
    ("an unknown shard counts as the right one", "judge.rs",
     "return if may_know_soon { Landed::Unknown } else { Landed::Wrong };", "return Landed::Right;"),
    ("records are aggregated although shards are unknown", "lane.rs",
     "Mode::Waiting | Mode::Unpredicted => self.alone.clone(),", "Mode::Waiting | Mode::Unpredicted => self.together.clone(),"),
    ("keys that are ignored are not noticed", "shards.rs",
     "        self.keys_ignored = true;\n", ""),
    ("a wrong number of results is taken as right", "judge.rs",
     "Ok(results) if results.len() == request.entries.len() => {", "Ok(results) => {"),
    ("an unknown outcome is not told", "judge.rs",
     "held.maybe_written |= class == ErrorClass::Unknown;", ""),
    ("a refused request fails whole", "judge.rs",
     "if has_many_records && self.refusals < REFUSED_IN_A_ROW {", "if has_many_records && self.refusals > REFUSED_IN_A_ROW {"),
    ("a request that is too large fails whole", "judge.rs",
     "if class == ErrorClass::TooLarge && has_many_records {", "if class == ErrorClass::TooLarge && times.started > times.ended {"),
    ("records that failed for now are forgotten", "judge.rs",
     "            turn.retry(again);", "            drop(again);"),
    ("a throttled record is given up", "judge.rs",
     "(class == ErrorClass::Throttled && self.options.fail_if_throttled);", "class == ErrorClass::Throttled;"),
    ("closing forgets what waits for another attempt", "mod.rs",
     "records.extend(again.into_iter().map(|held| (stream, held)));", "drop((stream, again));"),
    ("closing forgets what waits for the shards", "stream.rs",
     "        records.extend(self.unrouted.drain(..));\n        records.extend(self.apart", "        records.extend(self.apart"),
    ("closing forgets what is under way", "mod.rs",
     "        for (id, request) in requests {", "        for (id, request) in requests.into_iter().take(0) {"),
    ("the buffer has no bound", "../intake.rs",
     "        record.forget();\n        bytes.forget();\n        Ok(())", "        drop((record, bytes));\n        Ok(())"),
    ("requests under way have no bound", "mod.rs",
     "while self.in_flight.len() < self.options.max_connections && idle", "while idle"),
    ("a request may have any number of entries", "stream.rs",
     "while entries.len() < self.options.collection_max_count && of_lane", "while of_lane"),
    ("a flush does not wait", "flushes.rs",
     "if self.pending.len() > 1 && self.pending.front() == Some(&0) {", "if self.pending.len() > 1 {"),
    ("keys are not locked while they are under way", "order.rs",
     "        key.locked += 1;", ""),
    ("later records overtake those that wait", "order.rs",
     "if key.locked > 0 || elsewhere || behind {", "if key.locked > 0 || elsewhere {"),
    ("requests are waited for without end", "mod.rs",
     "let is_late = |started: Instant| started + timeout <= now;", "let is_late = |started: Instant| started + timeout * 1_000_000 <= now;"),
    ("sub-sequence numbers start with 1", "judge.rs",
     "sub_sequence_number: index as u64,", "sub_sequence_number: index as u64 + 1,"),
    ("expired records are not told", "stream.rs",
     "        for held in over.into_iter().chain(waiting) {\n            self.expire(held, turn);\n        }", "        drop(over.into_iter().chain(waiting));"),
]


def main() -> int:
    seeds = sys.argv[1] if len(sys.argv) > 1 else "2000"
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    copy = target / "simulation-mutants" / "tree"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("target", ".git", "seeds", "corpus"))
    environment = os.environ | {"KPL_SEEDS": seeds, "CARGO_TARGET_DIR": str(target / "simulation-mutants")}
    command = ["cargo", "test", "--quiet", "--package", "kpl-stream", "--no-default-features", "--test"]

    survivors = 0
    for name, file, rule, broken in [("nothing", "mod.rs", "", "")] + MUTANTS:
        path = copy / PIPELINE / file
        text = path.read_text()
        if rule and len(re.findall(re.escape(rule), text)) != 1:
            print(f"{name}: the rule is not there exactly once: {rule}")
            return 1
        path.write_text(text.replace(rule, broken) if rule else text)
        # What stands before the pipeline has tests of its own.
        test = ["bounds"] if file.startswith("..") else ["simulation", "every_claim"]
        run = subprocess.run(command + test, cwd=copy, env=environment, capture_output=True, text=True, check=False)
        path.write_text(text)
        output = run.stdout + run.stderr
        found = re.search(r"^seed \d+: .*|it was accepted beyond the budget", output, re.MULTILINE)
        if not rule:
            if run.returncode:
                print(output)
                return 1
            print(f"{name:55} all {seeds} seeds pass")
        elif found:
            print(f"{name:55} {found[0]}")
        elif "could not compile" in output:
            print(f"{name:55} does not compile:\n{output}")
            return 1
        else:
            survivors += run.returncode == 0
            what = "SURVIVES" if run.returncode == 0 else "\n".join(output.splitlines()[-30:])
            print(f"{name:55} {what}")
        sys.stdout.flush()
    print(f"{len(MUTANTS)} broken rules, {survivors} of them unnoticed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
