//! `pullcred controller`

use std::{net::SocketAddr, time::Duration};

use clap::{ArgMatches, Args, Command, FromArgMatches};

use super::seconds;
use crate::{
    commands::secret::SecretName,
    controller::{Names, Options},
};

/// `pullcred controller`, and what else its image is good for.
#[derive(Debug)]
pub enum ControllerArgs {
    /// `pullcred controller`
    Run(RunArgs),
    /// `pullcred controller unregister`
    Unregister(UnregisterArgs),
}

/// What to keep in order.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The namespace of the Secrets and of the webhook's Service
    #[arg(long, env = "PULLCRED_NAMESPACE", value_name = "NAMESPACE", value_parser = super::namespace)]
    pub namespace: String,
    /// The MutatingWebhookConfiguration whose caBundle to write
    #[arg(long, env = "PULLCRED_WEBHOOK_CONFIG", value_name = "NAME", value_parser = name)]
    pub webhook_config: String,
    /// The webhook's Service, which the certificate is for
    #[arg(long, env = "PULLCRED_SERVICE", value_name = "NAME", value_parser = name)]
    pub service: String,
    /// The one webhook of the configuration to write to [default: those that call the Service]
    #[arg(long, env = "PULLCRED_WEBHOOK_NAME", value_name = "NAME", value_parser = name)]
    pub webhook_name: Option<String>,
    /// The Secret for the CA and its key; made if there is none
    #[arg(long, env = "PULLCRED_CA_SECRET", value_name = "NAME", value_parser = name)]
    pub ca_secret: String,
    /// The Secret for the serving certificate, which the webhook mounts; made if there is none
    #[arg(long, env = "PULLCRED_TLS_SECRET", value_name = "NAME", value_parser = name)]
    pub tls_secret: String,
    /// Where to serve /livez, /readyz and /metrics over plain HTTP
    #[arg(
        long,
        env = "PULLCRED_ADMIN_LISTEN",
        value_name = "ADDRESS",
        default_value = "0.0.0.0:8080"
    )]
    pub admin_listen: SocketAddr,
    /// How long a CA lives, in seconds; the next one is made when two thirds are over
    #[arg(long, env = "PULLCRED_CA_LIFE", value_name = "SECONDS", default_value = "31536000", value_parser = seconds)]
    pub ca_life: Duration,
    /// How long a serving certificate lives, in seconds; the next one is made when two thirds are over
    #[arg(long, env = "PULLCRED_LEAF_LIFE", value_name = "SECONDS", default_value = "2592000", value_parser = seconds)]
    pub leaf_life: Duration,
    /// After how long every API server has heard of a caBundle and every webhook serves by a Secret, in seconds: kubelets
    /// take up to 90, the webhook 10
    #[arg(long, env = "PULLCRED_PROPAGATION", value_name = "SECONDS", default_value = "120", value_parser = seconds)]
    pub propagation: Duration,
}

/// Delete the MutatingWebhookConfiguration, so that the webhook is called no more
#[derive(Debug, Args)]
pub struct UnregisterArgs {
    /// The MutatingWebhookConfiguration to delete; that there is none is fine
    #[arg(long, env = "PULLCRED_WEBHOOK_CONFIG", value_name = "NAME", value_parser = name)]
    pub webhook_config: String,
}

// === impl ControllerArgs ===

const UNREGISTER: &str = "unregister";

const EXAMPLES: &str = "Examples:
  Keep the certificate of the Service pullcred-webhook, by the API server of KUBECONFIG or of the cluster around:
    pullcred controller --namespace pullcred --service pullcred-webhook --webhook-config pullcred \\
      --ca-secret pullcred-ca --tls-secret pullcred-tls
  Have the webhook called no more:
    pullcred controller unregister --webhook-config pullcred";

// Clap derives no command that can be run by itself or by a subcommand with other arguments, of which some have the same
// environment variable.
impl Args for ControllerArgs {
    fn augment_args(command: Command) -> Command {
        RunArgs::augment_args(command)
            .subcommand_negates_reqs(true)
            .args_conflicts_with_subcommands(true)
            .after_help(EXAMPLES)
            .subcommand(UnregisterArgs::augment_args(Command::new(UNREGISTER)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ControllerArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        match matches.subcommand() {
            Some((UNREGISTER, matches)) => {
                UnregisterArgs::from_arg_matches(matches).map(Self::Unregister)
            }
            _ => RunArgs::from_arg_matches(matches).map(Self::Run),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

// === impl RunArgs ===

impl RunArgs {
    /// What the controller needs to know.
    #[must_use]
    pub fn into_options(self) -> Options {
        let Self {
            namespace,
            webhook_config,
            service,
            webhook_name,
            ca_secret,
            tls_secret,
            admin_listen,
            ca_life,
            leaf_life,
            propagation,
        } = self;
        let names = Names {
            namespace,
            service,
            registration: webhook_config,
            webhook: webhook_name,
            ca_secret,
            tls_secret,
        };
        Options { admin_listen, ca_life, leaf_life, names, propagation }
    }
}

/// Takes a name that a Kubernetes object can have: a DNS-1123 subdomain.
fn name(text: &str) -> Result<String, &'static str> {
    // The names of all these kinds follow the rule for those of Secrets.
    let name = text.parse::<SecretName>().map(|name| name.to_string());
    name.map_err(|_| "no object has such a name: write lower-case letters, digits, `-` and `.`")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{self, Cli};

    const RUN: [&str; 7] = [
        "pullcred",
        "controller",
        "--namespace=system",
        "--webhook-config=pullcred",
        "--service=pullcred-webhook",
        "--ca-secret=pullcred-ca",
        "--tls-secret=pullcred-tls",
    ];

    fn parse(arguments: &[&str]) -> Result<ControllerArgs, clap::Error> {
        match Cli::try_parse_from(arguments)?.command {
            cli::Command::Controller(args) => Ok(args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_controller_needs_the_names_of_what_it_looks_after() {
        let ControllerArgs::Run(args) = parse(&RUN).unwrap() else { panic!("not to be run") };
        let options = args.into_options();
        assert_eq!(options.names.dns()[0], "pullcred-webhook.system.svc");
        assert_eq!(options.propagation, Duration::from_secs(120));
        for missing in 2..RUN.len() {
            let mut arguments = RUN.to_vec();
            arguments.remove(missing);
            parse(&arguments).unwrap_err();
        }
        for wrong in ["--webhook-name=a,metadata.name=b", "--namespace=a.b"] {
            let mut arguments = RUN.to_vec();
            arguments.retain(|argument| argument.split('=').next() != wrong.split('=').next());
            parse(&[&arguments[..], &[wrong]].concat()).unwrap_err();
        }
    }

    #[test]
    fn unregister_needs_the_registration_only() {
        let unregister = [&RUN[..2], &["unregister", RUN[3]]].concat();
        let ControllerArgs::Unregister(args) = parse(&unregister).unwrap() else {
            panic!("not to unregister")
        };
        assert_eq!(args.webhook_config, "pullcred");
        parse(&unregister[..3]).unwrap_err();
        parse(&[&unregister[..], &[RUN[2]]].concat()).unwrap_err();
    }
}
