//! `pullcred secret`: pull Secrets that hold no more than they must, and what is in one.

mod apply;
mod copies;
mod docker_config;
mod fetched;
mod login;
mod pull_secret;
mod registry;
mod show;
mod verify;

use std::{collections::BTreeSet, io::Write, path::PathBuf};

use clap::ValueEnum;
use serde::Serialize;

use self::{
    docker_config::DockerConfig,
    pull_secret::{PullSecret, prove},
    verify::verify,
};
use super::{Exit, Failure, Streams};
use crate::{
    cluster::{ClusterOptions, client::block_on},
    core::{docker_hub, image::ImageRef},
    paste,
    registry::{Http, Login, is_loopback},
};

pub use self::copies::CopiesOptions;
pub use self::fetched::FetchOptions;
pub use self::registry::{Registry, RegistryError};
pub use self::show::Shown;
pub use crate::core::rules::{LoginName, SecretName};

/// What a person types to make a Secret for these registries, in a cluster. It is safe to paste.
pub(super) fn how_to_make(name: &str, namespace: &str, registries: &BTreeSet<&str>) -> String {
    let (Some(name), Some(namespace)) = (paste::name(name), paste::name(namespace)) else {
        return "no Secret can have that name, so correct the name where it is listed".to_owned();
    };
    let words: Vec<String> = registries.iter().filter_map(|it| paste::registry(it)).collect();
    if words.is_empty() {
        return format!(
            "docker login HOST, then pullcred secret --registry HOST --name {name} -n {namespace} --apply"
        );
    }
    let logins: Vec<String> = words.iter().map(|word| docker_login(word)).collect();
    format!(
        "{}, then pullcred secret --registry {} --name {name} -n {namespace} --apply",
        logins.join(" and "),
        words.join(" "),
    )
}

/// The command that logs in at a registry, which is one word of a shell.
fn docker_login(registry: &str) -> String {
    let host = registry.split('/').next().unwrap_or(registry);
    if docker_hub::is_named_by(host) {
        "docker login".to_owned()
    } else {
        format!("docker login {host}")
    }
}

/// What to do.
#[derive(Debug)]
pub enum Options {
    /// Write the copies of logins that a namespace gets.
    Copies(Box<CopiesOptions>),
    /// Fetch a login, and write or apply its Secret.
    Fetch(Box<FetchOptions>),
    /// Make a Secret.
    Make(Box<MakeOptions>),
    /// Show one.
    Show(ShowOptions),
}

/// What Secret to make, and of what.
#[derive(Debug)]
pub struct MakeOptions {
    /// Its name.
    pub name: SecretName,
    /// Its namespace; without one, `kubectl` uses that of the context.
    pub namespace: Option<String>,
    /// The registries whose logins it holds; at least one.
    pub registries: Vec<Registry>,
    /// Where the logins come from.
    pub logins: Logins,
    /// Images that the registries must open with it.
    pub verify: Vec<String>,
    /// Where it goes.
    pub target: Target,
}

/// Which Secrets to show, and of which namespace.
#[derive(Debug)]
pub struct ShowOptions {
    /// The namespace of a Secret in a cluster; without one, that of the context.
    pub namespace: Option<String>,
    /// Which Secrets.
    pub shown: Shown,
}

/// Where a Secret goes.
#[derive(Debug)]
pub enum Target {
    /// Into a cluster.
    Cluster(ClusterOptions),
    /// To standard output.
    Stdout(Output),
}

/// Where logins come from.
#[derive(Debug)]
pub enum Logins {
    /// A Docker config: this file, or the usual one.
    DockerConfig(Option<PathBuf>),
    /// This user, with the password on standard input.
    Stdin {
        /// The user.
        username: String,
    },
}

/// How a Secret is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// YAML
    #[default]
    Yaml,
    /// JSON
    Json,
}

/// Runs the command.
///
/// # Errors
///
/// [`Failure`] where a login is missing or does not work on a node, nothing being written then; and where what is to be
/// shown cannot be read.
pub fn run(options: &Options, streams: &mut Streams<'_>) -> Result<Exit, Failure> {
    match options {
        Options::Copies(options) => copies::run(options, streams),
        Options::Fetch(options) => fetched::run(options, streams),
        Options::Make(options) => make(options, streams),
        Options::Show(options) => show::run(options, streams),
    }
}

