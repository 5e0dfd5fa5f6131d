//! What the database says of its tables: columns, types, keys and constraints.
//! Read from the database at start; nothing here is configured by hand, and nothing is guessed.

use std::collections::HashMap;
use std::sync::Arc;

use super::Value;

/// The tables of a database, by name.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    tables: HashMap<Arc<str>, Arc<Table>>,
    unmapped: Vec<Unmapped>,
}

/// A table or view that no key leads to, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmapped {
    /// The table.
    pub table: String,
    /// What stands in the way, in plain words.
    pub reason: String,
}

/// A table that keys or events map to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The exact name.
    pub name: Arc<str>,
    /// All columns, in the table's order.
    pub columns: Vec<Column>,
    /// The columns of the primary key, as numbers into `columns`; empty: the table takes events only.
    pub primary_key: Vec<usize>,
    /// Why there is no usable key, when `primary_key` is empty.
    pub keyless_reason: Option<String>,
    /// Unique constraints and unique indexes besides the primary key.
    pub unique: Vec<Vec<usize>>,
    /// Foreign keys of this table.
    pub references: Vec<Reference>,
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The columns that refer, as numbers into the table's columns.
    pub columns: Vec<usize>,
    /// The table that is referred to.
    pub table: String,
    /// Whether deleting the referred row changes or deletes rows of this table.
    pub cascades: bool,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The exact name.
    pub name: Arc<str>,
    /// What values it takes.
    pub kind: ColumnType,
    /// The type as the database declares it, for messages.
    pub declared: String,
    /// Whether NULL is allowed.
    pub nullable: bool,
    /// Whether the database fills the column when an insert does not name it.
    pub has_default: bool,
    /// The default, where it is a constant that the column can hold; none also where the database computes it.
    pub default: Option<Value>,
    /// Whether the database computes the column; it cannot be written.
    pub generated: bool,
}

/// The kinds of values that Landfall can check before it acknowledges a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnType {
    /// true or false.
    Bool,
    /// A whole number in this range, both ends included.
    Int {
        /// The smallest value.
        min: i64,
        /// The largest value.
        max: i64,
    },
    /// An exact decimal of at most `precision` digits, `scale` of them behind the point.
    Decimal {
        /// All digits.
        precision: u32,
        /// Digits behind the point.
        scale: u32,
    },
    /// An exact decimal without declared digits; it keeps as many behind the point as were written.
    Number,
    /// A binary floating-point number of 64 bits.
    Float,
    /// A binary floating-point number of 32 bits.
    SmallFloat,
    /// Text in UTF-8 of at most so many characters.
    Text {
        /// The most characters, if limited.
        chars_max: Option<u32>,
    },
    /// Text as [`ColumnType::Text`] that forgets spaces at its end: SQL's `char(n)`.
    Padded {
        /// The most characters, if limited.
        chars_max: Option<u32>,
    },
    /// Raw bytes.
    Bytes,
    /// A date: `2025-10-01`.
    Date,
    /// A time of day: `11:19:00`.
    Time {
        /// The most digits behind the seconds, up to 6.
        digits_max: u32,
    },
    /// A date and time, in UTC and without a zone: `2025-10-01T11:19:00`.
    Timestamp {
        /// The most digits behind the seconds, up to 6.
        digits_max: u32,
    },
    /// A span of time in months, days and seconds: `P1Y2M3DT4H5M6S`.
    Interval {
        /// The most digits behind the seconds, up to 6.
        digits_max: u32,
    },
    /// A JSON document.
    Json {
        /// Whether the document may be a number alone; SQLite would make a number of its own of its text.
        bare_numbers: bool,
    },
    /// A JSON document in the one spelling that PostgreSQL's `jsonb` has.
    Jsonb,
    /// A UUID: 32 hexadecimal digits in groups.
    Uuid {
        /// Whether the database writes it in small letters, however it came; else it stays as written.
        folded: bool,
    },
    /// One of these labels.
    Enum {
        /// The labels, in their order.
        labels: Arc<[Arc<str>]>,
    },
    /// An address of a host or a network: `192.0.2.7`, `2001:db8::/32`.
    Address {
        /// Whether it is a network: its length is always written, and no bit stands behind it.
        is_network: bool,
    },
    /// A hardware address: `08:00:2b:01:02:03`.
    Mac,
    /// A list of values of one simple type, as PostgreSQL writes it: `{1,2}`.
    Array {
        /// What each element takes.
        of: Box<ColumnType>,
    },
    /// A type that Landfall does not know: its columns are readable as text and not writable.
    Unknown,
}

