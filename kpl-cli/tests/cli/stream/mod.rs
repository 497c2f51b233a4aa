//! `kpl put` and `kpl tail`, on a server.

mod put;
mod server;
mod tail;
