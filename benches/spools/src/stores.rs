//! The stores, each with the calls that its documentation names for such work.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use kpl_spool::{Cursor, Directory, Durability, Item, Log, Options};
use queue_file::QueueFile;
use redb::{ReadableDatabase as _, TableDefinition};
use segment_buffer::{DurabilityPolicy, SegmentBuffer, SegmentConfig};
use serde_bytes::ByteBuf;

use crate::records::{Records, number_of};

/// A store that is open.
pub(crate) trait Store {
    /// Appends the records and commits them.
    fn append(&mut self, records: &mut Records);

    /// Returns the next records.
    fn read(&mut self, count: usize) -> Vec<Vec<u8>>;

    /// Removes the oldest records and commits that.
    fn remove(&mut self, count: usize);

    /// Reads each record that can be read, although others cannot.
    fn read_what_can_be(&mut self, count: u64, found: &mut dyn FnMut(u64, &[u8]));
}

pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// Whether it knows commits that survive the process and not the machine.
    pub(crate) can_write: bool,
    pub(crate) can_read: bool,
}

pub(crate) const STORES: [Kind; 7] = [
    Kind {
        name: "kpl-spool",
        can_write: true,
        can_read: true,
    },
    Kind {
        name: "redb",
        can_write: false,
        can_read: true,
    },
    Kind {
        name: "redb, quick_repair",
        can_write: false,
        can_read: true,
    },
    Kind {
        name: "fjall",
        can_write: true,
        can_read: true,
    },
    Kind {
        name: "queue-file",
        can_write: true,
        can_read: true,
    },
    Kind {
        name: "segment-buffer",
        can_write: true,
        can_read: true,
    },
    Kind {
        name: "write and fdatasync",
        can_write: true,
        can_read: false,
    },
];

pub(crate) fn open(name: &str, folder: &Path, is_synced: bool) -> Box<dyn Store> {
    match name {
        "kpl-spool" => Box::new(Spool::open(folder, is_synced)),
        "redb" => Box::new(Redb::open(folder, false)),
        "redb, quick_repair" => Box::new(Redb::open(folder, true)),
        "fjall" => Box::new(Fjall::open(folder, is_synced)),
        "queue-file" => Box::new(Queue::open(folder, is_synced)),
        "segment-buffer" => Box::new(Buffer::open(folder, is_synced)),
        "write and fdatasync" => Box::new(Plain::open(folder, is_synced)),
        _ => panic!("no such store"),
    }
}

struct Spool {
    log: Log<Directory>,
    cursor: Cursor,
    /// The number of the oldest record.
    oldest: u64,
}

impl Spool {
    fn open(folder: &Path, is_synced: bool) -> Self {
        let mut options = Options::default();
        options.max_bytes = 1 << 40;
        options.durability = match is_synced {
            true => Durability::Synced,
            false => Durability::Written,
        };
        let log = Log::open(Directory::open(folder).expect("a folder"), options).expect("a log");
        Self {
            log,
            cursor: Cursor::default(),
            oldest: 0,
        }
    }
}

impl Store for Spool {
    fn append(&mut self, records: &mut Records) {
        for record in records {
            self.log.append(&record).expect("room");
        }
        self.log.commit().expect("a commit");
    }

    fn read(&mut self, count: usize) -> Vec<Vec<u8>> {
        let items = self.log.read(&mut self.cursor, count * 116).expect("a read");
        let data = |item| match item {
            Item::Record { data, .. } => data,
            lost => panic!("{lost:?}"),
        };
        items.into_iter().map(data).collect()
    }

    fn remove(&mut self, count: usize) {
        for _ in 0..count {
            self.log.settle(self.oldest);
            self.oldest += 1;
        }
        self.log.commit().expect("a commit");
    }

    fn read_what_can_be(&mut self, _: u64, found: &mut dyn FnMut(u64, &[u8])) {
        loop {
            let items = self.log.read(&mut self.cursor, 1 << 20).expect("a read");
            if items.is_empty() {
                return;
            }
            for item in items {
                if let Item::Record { number, data } = item {
                    found(number, &data);
                }
            }
        }
    }
}

const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");

struct Redb {
    database: redb::Database,
    has_quick_repair: bool,
    oldest: u64,
    next: u64,
}

impl Redb {
    fn open(folder: &Path, has_quick_repair: bool) -> Self {
        let database = redb::Database::create(folder.join("redb")).expect("a database");
        Self {
            database,
            has_quick_repair,
            oldest: 0,
            next: 0,
        }
    }

    fn write(&mut self, change: impl FnOnce(&mut redb::Table<'_, u64, &'static [u8]>)) {
        let mut transaction = self.database.begin_write().expect("a transaction");
        transaction.set_quick_repair(self.has_quick_repair);
        change(&mut transaction.open_table(TABLE).expect("a table"));
        transaction.commit().expect("a commit");
    }

    fn table(&self) -> redb::ReadOnlyTable<u64, &'static [u8]> {
        let transaction = self.database.begin_read().expect("a transaction");
        transaction.open_table(TABLE).expect("a table")
    }
}

impl Store for Redb {
    fn append(&mut self, records: &mut Records) {
        self.write(|table| {
            for record in records {
                let number = number_of(&record).expect("a number");
                table.insert(number, &record[..]).expect("an insertion");
            }
        });
    }

    fn read(&mut self, count: usize) -> Vec<Vec<u8>> {
        let records = self.table().range(self.next..).expect("a range");
        let records: Vec<_> = records
            .take(count)
            .map(|entry| entry.expect("an entry").1.value().to_vec())
            .collect();
        self.next += records.len() as u64;
        records
    }

    fn remove(&mut self, count: usize) {
        let removed = self.oldest..self.oldest + count as u64;
        self.oldest = removed.end;
        self.write(|table| table.retain_in(removed, |_, _| false).expect("a removal"));
    }

