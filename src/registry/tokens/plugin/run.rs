//! Running a plugin: with the environment of the mapping and no other, without a shell, and not for longer than the kubelet
//! would.

use std::{
    io,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
};
use zeroize::Zeroizing;

use crate::{core::rules::Plugin, registry::tokens::plugin::PluginProblem};

/// The longest answer of a plugin, in bytes.
const STDOUT_MAX: usize = 1 << 20;

/// Runs a plugin of a folder, gives it a request, and returns what it writes to standard output.
///
/// It is the leader of a process group, which is killed when it has ended or the time is over, so that nothing that it started
/// goes on. What it writes to standard error is counted and dropped.
///
/// # Errors
///
/// [`PluginProblem`]
pub async fn run(
    folder: &Path,
    plugin: &Plugin,
    request: &[u8],
    limit: Duration,
) -> Result<Zeroizing<Vec<u8>>, PluginProblem> {
    let mut command = Command::new(folder.join(&*plugin.name));
    command.args(plugin.args.iter().map(|it| &**it)).env_clear();
    command.envs(plugin.env.iter().map(|(name, value)| (&**name, &**value)));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.current_dir("/").process_group(0);
    let failed =
        |error: &io::Error| PluginProblem::Start { name: plugin.name.clone(), why: error.kind() };
    let mut child = command.spawn().map_err(|error| failed(&error))?;
    let group = Group::of(&child);
    let talked = tokio::time::timeout(limit, talk(&mut child, &group, request)).await;
    group.kill();
    let Ok(talked) = talked else {
        // It must not stay a zombie.
        let _ = child.wait().await;
        return Err(PluginProblem::Slow(limit.as_secs()));
    };
    let (stdout, stderr, status) = match talked {
        Ok(talked) => talked,
        Err(problem) => {
            let _ = child.wait().await;
            return Err(problem);
        }
    };
    match status {
        Ok(status) if status.success() => Ok(stdout),
        Ok(status) => Err(PluginProblem::Failed { status, stderr }),
        Err(error) => Err(failed(&error)),
    }
}

type Talked = (Zeroizing<Vec<u8>>, u64, io::Result<ExitStatus>);

/// Writes the request, and reads both outputs to their ends.
async fn talk(child: &mut Child, group: &Group, request: &[u8]) -> Result<Talked, PluginProblem> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A plugin that reads nothing is judged by its answer.
            let _ = stdin.write_all(request).await;
        }
        Ok(())
    };
    let read = async {
        let mut stdout = stdout.ok_or(PluginProblem::Answer("cannot be read"))?;
        let mut bytes = Zeroizing::new(vec![0; STDOUT_MAX + 1]);
        let mut length = 0;
        loop {
            let read = stdout.read(&mut bytes[length..]).await;
            match read.map_err(|_| PluginProblem::Answer("cannot be read"))? {
                0 => break,
                read => length += read,
            }
            if length > STDOUT_MAX {
                return Err(PluginProblem::Flood);
            }
        }
        bytes.truncate(length);
        Ok(bytes)
    };
    let count = async { Ok(count(stderr).await) };
    let end = async {
        let status = child.wait().await;
        // What it started may hold the outputs open.
        group.kill();
        Ok(status)
    };
    let ((), stdout, stderr, status) = tokio::try_join!(write, read, count, end)?;
    Ok((stdout, stderr, status))
}

async fn count(stderr: Option<impl AsyncRead + Unpin>) -> u64 {
    let Some(mut stderr) = stderr else { return 0 };
    let mut buffer = Zeroizing::new([0; 4096]);
    let mut bytes = 0;
    while let Ok(read @ 1..) = stderr.read(&mut buffer[..]).await {
        bytes += read as u64;
    }
    bytes
}

/// A process group, which is killed when this goes: also where the future that runs the plugin is dropped.
struct Group(Option<Pid>);

impl Group {
    /// The group that a child leads.
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    fn kill(&self) {
        if let Some(group) = self.0 {
            // All of it may be gone.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
