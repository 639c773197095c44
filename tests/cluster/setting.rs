//! What scenarios play in: a cluster that many of them share, started by the first.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result};
use tokio::sync::OnceCell;

use crate::{
    sandbox::Sandbox,
    stage::{Stage, TooLong},
    wait::StillNone,
};

/// A cluster in which scenarios play.
pub(crate) trait Setting: Sized + Send + Sync + 'static {
    /// Names its folder.
    const NAME: &'static str;

    /// Where the stage has it.
    fn scene(stage: &Stage) -> &Scene<Self>;

    /// Starts it, with all its files in `folder`.
    async fn start(sandbox: &Sandbox, folder: &Path) -> Result<Self>;

    /// Ends it, in such an order that nothing of it stays.
    async fn end(self) -> Result<()>;

    /// What it measured by the way.
    fn facts(&self) -> String;

    /// The ends of all logs, for the message of a wait that took too long.
    fn log_tails(&self) -> String;
}

/// A setting that may have been started.
#[derive(Debug)]
pub(crate) struct Scene<S> {
    setting: OnceCell<Option<Arc<S>>>,
}

// === impl Scene ===

impl<S: Setting> Scene<S> {
    pub(crate) fn new() -> Self {
        Self { setting: OnceCell::new() }
    }

    /// The setting, started if it was not; of several that ask, one is told why it cannot.
    pub(crate) async fn open(&self, sandbox: &Sandbox, folder: &Path) -> Result<Arc<S>, String> {
        let mut failure = format!("the {} did not start: see the test that says why", S::NAME);
        let start = async || match start(sandbox, folder).await {
            Ok(setting) => Some(Arc::new(setting)),
            Err(error) => {
                failure = format!("the {} did not start: {error:#}", S::NAME);
                None
            }
        };
        self.setting.get_or_init(start).await.clone().ok_or(failure)
    }

    /// Ends the setting and answers what it measured, where there is one.
    pub(crate) async fn close(self) -> Result<Option<String>> {
        let Some(setting) = self.setting.into_inner().flatten() else { return Ok(None) };
        let facts = setting.facts();
        let setting = Arc::into_inner(setting).context("a scenario still plays")?;
        setting.end().await.with_context(|| format!("the {} did not end", S::NAME))?;
        Ok(Some(facts))
    }
}

async fn start<S: Setting>(sandbox: &Sandbox, folder: &Path) -> Result<S> {
    let folder = folder.join(S::NAME);
    std::fs::create_dir(&folder)?;
    S::start(sandbox, &folder).await
}

/// An error for the trial's report; where something did not happen in time, with the logs' ends.
pub(crate) fn describe(error: &anyhow::Error, setting: &impl Setting) -> String {
    if error.is::<StillNone>() || error.is::<TooLong>() {
        return format!("{error:#}\n{}", setting.log_tails());
    }
    format!("{error:#}")
}
