//! Manifests, as `kubectl` takes them: streams of YAML and JSON documents, Lists, and what is in them.
//!
//! ```text
//! Source --open--> Documents --each--> Document --value--> Value --objects--> Object --+--> pod_templates --> Pod
//!                                                                                      +--> SecretManifest
//! ```
//!
//! A stream is read document by document, so only the largest of them has to fit into memory.

mod document;
mod documents;
mod error;
mod json_end;
mod object;
mod secret;
mod service_accounts;
mod source;
mod template;
pub(in crate::commands) mod tree;
mod unknown;

pub use document::Document;
pub(in crate::commands) use document::{Places, read};
pub use documents::Documents;
pub use error::{ManifestError, Problem};
pub use object::{Object, objects};
pub use secret::SecretManifest;
pub use service_accounts::{Admitted, ServiceAccounts};
pub use source::{Input, Source};
pub use template::{PodError, PodTemplate, TemplatePath, TemplatePathError, pod_templates};
pub(in crate::commands) use unknown::{paths, unknown_pods};
