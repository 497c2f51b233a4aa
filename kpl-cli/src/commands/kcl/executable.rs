//! Whether the daemon can start the command of `executableName`, which it does as Java's `ProcessBuilder` does.

use std::env;
use std::path::{Path, PathBuf};

/// Checks the first word of a command. `folder` is that of the properties, where it may have been expected.
pub(super) fn find(command: &str, folder: &Path) -> Result<(), String> {
    let program = command.split(' ').next().unwrap_or_default();
    if is_path(program) {
        return match check(Path::new(program)) {
            Ok(()) => Ok(()),
            Err(problem) if Path::new(program).is_relative() && check(&folder.join(program)).is_ok() => Err(format!(
                "{program}: {problem}. It is in the folder of the properties, but the path is relative to the one that the daemon is \
                 started in: start it from there, or write {}",
                absolute(&folder.join(program)).display()
            )),
            Err(problem) => Err(format!("{}: {problem}", absolute(Path::new(program)).display())),
        };
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).any(|folder| check(&folder.join(program)).is_ok());
    if found {
        return Ok(());
    }
    let hint = if check(Path::new(program)).is_ok() || check(&folder.join(program)).is_ok() {
        format!(". There is a file of this name: write ./{program}")
    } else {
        String::new()
    };
    Err(format!("{program} is not in PATH{hint}"))
}

fn is_path(program: &str) -> bool {
    program.contains(std::path::is_separator)
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn check(program: &Path) -> Result<(), &'static str> {
    if program.is_file() {
        return is_executable(program);
    }
    if cfg!(windows) && program.with_extension("exe").is_file() {
        return Ok(());
    }
    Err(if program.exists() {
        "is not a file"
    } else {
        "does not exist"
    })
}

#[cfg(unix)]
fn is_executable(program: &Path) -> Result<(), &'static str> {
    rustix::fs::access(program, rustix::fs::Access::EXEC_OK).map_err(|_| "is not executable: chmod +x")
}

#[cfg(not(unix))]
fn is_executable(_: &Path) -> Result<(), &'static str> {
    Ok(())
}