fn make(options: &MakeOptions, streams: &mut Streams<'_>) -> Result<Exit, Failure> {
    let MakeOptions { name, namespace, registries, logins, verify, target } = options;
    let mut wanted: Vec<Registry> = Vec::with_capacity(registries.len());
    for registry in registries {
        if !wanted.contains(registry) {
            wanted.push(registry.clone());
        }
    }
    let images = verify.iter().map(|image| ImageRef::parse(image).map(|it| (image, it)));
    let images = images.collect::<Result<_, _>>();
    let images: Vec<_> = images.map_err(|error| Failure::usage(format!("--verify: {error}")))?;
    warn_of_hosts(&wanted, streams.stderr)?;
    let logins = collect(logins, wanted, streams)?;
    warn_of_logins(&logins, streams.stderr)?;
    let secret =
        PullSecret::new(name, namespace.clone(), &logins).map_err(|error| unwritten(&error))?;
    let output = match target {
        Target::Stdout(output) => *output,
        Target::Cluster(_) => Output::Json,
    };
    let text = text(&secret, output)?;
    prove(&text, &logins).map_err(Failure::trouble)?;
    if !images.is_empty() {
        block_on(open(&images, &logins, streams.stderr))?;
    }
    match target {
        Target::Cluster(cluster) => {
            apply::apply(cluster, namespace.as_deref(), name, &secret, streams.stdout)?;
        }
        Target::Stdout(_) => streams.stdout.write_all(text.as_bytes())?,
    }
    streams.stdout.flush()?;
    Ok(Exit::Fine)
}

/// Says of each image whether its registry opens it, up to the first that it does not.
async fn open(
    images: &[(&String, ImageRef<'_>)],
    logins: &[(Registry, Login)],
    stderr: &mut dyn Write,
) -> Result<(), Failure> {
    let http = Http::new();
    for (written, image) in images {
        let verdict = match &http {
            Ok(http) => verify(http, image, logins).await,
            Err(why) => return Err(Failure::trouble(why.clone())),
        };
        match &verdict {
            Some(verdict) => writeln!(stderr, "{written}: {verdict}")?,
            None => writeln!(stderr, "{written}: the Secret has no login for it")?,
        }
        if !verdict.is_some_and(|it| it.is_good()) {
            let why =
                "the Secret was not written, because a registry did not open an image with it";
            return Err(Failure::trouble(why));
        }
    }
    Ok(())
}

/// An object as it is written.
fn text(object: &impl Serialize, output: Output) -> Result<String, Failure> {
    match output {
        Output::Json => {
            let text = serde_json::to_string_pretty(object).map_err(|error| unwritten(&error))?;
            Ok(text + "\n")
        }
        Output::Yaml => {
            // A long line of base64 stays one line.
            let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
            serde_saphyr::to_string_with_options(object, options).map_err(|error| unwritten(&error))
        }
    }
}

/// The login for each registry, or all that is wrong with them at once.
fn collect(
    logins: &Logins,
    registries: Vec<Registry>,
    streams: &mut Streams<'_>,
) -> Result<Vec<(Registry, Login)>, Failure> {
    let path = match logins {
        Logins::Stdin { username } => {
            let login = login::read(username.clone(), streams.stdin).map_err(Failure::usage)?;
            return Ok(registries.into_iter().map(|it| (it, login.clone())).collect());
        }
        Logins::DockerConfig(Some(path)) => path.clone(),
        Logins::DockerConfig(None) => DockerConfig::usual_path().map_err(Failure::usage)?,
    };
    let config = DockerConfig::read(&path).map_err(Failure::trouble)?;
    let mut found = Vec::with_capacity(registries.len());
    let mut missing = Vec::new();
    for registry in registries {
        match config.login(&registry) {
            Ok((login, from)) => {
                if let Some(key) = from {
                    writeln!(
                        streams.stderr,
                        "warning: the login for {registry} is that of {key}: Docker takes it for the whole host, podman for \
                         that path only"
                    )?;
                }
                found.push((registry, login));
            }
            Err(why) => missing.push(format!("  {registry}: {why}")),
        }
    }
    if missing.is_empty() {
        return Ok(found);
    }
    let path = config.path().display();
    Err(Failure::trouble(format!(
        "{path} has no login that works on a node for\n{}",
        missing.join("\n")
    )))
}

/// Says what works, but hardly where it is meant to.
fn warn_of_hosts(registries: &[Registry], stderr: &mut dyn Write) -> Result<(), Failure> {
    for registry in registries {
        if is_loopback(registry.host()) {
            writeln!(
                stderr,
                "warning: {registry} is on each node another registry: the one on the node itself"
            )?;
        }
        if docker_hub::is_beside(registry.host()) {
            writeln!(
                stderr,
                "warning: images on Docker Hub do not name {}: write docker.io",
                registry.host()
            )?;
        }
    }
    Ok(())
}

/// Says what works now, but not for long.
fn warn_of_logins(logins: &[(Registry, Login)], stderr: &mut dyn Write) -> Result<(), Failure> {
    for (registry, login) in logins {
        for oddity in login.oddities() {
            writeln!(stderr, "warning: the login for {registry}: {oddity}")?;
        }
        if let Some(time) = login::lives(login, registry.host()) {
            writeln!(
                stderr,
                "warning: the password of {} for {registry} is a token that ends after {time}: \
                 Pods that start later cannot pull",
                login.username(),
            )?;
        }
    }
    Ok(())
}

/// The one way in which writing can fail has no text of ours in it, and none is repeated.
fn unwritten(_error: &dyn std::error::Error) -> Failure {
    Failure::trouble("the Secret cannot be written as text")
}
