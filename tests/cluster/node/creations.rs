//! Pods that are created all the while something else happens.

use std::{fmt, time::Duration};

use anyhow::{Result, ensure};
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{fixtures::pod, namespace::Namespace};

/// The image of Pods that never get so far as to pull it.
pub(crate) const UNSCHEDULED_IMAGE: &str = "registry.example.com/nobody/runs:1";

/// How many create Pods at once: enough to use every connection of the API server's pool.
const CREATORS: usize = 3;

/// Between one Pod of a creator and the next.
const PAUSE: Duration = Duration::from_millis(30);

/// How many failures an error quotes.
const QUOTED: usize = 5;

/// Creations under way. Dropping it ends them.
#[derive(Debug)]
pub(crate) struct Creations {
    creators: JoinSet<Result<Tally>>,
    stop: CancellationToken,
}

/// What became of the Pods.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    stored: usize,
    longest: Duration,
    failures: Vec<String>,
}

// === impl Creations ===

impl Creations {
    /// Begins, in a namespace that pullcred covers.
    pub(crate) fn start(namespace: &Namespace) -> Self {
        Self::start_with(namespace, UNSCHEDULED_IMAGE, "first")
    }

    /// The same with another image, which gets another Secret.
    pub(crate) fn start_with(
        namespace: &Namespace,
        image: &'static str,
        secret: &'static str,
    ) -> Self {
        let stop = CancellationToken::new();
        let mut creators = JoinSet::new();
        for creator in 0..CREATORS {
            creators.spawn(create(namespace.clone(), image, secret, creator, stop.clone()));
        }
        Self { creators, stop }
    }

    /// Ends, and answers what became of the Pods. It is an error if one of them was refused, or stored
    /// without its Secret.
    pub(crate) async fn end(mut self) -> Result<Tally> {
        self.stop.cancel();
        let mut tally = Tally::default();
        while let Some(part) = self.creators.join_next().await {
            let part = part??;
            tally.stored += part.stored;
            tally.longest = tally.longest.max(part.longest);
            tally.failures.extend(part.failures);
        }
        let failures = &tally.failures;
        let quoted = &failures[..failures.len().min(QUOTED)];
        ensure!(failures.is_empty(), "{tally}: {}", quoted.join("; "));
        ensure!(tally.stored > 0, "no Pod was created meanwhile");
        Ok(tally)
    }
}

async fn create(
    namespace: Namespace,
    image: &str,
    secret: &str,
    creator: usize,
    stop: CancellationToken,
) -> Result<Tally> {
    let mut tally = Tally::default();
    while !stop.is_cancelled() {
        let name = format!("pod-{creator}-{}", tally.stored + tally.failures.len());
        // A Pod that no scheduler feels responsible for is stored, and costs the node nothing.
        let unscheduled = pod(&name).image(image).spec("schedulerName", json!("nobody"));
        let begin = Instant::now();
        let answer = namespace.create_pod(unscheduled).await;
        tally.longest = tally.longest.max(begin.elapsed());
        match answer {
            Ok(stored) => {
                if stored.pull_secrets() == [secret] {
                    tally.stored += 1;
                } else {
                    tally.failures.push(format!("{name}: stored with {}", stored.pull_secrets()));
                }
                namespace.delete_pod(&name).await?;
            }
            Err(error) => tally.failures.push(format!("{name}: {error:#}")),
        }
        sleep(PAUSE).await;
    }
    Ok(tally)
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stored, longest, failures } = self;
        let (failed, longest) = (failures.len(), longest.as_secs_f64());
        write!(f, "{stored} Pods stored with their Secret, {failed} without or not at all; ")?;
        write!(f, "the longest creation took {longest:.2} s")
    }
}
