//! The process itself, as its operating system counts it.

use super::metric::{Metric, Sample};

/// What the operating system counts of this process. What it does not tell is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessFigures {
    /// CPU that it used, in milliseconds.
    pub cpu_ms: Option<u64>,
    /// Its memory.
    pub resident_bytes: Option<u64>,
    /// Open files and sockets.
    pub open_fds: Option<u64>,
}

pub(super) fn metrics() -> Vec<Metric> {
    let ProcessFigures { cpu_ms, resident_bytes, open_fds } = process_figures();
    let metrics = [
        cpu_ms.map(|ms| {
            Metric::counter("process_cpu_seconds", "CPU that the process used", [Sample::seconds(ms)])
        }),
        resident_bytes.map(|bytes| {
            Metric::gauge("process_resident_memory_bytes", "Memory of the process", [Sample::of(bytes)])
        }),
        open_fds.map(|fds| Metric::gauge("process_open_fds", "Open files and sockets", [Sample::of(fds)])),
    ];
    metrics.into_iter().flatten().collect()
}

/// Nothing where the system has no `/proc`.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn process_figures() -> ProcessFigures {
    ProcessFigures::default()
}

/// CPU, memory and open files, of `/proc/self` (proc(5)). It reads files.
#[cfg(target_os = "linux")]
#[must_use]
pub fn process_figures() -> ProcessFigures {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let files = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let ticks_per_second = rustix::param::clock_ticks_per_second().max(1);
    ProcessFigures {
        cpu_ms: cpu_ticks(&stat).map(|ticks| ticks * 1_000 / ticks_per_second),
        resident_bytes: resident_bytes(&status),
        open_fds: Some(files as u64),
    }
}

/// User and system time, in clock ticks. The command's name comes first, and may contain spaces.
#[cfg(target_os = "linux")]
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

#[cfg(target_os = "linux")]
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1_024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_behind_an_odd_command() {
        let stat = "12 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0";
        assert_eq!(cpu_ticks(stat), Some(200));
        assert_eq!(resident_bytes("VmPeak:\t 9 kB\nVmRSS:\t   12 kB\n"), Some(12_288));
        assert_eq!((cpu_ticks(""), resident_bytes("")), (None, None));
        assert_eq!(metrics().len(), 3);
    }
}
