//! What a process, and the kernel on its behalf, has used: read from `/proc`.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::Context as _;

/// Memory that goes on falling is taken as it is after this long; stalled peers are let go a little later.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The processes of a server: those that were named, and their children.
#[derive(Debug)]
pub(super) struct Processes(Vec<u32>);

impl Processes {
    /// `None` where none was named.
    pub(super) fn of(named: &[u32]) -> Option<Self> {
        let mut pids = named.to_vec();
        let mut next = 0;
        while let Some(pid) = pids.get(next) {
            let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
            // What has no children, or is gone, has none to add.
            let children =
                tasks.map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default());
            let children: Vec<u32> = children
                .flat_map(|line| line.split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
                .collect();
            pids.extend(children.into_iter().filter(|child| !named.contains(child)));
            next += 1;
        }
        (!pids.is_empty()).then_some(Self(pids))
    }

    fn cpu(&self) -> anyhow::Result<Duration> {
        self.0.iter().map(|pid| cpu(*pid)).sum()
    }

    fn resident(&self) -> anyhow::Result<u64> {
        self.0.iter().map(|pid| resident(*pid)).sum()
    }
}

/// CPU that a process has used, user and system, all threads that live.
pub(super) fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let mut nanoseconds = 0;
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    for thread in threads.with_context(|| format!("there is no process {pid}"))? {
        // A thread may end while we look.
        let Ok(used) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        nanoseconds += used.split(' ').next().unwrap_or_default().parse::<u64>().unwrap_or(0);
    }
    // `stat` has the same in hundredths of a second; it is all there is in a kernel without these figures.
    if nanoseconds > 0 { Ok(Duration::from_nanos(nanoseconds)) } else { coarse_cpu(pid) }
}

fn coarse_cpu(pid: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let mut fields = stat.rsplit(')').next().unwrap_or_default().split(' ').skip(12);
    // proc(5): fields 14 and 15; the first two went with the name.
    let mut ticks = || fields.next().and_then(|field| field.parse::<u64>().ok()).context("no CPU in stat");
    Ok(Duration::from_millis((ticks()? + ticks()?) * 10))
}

/// Resident memory in bytes.
pub(super) fn resident(pid: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("there is no process {pid}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

/// Resident memory once it did not fall for this long. `idle` is called meanwhile, so that sockets are read.
pub(super) fn settled(
    server: &Processes,
    after: Duration,
    mut idle: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<u64> {
    let begin = Instant::now();
    let (mut lowest, mut since) = (u64::MAX, begin);
    while since.elapsed() < after && begin.elapsed() < TIMEOUT {
        let bytes = server.resident()?;
        if bytes < lowest {
            (lowest, since) = (bytes, Instant::now());
        }
        idle()?;
    }
    Ok(lowest)
}

/// Memory of the kernel for all TCP sockets of this machine, both ends, in bytes.
pub(super) fn tcp_memory() -> anyhow::Result<u64> {
    let stat = fs::read_to_string("/proc/net/sockstat").context("no figures of sockets")?;
    let tcp = stat.lines().find_map(|line| line.strip_prefix("TCP:")).context("no TCP in sockstat")?;
    let pages = tcp.split(' ').skip_while(|word| *word != "mem").nth(1).context("no mem in sockstat")?;
    Ok(pages.parse::<u64>()? * rustix::param::page_size() as u64)
}

/// What was used while something was measured.
pub(super) struct Usage {
    pub lasted: Duration,
    /// Of the server, where its process is known.
    pub server: Option<Duration>,
    /// Of the load itself: near one core of it, and the load was the bottleneck.
    pub load: Duration,
}

/// Something is being measured.
pub(super) struct Window<'a> {
    server: Option<(&'a Processes, Duration)>,
    load: Duration,
    begin: Instant,
}

impl<'a> Window<'a> {
    pub(super) fn open(server: Option<&'a Processes>) -> anyhow::Result<Self> {
        let server = server.map(|server| anyhow::Ok((server, server.cpu()?))).transpose()?;
        Ok(Self { server, load: cpu(std::process::id())?, begin: Instant::now() })
    }

    pub(super) fn close(&self) -> anyhow::Result<Usage> {
        let lasted = self.begin.elapsed();
        let server = self.server.map(|(server, before)| anyhow::Ok(server.cpu()?.saturating_sub(before)));
        let load = cpu(std::process::id())?.saturating_sub(self.load);
        Ok(Usage { lasted, server: server.transpose()?, load })
    }
}
