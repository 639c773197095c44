//! Logins and their copies: the Secrets that people keep, the controller that copies them, and what it has made.
//!
//! Of a copy only its metadata is read: its fingerprint says what is in it.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::ObjectMeta};

use super::{
    super::{
        Check,
        finding::{Report, first_of},
        logins::{filled, judge},
    },
    LiveCheck,
    namespaces::Labelled,
    pods::Usage,
    replicas,
};
use crate::{
    cluster::Collection,
    commands::{
        logins::{how_to_fetch, named},
        scan::{self, AskedMetadata},
    },
    core::{
        copies::{CONTENT, Copies, MARK, Recipe},
        credentials::Credentials,
        image::ImageRef,
        keyring::{Keyring, RegistryKey},
        pod::{INJECT_LABEL, OPTED_IN},
        rules::{Login, LoginName, Mapping},
    },
};

/// The labels of the controller's Pods (Kubernetes' recommended labels).
const COMPONENT: (&str, &str) = ("app.kubernetes.io/component", "credentials");
const OF_THE_CHART: (&str, &str) = ("app.kubernetes.io/name", "pullcred");
/// The most namespaces in one message.
const MAX_REPORTED: usize = 5;

/// The logins of a mapping, as far as they are known.
#[derive(Debug, Default)]
pub(super) struct Logins(BTreeMap<LoginName, State>);

/// What is known of a login.
#[derive(Debug)]
enum State {
    /// It can be used: what its Secret has, and the Secret's uid.
    Usable(Credentials, String),
    /// It is reported that it cannot be used; copies stay as they are.
    Broken,
}

/// Copies that are not as they should be, by Secret: the namespaces.
#[derive(Debug, Default)]
struct Amiss {
    missing: BTreeMap<String, Vec<String>>,
    /// Those of them that images of Pods need.
    needed: BTreeMap<String, Vec<String>>,
    outdated: BTreeMap<String, Vec<String>>,
    foreign: BTreeMap<String, Vec<String>>,
}

/// The copies that need no further look, by namespace and Secret.
pub(super) type Settled = BTreeSet<(String, String)>;

// === impl LiveCheck ===

