//! Landing groups: which tables land in one order, and how many lanes each group has.
//! Pure; the same catalogue gives the same groups, whatever order the tables come in.

use std::collections::BTreeMap;

use super::catalogue::Catalogue;

/// The name of the group of the key-value tables.
pub const KEY_VALUE_GROUP: &str = "key-value";

/// Tables that land together, and the lanes they have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// `key-value`, or the names of the tables, sorted and joined by `+`.
    pub name: String,
    /// The tables, sorted. Empty for the key-value tables.
    pub tables: Vec<String>,
    /// How many lanes the group's rows spread over.
    pub lanes: u32,
    /// Whether a foreign key or a second unique index asks for landing in the order of acknowledgement.
    pub ordered: bool,
}

/// The groups of a catalogue, the key-value group first and then by name.
///
/// Tables that foreign keys join form one group. A group with a foreign key or with a unique index besides the
/// primary keys has one lane, because its changes have to land in the order of their acknowledgement; every
/// other group has `lanes`.
///
/// ```
/// use landfall::model::{landing_groups, Catalogue};
/// let groups = landing_groups(&Catalogue::default(), 4);
/// assert_eq!((groups[0].name.as_str(), groups[0].lanes), ("key-value", 4));
/// ```
pub fn landing_groups(catalogue: &Catalogue, lanes: u32) -> Vec<Group> {
    let tables = catalogue.tables();
    let number: BTreeMap<&str, usize> =
        tables.iter().enumerate().map(|(at, table)| (&*table.name, at)).collect();
    let mut leader: Vec<usize> = (0..tables.len()).collect();
    for (at, table) in tables.iter().enumerate() {
        for reference in &table.references {
            if let Some(&other) = number.get(reference.table.as_str()) {
                let (a, b) = (find(&leader, at), find(&leader, other));
                leader[a.max(b)] = a.min(b);
            }
        }
    }
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for at in 0..tables.len() {
        members.entry(find(&leader, at)).or_default().push(at);
    }
    let mut groups =
        vec![Group { name: KEY_VALUE_GROUP.into(), tables: Vec::new(), lanes: lanes.max(1), ordered: false }];
    groups.extend(members.into_values().map(|members| {
        let ordered =
            members.iter().any(|&at| !tables[at].references.is_empty() || !tables[at].unique.is_empty());
        let names: Vec<String> = members.iter().map(|&at| tables[at].name.to_string()).collect();
        let lanes = if ordered || members.len() > 1 { 1 } else { lanes.max(1) };
        Group { name: names.join("+"), tables: names, lanes, ordered }
    }));
    groups[1..].sort_by(|a, b| a.name.cmp(&b.name));
    groups
}

fn find(leader: &[usize], mut at: usize) -> usize {
    while leader[at] != at {
        at = leader[at];
    }
    at
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::{Reference, Table};
    use super::*;

    fn table(name: &str, references: &[&str], unique: bool) -> Table {
        Table {
            name: name.into(),
            columns: Vec::new(),
            primary_key: vec![0],
            keyless_reason: None,
            unique: if unique { vec![vec![1]] } else { Vec::new() },
            references: references
                .iter()
                .map(|table| Reference { columns: vec![1], table: (*table).into(), cascades: false })
                .collect(),
        }
    }

    #[test]
    fn tables_joined_by_foreign_keys_share_one_lane() {
        let catalogue = Catalogue::new(
            [table("flight", &["airline"], false), table("airline", &[], false), table("page", &[], false)],
            Vec::new(),
        );
        let groups = landing_groups(&catalogue, 4);
        let shape: Vec<_> = groups.iter().map(|group| (group.name.as_str(), group.lanes)).collect();
        assert_eq!(shape, [("key-value", 4), ("airline+flight", 1), ("page", 4)]);
    }

    #[test]
    fn a_second_unique_index_asks_for_one_lane() {
        let catalogue = Catalogue::new([table("user", &[], true)], Vec::new());
        assert_eq!(landing_groups(&catalogue, 4)[1].lanes, 1);
    }
}
