//! The `ServiceAccounts` that a command knows: those of its manifests, of files, and of a cluster.

use std::{collections::HashSet, io::BufRead};

use k8s_openapi::api::core::v1::ServiceAccount;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::{
    DEFAULT_NAMESPACE, Failure, FileOrLive,
    manifests::{
        Admitted, Documents, Input, ManifestError, Problem, ServiceAccounts, Source, objects,
    },
};
use crate::cluster::{
    CallError, Cluster, ClusterError, ClusterOptions, Collection, client::runtime,
};

/// The text that no document with a `ServiceAccount` is without. Others are not parsed for one.
const KIND: &str = "ServiceAccount";

/// The `ServiceAccounts` at hand.
#[derive(Debug)]
pub(super) struct Accounts {
    known: ServiceAccounts,
    live: Option<LiveAccounts>,
    /// The namespace of manifests that name none.
    namespace: String,
}

/// Those of a cluster, asked for one by one.
#[derive(Debug)]
struct LiveAccounts {
    /// The client works only within it.
    runtime: Runtime,
    cluster: Cluster,
    asked: HashSet<(String, String)>,
}

// === impl Accounts ===

impl Accounts {
    /// Those that `sources` name.
    ///
    /// # Errors
    ///
    /// Where a file or the kubeconfig cannot be read. The cluster is asked later.
    pub(super) fn new(
        sources: &[FileOrLive],
        cluster: &ClusterOptions,
        namespace: Option<&str>,
        stdin: &mut dyn BufRead,
    ) -> Result<Self, Failure> {
        let namespace = namespace.unwrap_or(DEFAULT_NAMESPACE).to_owned();
        let mut accounts = Self { known: ServiceAccounts::default(), live: None, namespace };
        for source in sources {
            match source {
                FileOrLive::Live => accounts.live = Some(LiveAccounts::new(cluster)?),
                FileOrLive::Manifests(source) => {
                    for source in Source::expand(std::slice::from_ref(source))? {
                        accounts.read(source.open(stdin)?, |problem| {
                            Err(ManifestError::new(&source, problem))
                        })?;
                    }
                }
            }
        }
        Ok(accounts)
    }

    /// Takes in those of the manifests that a command is about. What is wrong with these, it says when it gets there.
    pub(super) fn scan(&mut self, inputs: &mut [Input]) -> Result<(), ManifestError> {
        inputs.iter_mut().try_for_each(|input| self.read(input.documents()?, |_| Ok(())))
    }

    fn read<R: BufRead>(
        &mut self,
        documents: Documents<R>,
        on_problem: impl Fn(Problem) -> Result<(), ManifestError>,
    ) -> Result<(), ManifestError> {
        for document in documents {
            let document = match document {
                Ok(document) if document.text().contains(KIND) => document,
                Ok(_) => continue,
                // Nothing can be read behind it.
                Err(error) => return on_problem(error.into_problem()),
            };
            let found = document.value().and_then(|value| {
                for object in objects(&value, document.content_line())? {
                    self.known.add(&object, object.namespace().unwrap_or(&self.namespace));
                }
                Ok(())
            });
            found.or_else(&on_problem)?;
        }
        Ok(())
    }

    /// What the admission of `ServiceAccounts` makes of a Pod of `namespace`.
    ///
    /// # Errors
    ///
    /// Where the cluster does not answer.
    pub(super) fn admit<'v>(
        &mut self,
        namespace: &str,
        pod: &'v Value,
    ) -> Result<Admitted<'v>, CallError> {
        if let (Some(live), Some(name)) = (&mut self.live, ServiceAccounts::wanted(pod)) {
            live.look_up(namespace, name, &mut self.known)?;
        }
        Ok(self.known.admit(namespace, pod))
    }
}

// === impl LiveAccounts ===

impl LiveAccounts {
    fn new(options: &ClusterOptions) -> Result<Self, ClusterError> {
        let runtime = runtime()?;
        let cluster = runtime.block_on(options.connect())?.patient();
        Ok(Self { runtime, cluster, asked: HashSet::new() })
    }

    fn look_up(
        &mut self,
        namespace: &str,
        name: &str,
        known: &mut ServiceAccounts,
    ) -> Result<(), CallError> {
        if !self.asked.insert((namespace.to_owned(), name.to_owned())) {
            return Ok(());
        }
        let from = Collection::of::<ServiceAccount>(Some(namespace));
        let found = self.runtime.block_on(self.cluster.get::<ServiceAccount>(&from, name))?;
        if let Some(account) = found {
            let list = account.image_pull_secrets.unwrap_or_default();
            known.insert(namespace, name, list.iter().map(|entry| entry.name.as_str()));
        }
        Ok(())
    }
}
