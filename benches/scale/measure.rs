//! Measures an operation at sizes of 1, 10, 100 and so on.

use std::time::{Duration, Instant};
use std::{env, fs, path::Path};

/// How long a size is measured at least, unless it was passed through three times by then.
const TIME: Duration = Duration::from_millis(300);

pub(crate) struct Scale {
    name: &'static str,
    filter: Option<String>,
    pub(crate) lines: Vec<serde_json::Value>,
}

impl Scale {
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            filter: env::args().skip(1).find(|argument| !argument.starts_with('-')),
            lines: Vec::new(),
        }
    }

    pub(crate) fn is_wanted(&self, operation: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| operation.contains(filter))
    }

    /// Measures an operation on 1 to 10^`decades` records. `prepare` returns a pass over that many.
    pub(crate) fn each_size<P: FnMut()>(&mut self, operation: &str, decades: u32, prepare: impl Fn(usize) -> P) {
        if !self.is_wanted(operation) {
            return;
        }
        for decade in 0..=decades {
            let count = 10_usize.pow(decade);
            let nanoseconds = best(prepare(count)) / count as f64;
            println!("{operation}: {count} records, {nanoseconds:.1} ns each");
            self.lines.push(serde_json::json!({
                "operation": operation, "count": count, "nanoseconds": nanoseconds,
            }));
        }
    }

    /// Writes what was measured, if it is all of it.
    pub(crate) fn finish(self) {
        if self.filter.is_some() {
            return;
        }
        let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
        // A bench runs in the folder of its package.
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let workspace = package.ancestors().find(|folder| folder.join("Cargo.lock").exists());
        let folder = workspace.unwrap_or(package).join(target).join("scale");
        let path = folder.join(self.name).with_extension("json");
        fs::create_dir_all(&folder).expect("the target folder can be written");
        fs::write(&path, serde_json::Value::from(self.lines).to_string()).expect("the target folder can be written");
        println!("wrote {}", path.display());
    }
}

/// Returns how many nanoseconds a pass takes, the best of at least three.
pub(crate) fn best(mut pass: impl FnMut()) -> f64 {
    let started = Instant::now();
    let mut best = f64::INFINITY;
    let mut passes = 0;
    // Short passes are timed together, so that reading the clock does not count.
    let mut together = 1_u32;
    while passes < 3 || started.elapsed() < TIME {
        let start = Instant::now();
        for _ in 0..together {
            pass();
        }
        let elapsed = start.elapsed();
        best = best.min(elapsed.as_secs_f64() * 1e9 / f64::from(together));
        passes += 1;
        if elapsed < Duration::from_millis(1) {
            together *= 2;
            passes = 0;
        }
        if started.elapsed() > 20 * TIME {
            break;
        }
    }
    best
}