    fn read_what_can_be(&mut self, count: u64, found: &mut dyn FnMut(u64, &[u8])) {
        let table = self.table();
        for number in 0..count {
            if let Ok(Some(data)) = table.get(number) {
                found(number, data.value());
            }
        }
    }
}

struct Fjall {
    database: Database,
    records: Keyspace,
    mode: PersistMode,
    oldest: u64,
    next: u64,
}

impl Fjall {
    fn open(folder: &Path, is_synced: bool) -> Self {
        // What is inserted goes to the operating system when a group ends, not with each record.
        let database = Database::builder(folder)
            .manual_journal_persist(true)
            .open()
            .expect("a database");
        let options = || KeyspaceCreateOptions::default().manual_journal_persist(true);
        let records = database.keyspace("records", options).expect("a keyspace");
        let mode = match is_synced {
            true => PersistMode::SyncData,
            false => PersistMode::Buffer,
        };
        Self {
            database,
            records,
            mode,
            oldest: 0,
            next: 0,
        }
    }
}

impl Store for Fjall {
    fn append(&mut self, records: &mut Records) {
        for record in records {
            let number = number_of(&record).expect("a number");
            self.records.insert(number.to_be_bytes(), record).expect("an insertion");
        }
        self.database.persist(self.mode).expect("a commit");
    }

    fn read(&mut self, count: usize) -> Vec<Vec<u8>> {
        let records = self.records.range(self.next.to_be_bytes()..).take(count);
        let records: Vec<_> = records.map(|entry| entry.value().expect("an entry").to_vec()).collect();
        self.next += records.len() as u64;
        records
    }

    fn remove(&mut self, count: usize) {
        for _ in 0..count {
            self.records.remove(self.oldest.to_be_bytes()).expect("a removal");
            self.oldest += 1;
        }
        self.database.persist(self.mode).expect("a commit");
    }

    fn read_what_can_be(&mut self, count: u64, found: &mut dyn FnMut(u64, &[u8])) {
        for number in 0..count {
            if let Ok(Some(data)) = self.records.get(number.to_be_bytes()) {
                found(number, &data);
            }
        }
    }
}

struct Queue(QueueFile);

impl Queue {
    fn open(folder: &Path, is_synced: bool) -> Self {
        let mut queue = QueueFile::open(folder.join("queue")).expect("a queue");
        queue.set_sync_writes(is_synced);
        // Otherwise what is removed is written over with zeros.
        queue.set_overwrite_on_remove(false);
        Self(queue)
    }
}

impl Store for Queue {
    fn append(&mut self, records: &mut Records) {
        self.0.add_n(records).expect("an addition");
    }

    fn read(&mut self, count: usize) -> Vec<Vec<u8>> {
        self.0.iter().take(count).collect()
    }

    fn remove(&mut self, count: usize) {
        self.0.remove_n(count).expect("a removal");
    }

    fn read_what_can_be(&mut self, _: u64, found: &mut dyn FnMut(u64, &[u8])) {
        for (number, data) in self.0.iter().enumerate() {
            found(number as u64, &data);
        }
    }
}

struct Buffer {
    buffer: SegmentBuffer<ByteBuf>,
    oldest: u64,
    next: u64,
}

impl Buffer {
    fn open(folder: &Path, is_synced: bool) -> Self {
        let durability = match is_synced {
            true => DurabilityPolicy::Maximal,
            false => DurabilityPolicy::Throughput,
        };
        let config = SegmentConfig::builder().flush_manually().durability(durability).build();
        let buffer = SegmentBuffer::open(folder, config).expect("a buffer");
        Self {
            buffer,
            oldest: 0,
            next: 0,
        }
    }
}

impl Store for Buffer {
    fn append(&mut self, records: &mut Records) {
        self.buffer.append_all(records.map(ByteBuf::from)).expect("an addition");
        self.buffer.flush().expect("a commit");
    }

    fn read(&mut self, count: usize) -> Vec<Vec<u8>> {
        let records = self.buffer.read_from(self.next, count).expect("a read");
        self.next += records.len() as u64;
        records.into_iter().map(ByteBuf::into_vec).collect()
    }

    fn remove(&mut self, count: usize) {
        self.oldest += count as u64;
        self.buffer.delete_acked(self.oldest - 1).expect("a removal");
    }

    fn read_what_can_be(&mut self, count: u64, found: &mut dyn FnMut(u64, &[u8])) {
        let mut number = 0;
        while number < count {
            match self.buffer.read_from(number, 1000) {
                Ok(records) => {
                    for record in records {
                        found(number, &record);
                        number += 1;
                    }
                }
                // The caller does not know where the segment ends.
                Err(_) => number += 1000,
            }
        }
    }
}

/// The floor: the bytes of the records, and nothing else.
struct Plain {
    file: File,
    buffer: Vec<u8>,
    is_synced: bool,
}

impl Plain {
    fn open(folder: &Path, is_synced: bool) -> Self {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.join("plain"))
            .expect("a file");
        Self {
            file,
            buffer: Vec::new(),
            is_synced,
        }
    }
}

impl Store for Plain {
    fn append(&mut self, records: &mut Records) {
        self.buffer.clear();
        for record in records {
            self.buffer.extend_from_slice(&record);
        }
        self.file.write_all(&self.buffer).expect("a write");
        if self.is_synced {
            self.file.sync_data().expect("a sync");
        }
    }

    fn read(&mut self, _: usize) -> Vec<Vec<u8>> {
        Vec::new()
    }

    fn remove(&mut self, _: usize) {}

    fn read_what_can_be(&mut self, _: u64, _: &mut dyn FnMut(u64, &[u8])) {}
}
