//! A real node, in the sandbox with its control plane.
//!
//! | module | what it is |
//! |---|---|
//! | [`machine`], [`cgroups`] | the machine as the node takes it, and as it is left |
//! | [`containerd`], [`kubelet`] | what runs containers |
//! | [`images`], [`registry`] | what containers run, and where it is pulled from |
//! | [`accounts`], [`halves`] | accounts of a cloud; a registry that two of them share |
//! | [`cluster`] | all of it together, as the scenarios share it |
//! | [`release`], [`creations`] | pullcred, installed by Helm; Pods created all the while |
//! | [`secrets`], [`events`] | the words of the scenarios: what people do, and what the kubelet says |

mod accounts;
mod cgroups;
mod cluster;
mod containerd;
mod creations;
mod events;
mod halves;
mod images;
mod kubelet;
mod machine;
mod registry;
mod release;
mod secrets;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Result;
use rustix::process::{Pid, Signal, kill_process};

use self::containerd::Containerd;
pub(crate) use self::{
    accounts::AUDIENCE,
    cgroups::Groups,
    cluster::{Installed, NodeCluster},
    containerd::PAUSE_IMAGE as PRELOADED_IMAGE,
    creations::{Creations, UNSCHEDULED_IMAGE},
    events::{Events, until_phase},
    halves::{HALVES, Halves},
    registry::{Account, FIRST, SECOND, SHARED, THIRD, THIRD_ROTATED},
    release::{HOME, LOGIN, RELEASE, Tag, VALUES, lines_of},
};
use crate::{api::Api, control_plane::ControlPlane, process::Process};

/// How long a part of the node may take to end before it is killed.
const END: Duration = Duration::from_secs(10);

/// A running node. It wants [`Node::end`]; what is left of it otherwise ends with the sandbox.
#[derive(Debug)]
pub(crate) struct Node {
    kubelet: Process,
    proxy: Process,
    containerd: Containerd,
    groups: Groups,
    folder: PathBuf,
    ready_after: Duration,
}

impl Node {
    /// Starts the node around a containerd, and waits until it is ready.
    async fn start(
        containerd: Containerd,
        control_plane: &ControlPlane,
        api: &Api,
        folder: &Path,
    ) -> Result<Self> {
        let begin = Instant::now();
        let groups = Groups::make()?;
        let proxy = kubelet::start_proxy(control_plane, folder)?;
        let kubelet = kubelet::start(control_plane, api, &groups.path(), folder).await?;
        let (folder, ready_after) = (folder.to_owned(), begin.elapsed());
        Ok(Self { kubelet, proxy, containerd, groups, folder, ready_after })
    }

    /// Ends the kubelet, then what it would start again, then what only the machine remembers.
    async fn end(mut self) -> Result<()> {
        self.kubelet.terminate()?;
        let kubelet = self.kubelet.ended(END).await;
        self.kubelet.kill();
        self.proxy.kill();
        self.groups.end().await?;
        let shim = self.containerd.shim();
        self.containerd.end(END).await?;
        kill_all(&[&shim.to_string_lossy()])?;
        machine::unmount_below(&self.folder)?;
        kubelet.map(drop)
    }

    /// The ends of its logs.
    fn log_tails(&self) -> String {
        let (kubelet, proxy) = (self.kubelet.log_tail(), self.proxy.log_tail());
        [kubelet, proxy, self.containerd.log_tail()].join("\n")
    }
}

/// Kills every process of the sandbox whose command line begins with `words`, and answers how many.
pub(crate) fn kill_all(words: &[&str]) -> Result<usize> {
    let mut killed = 0;
    // `/proc` is the sandbox's own.
    for process in fs::read_dir("/proc")? {
        let process = process?;
        let pid = process.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(pid) = pid.and_then(Pid::from_raw) else { continue };
        // One that ended meanwhile has no command line.
        let line = fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
        let mut found = line.split('\0');
        if words.iter().all(|&word| found.next() == Some(word)) {
            kill_process(pid, Signal::KILL)?;
            killed += 1;
        }
    }
    Ok(killed)
}
