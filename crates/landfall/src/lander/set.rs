//! Decides which groups land together. Pure.
//! Groups land apart unless the next record of one belongs to others too: then they land in one transaction.

use std::collections::BTreeSet;

/// The groups that have to land in one transaction with `start`.
///
/// `joint[g]` names the groups of the next record of `g`, when that record belongs to several; it is empty when
/// `g` can go on alone. The set is closed: a group that is drawn in draws in those that its own next record
/// needs, because that record comes before the one it was drawn in for.
pub(super) fn landing_set(start: usize, joint: &[BTreeSet<usize>]) -> BTreeSet<usize> {
    let mut set = BTreeSet::new();
    let mut open = vec![start];
    while let Some(group) = open.pop() {
        if set.insert(group) {
            open.extend(joint[group].iter().copied());
        }
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_closed_over_the_pending_heads() {
        // (start, next records, set)
        type Case = (usize, [&'static [usize]; 4], &'static [usize]);
        let table: [Case; 5] = [
            (0, [&[], &[], &[], &[]], &[0]),
            (0, [&[0, 1], &[], &[], &[]], &[0, 1]),
            (1, [&[0, 1], &[], &[], &[]], &[1]),
            (0, [&[0, 1], &[1, 2], &[], &[]], &[0, 1, 2]),
            (0, [&[0, 3], &[], &[2, 3], &[2, 3]], &[0, 2, 3]),
        ];
        for (start, joint, expected) in table {
            let joint = joint.map(|groups| groups.iter().copied().collect());
            let set: Vec<usize> = landing_set(start, &joint).into_iter().collect();
            assert_eq!(set, expected, "from {start} with {joint:?}");
        }
    }
}
