//! `pullcred secret`

use std::{
    collections::HashSet, ffi::OsStr, fmt::Display, marker::PhantomData, path::PathBuf,
    str::FromStr,
};

use clap::{
    Arg, ArgGroup, Args, Command, Subcommand,
    builder::{StringValueParser, TypedValueParser},
    error::ErrorKind,
};

use crate::{
    cluster::ClusterOptions,
    commands::{
        Failure, NamespaceLabel,
        manifests::Source,
        secret::{
            CopiesOptions, FetchOptions, LoginName, Logins, MakeOptions, Options, Output, Registry,
            SecretName, ShowOptions, Shown, Target,
        },
    },
};

/// `pullcred secret`
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    group = ArgGroup::new("in-a-cluster").args(["apply", "login"]).multiple(true),
    after_help = "The Secret has the logins of the named registries and no others. Before it is written, it is
read as the kubelet reads it. A password is no argument: everybody on a machine sees those.

With --login it is the Secret of a login that pullcred fetches: once, as the credentials controller
does, with each step on standard error. The login itself is in the Secret only.

Exit code: 0 written, 1 a login is missing or opens nothing, or the cluster refuses, 2 usage.

Examples:
  A Secret with one login of your Docker config, and nothing else of it:
    pullcred secret --registry ghcr.io --name ghcr -n shop | kubectl apply --server-side -f -
  The same, tried out at the registry and then applied to the current cluster:
    pullcred secret --registry ghcr.io --name ghcr -n shop --verify ghcr.io/acme/web:1 --apply
  The login of a robot account, for one organisation:
    pullcred secret --username acme+robot --password-stdin \\
      --registry quay.io/acme --name quay < token.txt
  From podman, for two registries:
    pullcred secret --from-docker-config \"$XDG_RUNTIME_DIR/containers/auth.json\" \\
      --registry docker.io registry.internal:5000 --name pull
  Does the cloud trust the cluster, and which step fails if not?
    pullcred secret --login ecr --config pullcred.yaml > /dev/null
  What is in a Secret?
    pullcred secret show --live ghcr -n shop"
)]
pub struct SecretArgs {
    /// Other things to do with a Secret.
    #[command(subcommand)]
    pub action: Option<SecretAction>,
    /// What to make.
    #[command(flatten)]
    pub make: Option<MakeSecretArgs>,
}

/// Other things to do with a Secret than to make one.
#[derive(Debug, Subcommand)]
pub enum SecretAction {
    /// Write the Secrets that the credentials controller keeps in a namespace, as a List
    Copies(CopiesArgs),
    /// Show what a Secret holds and what the kubelet makes of it, without passwords
    Show(ShowSecretArgs),
}

/// What Secret to make. Without groups of flags within: Clap would take them all for absent.
#[derive(Debug, Args)]
pub struct MakeSecretArgs {
    /// The registries whose logins the Secret holds: `host[:port][/path]`
    #[arg(long = "registry", value_name = "HOST", num_args = 1.., required_unless_present = "login", value_parser = NonEchoingParser::<Registry>::NEW)]
    pub registries: Vec<Registry>,
    /// The name of the Secret
    #[arg(long, value_name = "NAME", required_unless_present = "login", value_parser = NonEchoingParser::<SecretName>::NEW)]
    pub name: Option<SecretName>,
    /// Fetch this short-lived login of the mapping, and make its Secret, `pullcred-login-NAME`
    #[arg(
        long,
        value_name = "NAME",
        requires = "config",
        conflicts_with_all = ["registries", "name", "namespace", "from_docker_config", "username", "password_stdin", "verify"],
        value_parser = NonEchoingParser::<LoginName>::NEW
    )]
    pub login: Option<LoginName>,
    /// With --login: the mapping of registries to Secrets, or values of the chart
    #[arg(long, env = "PULLCRED_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// With --login: the namespace that pullcred is installed in, with the ServiceAccount that asks
    #[arg(long, value_name = "NAMESPACE", value_parser = super::namespace, default_value = "pullcred", requires = "login")]
    pub installed_in: String,
    /// With --login: the socket at which pullcred plugins runs the plugins of the mapping's logins
    #[arg(long, env = "PULLCRED_PLUGINS", value_name = "PATH")]
    pub plugins: Option<PathBuf>,
    /// The namespace of the Secret [default: none is written; with --apply, the context's]
    #[arg(short, long, value_name = "NAMESPACE", value_parser = super::namespace)]
    pub namespace: Option<String>,
    /// How to write the Secret
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    pub output: Output,
    /// A Docker config, or podman's auth.json [default: config.json in `$DOCKER_CONFIG` or ~/.docker]
    #[arg(long, value_name = "FILE", conflicts_with = "username")]
    pub from_docker_config: Option<PathBuf>,
    /// The user, instead of a Docker config
    #[arg(long, value_name = "USER", requires = "password_stdin")]
    pub username: Option<String>,
    /// Read the password from standard input
    #[arg(long, requires = "username")]
    pub password_stdin: bool,
    /// Ask the registry of this image whether the login opens it, before anything is written; may be repeated
    #[arg(long, value_name = "IMAGE")]
    pub verify: Vec<String>,
    /// Apply the Secret to a cluster instead of writing it
    #[arg(long, conflicts_with = "output")]
    pub apply: bool,
    /// The context of the kubeconfig [default: the current one]
    #[arg(long, value_name = "NAME", requires = "in-a-cluster")]
    pub context: Option<String>,
    /// The kubeconfig [default: KUBECONFIG, ~/.kube/config, or the Pod that this runs in]
    #[arg(long, value_name = "FILE", requires = "in-a-cluster")]
    pub kubeconfig: Option<PathBuf>,
}

