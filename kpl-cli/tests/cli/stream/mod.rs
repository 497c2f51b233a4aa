//! `kpl put` and `kpl tail`, on a server.

mod put;
mod server;
mod tail;

#[cfg(unix)]
pub(crate) use self::server::Server;
