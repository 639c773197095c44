//! `pullcred secret show`: what a Secret holds, without its passwords.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use k8s_openapi::{api::core::v1::Secret, jiff::Timestamp};
use serde_json::Value;

use super::ShowOptions;
use crate::{
    cluster::{ClusterOptions, Collection, client::block_on},
    commands::{
        Exit, Failure, Streams,
        manifests::{SecretManifest, Source},
        printable::Printable,
    },
    core::{
        docker_hub,
        keyring::{
            RegistryKey,
            secret::{Contents, Entry},
        },
    },
};

/// In place of every password, however long it is.
const MASK: &str = "********";

/// Members of a Docker config that mean something to Docker and nothing to the kubelet.
const NOT_READ: [&str; 2] = ["credHelpers", "credsStore"];
/// The same within an entry.
const NOT_READ_IN_ENTRIES: [&str; 2] = ["identitytoken", "registrytoken"];

/// Which Secrets to show.
#[derive(Debug)]
pub enum Shown {
    /// The one of this name in a cluster.
    Live {
        /// The cluster.
        cluster: ClusterOptions,
        /// The Secret.
        name: String,
    },
    /// Those of a manifest.
    Manifest(Source),
}

/// Shows Secrets.
///
/// # Errors
///
/// [`Failure`] where they cannot be read, or there are none.
pub(super) fn run(options: &ShowOptions, streams: &mut Streams<'_>) -> Result<Exit, Failure> {
    let secrets = match &options.shown {
        Shown::Manifest(source) => manifest(source, streams)?,
        Shown::Live { cluster, name } => vec![live(cluster, options.namespace.as_deref(), name)?],
    };
    for (index, secret) in secrets.iter().enumerate() {
        if index > 0 {
            writeln!(streams.stdout)?;
        }
        show(secret, streams.stdout)?;
    }
    streams.stdout.flush()?;
    Ok(Exit::Fine)
}

fn manifest(source: &Source, streams: &mut Streams<'_>) -> Result<Vec<SecretManifest>, Failure> {
    let secrets = SecretManifest::all_of(source, streams.stdin)?;
    if secrets.is_empty() {
        return Err(Failure::trouble(format!("there is no Secret in {source}")));
    }
    Ok(secrets)
}

fn live(
    cluster: &ClusterOptions,
    namespace: Option<&str>,
    name: &str,
) -> Result<SecretManifest, Failure> {
    block_on(async {
        let cluster = cluster.connect().await?.patient();
        let namespace = namespace.unwrap_or(cluster.namespace());
        let secrets = Collection::of::<Secret>(Some(namespace));
        match cluster.get::<Secret>(&secrets, name).await? {
            Some(secret) => Ok(SecretManifest::from_api(namespace, name, secret)),
            None => Err(Failure::trouble(format!("there is no Secret {namespace}/{name}"))),
        }
    })
}

fn show(secret: &SecretManifest, out: &mut dyn Write) -> io::Result<()> {
    let slash = if secret.namespace.is_some() { "/" } else { "" };
    let namespace = secret.namespace.as_deref().unwrap_or_default();
    writeln!(
        out,
        "Secret {}{slash}{} ({})",
        Printable(namespace),
        Printable(&secret.name),
        Printable(&secret.type_)
    )?;
    let mut warnings = Vec::new();
    match secret.contents() {
        Err(error) => warnings.push(format!(
            "the kubelet cannot read it, and pulls nothing for a Pod that lists it, not even public images: {error}"
        )),
        Ok(Contents::Ignored(why)) => {
            warnings.push(format!("the kubelet passes it over: {why}"));
        }
        Ok(Contents::Entries(entries)) => {
            table(&entries, out)?;
            if entries.is_empty() {
                warnings.push("it holds no login".to_owned());
            }
            warnings.extend(of_entries(&entries));
            warnings.extend(secret.flaws().iter().map(ToString::to_string));
        }
    }
    warnings.extend(unread(secret));
    for warning in warnings {
        writeln!(out, "  warning: {}", Printable(warning))?;
    }
    Ok(())
}

fn table(entries: &[Entry], out: &mut dyn Write) -> io::Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut rows = vec![["KEY", "THE KUBELET MATCHES", "USER", "PASSWORD"].map(ToOwned::to_owned)];
    for Entry { key, login } in entries {
        let index = key.index_key().map_or_else(|| "nothing".to_owned(), |key| key.to_string());
        let user = login.username();
        let user = if user.is_empty() { "none".to_owned() } else { Printable(user).to_string() };
        let ends = login.life().and_then(|it| Timestamp::from_second(it.ends).ok());
        let password = match ends {
            Some(ends) => format!("{MASK}, ends {ends}"),
            None if login.has_password() => MASK.to_owned(),
            None => "none".to_owned(),
        };
        rows.push([key.to_string(), index, user, password]);
    }
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let (key, index, user) = (width(0), width(1), width(2));
    for [a, b, c, d] in &rows {
        writeln!(out, "  {a:key$}  {b:index$}  {c:user$}  {d}")?;
    }
    Ok(())
}

/// What the kubelet makes of the entries, where that may not be what is meant.
fn of_entries(entries: &[Entry]) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut same: BTreeMap<String, Vec<&RegistryKey>> = BTreeMap::new();
    for Entry { key, .. } in entries {
        match key.index_key() {
            None => warnings.push(format!(
                "{key}: it cannot be read as a URL, so the kubelet drops it: write `host`, `host:port` or `host/path`"
            )),
            Some(index) => same.entry(index.as_str().to_owned()).or_default().push(key),
        }
        let index = key.index_key();
        let host = index.as_ref().map_or("", |key| key.as_str());
        let host = host.split('/').next().unwrap_or_default();
        if host.contains('*') {
            warnings.push(format!("{key}: every host that it matches can be sent the password"));
        }
        if docker_hub::is_beside(host) {
            warnings.push(format!(
                "{key}: images on Docker Hub do not name this host: write docker.io"
            ));
        }
    }
    for keys in same.values().filter(|keys| keys.len() > 1) {
        let keys: Vec<_> = keys.iter().map(ToString::to_string).collect();
        warnings.push(format!(
            "{} are the same to the kubelet, and tried in any order",
            keys.join(" and ")
        ));
    }
    // Images on Docker Hub are matched by `docker.io`, and fall back to the login key where nothing matches.
    let of_hub = |index: &str| {
        entries.iter().find(|it| it.key.index_key().is_some_and(|key| key.as_str() == index))
    };
    if let (Some(named), Some(fallback)) =
        (of_hub(docker_hub::HOST), of_hub(docker_hub::LEGACY_HOST))
    {
        warnings.push(format!(
            "{} and {} are both for Docker Hub: the second is tried only for images that no other key matches",
            named.key, fallback.key
        ));
    }
    warnings
}

/// What stands in it in vain. Nothing where it cannot be read, which is said elsewhere.
fn unread(secret: &SecretManifest) -> Vec<String> {
    let Some(Ok(config)) = secret.data(".dockerconfigjson").map(serde_json::from_slice::<Value>)
    else {
        return Vec::new();
    };
    let mut warnings: Vec<String> = NOT_READ
        .iter()
        .filter(|name| config.get(name).is_some())
        .map(|name| format!("the kubelet does not read {name}"))
        .collect();
    for (key, entry) in config.get("auths").and_then(Value::as_object).into_iter().flatten() {
        for name in NOT_READ_IN_ENTRIES.iter().filter(|name| entry.get(name).is_some()) {
            let key = RegistryKey::from(key.as_str());
            warnings.push(format!("{key}: the kubelet does not read {name}"));
        }
    }
    warnings
}
