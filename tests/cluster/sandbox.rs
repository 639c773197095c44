//! A place of the run's own: a network, a process tree and a mount table that nothing outside sees.
//!
//! The test program executes itself again through util-linux `unshare`. Inside,
//!
//! * it is process 1 of a PID namespace: when it ends, however it ends, the kernel ends everything
//!   that was ever started in there, daemons with two forks included;
//! * the network has a loopback and one node address, and no way out, so fixed addresses and counted
//!   ports never meet those of another run, and the `Service` of a test can point at an address that
//!   is not on loopback (the API server refuses `EndpointSlice`s that are);
//! * mounts go when the last process goes.
//!
//! As an ordinary user this takes a user namespace too, which some distributions switch off.

use std::{
    env,
    io::Write,
    net::{IpAddr, Ipv4Addr},
    os::unix::process::CommandExt,
    process::{self, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{node::Groups, programs::Programs, stage::say};

/// The address of this machine as a node: not loopback, and known in this sandbox only.
pub(crate) const NODE_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 99, 0, 1));

/// Set for the second execution: where the [`Programs`] are, as JSON.
const PROGRAMS: &str = "PULLCRED_CLUSTER_PROGRAMS";

/// A veth pair carries the node's address, because a kernel may lack the dummy device. The default
/// route leads nowhere: the API server and the kubelet look for one to learn their own address.
const NETWORK: &str = "\
link set lo up
link add node0 type veth peer name node1
link set node1 up
address add 10.99.0.1/24 dev node0
link set node0 up
route add default dev node0
";

/// Proof of being inside, with what was prepared outside, where there still is a network.
#[derive(Debug)]
pub(crate) struct Sandbox {
    programs: Programs,
}

impl Sandbox {
    /// Enters the sandbox: outside it builds the programs and executes this program again, and so
    /// returns only inside, or with an error.
    pub(crate) fn enter(with_node: bool) -> Result<Self> {
        // Process 1 as well as marked: a variable alone must not have us configure somebody's network.
        if let Ok(programs) = env::var(PROGRAMS)
            && process::id() == 1
        {
            let programs = serde_json::from_str(&programs).context(PROGRAMS)?;
            configure_network()?;
            return Ok(Self { programs });
        }
        if with_node && let Err(error) = Groups::prepare_machine() {
            // The node will say so again; the other scenarios can do without.
            say(&format!("control groups: {error:#}"));
        }
        let programs = Programs::build(with_node)?;
        let namespaces = permitted_namespaces()?;
        let failure = Command::new("unshare")
            .args(namespaces)
            .arg(env::current_exe()?)
            .args(env::args_os().skip(1))
            .env(PROGRAMS, serde_json::to_string(&programs)?)
            .envs_without_proxies()
            .exec();
        Err(failure).context("cannot run `unshare` of util-linux")
    }

    /// What was built outside.
    pub(crate) fn programs(&self) -> &Programs {
        &self.programs
    }
}

/// A port that nobody else in the sandbox has: counted up, below the range from which the kernel
/// takes the local ports of outgoing connections. Asking the kernel for a free port and giving it
/// back would race with those.
pub(crate) fn next_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The arguments of `unshare`: with a user namespace only where it takes one.
fn permitted_namespaces() -> Result<&'static [&'static str]> {
    const ALL: [&str; 6] =
        ["--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--map-root-user"];
    let without_user = &ALL[..ALL.len() - 1];
    let mut refusal = String::new();
    for arguments in [without_user, &ALL] {
        let output = Command::new("unshare")
            .args(arguments)
            .arg("true")
            .output()
            .context("cannot run `unshare` of util-linux")?;
        if output.status.success() {
            return Ok(arguments);
        }
        refusal = String::from_utf8_lossy(&output.stderr).into_owned();
    }
    bail!(
        "the cluster tests run in namespaces of their own, and `unshare {}` says: {}. Run them as \
         root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, \
         kernel.apparmor_restrict_unprivileged_userns=0)",
        ALL.join(" "),
        refusal.trim()
    )
}

fn configure_network() -> Result<()> {
    let mut ip = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .context("cannot run `ip` of iproute2")?;
    ip.stdin.take().context("no standard input")?.write_all(NETWORK.as_bytes())?;
    let status = ip.wait()?;
    ensure!(status.success(), "`ip` could not set up the sandbox's network: {status}");
    Ok(())
}

trait WithoutProxies {
    /// Drops the proxies of the surroundings: nothing in the sandbox could reach one.
    fn envs_without_proxies(&mut self) -> &mut Self;
}

impl WithoutProxies for Command {
    fn envs_without_proxies(&mut self) -> &mut Self {
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            self.env_remove(name).env_remove(name.to_lowercase());
        }
        self
    }
}
