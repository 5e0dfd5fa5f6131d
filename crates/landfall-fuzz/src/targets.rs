//! The targets, one file each; they are listed in the crate's root.
//! A target never reads a clock, a file or chance: the same input always gives the same answer.

pub(crate) mod answers;
pub(crate) mod bodies;
pub(crate) mod config;
mod input;
pub(crate) mod keys;
mod logs;
pub(crate) mod merging;
pub(crate) mod notes;
pub(crate) mod oracle;
pub(crate) mod records;
pub(crate) mod recovery;
pub(crate) mod replies;
pub(crate) mod requests;
pub(crate) mod statements;
