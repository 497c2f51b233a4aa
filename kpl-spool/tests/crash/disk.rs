//! A folder that crashes: what was not synced is lost, in part or as a whole, sector by sector, in any order.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use fastrand::Rng;
use kpl_spool::{Folder, Segment, SegmentName};

const SECTOR: usize = 512;

#[derive(Debug, Default)]
struct Contents {
    data: Vec<u8>,
    /// So much of it survives a crash.
    synced: usize,
    /// A sync has failed: what was not synced then is gone after a crash, whatever comes later.
    is_broken: bool,
}

type File = Arc<Mutex<Contents>>;

/// What may go wrong, and in how many of 1,000 calls.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) create: u32,
    pub(crate) write: u32,
    pub(crate) sync: u32,
    pub(crate) remove: u32,
    pub(crate) read: u32,
}

#[derive(Debug)]
struct State {
    files: BTreeMap<SegmentName, File>,
    /// What a crash leaves for sure of the names.
    synced: BTreeMap<SegmentName, File>,
    faults: Faults,
    /// How many calls there are until the machine stops.
    left: Option<u64>,
    rng: Rng,
}

#[derive(Clone, Debug)]
pub(crate) struct Disk(Arc<Mutex<State>>);

impl Disk {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            files: BTreeMap::new(),
            synced: BTreeMap::new(),
            faults: Faults::default(),
            left: None,
            rng: Rng::with_seed(seed),
        })))
    }

    fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set(&self, faults: Faults, left: Option<u64>) {
        self.with(|state| (state.faults, state.left) = (faults, left));
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.with(|state| state.left == Some(0))
    }

    /// The machine loses its power, and starts again.
    pub(crate) fn crash(&self) {
        self.with(|state| {
            let rng = &mut state.rng;
            let mut left = BTreeMap::new();
            for (name, file) in state.synced.iter().chain(&state.files) {
                let is_sure = state.synced.contains_key(name) && state.files.contains_key(name);
                if !left.contains_key(name) && (is_sure || rng.bool()) {
                    left.insert(*name, Arc::new(Mutex::new(survives(&lock(file), rng))));
                }
            }
            state.files.clone_from(&left);
            state.synced = left;
            (state.faults, state.left) = (Faults::default(), None);
        });
    }
}

fn lock(file: &File) -> std::sync::MutexGuard<'_, Contents> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is left of a file after a crash.
fn survives(file: &Contents, rng: &mut Rng) -> Contents {
    let size = match rng.u8(..4) {
        0 => file.synced,
        1 => file.data.len(),
        _ => rng.usize(file.synced..=file.data.len()),
    };
    let mut data = file.data.clone();
    data.truncate(size);
    let mut sector = file.synced - file.synced % SECTOR;
    while sector < size {
        let end = (sector + SECTOR).min(size);
        let unsure = sector.max(file.synced)..end;
        let lost = match rng.u8(..if file.is_broken { 2 } else { 4 }) {
            0 => unsure,
            1 => rng.usize(unsure.start..=unsure.end)..unsure.end,
            _ => end..end,
        };
        data[lost].fill(0);
        sector += SECTOR;
    }
    Contents {
        synced: data.len(),
        data,
        is_broken: false,
    }
}

impl State {
    /// Returns whether a call fails.
    fn fails(&mut self, chance: u32) -> bool {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                return true;
            }
        }
        self.rng.u32(..1000) < chance
    }
}

fn failure() -> io::Error {
    io::Error::other("the disk fails")
}

impl Folder for Disk {
    fn list(&self) -> io::Result<Vec<(SegmentName, u64)>> {
        self.with(|state| {
            if state.fails(0) {
                return Err(failure());
            }
            let size = |file: &File| lock(file).data.len() as u64;
            let mut list: Vec<_> = state.files.iter().map(|(name, file)| (*name, size(file))).collect();
            state.rng.shuffle(&mut list);
            Ok(list)
        })
    }

    fn create(&self, name: SegmentName) -> io::Result<Box<dyn Segment>> {
        self.with(|state| {
            let fails = state.fails(state.faults.create);
            if fails && state.rng.bool() {
                return Err(failure());
            }
            let is_new = state.files.keys().all(|other| other.first != name.first);
            assert!(is_new, "segment {name:?} is created twice");
            let file = File::default();
            state.files.insert(name, Arc::clone(&file));
            match fails {
                true => Err(failure()),
                false => Ok(Box::new(Open {
                    file,
                    disk: self.clone(),
                }) as Box<dyn Segment>),
            }
        })
    }

    fn open(&self, name: SegmentName) -> io::Result<Box<dyn Segment>> {
        self.with(|state| {
            if state.fails(state.faults.read) {
                return Err(failure());
            }
            let file = state.files.get(&name).ok_or(io::ErrorKind::NotFound)?;
            Ok(Box::new(Open {
                file: Arc::clone(file),
                disk: self.clone(),
            }) as Box<dyn Segment>)
        })
    }

    fn remove(&self, name: SegmentName) -> io::Result<()> {
        self.with(|state| {
            let fails = state.fails(state.faults.remove);
            if !fails || state.rng.bool() {
                state.files.remove(&name).ok_or(io::ErrorKind::NotFound)?;
            }
            if fails { Err(failure()) } else { Ok(()) }
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|state| {
            if state.fails(state.faults.sync) {
                return Err(failure());
            }
            state.synced = state.files.clone();
            Ok(())
        })
    }
}

#[derive(Debug)]
struct Open {
    file: File,
    disk: Disk,
}

impl Segment for Open {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.disk.with(|state| state.fails(state.faults.read)) {
            return Err(failure());
        }
        let file = lock(&self.file);
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(file.data.len());
        let read = buffer.len().min(file.data.len() - from);
        buffer[..read].copy_from_slice(&file.data[from..from + read]);
        Ok(read)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.disk.with(|state| match state.fails(state.faults.write) {
            true => Err(state.rng.usize(..=bytes.len())),
            false => Ok(()),
        });
        let count = written.err().unwrap_or(bytes.len());
        lock(&self.file).data.extend_from_slice(&bytes[..count]);
        written.map_err(|_| failure())
    }

    fn sync(&mut self) -> io::Result<()> {
        let fails = self.disk.with(|state| state.fails(state.faults.sync));
        let mut file = lock(&self.file);
        if fails {
            file.is_broken = true;
            return Err(failure());
        }
        if !file.is_broken {
            file.synced = file.data.len();
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(lock(&self.file).data.len() as u64)
    }
}
