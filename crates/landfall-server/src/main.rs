//! Placeholder replaced by the first parts.
fn main() {}
