//! The control groups of a run: one group at the top of each hierarchy, below which its containers
//! are, and none of them afterwards.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long the processes of a group may take to end after SIGKILL.
const END: Duration = Duration::from_secs(10);

/// How often to look again.
const POLL: Duration = Duration::from_millis(50);

/// Names the groups of all runs; the inode of the run's PID namespace follows, which no other run has.
const PREFIX: &str = "pullcred-test-";

/// The groups of one run.
#[derive(Debug)]
pub(crate) struct Groups {
    name: String,
}

impl Groups {
    /// Makes those of the run in whose sandbox this process is.
    pub(crate) fn make() -> Result<Self> {
        let groups = Self::of_process(Path::new("/proc/self"))?;
        for hierarchy in hierarchies()? {
            let group = hierarchy.join(&groups.name);
            // The kernel may have used the number before, for a run that was killed.
            remove(&group)
                .and_then(|()| fs::create_dir(&group))
                .with_context(|| format!("cannot make {}", group.display()))?;
        }
        Ok(groups)
    }

    /// Makes the machine ready for such groups, outside of any sandbox, where all its processes are to
    /// be seen.
    pub(crate) fn prepare_machine() -> Result<()> {
        Self::sweep()?;
        for hierarchy in hierarchies()? {
            delegate(&hierarchy).with_context(|| {
                format!("cannot enable controllers below {}", hierarchy.display())
            })?;
        }
        Ok(())
    }

    /// Removes what is left of runs that were killed before they could do it.
    fn sweep() -> Result<()> {
        let mut alive = HashSet::new();
        for process in fs::read_dir("/proc")? {
            // Not all is a process, and some end meanwhile.
            alive.extend(Self::of_process(&process?.path()).map(|groups| groups.name));
        }
        for hierarchy in hierarchies()? {
            for group in fs::read_dir(hierarchy)? {
                let group = group?;
                let name = group.file_name().to_string_lossy().into_owned();
                if name.starts_with(PREFIX) && !alive.contains(&name) {
                    let path = group.path();
                    remove(&path).with_context(|| format!("cannot remove {}", path.display()))?;
                }
            }
        }
        Ok(())
    }

    fn of_process(process: &Path) -> Result<Self> {
        let namespace = fs::read_link(process.join("ns/pid"))?;
        let inode: String =
            namespace.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
        Ok(Self { name: format!("{PREFIX}{inode}") })
    }

    /// The path below every hierarchy, as the kubelet wants it.
    pub(crate) fn path(&self) -> String {
        format!("/{}", self.name)
    }

    /// Ends every process in the groups and removes them.
    pub(crate) async fn end(&self) -> Result<()> {
        let deadline = Instant::now() + END;
        for hierarchy in hierarchies()? {
            let top = hierarchy.join(&self.name);
            while let Err(error) = remove(&top) {
                if Instant::now() >= deadline {
                    return Err(error).context(format!("cannot remove {}", top.display()));
                }
                tokio::time::sleep(POLL).await;
            }
        }
        Ok(())
    }
}

/// Where control groups are mounted: several hierarchies of version 1, or the one of version 2.
fn hierarchies() -> Result<Vec<PathBuf>> {
    let table = fs::read_to_string("/proc/self/mounts")?;
    let mounts = table.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (target, kind) = (fields.next()?, fields.next()?);
        matches!(kind, "cgroup" | "cgroup2").then(|| PathBuf::from(target))
    });
    let mounts: Vec<PathBuf> = mounts.collect();
    if mounts.is_empty() {
        bail!("no control groups are mounted");
    }
    Ok(mounts)
}

/// In version 2, enables every controller for the groups below the top one, as systemd does for most.
fn delegate(hierarchy: &Path) -> io::Result<()> {
    let controllers = fs::read_to_string(hierarchy.join("cgroup.controllers")).unwrap_or_default();
    if controllers.trim().is_empty() {
        return Ok(());
    }
    let enabled = hierarchy.join("cgroup.subtree_control");
    let all = format!("+{}", controllers.trim().replace(' ', " +"));
    match fs::write(&enabled, &all) {
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
        done => return done,
    }
    // The top group of a container has processes in it, and such a group may not have controllers
    // below it ("no internal processes", cgroups(7)). So they move, as they do in Docker in Docker.
    let processes = hierarchy.join("processes");
    fs::create_dir_all(&processes)?;
    for pid in fs::read_to_string(hierarchy.join("cgroup.procs"))?.lines() {
        // One that ended meanwhile cannot move, and a kernel's thread need not.
        let _ = fs::write(processes.join("cgroup.procs"), pid);
    }
    fs::write(enabled, all)
}

/// One attempt to remove a group with all below it, after SIGKILL to every process in it.
fn remove(group: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(group) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    for pid in fs::read_to_string(group.join("cgroup.procs"))?.lines() {
        // A process of another PID namespace shows as 0.
        if let Some(pid) = pid.parse().ok().and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    fs::remove_dir(group)
}
