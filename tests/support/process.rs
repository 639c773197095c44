//! The real binary as a process: started on free ports, ended by its pid.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A webhook that serves.
pub(crate) struct Webhook {
    child: KilledOnDrop,
    logs: Receiver<Value>,
    /// Where it serves admission.
    pub(crate) address: SocketAddr,
    /// Where it serves probes.
    pub(crate) admin: SocketAddr,
}

/// The binary with `pullcred webhook` and free ports on loopback.
pub(crate) fn command(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pullcred"));
    command
        .args(["webhook", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    command
}

impl Webhook {
    /// Starts `command` and waits until it serves.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (sender, logs) = channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let child = KilledOnDrop(child);
        let mut webhook = Self { child, logs, address: unknown, admin: unknown };
        let serving = webhook.wait_for_log("serving");
        webhook.address = serving["address"].as_str().unwrap().parse().unwrap();
        webhook.admin = serving["admin_address"].as_str().unwrap().parse().unwrap();
        webhook
    }

    /// The next line of the log with `message`.
    pub(crate) fn wait_for_log(&self, message: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.logs.recv_timeout(left) {
                Ok(line) if line["message"] == message => return line,
                Ok(_) => {}
                Err(error) => panic!("no line {message:?} in the log: {error}"),
            }
        }
    }

    /// The lines of the log until the process ends.
    pub(crate) fn rest_of_log(&self) -> Vec<Value> {
        self.logs.iter().collect()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let sent =
            Command::new("kill").args(["-s", signal, &self.child.0.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for the process to end by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait(&mut self.child.0)
    }
}

/// Runs a command that must end by itself, and soon; it is killed otherwise.
pub(crate) fn output(command: &mut Command) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Its few lines fit in the pipes.
    let mut child = KilledOnDrop(child);
    wait(&mut child.0);
    let mut output = Output { status: child.0.wait().unwrap(), stdout: vec![], stderr: vec![] };
    child.0.stdout.take().unwrap().read_to_end(&mut output.stdout).unwrap();
    child.0.stderr.take().unwrap().read_to_end(&mut output.stderr).unwrap();
    output
}

fn wait(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("the process does not end");
}

struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        // It may have ended already, which is as well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
