//! What a process takes of the machine, by `/proc`.

use std::{fs, time::Duration};

use anyhow::{Context, Result};

/// The kernel counts processor time in hundredths of a second here, whatever its own clock (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// A clock of a process's own, which runs while it has a processor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cpu {
    process: u32,
    begin: Duration,
}

// === impl Cpu ===

impl Cpu {
    pub(super) fn start(process: u32) -> Result<Self> {
        Ok(Self { process, begin: processor_time(process)? })
    }

    /// The processor time since the start.
    pub(super) fn spent(self) -> Result<Duration> {
        Ok(processor_time(self.process)?.saturating_sub(self.begin))
    }
}

fn processor_time(process: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, after_name) = stat.rsplit_once(") ").context("no name")?;
    // The fields 14 and 15 of proc(5); the first after the name is the third.
    let mut ticks = after_name.split(' ').skip(11).map(str::parse::<u32>);
    let mut next = || ticks.next().context("too few fields")?.context("not a number");
    Ok(TICK * (next()? + next()?))
}

/// The memory of a process in MiB, all of it resident.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    now: f64,
    peak: f64,
    /// Of what it has now, the pages of the program's file, which are the kernel's to drop.
    file: f64,
}

// === impl Memory ===

impl Memory {
    pub(super) fn of(process: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let field = |name: &str| -> Result<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let value =
                line.and_then(|it| it.split_whitespace().next()).context("no such field")?;
            Ok(value.parse::<f64>()? / 1024.0)
        };
        Ok(Self { now: field("VmRSS:")?, peak: field("VmHWM:")?, file: field("RssFile:")? })
    }

    /// What it has now, what it had at most, and what of it is the program's file.
    pub(super) fn show(self) -> String {
        let Self { now, peak, file } = self;
        format!("{now:.1} / {peak:.1}, of it the program's file {file:.1}")
    }

    /// The same, where it was idle at another time.
    pub(super) fn show_with_idle(self, idle: Self) -> String {
        Self { now: idle.now, ..self }.show()
    }
}
