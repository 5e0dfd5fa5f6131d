//! How much memory this process may use: the machine's, or less where a container says so. It must never allocate to find out.

use std::path::{Path, PathBuf};

/// The memory that is available to this process, in bytes.
#[allow(clippy::useless_conversion, reason = "the field has 32 bits on machines of 32 bits")]
pub(super) fn available_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    let machine = info.totalram.saturating_mul(u64::from(info.mem_unit.max(1)));
    let limit = cgroup_limit(Path::new("/proc/self/cgroup"), Path::new("/sys/fs/cgroup"));
    limit.map_or(machine, |limit| limit.min(machine))
}

/// The smallest limit on the way from this process's control group up to the root; version 1 and version 2.
///
/// Inside a container the path of the group often does not exist, as the group is mounted at the root: then the
/// root's own files count, which the walk ends with.
fn cgroup_limit(groups: &Path, mount: &Path) -> Option<u64> {
    let groups = std::fs::read_to_string(groups).unwrap_or_default();
    let mut limits = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        if controllers.is_empty() {
            limits.extend(limits_upwards(mount.to_owned(), path, "memory.max"));
        } else if controllers.split(',').any(|name| name == "memory") {
            limits.extend(limits_upwards(mount.join("memory"), path, "memory.limit_in_bytes"));
        }
    }
    limits.into_iter().min()
}

fn limits_upwards(mount: PathBuf, path: &str, file: &str) -> Vec<u64> {
    let mut folder = mount.join(path.trim_start_matches('/'));
    let mut limits = Vec::new();
    loop {
        // `max` in version 2 is no number: no limit.
        let text = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
        limits.extend(text.trim().parse::<u64>());
        if folder == mount || !folder.pop() {
            return limits;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit_of(groups: &str, files: &[(&str, &str)]) -> Option<u64> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("groups"), groups).unwrap();
        for (path, text) in files {
            let path = folder.path().join("fs").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        cgroup_limit(&folder.path().join("groups"), &folder.path().join("fs"))
    }

    #[test]
    fn the_smallest_limit_on_the_way_up_holds() {
        let files = [("a/b/memory.max", "max\n"), ("a/memory.max", "4096\n"), ("memory.max", "8192\n")];
        assert_eq!(limit_of("0::/a/b\n", &files), Some(4096));
    }

    #[test]
    fn inside_a_container_the_root_of_the_mount_holds() {
        assert_eq!(limit_of("0::/docker/1234\n", &[("memory.max", "1073741824\n")]), Some(1 << 30));
    }

    #[test]
    fn version_one_is_read_too() {
        let files = [("memory/x/memory.limit_in_bytes", "536870912\n")];
        assert_eq!(limit_of("5:cpu,memory:/x\n2:pids:/x\n", &files), Some(1 << 29));
    }

    #[test]
    fn no_limit_is_no_limit() {
        assert_eq!(limit_of("0::/\n", &[("memory.max", "max\n")]), None);
        assert_eq!(limit_of("", &[]), None);
    }

    #[test]
    fn this_machine_has_memory() {
        assert!(available_bytes() > 1 << 24);
    }
}
