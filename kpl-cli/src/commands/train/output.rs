//! The file that the dictionary is written to.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process;

#[derive(Debug)]
pub(super) struct Output {
    path: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// The file does not exist yet.
    New,
    /// A file that is replaced once the new one is whole.
    Replaced(Permissions),
    /// What is not a file, such as a pipe, is written to.
    Open,
}

impl Output {
    /// Returns the output if it can be there.
    pub(super) fn new(path: &Path, replace: bool) -> Result<Self, Cow<'static, str>> {
        let Ok(metadata) = fs::metadata(path) else {
            let directory = directory_of(path);
            if !directory.is_dir() {
                return Err(format!("{} is not a directory", directory.display()).into());
            }
            return Ok(Self {
                path: path.to_owned(),
                kind: Kind::New,
            });
        };
        if metadata.is_dir() {
            return Err("this is a directory".into());
        }
        if !replace {
            return Err("would be replaced; --force replaces it".into());
        }
        let kind = match metadata.is_file() {
            true => Kind::Replaced(metadata.permissions()),
            false => Kind::Open,
        };
        Ok(Self {
            // A link stays, and its file is replaced.
            path: fs::canonicalize(path).map_err(|error| error.to_string())?,
            kind,
        })
    }

    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        match &self.kind {
            Kind::New => write_new(&self.path, None, bytes),
            Kind::Open => File::options().write(true).open(&self.path)?.write_all(bytes),
            Kind::Replaced(permissions) => {
                let whole = beside(&self.path);
                write_new(&whole, Some(permissions), bytes)?;
                fs::rename(&whole, &self.path).inspect_err(|_| drop(fs::remove_file(&whole)))
            }
        }
    }
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    }
}

/// Returns the name of a temporary file in the same directory.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", process::id()));
    path.with_file_name(name)
}

/// Writes a file that did not exist before. If that does not succeed, nothing of it stays.
fn write_new(path: &Path, permissions: Option<&Permissions>, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    let mut write = || {
        if let Some(permissions) = permissions {
            file.set_permissions(permissions.clone())?;
        }
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().inspect_err(|_| drop(fs::remove_file(path)))
}
