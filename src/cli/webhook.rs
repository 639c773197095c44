//! `pullcred webhook`

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, thread, time::Duration};

use clap::Args;

use super::AdminArgs;
use crate::{
    duration::duration,
    http::connections::ConnectionLimits,
    webhook::{Options, sources::CertificateSource},
};

/// More threads do not help: one thread answers tens of thousands of requests a second.
const MOST_WORKERS: usize = 4;

/// `pullcred webhook`
#[derive(Debug, Args)]
#[command(after_help = "Example: try it on this machine, with a certificate made in memory:
  pullcred webhook --config examples/pullcred.yaml --tls-self-signed --listen 127.0.0.1:8443")]
pub struct WebhookArgs {
    /// The mapping of registries to Secrets; read again when it changes
    #[arg(long, env = "PULLCRED_CONFIG", value_name = "FILE")]
    pub config: PathBuf,
    /// Where to serve POST /mutate over HTTPS
    #[arg(long, env = "PULLCRED_LISTEN", value_name = "ADDRESS", default_value = "[::]:8443")]
    pub listen: SocketAddr,
    /// The plain port.
    #[command(flatten)]
    pub admin: AdminArgs,
    /// The certificate to serve with.
    #[command(flatten)]
    pub tls: TlsArgs,
    /// The namespace that this webhook runs in, whose Pods it does not change
    #[arg(long, env = "PULLCRED_OWN_NAMESPACE", value_name = "NAMESPACE", value_parser = super::namespace)]
    pub own_namespace: Option<String>,
    /// Follow the reports of the cluster: the states of pull Secrets become warnings, and `whenMissing` and `discover` of the
    /// mapping take effect. Needs --own-namespace, and a token to read reports with
    #[arg(long, env = "PULLCRED_REPORTS")]
    pub reports: bool,
    /// The most open connections; further ones wait to be accepted
    #[arg(long, env = "PULLCRED_MAX_CONNECTIONS", value_name = "N", default_value = "1024")]
    pub max_connections: NonZeroUsize,
    /// The most requests in hand; further ones get 429 and are sent again a second later
    #[arg(long, env = "PULLCRED_MAX_IN_FLIGHT", value_name = "N", default_value = "1024")]
    pub max_in_flight: NonZeroUsize,
    /// How often to read the mapping and the certificate again
    #[arg(long, env = "PULLCRED_RELOAD_INTERVAL", value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub reload_interval: Duration,
    /// How many threads serve [default: the number of cores, at most 4]
    #[arg(long, env = "PULLCRED_WORKERS", value_name = "N")]
    pub workers: Option<NonZeroUsize>,
}

/// Where the serving certificate comes from.
#[derive(Debug, Args)]
#[group(id = "tls", required = true, multiple = true, args = ["tls_cert", "tls_self_signed"])]
pub struct TlsArgs {
    /// The certificate chain, in PEM, leaf first; read again when it changes
    #[arg(long, env = "PULLCRED_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM
    #[arg(long, env = "PULLCRED_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Serve with a certificate made in memory, for trying things out
    #[arg(long, env = "PULLCRED_TLS_SELF_SIGNED", conflicts_with_all = ["tls_cert", "tls_key"])]
    pub tls_self_signed: bool,
}

// === impl WebhookArgs ===

impl WebhookArgs {
    /// The configuration of the webhook, and the number of worker threads.
    #[must_use]
    pub fn into_options(self) -> (Options, usize) {
        let Self {
            config,
            listen,
            admin,
            tls,
            own_namespace,
            reports,
            max_connections,
            max_in_flight,
            reload_interval,
            workers,
        } = self;
        let options = Options {
            config,
            listen,
            admin_listen: admin.admin_listen,
            certificate: tls.into_source(),
            own_namespace: own_namespace.map(String::into_boxed_str),
            reports,
            connections: ConnectionLimits {
                connections: max_connections.get(),
                ..ConnectionLimits::default()
            },
            max_in_flight: max_in_flight.get(),
            reload_interval,
        };
        let cores = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
        (options, workers.map_or_else(|| cores().min(MOST_WORKERS), NonZeroUsize::get))
    }
}

impl TlsArgs {
    fn into_source(self) -> CertificateSource {
        match (self.tls_cert, self.tls_key) {
            (Some(chain), Some(key)) => CertificateSource::Files { chain, key },
            // Clap accepts nothing else: the group is required, and each file requires the other.
            _ => CertificateSource::SelfSigned,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parse(more: &[&str]) -> Result<WebhookArgs, clap::Error> {
        let arguments = ["pullcred", "webhook", "--config=mapping.yaml", "--tls-self-signed"];
        match Cli::try_parse_from([&arguments[..], more].concat())?.command {
            Command::Webhook(args) => Ok(args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_reload_interval_is_a_duration_with_a_unit() {
        assert_eq!(parse(&[]).unwrap().reload_interval, Duration::from_secs(10));
        let args = parse(&["--reload-interval=1m30s"]).unwrap();
        assert_eq!(args.reload_interval, Duration::from_secs(90));
        let error = parse(&["--reload-interval=10"]).unwrap_err().to_string();
        assert!(error.contains("write 10s"), "{error}");
        parse(&["--reload-interval=0s"]).unwrap_err();
    }
}
