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
     "Mode::Predicted if held.failed.is_none() => self.shards.index_of(held.record.hash_key()),\n            Mode::Predicted => 0,"),
    ("strays count as delivered", "judge.rs",
     "            Landed::Wrong => self.wrong_shard(entry, written, times, turn),\n",
     "            Landed::Wrong => self.deliver(entry, written, times, turn),\n"),
    ("an unknown shard counts as the right one", "judge.rs",
     "return if may_know_soon { Landed::Unknown } else { Landed::Wrong };", "return Landed::Right;"),
    ("records are aggregated although shards are unknown", "pack.rs",
     "self.separate = !is_known || !self.aggregation_enabled;", "self.separate = !self.aggregation_enabled && is_known;"),
    ("a wrong number of results is taken as right", "judge.rs",
     "Ok(results) if results.len() == request.entries.len() => {", "Ok(results) => {"),
    ("an unknown outcome is not told", "judge.rs",
     "held.maybe_written |= class == ErrorClass::Unknown;", ""),
    ("a refused request fails whole", "judge.rs",
     "if has_many_records && self.refusals < REFUSED_IN_A_ROW {", "if has_many_records && self.refusals > REFUSED_IN_A_ROW {"),
    ("a request that is too large fails whole", "judge.rs",
     "if class == ErrorClass::TooLarge && has_many_records {", "if class == ErrorClass::TooLarge && times.started > times.ended {"),
    ("records that failed for now are forgotten", "judge.rs",
     "                held.maybe_written |= class == ErrorClass::Unknown;\n            }\n            self.come_back(again, turn);",
     "                held.maybe_written |= class == ErrorClass::Unknown;\n            }\n            drop(again);"),
    ("a throttled record is given up", "judge.rs",
     "(class == ErrorClass::Throttled && self.options.fail_if_throttled);", "class == ErrorClass::Throttled;"),
    ("closing forgets what waits for the shards", "stream.rs",
     "        records.extend(self.unrouted.drain(..));\n        records.extend(self.apart", "        records.extend(self.apart"),
    ("closing forgets the parts of a refused request", "stream.rs",
     "        records.extend(self.apart.drain(..).flat_map(|apart| apart.groups).flatten());\n", "        self.apart.clear();\n"),
    ("closing forgets what is in flight", "mod.rs",
     "in std::mem::take(&mut self.in_flight) {", "in std::mem::take(&mut self.in_flight).into_iter().take(0) {"),
    ("the buffer has no bound", "../intake.rs",
     "        record.forget();\n        bytes.forget();\n        Ok(())", "        drop((record, bytes));\n        Ok(())"),
    ("requests in flight have no bound", "mod.rs",
     "self.in_flight.len() < self.options.max_connections && !self.waits_for_room", "!self.waits_for_room"),
    ("bytes in flight have no bound", "mod.rs",
     "let room = most.saturating_sub(self.bytes_in_flight);", "let room = most;"),
    ("a request may have any number of entries", "request.rs",
     "while draft.entries.len() < self.options.collection_max_count && of_lane", "while of_lane"),
    ("a Kinesis record that needs more room than there is is sent", "request.rs",
     "            if size > draft.room() {", "            if size > usize::MAX - 1 {"),
    ("an entry takes no room", "request.rs",
     "        self.room = self.room.saturating_sub(size);\n", ""),
    ("a flush does not wait", "flushes.rs",
     "if self.pending.len() > 1 && self.pending.front() == Some(&0) {", "if self.pending.len() > 1 {"),
    ("keys are not locked while they are in flight", "order.rs",
     "self.change(&name, |key| key.locked += alike.len());", "self.change(&name, |_| ());"),
    ("keys stay locked", "order.rs",
     "self.change(&name, |key| key.locked = key.locked.saturating_sub(1))", "self.change(&name, |_| ())"),
    ("a key is unlocked with its first record", "order.rs",
     "key.locked = key.locked.saturating_sub(1)", "key.locked = 0"),
    ("a record that comes back goes to the end", "waiting.rs",
     "if records.back().is_none_or(|last| last.number < held.number) {", "if records.len() < usize::MAX {"),
    ("a record that comes back goes to the front", "waiting.rs",
     "records.partition_point(|other| other.number < held.number);", "0;"),
    ("a shard that fails gets several requests at once", "lane.rs",
     "if self.in_flight > 0 && (self.failures > 0 || self.limiter.is_restrained()) {", "if self.in_flight > usize::MAX - 1 {"),
    ("a shard that is restrained gets several requests at once", "lane.rs",
     "(self.failures > 0 || self.limiter.is_restrained())", "self.failures > 0"),
    ("there is no pause after a failure", "lane.rs",
     "            self.paused_until = Some(times.ended + pause);", "            self.paused_until = Some(times.ended + pause / 100);"),
    ("pauses do not grow", "lane.rs",
     "Backoff::RECORDS.pause(self.failures, random.f64());", "Backoff::RECORDS.pause(0, random.f64());"),
    ("there is no pause after a refusal", "limiter.rs",
     "        self.paused_until = Some(now + Duration::from_secs_f64(pause));", "        self.paused_until = Some(now + Duration::from_secs_f64(pause / 100.0));"),
    ("a key's records in other lanes expire later", "order.rs",
     "while let Some(held) = key.waiting.pop_front_if(|held| test(held)) {", "if let Some(held) = key.waiting.pop_front_if(|held| test(held)) {"),
    ("requests are waited for without end", "mod.rs",
     "let is_late = |started: Instant| clock::after(started, timeout) <= now;", "let is_late = |started: Instant| clock::after(started, timeout * 1_000_000) <= now;"),
    ("sub-sequence numbers start with 1", "judge.rs",
     "sub_sequence_number: index as u64,", "sub_sequence_number: index as u64 + 1,"),
    ("expired records are not told", "stream.rs",
     "            for held in over {\n                self.expire(held, turn);\n            }", "            drop(over);"),
    ("only one record expires at a time", "stream.rs",
     "over.extend(self.waiting.take_oldest(is_over));", "let mut taken = self.waiting.take_oldest(is_over).into_iter();\n        over.extend(taken.next());\n        taken.for_each(|held| self.waiting.push(held));"),
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
