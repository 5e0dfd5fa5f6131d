//! Logs that older versions wrote, which must open for ever. `format_1` holds what this file says, cut behind the
//! last byte that is not zero; it was never closed, and its last group is behind the mark.

use super::*;

const FILES: [(&str, &[u8]); 5] = [
    ("data/META", include_bytes!("format_1/META")),
    ("data/notes/landed", include_bytes!("format_1/landed")),
    ("data/log/000001.seg", include_bytes!("format_1/000001.seg")),
    ("data/log/000002.seg", include_bytes!("format_1/000002.seg")),
    ("data/log/000003.seg", include_bytes!("format_1/000003.seg")),
];

fn body(n: u8) -> Vec<u8> {
    (0..n).map(|at| at.wrapping_mul(n)).collect()
}

#[test]
fn a_log_of_format_1_opens_with_all_that_is_in_it() {
    let disk = StrictDisk::default();
    for (path, bytes) in FILES {
        disk.create(Path::new(path)).unwrap().write_at(bytes, 0).unwrap();
    }
    let (log, recovery) = LocalLog::open(disk.env(1), Path::new("data"), small()).unwrap();
    assert_eq!((recovery.first_start, recovery.boot, recovery.records), (false, 2, 50));
    assert_eq!(recovery.torn_bytes, 0);
    assert_eq!(log.note("landed").unwrap().unwrap(), b"position 7");
    let lanes = log.lanes();
    let names: Vec<_> = lanes.iter().map(|(name, lane)| (name.group.as_str(), name.index, lane.0)).collect();
    assert_eq!(names, [("flight", 0, 0), ("flight", 1, 1), ("Größe", 0, 2)]);
    let records = conformance::read(&log, &[(LaneId(0), 0), (LaneId(1), 0), (LaneId(2), 0)]).unwrap();
    assert_eq!(records.len(), 50);
    for (n, record) in (0u8..).zip(&records) {
        assert_eq!(record.body, body(n));
        assert_eq!(record.lanes.len(), if n % 5 == 0 { 2 } else { 1 });
        assert_eq!(record.lanes[0].0, LaneId(u32::from(n % 2)));
    }
    assert_eq!(log.head(LaneId(2)), Head { position: 99, anchor: Anchor([9; 16]) });
    assert_eq!(log.head(LaneId(0)).position, 30);
    let hex: String = log.head(LaneId(0)).anchor.0.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "349ce4bc88ef734df6b7dd0cd44eb6f4");
}
