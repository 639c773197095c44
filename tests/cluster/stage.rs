//! Where the scenarios play: a folder, a runtime, and the clusters that the first of them start.

use std::{
    env, fs,
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use libtest_mimic::{Conclusion, Failed, Trial};
use tempfile::TempDir;
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use crate::{
    cluster::{Cluster, ReportsCluster},
    node::NodeCluster,
    report::{Report, Table},
    sandbox::Sandbox,
    setting::{Scene, Setting, describe},
    turns::{Company, Queue, Ticket},
    version::{Since, Version},
};

/// A scenario is given no more; neither the start of its cluster counts nor the wait for its turn.
const LIMIT: Duration = Duration::from_secs(180);

/// The same for one that plays alone: such scenarios are about what takes its time.
const LIMIT_ALONE: Duration = Duration::from_secs(600);

type Play<S> = Box<dyn FnOnce(Arc<S>) -> Pin<Box<dyn Future<Output = Result<Report>>>> + Send>;

/// A test: what happens in a cluster, what must be so afterwards, and what was read back.
pub(crate) struct Scenario<S> {
    name: &'static str,
    play: Play<S>,
    company: Company,
    limit: Duration,
    needed: Option<Since>,
}

/// Everything that a run must take down again.
pub(crate) struct Stage {
    pub(crate) control_plane: Scene<Cluster>,
    pub(crate) reports: Scene<ReportsCluster>,
    pub(crate) node: Scene<NodeCluster>,
    folder: TempDir,
    sandbox: Sandbox,
    table: Mutex<Table>,
    interrupted: CancellationToken,
    runtime: Runtime,
}

/// A scenario took longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("not over after {0:?}")]
pub(crate) struct TooLong(Duration);

// === impl Scenario ===

impl<S: Setting> Scenario<S> {
    pub(crate) fn new<F>(name: &'static str, play: fn(Arc<S>) -> F) -> Self
    where
        F: Future<Output = Result<Report>> + 'static,
    {
        let play: Play<S> = Box::new(move |cluster| Box::pin(play(cluster)));
        Self { name, play, company: Company::WithOthers, limit: LIMIT, needed: None }
    }

    /// The scenario, for versions of Kubernetes that have this.
    pub(crate) fn needs(self, feature: Since) -> Self {
        Self { needed: Some(feature), ..self }
    }

    pub(crate) fn needed(&self) -> Option<Since> {
        self.needed
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// The scenario, to be played while no other plays in its setting.
    pub(crate) fn alone(self) -> Self {
        Self { company: Company::Alone, limit: LIMIT_ALONE, ..self }
    }

    /// The scenario, with a time of its own.
    pub(crate) fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// The trial that plays on the stage that is set by then, when its turn comes.
    pub(crate) fn into_trial(self, stage: &Arc<OnceLock<Stage>>, queue: &mut Queue) -> Trial {
        let stage = Arc::clone(stage);
        let ticket = queue.join(self.company);
        Trial::test(self.name, move || {
            stage.get().ok_or("there is no stage")?.perform(self, ticket).map_err(Failed::from)
        })
    }
}

// === impl Stage ===

impl Stage {
    /// The stage of scenarios that wait in `queues`.
    pub(crate) fn new(sandbox: Sandbox, queues: [Queue; 3]) -> Result<Self> {
        let runtime = Runtime::new()?;
        let interrupted = CancellationToken::new();
        let folder = tempfile::Builder::new().prefix("pullcred-cluster-").tempdir()?;
        runtime.spawn(cancel_on_signal(interrupted.clone()));
        for queue in queues {
            runtime.spawn(queue.serve());
        }
        Ok(Self {
            control_plane: Scene::new(),
            reports: Scene::new(),
            node: Scene::new(),
            folder,
            sandbox,
            table: Mutex::default(),
            interrupted,
            runtime,
        })
    }

    /// Takes everything down. The folder stays when something failed, for its logs.
    pub(crate) fn close(self, conclusion: &Conclusion) -> Result<()> {
        let Self { control_plane, reports, node, folder, table, interrupted, runtime, .. } = self;
        let table = table.into_inner().unwrap_or_else(PoisonError::into_inner);
        let ended = runtime.block_on(async {
            let (node, reports) = (node.close().await?, reports.close().await?);
            Ok::<_, anyhow::Error>([node, reports, control_plane.close().await?])
        });
        if ended.is_err() || (conclusion.has_failed() && !interrupted.is_cancelled()) {
            say(&format!("logs and keys of the failed run: {}", folder.keep().display()));
        } else {
            folder.close().context("cannot remove the run's folder")?;
        }
        let mut facts: Vec<String> = ended?.into_iter().rev().flatten().collect();
        if facts.is_empty() {
            return Ok(());
        }
        facts.push(table.longest());
        let facts = facts.join("\n");
        say(&facts);
        if env::var_os("PULLCRED_TABLE").is_some() {
            say(&table.to_markdown());
        }
        if !conclusion.has_failed() && conclusion.num_filtered_out == 0 {
            let file = format!("cluster-scenarios-{}.md", Version::of_this_run()?);
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
            fs::write(&path, format!("{}\n{facts}\n", table.to_markdown()))
                .with_context(|| format!("cannot write {}", path.display()))?;
            say(&format!("what the API server stored: {}", path.display()));
        }
        Ok(())
    }

    /// Runs a benchmark when its turn comes, with a folder of its own.
    pub(crate) fn measure<T>(
        &self,
        name: &str,
        ticket: Ticket,
        run: impl AsyncFnOnce(&Sandbox, &Path) -> Result<T>,
    ) -> Result<T, String> {
        let folder = self.folder.path().join(name.replace(':', "-"));
        fs::create_dir(&folder).map_err(|error| error.to_string())?;
        self.runtime.block_on(async {
            let measured = async {
                let _turn = ticket.await?;
                run(&self.sandbox, &folder).await
            };
            tokio::select! {
                result = measured => result.map_err(|error| format!("{error:#}")),
                () = self.interrupted.cancelled() => Err("interrupted".to_owned()),
            }
        })
    }

    fn perform<S: Setting>(&self, scenario: Scenario<S>, ticket: Ticket) -> Result<(), String> {
        self.runtime.block_on(async {
            tokio::select! {
                result = self.act(scenario, ticket) => result,
                () = self.interrupted.cancelled() => Err("interrupted".to_owned()),
            }
        })
    }

    async fn act<S: Setting>(&self, scenario: Scenario<S>, ticket: Ticket) -> Result<(), String> {
        let _turn = ticket.await.map_err(|_| "the stage was closed before its turn")?;
        let cluster = S::scene(self).open(&self.sandbox, self.folder.path()).await?;
        let begin = Instant::now();
        let play = (scenario.play)(Arc::clone(&cluster));
        let report = tokio::time::timeout(scenario.limit, play)
            .await
            .unwrap_or_else(|_| Err(TooLong(scenario.limit).into()))
            .map_err(|error| describe(&error, &*cluster))?;
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.add(scenario.name, report, begin.elapsed());
        Ok(())
    }
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
