//! A child process with a log, a limit on every wait, and an end that cannot be forgotten.

use std::{
    fmt::Write as _,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// How many of a log's last lines stand in a failure's message.
const TAIL: usize = 25;

/// How often a wait looks again.
const POLL: Duration = Duration::from_millis(50);

/// A running child. Dropping it kills it and waits for it.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it prints goes to `NAME.log` in `logs`, after what is there already.
    pub(crate) fn start(name: &str, command: &mut Command, logs: &Path) -> Result<Self> {
        let log = logs.join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Runs `command` to its end, for at most `limit`, and answers what it printed. Its log has a
    /// number beside `name`.
    pub(crate) async fn run(
        name: &str,
        command: &mut Command,
        logs: &Path,
        limit: Duration,
    ) -> Result<String> {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let name = format!("{name}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut process = Self::start(&name, command, logs)?;
        let status = process.ended(limit).await?;
        ensure!(status.success(), "{command:?}: {status}\n{}", process.log_tail());
        Ok(fs::read_to_string(&process.log)?)
    }

    /// Waits until `probe` succeeds, for at most `limit`; a process that ended is not waited for.
    pub(crate) async fn ready(
        &mut self,
        limit: Duration,
        mut probe: impl AsyncFnMut() -> Result<()>,
    ) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status} before it was ready\n{}", self.name, self.log_tail());
            }
            let error = match tokio::time::timeout_at(deadline.into(), probe()).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error,
                Err(elapsed) => elapsed.into(),
            };
            if Instant::now() >= deadline {
                let tail = self.log_tail();
                bail!("{} is not ready after {limit:?}: {error:#}\n{tail}", self.name);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, with SIGTERM.
    pub(crate) fn terminate(&self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)
            .with_context(|| format!("cannot send SIGTERM to {}", self.name))
    }

    /// Waits for its end, for at most `limit`.
    pub(crate) async fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                bail!("{} still runs after {limit:?}\n{}", self.name, self.log_tail());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Ends it with SIGKILL and waits for it.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// The last lines of its log, indented, under a heading.
    pub(crate) fn log_tail(&self) -> String {
        tail_of(&self.log)
    }

    fn end(&mut self) {
        // Both fail only for a child that was already waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// The last lines of a log, indented, under a heading.
pub(crate) fn tail_of(path: &Path) -> String {
    let log = fs::read(path).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    let mut tail = format!("--- the end of {}", path.display());
    for line in &lines[lines.len().saturating_sub(TAIL)..] {
        let _ = write!(tail, "\n    {line}");
    }
    tail
}