impl Column {
    /// Whether clients can give it values.
    pub fn is_writable(&self) -> bool {
        !self.generated && self.kind != ColumnType::Unknown
    }
}

impl ColumnType {
    /// Whether sums of it are exact.
    pub fn is_exact_number(&self) -> bool {
        matches!(self, ColumnType::Int { .. } | ColumnType::Decimal { .. } | ColumnType::Number)
    }

    /// Whether it is a binary floating-point number.
    pub fn is_float(&self) -> bool {
        matches!(self, ColumnType::Float | ColumnType::SmallFloat)
    }

    /// Whether its values are texts of a form of their own.
    pub(super) fn is_kept_as_text(&self) -> bool {
        match self {
            ColumnType::Date
            | ColumnType::Time { .. }
            | ColumnType::Timestamp { .. }
            | ColumnType::Interval { .. }
            | ColumnType::Json { .. }
            | ColumnType::Jsonb
            | ColumnType::Uuid { .. }
            | ColumnType::Enum { .. }
            | ColumnType::Address { .. }
            | ColumnType::Mac
            | ColumnType::Array { .. } => true,
            ColumnType::Bool
            | ColumnType::Int { .. }
            | ColumnType::Decimal { .. }
            | ColumnType::Number
            | ColumnType::Float
            | ColumnType::SmallFloat
            | ColumnType::Text { .. }
            | ColumnType::Padded { .. }
            | ColumnType::Bytes
            | ColumnType::Unknown => false,
        }
    }
}

impl Catalogue {
    /// A catalogue of these tables.
    pub fn new(tables: impl IntoIterator<Item = Table>, unmapped: Vec<Unmapped>) -> Catalogue {
        let tables = tables.into_iter().map(|table| (table.name.clone(), Arc::new(table))).collect();
        Catalogue { tables, unmapped }
    }

    /// The table of this exact name.
    pub fn table(&self, name: &str) -> Option<&Arc<Table>> {
        self.tables.get(name)
    }

    /// Whether no table is mapped.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// All mapped tables, by name.
    pub fn tables(&self) -> Vec<&Arc<Table>> {
        let mut tables: Vec<_> = self.tables.values().collect();
        tables.sort_by(|a, b| a.name.cmp(&b.name));
        tables
    }

    /// The tables that no key leads to.
    pub fn unmapped(&self) -> &[Unmapped] {
        &self.unmapped
    }
}

impl Table {
    /// The number of the column of this exact name.
    pub fn column_index(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| &*column.name == name)
    }

    /// The column of this exact name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.column_index(name).map(|at| &self.columns[at])
    }

    /// Whether `column` belongs to the primary key.
    pub fn is_key_column(&self, column: usize) -> bool {
        self.primary_key.contains(&column)
    }

    /// Whether a change of `column` can be refused by, or refuse, another row: part of a key, of a unique
    /// index or of a foreign key.
    pub fn is_constrained_column(&self, column: usize) -> bool {
        self.is_key_column(column)
            || self.unique.iter().any(|unique| unique.contains(&column))
            || self.references.iter().any(|reference| reference.columns.contains(&column))
    }

    /// The columns that an insert has to name: not NULL, without a default, not computed.
    pub fn required_columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| !column.nullable && !column.has_default && !column.generated)
    }
}
