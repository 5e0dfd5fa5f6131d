//! The nouns of Landfall: values, rows, changes, lanes and the catalogue.
//! Pure data and pure functions; nothing here may touch a clock, a disk or a database.

pub mod catalogue;
pub mod catalogue_note;
pub mod change;
pub mod codec;
pub mod group;
pub mod incident;
pub mod lane;
pub mod letter;
pub mod mapping;
pub mod name;
pub mod row;
pub mod start;
pub mod stream;
pub mod types;
pub mod value;

pub use catalogue::{Catalogue, Column, ColumnType, Reference, Table, Unmapped};
pub use change::{Change, LoggedChange, Op, RowState, Upsert};
pub use group::{Group, landing_groups};
pub use incident::{Incident, IncidentKind};
pub use lane::{Anchor, Epoch, LaneId, Lineage, Position, Watermark};
pub use letter::{Intent, Letter, LetterKey, Reason};
pub use name::Name;
pub use row::RowKey;
pub use start::{LaneRow, Owner, Start};
pub use stream::{EntryId, StreamHead};
pub use value::Value;
