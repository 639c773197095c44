//! `pullcred controller`

use std::time::Duration;

use clap::{ArgMatches, Args, Command, FromArgMatches, ValueEnum};

use super::AdminArgs;
use crate::{
    commands::secret::SecretName,
    controller::{Names, Options, Publish},
    duration::duration,
};

/// `pullcred controller` and its subcommands.
#[derive(Debug)]
pub enum ControllerArgs {
    /// `pullcred controller probe`
    Probe(ProbeArgs),
    /// `pullcred controller publish`
    Publish(PublishArgs),
    /// `pullcred controller`
    Run(RunArgs),
    /// `pullcred controller unregister`
    Unregister(UnregisterArgs),
}

/// The objects to manage.
#[derive(Debug, Args)]
struct NamesArgs {
    /// The namespace of the Secrets and of the webhook's Service
    #[arg(long, env = "PULLCRED_NAMESPACE", value_name = "NAMESPACE", value_parser = super::namespace)]
    namespace: String,
    /// The MutatingWebhookConfiguration whose caBundle to write
    #[arg(long, env = "PULLCRED_WEBHOOK_CONFIG", value_name = "NAME", value_parser = name)]
    webhook_config: String,
    /// The webhook's Service, which the certificate is for
    #[arg(long, env = "PULLCRED_SERVICE", value_name = "NAME", value_parser = service)]
    service: String,
    /// The one webhook of the configuration to write to [default: those that call the Service]
    #[arg(long, env = "PULLCRED_WEBHOOK_NAME", value_name = "NAME", value_parser = name)]
    webhook_name: Option<String>,
    /// The Secret for the CA and its key; created if absent
    #[arg(long, env = "PULLCRED_CA_SECRET", value_name = "NAME", value_parser = name)]
    ca_secret: String,
    /// The Secret for the serving certificate, which the webhook mounts; created if absent
    #[arg(long, env = "PULLCRED_TLS_SECRET", value_name = "NAME", value_parser = name)]
    tls_secret: String,
}

/// The configuration of the controller.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    names: NamesArgs,
    #[command(flatten)]
    admin: AdminArgs,
    /// The validity of a CA; the next one is made after two thirds of it [with --publish=never: 87600h]
    #[arg(
        long, env = "PULLCRED_CA_DURATION", value_name = "DURATION", default_value = "8760h",
        default_value_if("publish", "never", "87600h"), value_parser = duration,
    )]
    ca_duration: Duration,
    /// The validity of a serving certificate; the next one is made after two thirds of it
    #[arg(long, env = "PULLCRED_LEAF_DURATION", value_name = "DURATION", default_value = "720h", value_parser = duration)]
    leaf_duration: Duration,
    /// How long a caBundle takes to reach every API server, and a Secret every webhook: kubelets take up to 90s, the webhook
    /// 10s
    #[arg(long, env = "PULLCRED_PROPAGATION", value_name = "DURATION", default_value = "120s", value_parser = duration)]
    propagation: Duration,
    /// Whether to write the caBundle: with `never`, `pullcred controller publish` does
    #[arg(long, env = "PULLCRED_PUBLISH", value_name = "WHEN", default_value = "always")]
    publish: PublishWhen,
}

/// Who writes the caBundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PublishWhen {
    /// This process, whenever it is not as it should be
    Always,
    /// Another process, which runs once at install and upgrade
    Never,
}

/// Write the CA into the MutatingWebhookConfiguration once, and exit
#[derive(Debug, Args)]
pub struct PublishArgs {
    #[command(flatten)]
    names: NamesArgs,
    /// How long to try, and to wait for the CA
    #[arg(long, env = "PULLCRED_TIMEOUT", value_name = "DURATION", default_value = "2m", value_parser = duration)]
    timeout: Duration,
}

/// Ask the API server to create a Pod, by a dry run: what `helm test` does, where a policy refuses Pods without their Secret
#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// The namespace of the Pod
    #[arg(long, env = "PULLCRED_NAMESPACE", value_name = "NAMESPACE", value_parser = super::namespace)]
    pub namespace: String,
    /// The name of the Pod
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub pod: String,
    /// The image of the Pod. Nothing is pulled
    #[arg(long, value_name = "IMAGE")]
    pub image: String,
}

/// Delete the MutatingWebhookConfiguration, so that the webhook is no longer called
#[derive(Debug, Args)]
pub struct UnregisterArgs {
    /// The MutatingWebhookConfiguration to delete, if it is there
    #[arg(long, env = "PULLCRED_WEBHOOK_CONFIG", value_name = "NAME", value_parser = name)]
    pub webhook_config: String,
}

// === impl ControllerArgs ===

const PROBE: &str = "probe";
const PUBLISH: &str = "publish";
const UNREGISTER: &str = "unregister";

const EXAMPLES: &str = "Examples:
  Keep the certificate of the Service pullcred-webhook, by the API server of KUBECONFIG or of the cluster around:
    pullcred controller --namespace pullcred --service pullcred-webhook --webhook-config pullcred \\
      --ca-secret pullcred-ca --tls-secret pullcred-tls
  Write the CA into the webhook configuration once, for a controller with --publish=never:
    pullcred controller publish --namespace pullcred --service pullcred-webhook --webhook-config pullcred \\
      --ca-secret pullcred-ca --tls-secret pullcred-tls
  Stop the API server from calling the webhook:
    pullcred controller unregister --webhook-config pullcred";

