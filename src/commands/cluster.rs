//! A cluster, reached as `kubectl` reaches it: by kubeconfig, or from within a Pod.

use std::{future::Future, io, path::PathBuf, time::Duration};

use kube::{
    Client, Config,
    config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};

use super::with_causes;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may take. A page of Pods is a megabyte or two.
const ANSWER: Duration = Duration::from_secs(60);

/// Which cluster, as the person at the command line says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterOptions {
    /// The context of the kubeconfig; without one, the current one.
    pub context: Option<String>,
    /// The kubeconfig; without one, `KUBECONFIG`, `~/.kube/config`, or the Pod that this runs in.
    pub kubeconfig: Option<PathBuf>,
}

/// A cluster that can be asked.
pub struct Cluster {
    /// Speaks to its API server.
    pub client: Client,
    /// The namespace of the context; `default` where it names none.
    pub namespace: String,
}

/// Why a cluster cannot be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// There is neither a kubeconfig nor a Pod around us.
    #[error(
        "no cluster to ask: no kubeconfig can be read (--kubeconfig, KUBECONFIG, ~/.kube/config): {0}"
    )]
    Infer(#[source] InferConfigError),
    /// The kubeconfig cannot be read, or has no such context.
    #[error("the kubeconfig cannot be used: {0}")]
    Kubeconfig(#[from] KubeconfigError),
    /// The API server refused, or could not be reached.
    #[error("cannot {attempt}: {}", told(source))]
    Request {
        /// What was attempted, such as `list the Pods of shop`.
        attempt: String,
        /// What came of it.
        #[source]
        source: kube::Error,
    },
    /// There is no runtime to speak with.
    #[error("cannot start the runtime: {0}")]
    Runtime(#[source] io::Error),
}

/// Runs a task that speaks with a cluster, to its end.
///
/// # Errors
///
/// Those of the task, and [`ClusterError::Runtime`].
pub fn block_on<T, E: From<ClusterError>>(
    task: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(ClusterError::Runtime)?.block_on(task)
}

// === impl ClusterOptions ===

impl ClusterOptions {
    /// Finds the cluster. Nothing is sent to it yet.
    ///
    /// # Errors
    ///
    /// [`ClusterError`] where there is no such cluster to be found.
    pub async fn connect(&self) -> Result<Cluster, ClusterError> {
        let options =
            KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let mut config = match (&self.kubeconfig, &self.context) {
            (Some(path), _) => {
                Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &options).await?
            }
            (None, Some(_)) => Config::from_kubeconfig(&options).await?,
            (None, None) => Config::infer().await.map_err(ClusterError::Infer)?,
        };
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = Some(ANSWER);
        let namespace = config.default_namespace.clone();
        let client = Client::try_from(config).map_err(|source| ClusterError::Request {
            attempt: "set up the connection to the API server".to_owned(),
            source,
        })?;
        Ok(Cluster { client, namespace })
    }
}

// === impl Cluster ===

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

/// An error of the client with its causes, or the API server's own words.
#[must_use]
pub fn told(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return status.message.clone();
    }
    with_causes(error)
}
