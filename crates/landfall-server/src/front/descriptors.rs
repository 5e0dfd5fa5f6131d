//! How many connections fit below the system's bound on open files. Log and database come first: without a descriptor
//! they cannot go on, and a client that is refused can.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are kept for the log (its segments, owed and landed, are open files), the database and the loop.
const FILES_KEPT: u64 = 1_000;

/// Raises the bound on open files as far as it is of use and allowed; how many connections fit below it, at most `wanted`.
pub(super) fn connections_max(wanted: usize) -> usize {
    let connections = wanted as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = connections.saturating_add(FILES_KEPT).min(maximum.unwrap_or(u64::MAX));
    let files = match current {
        Some(current) if current < wanted => {
            let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
            // Who may not raise it has fewer connections.
            if raised.is_ok() { wanted } else { current }
        }
        current => current.unwrap_or(u64::MAX),
    };
    share_of(files, connections)
}

/// The connections that so many files leave room for: at most half of them.
fn share_of(files: u64, connections_max: u64) -> usize {
    (files - FILES_KEPT.min(files / 2)).min(connections_max) as usize
}

#[cfg(test)]
mod tests {
    use super::share_of;

    #[test]
    fn connections_leave_descriptors_for_the_log_and_the_database() {
        for (files, connections) in
            [(64, 32), (1024, 512), (2_000, 1_000), (4_096, 3_096), (11_000, 10_000), (u64::MAX, 10_000)]
        {
            assert_eq!(share_of(files, 10_000), connections, "{files} files");
        }
    }
}