impl LiveCheck<'_> {
    /// Checks the controller of copies. Answers its namespace.
    pub(super) async fn credentials_controller(
        &self,
        home: Option<&str>,
        report: &mut Report,
    ) -> Option<String> {
        let mut labels = BTreeMap::from([COMPONENT]);
        // Another chart may have such a component, but hardly in the namespace of the webhook.
        if home.is_none() {
            labels.extend([OF_THE_CHART]);
        }
        let labels: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let pods = self.cluster.list(Collection::of::<Pod>(home), Some(&labels.join(",")));
        let pods: Vec<Pod> = match { pods }.all().await {
            Ok(pods) => pods,
            Err(error) => {
                report.not_seen("credentials controller", &error.reason());
                return None;
            }
        };
        judge_controller(&pods, report);
        pods.into_iter().find_map(|pod| pod.metadata.namespace)
    }

    /// Checks the Secrets of the logins, in pullcred's own namespace.
    pub(super) async fn logins(&self, mapping: &Mapping, report: &mut Report) -> Logins {
        let mut logins = Logins::default();
        let Some(home) = mapping.own_namespace() else {
            let why = "the namespace of pullcred is not known, since neither its webhook nor its controller was found";
            report.not_seen("logins", why);
            return logins;
        };
        let copies = Copies::of(mapping, home);
        // What namespaces fetch themselves has no Secret here.
        let kept = || {
            let is_kept = |it: &&Login| !it.is_fetched() || copies.is_copied(&it.name);
            mapping.logins().iter().filter(is_kept)
        };
        let names: BTreeSet<_> =
            kept().map(|it| (home.to_owned(), it.secret().to_string())).collect();
        let found = scan::secrets(&self.cluster, names.into_iter().collect()).await;
        let found: BTreeMap<_, _> = found.into_iter().map(|it| (it.name, it.found)).collect();
        for login in kept() {
            let name = login.secret();
            let place = format!("secret {home}/{name}");
            let state = match found.get(name.as_str()) {
                Some(Ok(Some(secret))) => {
                    let credentials = judge(mapping, login, secret, home, &place, report);
                    let uid = secret.uid.clone().unwrap_or_default();
                    credentials.map_or(State::Broken, |it| State::Usable(it, uid))
                }
                Some(Ok(None)) => {
                    report.error(Check::LoginMissing, place, missing(mapping, login));
                    State::Broken
                }
                Some(Err(why)) => {
                    report.not_seen(place, why);
                    continue;
                }
                None => continue,
            };
            logins.0.insert(login.name.clone(), state);
        }
        logins
    }

    /// Checks the copies of each namespace that has opted in.
    pub(super) async fn copies(
        &self,
        namespaces: &BTreeMap<String, Labelled>,
        logins: &Logins,
        usage: &Usage,
        mapping: &Mapping,
        report: &mut Report,
    ) -> Settled {
        let copies = Copies::of(mapping, mapping.own_namespace().unwrap_or_default());
        let (mut amiss, mut settled) = (Amiss::default(), Settled::new());
        for (namespace, Labelled { labels, .. }) in namespaces {
            if labels.get(INJECT_LABEL).is_none_or(|value| value != OPTED_IN) {
                continue;
            }
            let recipes = copies.wanted(namespace, |key| labels.get(key).map(String::as_str));
            let secret =
                |recipe: &Recipe| copies.secrets().nth(recipe.copy).map(ToString::to_string);
            let wanted: BTreeMap<String, Recipe> =
                recipes.into_iter().filter_map(|it| Some((secret(&it)?, it))).collect();
            let names = wanted.keys().map(|name| (namespace.clone(), name.clone())).collect();
            for AskedMetadata { name, found } in scan::secrets_metadata(&self.cluster, names).await
            {
                let Some(recipe) = wanted.get(&name) else { continue };
                let needs = usage.needs.get(namespace).and_then(|it| it.get(&name));
                let place = Copy { namespace, name: &name, needs };
                if place.judge(found, recipe, &copies, logins, &mut amiss, report) {
                    settled.insert((namespace.clone(), name));
                }
            }
        }
        amiss.report(mapping, report);
        settled
    }
}

fn judge_controller(pods: &[Pod], report: &mut Report) {
    if pods.is_empty() {
        let message = "no Pod of it is there, so no copy is made or renewed: install the chart with this mapping. With \
                       mappingFrom it needs credentials.secretNames and credentials.loginSecretNames";
        report.error(Check::CredentialsController, "credentials controller", message);
    }
    replicas::judge("credentials controller", pods, report);
}

fn missing(mapping: &Mapping, login: &Login) -> String {
    if login.is_fetched() {
        return format!(
            "it is not there: pullcred has not fetched login {} for Secret {}. See why in the log of the credentials \
             controller, or step by step: {}",
            login.name,
            filled(mapping, login),
            how_to_fetch(login)
        );
    }
    format!(
        "it is not there, and login {} fills Secret {} from it: copies that are there stay, and no new ones are made",
        login.name,
        filled(mapping, login)
    )
}

/// A copy in its namespace.
struct Copy<'c> {
    namespace: &'c str,
    name: &'c str,
    /// The images of the namespace's Pods for which it is.
    needs: Option<&'c BTreeSet<String>>,
}

// === impl Copy ===