/// Which copies to write.
#[derive(Debug, Args)]
#[command(
    after_help = "The namespace is taken to have opted in. The copies are those that pullcred credentials keeps there,
with their passwords, in the order of the mapping. Only a manifest with a uid, as a cluster returns
it, gives the copies the annotation pullcred.dev/content: its value is made with that uid.
Exit code: 0 written, also where the namespace gets none, 1 a login cannot be used, 2 usage or mapping.

Examples:
  What would the namespace shop get?
    kubectl get secret -n pullcred acme-robot -o yaml |
      pullcred secret copies --config pullcred.yaml --from - -n shop
  Where a rule asks for labels of the namespace:
    pullcred secret copies --config values.yaml --from logins.yaml -n shop -l tier=prod
  Which registries does each copy open?
    pullcred secret copies --config pullcred.yaml --from logins.yaml -n shop |
      pullcred secret show -"
)]
pub struct CopiesArgs {
    /// The mapping of registries to Secrets, or values of the chart
    #[arg(long, env = "PULLCRED_CONFIG", value_name = "FILE")]
    pub config: PathBuf,
    /// Manifests with the Secrets of the logins, in YAML or JSON: a file, or `-`; may be repeated
    #[arg(long = "from", value_name = "FILE", required = true)]
    pub sources: Vec<Source>,
    /// The namespace that the copies are for [default: default]
    #[arg(short, long, value_name = "NAMESPACE", value_parser = super::namespace)]
    pub namespace: Option<String>,
    /// The labels of that namespace
    #[arg(short, long, value_name = "KEY=VALUE", value_delimiter = ',', value_parser = label)]
    pub labels: Vec<NamespaceLabel>,
    /// The namespace that pullcred is installed in, with the Secrets of the logins
    #[arg(long, value_name = "NAMESPACE", value_parser = super::namespace, default_value = "pullcred")]
    pub installed_in: String,
    /// How to write the Secrets
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    pub output: Output,
}

/// Which Secret to show.
#[derive(Debug, Args)]
#[command(after_help = "Passwords are shown as ********, whatever their length. Users are shown.

Examples:
  Of a manifest, or of what another program writes:
    pullcred secret show secret.yaml
    kubectl create secret docker-registry x --dry-run=client -o yaml … | pullcred secret show -
  Of a cluster:
    pullcred secret show --live ghcr -n shop")]
