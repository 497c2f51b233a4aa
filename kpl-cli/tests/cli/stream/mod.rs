//! `kpl put`, `kpl tail` and `kpl spool`, on a server.

mod put;
mod server;
mod spool;
mod tail;

#[cfg(unix)]
pub(crate) use self::server::Server;
