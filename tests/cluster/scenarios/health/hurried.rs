//! A credentials controller in this process, whose timers can be set forward: Pods are looked for ten minutes after a start.

use std::{path::Path, thread, time::Duration};

use anyhow::Result;
use prometheus_client::metrics::counter::Counter;
use pullcred::{
    cluster::Cluster,
    controller::credentials::{self, Settings},
    fetch::Outside,
    supervise::Supervisor,
};
use tokio::{
    runtime::Builder,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time,
};

use crate::account::client_with;

/// A running controller. Dropping it ends it.
pub(super) struct Hurried(UnboundedSender<Duration>);

// === impl Hurried ===

impl Hurried {
    /// Starts one.
    pub(super) fn start(kubeconfig: &Path, settings: Settings) -> Result<Self> {
        let (forward, moves) = unbounded_channel();
        let kubeconfig = kubeconfig.to_owned();
        // Only the timers of a runtime with one thread can be moved.
        let runtime = Builder::new_current_thread().enable_all().build()?;
        thread::spawn(move || runtime.block_on(run(&kubeconfig, settings, moves)));
        Ok(Self(forward))
    }

    /// Sets its timers forward.
    pub(super) fn forward(&self, by: Duration) -> Result<()> {
        Ok(self.0.send(by)?)
    }
}

async fn run(
    kubeconfig: &Path,
    settings: Settings,
    mut moves: UnboundedReceiver<Duration>,
) -> Result<()> {
    let cluster = Cluster::new(client_with(kubeconfig).await?, settings.namespace.clone());
    let mut supervisor = Supervisor::default();
    let world = std::sync::Arc::new(Outside::from_env(None));
    let _status = credentials::start(cluster, settings, world, Counter::default(), &mut supervisor);
    while let Some(by) = moves.recv().await {
        time::pause();
        time::advance(by).await;
        time::resume();
    }
    Ok(())
}
