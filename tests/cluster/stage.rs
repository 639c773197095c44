//! Where the scenarios play: a folder, a runtime, and a cluster that the first of them starts.

use std::{
    env, fs,
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use libtest_mimic::{Conclusion, Failed, Trial};
use tempfile::TempDir;
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
    sync::OnceCell,
};
use tokio_util::sync::CancellationToken;

use crate::{
    cluster::Cluster,
    report::{Report, Table},
    sandbox::Sandbox,
    wait::StillNone,
};

/// No scenario is given more, the start of the cluster not counted.
const LIMIT: Duration = Duration::from_secs(180);

type Play = Box<dyn FnOnce(Arc<Cluster>) -> Pin<Box<dyn Future<Output = Result<Report>>>> + Send>;

/// A test: what happens in the cluster, what must be so afterwards, and what was read back.
pub(crate) struct Scenario {
    name: &'static str,
    play: Play,
}

/// Everything that a run must take down again.
pub(crate) struct Stage {
    // The cluster's processes end before their folder goes.
    cluster: OnceCell<Option<Arc<Cluster>>>,
    folder: TempDir,
    sandbox: Sandbox,
    table: Mutex<Table>,
    interrupted: CancellationToken,
    runtime: Runtime,
}

/// A scenario took longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("not over after {LIMIT:?}")]
struct TooLong;

// === impl Scenario ===

impl Scenario {
    pub(crate) fn new<F>(name: &'static str, play: fn(Arc<Cluster>) -> F) -> Self
    where
        F: Future<Output = Result<Report>> + 'static,
    {
        Self { name, play: Box::new(move |cluster| Box::pin(play(cluster))) }
    }

    /// The trial that plays on the stage that is set by then.
    pub(crate) fn into_trial(self, stage: &Arc<OnceLock<Stage>>) -> Trial {
        let stage = Arc::clone(stage);
        Trial::test(self.name, move || {
            stage.get().ok_or("there is no stage")?.perform(self).map_err(Failed::from)
        })
    }
}

// === impl Stage ===

impl Stage {
    pub(crate) fn new(sandbox: Sandbox) -> Result<Self> {
        let runtime = Runtime::new()?;
        let interrupted = CancellationToken::new();
        let folder = tempfile::Builder::new().prefix("pullcred-cluster-").tempdir()?;
        runtime.spawn(cancel_on_signal(interrupted.clone()));
        Ok(Self {
            cluster: OnceCell::new(),
            folder,
            sandbox,
            table: Mutex::default(),
            interrupted,
            runtime,
        })
    }

    /// Takes everything down. The folder stays when something failed, for its logs.
    pub(crate) fn close(self, conclusion: &Conclusion) -> Result<()> {
        let Self { cluster, folder, table, interrupted, .. } = self;
        let table = table.into_inner().unwrap_or_else(PoisonError::into_inner);
        let facts = cluster.into_inner().flatten().map(|cluster| facts(&cluster));
        if conclusion.has_failed() && !interrupted.is_cancelled() {
            say(&format!("logs and keys of the failed run: {}", folder.keep().display()));
        } else {
            folder.close().context("cannot remove the run's folder")?;
        }
        let Some(facts) = facts else { return Ok(()) };
        say(&facts);
        if env::var_os("PULLCRED_TABLE").is_some() {
            say(&table.to_markdown());
        }
        if !conclusion.has_failed() && conclusion.num_filtered_out == 0 {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cluster-scenarios.md");
            fs::write(&path, format!("{}\n{facts}\n", table.to_markdown()))
                .with_context(|| format!("cannot write {}", path.display()))?;
            say(&format!("what the API server stored: {}", path.display()));
        }
        Ok(())
    }

    fn perform(&self, scenario: Scenario) -> Result<(), String> {
        self.runtime.block_on(async {
            tokio::select! {
                result = self.act(scenario) => result,
                () = self.interrupted.cancelled() => Err("interrupted".to_owned()),
            }
        })
    }

    async fn act(&self, scenario: Scenario) -> Result<(), String> {
        let mut failure = "the cluster did not start: see the test that says why".to_owned();
        let start = async || match Cluster::start(&self.sandbox, self.folder.path()).await {
            Ok(cluster) => Some(Arc::new(cluster)),
            Err(error) => {
                failure = format!("the cluster did not start: {error:#}");
                None
            }
        };
        let Some(cluster) = self.cluster.get_or_init(start).await else { return Err(failure) };
        let play = (scenario.play)(Arc::clone(cluster));
        let report = tokio::time::timeout(LIMIT, play)
            .await
            .unwrap_or_else(|_| Err(TooLong.into()))
            .map_err(|error| describe(&error, cluster))?;
        self.table.lock().unwrap_or_else(PoisonError::into_inner).add(scenario.name, report);
        Ok(())
    }
}

/// An error for the trial's report; where something did not happen in time, with the logs' ends.
fn describe(error: &anyhow::Error, cluster: &Cluster) -> String {
    if error.is::<StillNone>() || error.is::<TooLong>() {
        return format!("{error:#}\n{}", cluster.control_plane().log_tails());
    }
    format!("{error:#}")
}

/// What a run measured by the way.
fn facts(cluster: &Cluster) -> String {
    let ready = cluster.control_plane().ready_after().as_secs_f64();
    format!("control plane ready after {ready:.1} s")
}

async fn cancel_on_signal(token: CancellationToken) {
    // As process 1 of its namespace the program gets only the signals that it handles.
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    token.cancel();
}

#[expect(clippy::print_stderr, reason = "the run's own report, beside that of libtest-mimic")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}
