//! The Landfall server: the RESP front, the command line, and the sample database.
//! It sees the engine and never SQL or the log's files; only the sample opens a database by itself.

pub mod admin_token;
pub mod cli;
pub mod client;
pub mod commands;
pub mod config;
pub mod database;
pub mod demo;
#[cfg(feature = "fuzz")]
pub mod doors;
pub mod failure;
pub mod front;
#[cfg(feature = "tls")]
mod pem;
pub mod sample;
pub mod serve;
pub mod wrap;
