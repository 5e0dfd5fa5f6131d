//! The settings for rows that the database refuses.
//! They are part of the one table, and only that names them.

use super::{Flag, Form, Setting};
use crate::config::text::{count, show_size, size};

/// `refusals-max`.
pub(super) const REFUSALS_MAX: Setting = Setting {
    name: "refusals-max",
    flag: Flag::None,
    form: Form::Count { of: None },
    default: "5",
    doc: "So often is a landing refused before its rows are looked at one by one and the guilty ones become dead letters",
    reason: "A second or so, in which another program may bring what is missing",
    set: |draft, text| {
        let few = |number| u32::try_from(number).map_err(|_| "write a smaller number".to_owned());
        count(text).and_then(few).map(|number| draft.settings.refusals_max = number)
    },
    show: |draft| Some(draft.settings.refusals_max.to_string()),
};

/// `hold-rows`.
pub(super) const HOLD_ROWS: Setting = Setting {
    name: "hold-rows",
    flag: Flag::None,
    form: Form::Count { of: None },
    default: "100",
    doc: "From so many rows on that are refused for one reason in a row, nothing is parked and the group is held",
    reason: "More than one would look at one by one: then the table is at fault, and not the rows",
    set: |draft, text| count(text).map(|number| draft.settings.hold_rows_min = number),
    show: |draft| Some(draft.settings.hold_rows_min.to_string()),
};

/// `hold-share`.
pub(super) const HOLD_SHARE: Setting = Setting {
    name: "hold-share",
    flag: Flag::None,
    form: Form::Text("PERCENT"),
    default: "50%",
    doc: "Rows count for hold-rows when they are this share of what lands at once",
    reason: "More is refused than not",
    set: |draft, text| {
        let number = text.strip_suffix('%').ok_or("write a share, as in 50%".to_owned())?;
        count(number).map(|number| draft.settings.hold_share_percent = number)
    },
    show: |draft| Some(format!("{}%", draft.settings.hold_share_percent)),
};

/// `dead-letters-max`.
pub(super) const DEAD_LETTERS_MAX: Setting = Setting {
    name: "dead-letters-max",
    flag: Flag::None,
    form: Form::Count { of: None },
    default: "10_000",
    doc: "At so many dead letters nothing more is parked and the group is held",
    reason: "More than a person reads; a program that went wrong must not fill the database",
    set: |draft, text| count(text).map(|number| draft.settings.dead_letters_max = number),
    show: |draft| Some(draft.settings.dead_letters_max.to_string()),
};

/// `dead-letters-bytes-max`.
pub(super) const DEAD_LETTERS_BYTES_MAX: Setting = Setting {
    name: "dead-letters-bytes-max",
    flag: Flag::None,
    form: Form::Size { of: None },
    default: "64MiB",
    doc: "At so many bytes of dead letters nothing more is parked and the group is held",
    reason: "They are kept in memory too, and the largest record of the log fits",
    set: |draft, text| size(text).map(|bytes| draft.settings.dead_letters_bytes_max = bytes),
    show: |draft| Some(show_size(draft.settings.dead_letters_bytes_max)),
};
