//! Connects to a cluster as `kubectl` does: by kubeconfig, or from within a Pod.

use std::{future::Future, io, path::PathBuf, time::Duration};

use kube::{
    Client, Config,
    config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};

use tokio::runtime::{Builder, Runtime};

use super::calls::Cluster;

/// For a connection to the API server, without its TLS handshake.
const CONNECT: Duration = Duration::from_secs(5);
/// For the next part of an answer. The API server ends each watch itself after [`super::watch::LENGTH`].
const READ: Duration = Duration::from_secs(90);

/// Which cluster, as the person at the command line says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterOptions {
    /// The context of the kubeconfig; without one, the current one.
    pub context: Option<String>,
    /// The kubeconfig; without one, `KUBECONFIG`, `~/.kube/config`, or the Pod that this runs in.
    pub kubeconfig: Option<PathBuf>,
}

/// Why no cluster can be called.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The address or the certificate of the API server cannot be used.
    #[error("cannot set up the connection to the API server")]
    Client(#[source] Box<kube::Error>),
    /// There is neither a kubeconfig nor a Pod around the process.
    #[error(
        "no cluster found: no kubeconfig can be read (--kubeconfig, KUBECONFIG, ~/.kube/config), and this is not a Pod"
    )]
    Infer(#[source] Box<InferConfigError>),
    /// The kubeconfig cannot be read, or has no such context.
    #[error("the kubeconfig cannot be used")]
    Kubeconfig(#[from] KubeconfigError),
    /// There is no runtime to run the requests.
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
}

/// Runs a task that calls a cluster to its end, on a runtime of its own.
///
/// # Errors
///
/// Those of the task, and [`ClusterError::Runtime`].
pub fn block_on<T, E: From<ClusterError>>(
    task: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    runtime()?.block_on(task)
}

/// A runtime for calls to a cluster from code that is not asynchronous.
///
/// # Errors
///
/// [`ClusterError::Runtime`]
pub fn runtime() -> Result<Runtime, ClusterError> {
    Builder::new_current_thread().enable_all().build().map_err(ClusterError::Runtime)
}

// === impl ClusterOptions ===

impl ClusterOptions {
    /// Finds the cluster. No request is sent yet.
    ///
    /// # Errors
    ///
    /// [`ClusterError`] where there is no such cluster.
    pub async fn connect(&self) -> Result<Cluster, ClusterError> {
        let options =
            KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let mut config = match (&self.kubeconfig, &self.context) {
            (Some(path), _) => {
                Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &options).await?
            }
            (None, Some(_)) => Config::from_kubeconfig(&options).await?,
            (None, None) => {
                Config::infer().await.map_err(|error| ClusterError::Infer(Box::new(error)))?
            }
        };
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = Some(READ);
        // kube would repeat writes as well. The callers know what may be repeated, and when.
        config.default_retry = false;
        let namespace = config.default_namespace.clone();
        let client =
            Client::try_from(config).map_err(|error| ClusterError::Client(Box::new(error)))?;
        Ok(Cluster::new(client, namespace))
    }
}
