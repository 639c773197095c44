//! Which requests the API server is to ask about, beside what [`core`](crate::core) decides by: the same for the
//! webhook configuration and for the policy.

/// The plural of Pods.
pub(super) const RESOURCE: &str = "pods";
/// Their one version.
pub(super) const VERSION: &str = "v1";
/// Pods are in namespaces.
pub(super) const SCOPE: &str = "Namespaced";
/// Containers that another webhook adds afterwards have images, too.
pub(super) const REINVOCATION: &str = "IfNeeded";
/// The label that every namespace has, with its own name (kubernetes: `LabelMetadataName`).
pub(super) const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