impl Copy<'_> {
    /// Judges what there is. Answers whether all is said of it: if not, its content has to be read.
    fn judge(
        &self,
        found: Result<Option<ObjectMeta>, String>,
        recipe: &Recipe,
        copies: &Copies,
        logins: &Logins,
        amiss: &mut Amiss,
        report: &mut Report,
    ) -> bool {
        let login = copies.login(recipe).and_then(|name| logins.0.get(name));
        let add = |to: &mut BTreeMap<String, Vec<String>>| {
            to.entry(self.name.to_owned()).or_default().push(self.namespace.to_owned());
        };
        let metadata = match found {
            Ok(Some(metadata)) => metadata,
            Ok(None) => {
                if matches!(login, Some(State::Broken)) {
                    // That is reported once, of the login.
                } else if self.needs.is_some_and(|images| !images.is_empty()) {
                    add(&mut amiss.needed);
                } else {
                    add(&mut amiss.missing);
                }
                return true;
            }
            // It is said with the other Secrets of the namespace, why not.
            Err(_) => return false,
        };
        let labels = metadata.labels.unwrap_or_default();
        if labels.get(MARK.0).is_none_or(|value| value != MARK.1) {
            add(&mut amiss.foreign);
            return false;
        }
        let Some(State::Usable(credentials, uid)) = login else { return false };
        let slice = copies.slice(recipe, credentials);
        let content = metadata.annotations.unwrap_or_default().remove(CONTENT);
        if slice.is_empty() {
            return false;
        }
        if content != Some(slice.fingerprint(uid.as_bytes())) {
            add(&mut amiss.outdated);
        }
        self.opens(slice.keys().map(RegistryKey::from), report);
        true
    }

    /// Whether the login has what the images of Pods need.
    fn opens(&self, keys: impl Iterator<Item = RegistryKey>, report: &mut Report) {
        let keyring = Keyring::new([(self.name, keys)]);
        let opens = |name: &&String| {
            ImageRef::parse(name).is_ok_and(|image| !keyring.lookup(&image).is_empty())
        };
        let closed: Vec<&String> =
            self.needs.into_iter().flatten().filter(|it| !opens(it)).collect();
        if !closed.is_empty() {
            let message = format!(
                "its login has nothing for {}: put a login for it into the login's Secret, from which pullcred makes this one",
                first_of(&closed, MAX_REPORTED)
            );
            report.error(
                Check::NoLogin,
                format!("secret {}/{}", self.namespace, self.name),
                message,
            );
        }
    }
}

// === impl Amiss ===

impl Amiss {
    /// One finding for all namespaces of a Secret: a controller that hangs is behind in all of them.
    fn report(&self, mapping: &Mapping, report: &mut Report) {
        let Self { missing, needed, outdated, foreign } = self;
        let look = "See what the log and /readyz of the credentials controller say";
        let from = |secret: &str| {
            let mut rules = mapping.rules().iter().filter(|rule| rule.secret.as_str() == secret);
            let login = rules.find_map(|rule| rule.fill.as_ref());
            let login = login.and_then(|fill| named(mapping, &fill.login));
            login.map_or_else(String::new, |login| format!(" from login {}", login.name))
        };
        let place = |secret: &str| format!("secret {secret}");
        for (secret, namespaces) in needed {
            let message = format!(
                "Pods need it in {}, but pullcred has not made it{}. {look}",
                first_of(namespaces, MAX_REPORTED),
                from(secret)
            );
            report.error(Check::CopyMissing, place(secret), message);
        }
        for (secret, namespaces) in missing {
            let message = format!(
                "pullcred has not made it in {}{}. {look}",
                first_of(namespaces, MAX_REPORTED),
                from(secret)
            );
            report.warning(Check::CopyMissing, place(secret), message);
        }
        for (secret, namespaces) in outdated {
            let message = format!(
                "it is not what its login has now in {}. {look}",
                first_of(namespaces, MAX_REPORTED)
            );
            report.warning(Check::CopyOutdated, place(secret), message);
        }
        for (secret, namespaces) in foreign {
            let message = format!(
                "the Secret of that name in {} is somebody's own, so pullcred leaves it alone: delete it, and pullcred \
                 makes its own{}; or give the rule another `secret`",
                first_of(namespaces, MAX_REPORTED),
                from(secret)
            );
            report.warning(Check::NameConflict, place(secret), message);
        }
    }
}