// Clap cannot derive a command that also has subcommands with other arguments, some of which share an environment variable.
impl Args for ControllerArgs {
    fn augment_args(command: Command) -> Command {
        RunArgs::augment_args(command)
            .subcommand_negates_reqs(true)
            .args_conflicts_with_subcommands(true)
            .after_help(EXAMPLES)
            .subcommand(ProbeArgs::augment_args(Command::new(PROBE)))
            .subcommand(PublishArgs::augment_args(Command::new(PUBLISH)))
            .subcommand(UnregisterArgs::augment_args(Command::new(UNREGISTER)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ControllerArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        match matches.subcommand() {
            Some((PROBE, matches)) => ProbeArgs::from_arg_matches(matches).map(Self::Probe),
            Some((PUBLISH, matches)) => PublishArgs::from_arg_matches(matches).map(Self::Publish),
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

// === impl NamesArgs ===

impl NamesArgs {
    fn into_names(self) -> Names {
        let Self { namespace, webhook_config, service, webhook_name, ca_secret, tls_secret } = self;
        Names {
            namespace,
            service,
            configuration: webhook_config,
            webhook: webhook_name,
            ca_secret,
            tls_secret,
        }
    }
}

// === impl RunArgs ===

impl RunArgs {
    /// The controller's configuration.
    #[must_use]
    pub fn into_options(self) -> Options {
        let Self { names, admin, ca_duration, leaf_duration, propagation, publish } = self;
        let publish = match publish {
            PublishWhen::Always => Publish::Always,
            PublishWhen::Never => Publish::Never,
        };
        let names = names.into_names();
        let admin_listen = admin.admin_listen;
        Options { admin_listen, ca_duration, leaf_duration, names, propagation, publish }
    }
}

// === impl PublishArgs ===

impl PublishArgs {
    /// The names of the objects, and how long to try.
    #[must_use]
    pub fn into_options(self) -> (Names, Duration) {
        (self.names.into_names(), self.timeout)
    }
}

/// Parses the name of a Service: a DNS-1035 label, which begins with a letter and has no dot.
fn service(text: &str) -> Result<String, &'static str> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let valid = text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && text.chars().all(inner);
    if valid {
        Ok(text.to_owned())
    } else {
        Err("invalid Service name: use up to 63 lower-case letters, digits and `-`, a letter first")
    }
}

/// Parses the name of a Kubernetes object: a DNS-1123 subdomain.
pub(super) fn name(text: &str) -> Result<String, &'static str> {
    // The names of all these kinds follow the rule for those of Secrets.
    let name = text.parse::<SecretName>().map(|name| name.to_string());
    name.map_err(|_| "invalid name: use lower-case letters, digits, `-` and `.`")
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
    fn a_controller_needs_the_names_of_its_objects() {
        let ControllerArgs::Run(args) = parse(&RUN).unwrap() else { panic!("not to be run") };
        let options = args.into_options();
        assert_eq!(options.names.dns()[0], "pullcred-webhook.system.svc");
        assert_eq!(options.propagation, Duration::from_secs(120));
        for missing in 2..RUN.len() {
            let mut arguments = RUN.to_vec();
            arguments.remove(missing);
            parse(&arguments).unwrap_err();
        }
        for wrong in [
            "--webhook-name=a,metadata.name=b",
            "--namespace=a.b",
            "--service=1a",
            "--service=a.b",
            "--service=a-",
            "--service=",
        ] {
            let mut arguments = RUN.to_vec();
            arguments.retain(|argument| argument.split('=').next() != wrong.split('=').next());
            parse(&[&arguments[..], &[wrong]].concat()).unwrap_err();
        }
    }

    #[test]
    fn with_publish_never_a_ca_is_valid_for_ten_years() {
        for (arguments, hours) in [
            (&[][..], 8760),
            (&["--publish=never"], 87_600),
            (&["--publish=never", "--ca-duration=100h"], 100),
        ] {
            let ControllerArgs::Run(args) = parse(&[&RUN[..], arguments].concat()).unwrap() else {
                panic!("not to be run")
            };
            assert_eq!(args.into_options().ca_duration.as_secs() / 3600, hours, "{arguments:?}");
        }
    }

    #[test]
    fn publish_needs_the_same_names_and_nothing_else() {
        let publish = [&RUN[..2], &["publish"], &RUN[2..]].concat();
        let ControllerArgs::Publish(args) = parse(&publish).unwrap() else {
            panic!("not to publish")
        };
        let (names, timeout) = args.into_options();
        assert_eq!((names.configuration.as_str(), timeout.as_secs()), ("pullcred", 120));
        for missing in 3..publish.len() {
            let mut arguments = publish.clone();
            arguments.remove(missing);
            parse(&arguments).unwrap_err();
        }
    }

    #[test]
    fn unregister_needs_the_name_of_the_webhook_configuration_only() {
        let unregister = [&RUN[..2], &["unregister", RUN[3]]].concat();
        let ControllerArgs::Unregister(args) = parse(&unregister).unwrap() else {
            panic!("not to unregister")
        };
        assert_eq!(args.webhook_config, "pullcred");
        parse(&unregister[..3]).unwrap_err();
        parse(&[&unregister[..], &[RUN[2]]].concat()).unwrap_err();
    }
}
