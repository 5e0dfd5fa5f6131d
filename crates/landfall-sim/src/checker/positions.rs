//! Decides from the positions that acknowledged writes were told whether each was given once, and in the order of the answers.
//! It knows nothing of values; what a write did is decided by the rest of the checker.

use std::collections::BTreeMap;

/// An acknowledged write with its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The log's lineage.
    pub lineage: String,
    /// The lane.
    pub lane: u32,
    /// The position in the lane.
    pub position: u64,
    /// When it was sent, in nanoseconds of one clock.
    pub invoked_ns: u64,
    /// When it was answered.
    pub returned_ns: u64,
}

/// What is wrong, in sentences; nothing when every position was given once, and a write that was answered before another
/// was sent has the lower position in their lane. It takes n log n.
pub fn check_positions(placed: &[Placed]) -> Vec<String> {
    let mut lanes: BTreeMap<(&str, u32), Vec<&Placed>> = BTreeMap::new();
    for one in placed {
        lanes.entry((&one.lineage, one.lane)).or_default().push(one);
    }
    let mut found = Vec::new();
    for ((_, lane), mut writes) in lanes {
        writes.sort_by_key(|write| (write.position, write.invoked_ns));
        for pair in writes.windows(2).filter(|pair| pair[0].position == pair[1].position) {
            found.push(format!("position {} of lane {lane} was given to two writes", pair[0].position));
        }
        // Of the lower positions, the write that was sent last.
        let mut last: Option<&Placed> = None;
        for write in writes {
            if let Some(last) = last.filter(|last| write.returned_ns < last.invoked_ns) {
                found.push(format!(
                    "lane {lane}: position {} was sent after position {} had been answered",
                    last.position, write.position
                ));
            }
            if last.is_none_or(|last| last.invoked_ns < write.invoked_ns) {
                last = Some(write);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(position: u64, invoked_ns: u64, returned_ns: u64) -> Placed {
        Placed { lineage: "a".into(), lane: 1, position, invoked_ns, returned_ns }
    }

    #[test]
    fn positions_in_the_order_of_the_answers_are_right_and_so_are_those_of_writes_that_overlap() {
        assert_eq!(
            check_positions(&[write(1, 0, 10), write(2, 11, 20), write(9, 12, 30)]),
            Vec::<String>::new()
        );
        assert_eq!(check_positions(&[write(2, 0, 10), write(1, 5, 20)]), Vec::<String>::new());
    }

    #[test]
    fn a_position_that_is_given_twice_is_found_in_one_lane_of_one_log_only() {
        let other_log = Placed { lineage: "b".into(), ..write(1, 50, 60) };
        let other_lane = Placed { lane: 2, ..write(1, 50, 60) };
        assert_eq!(check_positions(&[write(1, 0, 10), other_log, other_lane]), Vec::<String>::new());
        assert_eq!(
            check_positions(&[write(1, 0, 10), write(1, 50, 60)]),
            ["position 1 of lane 1 was given to two writes"]
        );
    }

    #[test]
    fn a_later_write_with_a_lower_position_is_found_whatever_lies_between() {
        let found = check_positions(&[write(5, 0, 10), write(3, 90, 99), write(4, 1, 95)]);
        assert_eq!(found, ["lane 1: position 3 was sent after position 5 had been answered"]);
    }
}
