//! `pullcred secret`

use std::{ffi::OsStr, fmt::Display, marker::PhantomData, path::PathBuf, str::FromStr};

use clap::{
    Arg, Args, Command, ValueEnum,
    builder::{StringValueParser, TypedValueParser},
    error::ErrorKind,
};

use crate::commands::secret::{Logins, Options, Output, Registry, SecretName};

/// `pullcred secret`
#[derive(Debug, Args)]
#[command(
    after_help = "The Secret has the logins of the named registries and no others. Before it is written, it is
read as the kubelet reads it. A password is no argument: everybody on a machine sees those.
Exit code: 0 written, 1 a login is missing or does not work on a node, 2 usage.

Examples:
  A Secret with one login of your Docker config, and nothing else of it:
    pullcred secret --registry ghcr.io --name ghcr -n shop | kubectl apply -f -
  The login of a robot account, for one organisation:
    pullcred secret --username acme+robot --password-stdin \\
      --registry quay.io/acme --name quay < token.txt
  From podman, for two registries:
    pullcred secret --from-docker-config \"$XDG_RUNTIME_DIR/containers/auth.json\" \\
      --registry docker.io registry.internal:5000 --name pull"
)]
pub struct SecretArgs {
    /// The registries whose logins the Secret holds: `host[:port][/path]`
    #[arg(long = "registry", value_name = "HOST", num_args = 1.., required = true, value_parser = Discreet::<Registry>::NEW)]
    pub registries: Vec<Registry>,
    /// The name of the Secret
    #[arg(long, value_name = "NAME", value_parser = Discreet::<SecretName>::NEW)]
    pub name: SecretName,
    /// The namespace of the Secret [default: none is written]
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// How to write the Secret
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    pub output: SecretOutput,
    /// Where the logins come from.
    #[command(flatten)]
    pub logins: LoginArgs,
}

/// Where the logins come from.
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// A Docker config, or podman's auth.json [default: config.json in `$DOCKER_CONFIG` or ~/.docker]
    #[arg(long, value_name = "FILE", conflicts_with = "username")]
    pub from_docker_config: Option<PathBuf>,
    /// The user, instead of a Docker config
    #[arg(long, value_name = "USER", requires = "password_stdin")]
    pub username: Option<String>,
    /// Read the password from standard input
    #[arg(long, requires = "username")]
    pub password_stdin: bool,
}

/// The forms in which `pullcred secret` writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum SecretOutput {
    /// YAML
    #[default]
    Yaml,
    /// JSON
    Json,
}

/// Reads an argument without repeating what it refuses, as Clap's own parsers do: a URL has perhaps a password in it.
#[derive(Debug)]
struct Discreet<T>(PhantomData<fn() -> T>);

// === impl Discreet ===

impl<T> Discreet<T> {
    const NEW: Self = Self(PhantomData);
}

impl<T> Clone for Discreet<T> {
    fn clone(&self) -> Self {
        Self::NEW
    }
}

impl<T> TypedValueParser for Discreet<T>
where
    T: FromStr<Err: Display> + Clone + Send + Sync + 'static,
{
    type Value = T;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<T, clap::Error> {
        let text = StringValueParser::new().parse_ref(command, arg, value)?;
        let name = arg.and_then(Arg::get_long).unwrap_or_default();
        let error = |error| format!("--{name}: {error}\n");
        text.parse().map_err(|it| clap::Error::raw(ErrorKind::ValueValidation, error(it)))
    }
}

// === impl SecretArgs ===

impl SecretArgs {
    /// What the command needs to know.
    #[must_use]
    pub fn into_options(self) -> Options {
        let Self { registries, name, namespace, output, logins } = self;
        // The flag itself says no more: clap lets a user through only with it.
        let LoginArgs { from_docker_config, username, password_stdin: _ } = logins;
        let logins = match username {
            Some(username) => Logins::Stdin { username },
            None => Logins::DockerConfig(from_docker_config),
        };
        let output = match output {
            SecretOutput::Json => Output::Json,
            SecretOutput::Yaml => Output::Yaml,
        };
        Options { name, namespace, registries, logins, output }
    }
}