pub struct ShowSecretArgs {
    /// Manifests of Secrets, in YAML or JSON: a file, or `-`
    #[arg(value_name = "FILE", required_unless_present = "live", conflicts_with = "live")]
    pub file: Option<Source>,
    /// The Secret of this name in the current cluster
    #[arg(long, value_name = "NAME")]
    pub live: Option<String>,
    /// The namespace of the Secret [default: the context's]
    #[arg(short, long, value_name = "NAMESPACE", value_parser = super::namespace, requires = "live", conflicts_with = "file")]
    pub namespace: Option<String>,
    /// The context of the kubeconfig [default: the current one]
    #[arg(long, value_name = "NAME", requires = "live", conflicts_with = "file")]
    pub context: Option<String>,
    /// The kubeconfig [default: KUBECONFIG, ~/.kube/config, or the Pod that this runs in]
    #[arg(long, value_name = "FILE", requires = "live", conflicts_with = "file")]
    pub kubeconfig: Option<PathBuf>,
}

/// Reads a label with its value, such as `tier=prod`.
fn label(text: &str) -> Result<NamespaceLabel, String> {
    let (key, value) = text.split_once('=').ok_or("write a label with its value: tier=prod")?;
    NamespaceLabel::new(key, value).map_err(|error| error.to_string())
}

/// A value parser whose errors never repeat the value. Clap's own do, and a URL may hold a password.
#[derive(Debug)]
struct NonEchoingParser<T>(PhantomData<fn() -> T>);

// === impl NonEchoingParser ===

impl<T> NonEchoingParser<T> {
    const NEW: Self = Self(PhantomData);
}

impl<T> Clone for NonEchoingParser<T> {
    fn clone(&self) -> Self {
        Self::NEW
    }
}

impl<T> TypedValueParser for NonEchoingParser<T>
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
    ///
    /// # Errors
    ///
    /// [`Failure`] where a label is there twice.
    pub fn into_options(self) -> Result<Options, Failure> {
        let Self { action, make } = self;
        match (action, make) {
            (Some(SecretAction::Copies(copies)), _) => {
                Ok(Options::Copies(Box::new(copies.into_options()?)))
            }
            (Some(SecretAction::Show(show)), _) => Ok(Options::Show(show.into_options())),
            (None, Some(make)) => make.into_options(),
            (None, None) => Err(Failure::usage("name the Secret and its registries")),
        }
    }
}

impl MakeSecretArgs {
    fn into_options(self) -> Result<Options, Failure> {
        let Self {
            registries,
            name,
            login,
            config,
            installed_in,
            plugins,
            namespace,
            output,
            from_docker_config,
            username,
            // It says no more: Clap lets a user through only with it.
            password_stdin: _,
            verify,
            apply,
            context,
            kubeconfig,
        } = self;
        let cluster = ClusterOptions { context, kubeconfig };
        let name = match (login, config, name) {
            (Some(login), Some(config), _) => {
                let output = (!apply).then_some(output);
                return Ok(Options::Fetch(Box::new(FetchOptions {
                    login,
                    config,
                    installed_in,
                    cluster,
                    plugins,
                    output,
                })));
            }
            (_, _, Some(name)) => name,
            // Clap lets neither be missing.
            (_, _, None) => return Err(Failure::usage("name the Secret and its registries")),
        };
        let logins = match username {
            Some(username) => Logins::Stdin { username },
            None => Logins::DockerConfig(from_docker_config),
        };
        let target = match (apply, output) {
            (true, _) => Target::Cluster(cluster),
            (false, output) => Target::Stdout(output),
        };
        let make = MakeOptions { name, namespace, registries, logins, verify, target };
        Ok(Options::Make(Box::new(make)))
    }
}

impl CopiesArgs {
    fn into_options(self) -> Result<CopiesOptions, Failure> {
        let Self { config, sources, namespace, labels, installed_in, output } = self;
        let mut keys = HashSet::new();
        if let Some(twice) = labels.iter().find(|label| !keys.insert(label.key())) {
            let key = twice.key();
            return Err(Failure::usage(format!(
                "--labels: {key} is there twice, but a namespace has one value of it"
            )));
        }
        Ok(CopiesOptions { config, sources, namespace, labels, installed_in, output })
    }
}

impl ShowSecretArgs {
    fn into_options(self) -> ShowOptions {
        let Self { file, live, namespace, context, kubeconfig } = self;
        let shown = match live {
            Some(name) => Shown::Live { cluster: ClusterOptions { context, kubeconfig }, name },
            // Clap lets one of the two through.
            None => Shown::Manifest(file.unwrap_or(Source::Stdin)),
        };
        ShowOptions { namespace, shown }
    }
}
