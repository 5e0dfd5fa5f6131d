//! Placeholder replaced by the first parts.
