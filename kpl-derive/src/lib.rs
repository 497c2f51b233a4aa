//! The derive macro of [kpl](https://docs.rs/kpl).
