//! How much memory is left for this program: the least of what the system, its container and its own limit allow.

#[cfg(target_os = "linux")]
use std::path::Path;

/// Bytes that the program can still take; none where the system does not say.
pub fn available() -> Option<u64> {
    limits().into_iter().flatten().min()
}

#[cfg(target_os = "linux")]
fn limits() -> [Option<u64>; 3] {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    [
        read("/proc/meminfo").and_then(|text| kilobytes(&text, "MemAvailable:")),
        read("/proc/self/limits").zip(read("/proc/self/status")).and_then(|(limits, status)| address_space(&limits, &status)),
        read("/proc/self/cgroup").and_then(|text| control_group(&text)),
    ]
}

#[cfg(not(target_os = "linux"))]
fn limits() -> [Option<u64>; 1] {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    // 0 is what it answers on systems that it does not know.
    [Some(system.available_memory()).filter(|&bytes| bytes > 0)]
}

/// `Name:   1234 kB` among the lines of a file of /proc, in bytes.
#[cfg(target_os = "linux")]
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// What `ulimit -v` leaves.
#[cfg(target_os = "linux")]
fn address_space(limits: &str, status: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    let most: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(most.saturating_sub(kilobytes(status, "VmSize:")?))
}

/// What the container leaves: its group and each group above it has a limit of its own.
#[cfg(target_os = "linux")]
fn control_group(own: &str) -> Option<u64> {
    own.lines().find_map(|line| {
        // One hierarchy for everything, as it is by now, or the one for memory alone.
        let (root, path, names) = match line.splitn(3, ':').collect::<Vec<_>>()[..] {
            ["0", "", path] => ("/sys/fs/cgroup", path, ["memory.max", "memory.current", "inactive_file"]),
            [_, "memory", path] => {
                ("/sys/fs/cgroup/memory", path, ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"])
            }
            _ => return None,
        };
        let root = Path::new(root);
        let group = root.join(path.trim_start_matches('/'));
        group.ancestors().take_while(|folder| folder.starts_with(root)).filter_map(|folder| left_in(folder, names)).min()
    })
}

/// What a group leaves, where it has a limit. Pages of files that were read count as used there, but the system takes them back when it
/// needs them.
#[cfg(target_os = "linux")]
fn left_in(group: &Path, [limit, used, files]: [&str; 3]) -> Option<u64> {
    let read = |name: &str| std::fs::read_to_string(group.join(name)).ok();
    let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
    let statistics = read("memory.stat").unwrap_or_default();
    let in_files = statistics.lines().find_map(|line| line.strip_prefix(files)?.trim().parse().ok()).unwrap_or(0);
    Some(number(limit)?.saturating_sub(number(used)?.saturating_sub(in_files)))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_machine_says_how_much_is_left() {
        let left = available().unwrap();
        assert!(left > 1_000_000 && left < 1 << 50, "{left}");
    }

    #[test]
    fn a_container_leaves_its_limit_without_what_it_uses_and_files_can_give_back() {
        let group = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(group.path().join(name), text).unwrap();
        let left = || left_in(group.path(), ["memory.max", "memory.current", "inactive_file"]);
        write("memory.max", "1000000\n");
        write("memory.current", "900000\n");
        write("memory.stat", "anon 500000\ninactive_file 300000\n");
        assert_eq!(left(), Some(400_000));
        write("memory.max", "max\n");
        assert_eq!(left(), None);
    }

    #[test]
    fn figures_of_the_system_are_read_as_it_writes_them() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max address space         3221225472           unlimited            bytes\n";
        let status = "Name:\tduia\nVmPeak:\t  200000 kB\nVmSize:\t  100000 kB\n";
        assert_eq!(address_space(limits, status), Some(3_221_225_472 - 102_400_000));
        assert_eq!(address_space(&limits.replace("3221225472", "unlimited "), status), None);
        assert_eq!(address_space(&limits.replace("3221225472", "1000000   "), status), Some(0));
        assert_eq!(kilobytes("MemTotal: 9 kB\nMemAvailable:   15 kB\n", "MemAvailable:"), Some(15_360));
        assert_eq!(kilobytes("MemAvailable: many kB\n", "MemAvailable:"), None);
    }
}
