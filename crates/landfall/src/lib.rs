//! Landfall: a write-behind cache for SQL databases.

#![deny(missing_docs)]

pub mod buffer;
pub mod env;
pub mod error;
pub mod lander;
pub mod model;
pub mod settings;
pub mod sink;
