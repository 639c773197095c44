//! Starts a webhook several times, for `benches/run.sh`.
//!
//! `start TIMES PROBES PROGRAM ARGUMENTS…` prints for each start the µs from exec to the first 200 of `/readyz` at the address
//! PROBES, and the KiB in memory (RSS) a tenth of a second later. It takes next to no processor time between two probes.

use std::{
    env,
    error::Error,
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Between two probes.
const PAUSE: Duration = Duration::from_micros(50);
/// What the process does once it is ready, it has done by then.
const AT_REST: Duration = Duration::from_millis(100);
/// No start takes so long.
const LIMIT: Duration = Duration::from_secs(10);

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [times, probes, program, arguments @ ..] = arguments.as_slice() else {
        return Err("usage: start TIMES PROBES PROGRAM ARGUMENTS…".into());
    };
    for _ in 0..times.parse()? {
        let begin = Instant::now();
        let mut webhook = Command::new(program).args(arguments).stderr(Stdio::null()).spawn()?;
        let ready = until_ready(probes, begin);
        sleep(AT_REST);
        let memory = memory(webhook.id());
        webhook.kill()?;
        webhook.wait()?;
        #[expect(clippy::print_stdout, reason = "the result of the benchmark")]
        {
            println!("{} {}", ready?.as_micros(), memory?);
        }
    }
    Ok(())
}

fn until_ready(probes: &str, begin: Instant) -> Result<Duration> {
    while !is_ready(probes).unwrap_or(false) {
        if begin.elapsed() > LIMIT {
            return Err("the webhook is not ready: start it by hand to see why".into());
        }
        sleep(PAUSE);
    }
    Ok(begin.elapsed())
}

fn is_ready(probes: &str) -> Result<bool> {
    let mut connection = TcpStream::connect(probes)?;
    connection.write_all(b"GET /readyz HTTP/1.0\r\n\r\n")?;
    let mut head = [0; 12];
    connection.read_exact(&mut head)?;
    Ok(head.ends_with(b" 200"))
}

/// The KiB of a process in memory.
fn memory(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    Ok(line.and_then(|it| it.split_whitespace().next()).ok_or("no VmRSS")?.parse()?)
}
