//! `pullcred credentials`

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::AdminArgs;
use crate::controller::credentials::Options;
use crate::duration::duration;

/// Keep the Secrets in opted-in namespaces that rules with a login name: only the logins for the rule's registries, fresh, and
/// gone again when they are no longer wanted
#[derive(Debug, Args)]
#[command(after_help = "Example:
  Copies for the rules of the ConfigMap pullcred-mapping, by the API server of KUBECONFIG or of the cluster around:
    pullcred credentials --namespace pullcred --mapping-config-map pullcred-mapping")]
pub struct CredentialsArgs {
    /// The namespace of the logins' Secrets and of the mapping; no copy is ever made in it
    #[arg(long, env = "PULLCRED_NAMESPACE", value_name = "NAMESPACE", value_parser = super::namespace)]
    namespace: String,
    /// The ConfigMap with the mapping, under the key pullcred.yaml
    #[arg(
        long,
        env = "PULLCRED_MAPPING_CONFIG_MAP",
        value_name = "NAME",
        value_parser = super::controller::name,
        default_value = "pullcred-mapping"
    )]
    mapping_config_map: String,
    #[command(flatten)]
    admin: AdminArgs,
    /// For how long a copy stays that is no longer wanted: a label is often removed by mistake
    #[arg(long, env = "PULLCRED_GRACE", value_name = "DURATION", default_value = "10m", value_parser = duration)]
    grace: Duration,
    /// Report what is known of logins and of Secrets in namespaces, as objects that people can list and the webhook reads
    #[arg(long, env = "PULLCRED_REPORTS")]
    reports: bool,
    /// Ask the registries from time to time whether they take the logins, and copy a login that has changed only after that; needs
    /// --reports
    #[arg(long, env = "PULLCRED_HEALTH")]
    health: bool,
    /// Look for Pods that lack a Secret which they would get now, or wait for an image, and report how many; needs --reports
    #[arg(long, env = "PULLCRED_AUDIT")]
    audit: bool,
    /// The socket at which pullcred plugins runs the plugins of the mapping's logins
    #[arg(long, env = "PULLCRED_PLUGINS", value_name = "PATH")]
    plugins: Option<PathBuf>,
}

impl CredentialsArgs {
    /// The options that these flags stand for.
    #[must_use]
    pub fn into_options(self) -> Options {
        let Self { namespace, mapping_config_map, admin, grace, reports, health, audit, plugins } =
            self;
        Options {
            admin_listen: admin.admin_listen,
            grace,
            mapping: mapping_config_map,
            namespace,
            reports,
            health,
            audit,
            plugins,
        }
    }
}
