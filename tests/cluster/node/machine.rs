//! The machine as a node takes it: with its own files where Kubernetes writes to fixed places.
//!
//! Everything here happens in the sandbox's mount table. The machine outside keeps its `/run`, its
//! `/etc/hosts` and its kernel's settings.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};

/// Where a node writes whatever it is told: containerd's and the network plugins' sockets and names
/// of network namespaces, the kubelet's links to logs, the network plugins' cache.
const WRITTEN: [&str; 3] = ["/run", "/var/log", "/var/lib/cni"];

/// Settings of the whole kernel, with the values that a kubelet insists on. It reads and writes files
/// of the sandbox instead.
const KERNEL_SETTINGS: [(&str, &str); 6] = [
    ("kernel/keys/root_maxbytes", "25000000"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
];

/// Prepares the sandbox for a node. Host names are those of `hosts`, in the form of `/etc/hosts`.
pub(crate) fn prepare(folder: &Path, hosts: &str) -> Result<()> {
    // In a user namespace the map has other numbers, and a kubelet would be refused many things.
    let map = fs::read_to_string("/proc/self/uid_map")?;
    ensure!(
        map.split_whitespace().eq(["0", "0", "4294967295"]),
        "a kubelet and its containers take root: run the tests as root, or leave out those with a \
         node by `-- --skip node::`"
    );
    for target in WRITTEN {
        fs::create_dir_all(target)?;
        mount("tmpfs", target, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, None)
            .with_context(|| format!("cannot mount a tmpfs on {target}"))?;
    }
    replace(&folder.join("hosts"), &format!("127.0.0.1 localhost\n{hosts}"), "/etc/hosts")?;
    for (setting, value) in KERNEL_SETTINGS {
        let file = folder.join(setting.replace('/', "."));
        replace(&file, value, &format!("/proc/sys/{setting}"))?;
    }
    Ok(())
}

/// Unmounts all that is mounted below `folder`, so that it can be removed.
pub(crate) fn unmount_below(folder: &Path) -> Result<()> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    // The fifth field is where it is mounted (proc_pid_mountinfo(5)); what came last goes first.
    for target in table.lines().rev().filter_map(|line| line.split(' ').nth(4)) {
        if Path::new(target).starts_with(folder) {
            unmount(target, UnmountFlags::DETACH)
                .with_context(|| format!("cannot unmount {target}"))?;
        }
    }
    Ok(())
}

/// Puts a new `file` with `content` in the place of `target`.
fn replace(file: &Path, content: &str, target: &str) -> Result<()> {
    fs::write(file, content)?;
    mount_bind(file, target).with_context(|| format!("cannot mount a file on {target}"))
}
