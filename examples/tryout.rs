//! pullcred at work on this machine: serves with a certificate made in memory and the example mapping, sends itself the
//! example AdmissionReview, prints the Pod's list before and after, and stays up until Ctrl-C. `make run` does it.

use std::{
    env,
    error::Error,
    fs,
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    thread,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use pullcred::shutdown::Signals;
use serde_json::Value;

#[path = "../tests/support/client.rs"]
#[expect(dead_code, clippy::expect_used, clippy::unwrap_used, reason = "it is the tests' client")]
mod client;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const MAPPING: &str = "examples/pullcred.yaml";
const REVIEW: &str = "examples/admission-review.json";

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "to show is what it is for")]
async fn main() -> Result<()> {
    env::set_current_dir(env!("CARGO_MANIFEST_DIR"))?;
    let webhook = Webhook::start()?;
    let address = webhook.address;
    println!("pullcred serves https://{address}/mutate by the mapping {MAPPING}\n");

    let review = fs::read_to_string(REVIEW)?;
    let mut pod: Value = serde_json::from_str::<Value>(&review)?["request"]["object"].take();
    println!("A Pod, as an API server asks about it ({REVIEW}):");
    show(&pod);

    let answer = client::Connection::tls(address).await.review(review).await?;
    let answer: Value = serde_json::from_slice(&answer.body)?;
    let patch = answer["response"]["patch"].as_str().ok_or("the answer holds no patch")?;
    let patch = BASE64_STANDARD.decode(patch)?;
    println!("\nThe patch that pullcred answers:\n  {}", String::from_utf8_lossy(&patch));
    let patch: json_patch::Patch = serde_json::from_slice(&patch)?;
    json_patch::patch(&mut pod, &patch)?;
    println!("\nThe Pod, as the API server then stores it:");
    show(&pod);

    println!("\nAsk it something yourself:");
    println!(
        "  curl --insecure --header 'Content-Type: application/json' --data @{REVIEW} https://{address}/mutate"
    );
    println!("  curl 'http://{}/readyz?verbose'", webhook.admin);
    println!("Ctrl-C ends it.");
    webhook.stay().await
}

#[expect(clippy::print_stdout, reason = "to show is what it is for")]
fn show(pod: &Value) {
    let spec = &pod["spec"];
    for list in ["initContainers", "containers"] {
        for container in spec[list].as_array().into_iter().flatten() {
            println!("  {list}: {}", container["image"].as_str().unwrap_or_default());
        }
    }
    println!("  imagePullSecrets: {}", spec.get("imagePullSecrets").unwrap_or(&Value::Null));
}

/// The webhook, on free ports.
struct Webhook {
    child: Child,
    log: Option<BufReader<ChildStderr>>,
    address: SocketAddr,
    admin: SocketAddr,
}

impl Webhook {
    fn start() -> Result<Self> {
        let mut child = Command::new(binary()?)
            .args(["webhook", "--tls-self-signed", "--config", MAPPING])
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .spawn()?;
        let mut log = BufReader::new(child.stderr.take().ok_or("no standard error")?);
        loop {
            let mut line = String::new();
            if log.read_line(&mut line)? == 0 {
                return Err("pullcred did not start".into());
            }
            let Ok(line) = serde_json::from_str::<Value>(&line) else {
                return Err(line.into());
            };
            if line["message"] == "serving" {
                let address = |field: &str| line[field].as_str().unwrap_or_default().parse();
                let (address, admin) = (address("address")?, address("admin_address")?);
                return Ok(Self { child, log: Some(log), address, admin });
            }
        }
    }

    /// Shows the log until a signal comes.
    #[expect(clippy::print_stderr, reason = "a log goes to standard error")]
    async fn stay(mut self) -> Result<()> {
        let log = self.log.take();
        thread::spawn(move || {
            for line in log.into_iter().flat_map(BufRead::lines).map_while(io::Result::ok) {
                eprintln!("{line}");
            }
        });
        Signals::catch()?.next().await;
        Ok(())
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        // It may have ended already, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary, which cargo puts one folder above its examples.
fn binary() -> Result<PathBuf> {
    let folder = env::current_exe()?;
    let folder =
        folder.parent().and_then(Path::parent).ok_or("the example is not in a target folder")?;
    Ok(folder.join("pullcred"))
}
