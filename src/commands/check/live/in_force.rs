//! Which mapping the webhook's Pods run with: what is in force, and what is still on its way to them.
//!
//! A ConfigMap that was changed reaches a Pod when its kubelet next syncs, a minute or two later, and the webhook within
//! ten seconds of that. `/readyz?verbose` of each Pod shows the digest of the mapping that it decides by.

use super::{
    super::{Check, finding::Report},
    forward::{forwarded, get},
    mounted::{Mounted, Source, file_of},
};
use crate::{
    cluster::{Cluster, Collection},
    fingerprint::Fingerprint,
    mapping::MappingError,
};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, PodCondition};

/// The name of the container port that answers `/readyz`, in the chart and in the manifests.
const ADMIN_PORT: &str = "admin";
/// How many Pods are asked: more have the same ConfigMap.
const POD_MAX: usize = 8;

/// The mapping that the webhook's Pods are given.
#[derive(Debug, Clone)]
pub(in crate::commands) struct Given {
    pub(super) namespace: String,
    map: String,
    pub(in crate::commands) text: String,
}

/// Why it is not known which mapping the Pods are given.
#[derive(Debug)]
pub(in crate::commands) enum NotGiven {
    /// No Pod has a ConfigMap with a mapping mounted.
    NoPod,
    /// The ConfigMap could not be read: where it is, and why not.
    Unread(String, String),
    /// The ConfigMap lacks the key: where it is, and which key.
    NoKey(String, String),
}

/// What one Pod decides by.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Decides {
    /// The mapping that it is given.
    Given,
    /// Another one, of this digest.
    Other(String),
    /// Not known: it could not be asked, or did not say.
    Unknown(String),
}

/// Which Pods decide by what they are given.
#[derive(Debug, Default)]
pub(super) struct InForce {
    /// Pods that were asked.
    asked: usize,
    /// Those that decide by another mapping, and its digest.
    others: Vec<(String, String)>,
    /// Those of which it is not known, and why not.
    unknown: Vec<(String, String)>,
    /// The digest of what is given.
    digest: String,
}

// === impl Given ===

impl Given {
    /// Reads what the Pods have mounted.
    pub(in crate::commands) async fn read(
        cluster: &Cluster,
        pods: &[Pod],
    ) -> Result<Self, NotGiven> {
        let (namespace, map, key) = pods.iter().find_map(mapping_of).ok_or(NotGiven::NoPod)?;
        let place = format!("configmap {namespace}/{map}");
        let maps = Collection::of::<ConfigMap>(Some(&namespace));
        let unread = |why: String| NotGiven::Unread(place.clone(), why);
        let found = cluster.get::<ConfigMap>(&maps, &map).await;
        let found = found.map_err(|error| unread(error.reason()))?;
        let found = found.ok_or_else(|| unread("there is no such ConfigMap".to_owned()))?;
        let text = found.data.unwrap_or_default().remove(&key);
        let text = text.ok_or(NotGiven::NoKey(place, key))?;
        Ok(Self { namespace, map, text })
    }

    /// Says that the webhook does not take it, and why.
    pub(super) fn refused(&self, error: &MappingError, report: &mut Report) {
        let more = match error.problems().count() + error.omitted() {
            0 | 1 => String::new(),
            all => format!(", and {} more", all - 1),
        };
        let message = format!(
            "the webhook refuses it, so a Pod that has a good one keeps that, and one that starts now has none: \
             line {}, column {}: {}{more}",
            error.line(),
            error.column(),
            error.message(),
        );
        report.error(Check::Mapping, self.place(), message);
    }

    /// Where it is.
    pub(in crate::commands) fn place(&self) -> String {
        format!("configmap {}/{}", self.namespace, self.map)
    }

    /// Asks the ready Pods that have it mounted what they decide by.
    pub(super) async fn in_force(&self, cluster: &Cluster, pods: &[Pod]) -> InForce {
        let digest = Fingerprint::of(&[&self.text]).to_string();
        let mut found = InForce { digest, ..InForce::default() };
        let have_it = |pod: &&Pod| {
            mapping_of(pod)
                .is_some_and(|(namespace, map, _)| namespace == self.namespace && map == self.map)
        };
        for pod in pods.iter().filter(|pod| is_ready(pod)).filter(have_it).take(POD_MAX) {
            let name = pod.metadata.name.clone().unwrap_or_default();
            found.asked += 1;
            match decides(cluster, &self.namespace, &name, pod, &found.digest).await {
                Decides::Given => {}
                Decides::Other(digest) => found.others.push((name, digest)),
                Decides::Unknown(why) => found.unknown.push((name, why)),
            }
        }
        found
    }
}

// === impl NotGiven ===

impl NotGiven {
    /// Says why the mapping is not known. That no Pod has one is worth a word only where it is `needed`.
    pub(super) fn report(self, needed: bool, report: &mut Report) {
        match self {
            Self::NoPod if needed => {
                let why = "no Pod of the webhook has one mounted. Without it neither Secrets nor Pods are judged: \
                           write --config FILE";
                report.not_seen("mapping", why);
            }
            Self::NoPod => {}
            Self::Unread(place, why) => {
                report.not_seen(place, &format!("{why}. Write --config FILE"));
            }
            Self::NoKey(place, key) => {
                let message = format!("it has no key {key:?}, which the webhook reads");
                report.error(Check::Mapping, place, message);
            }
        }
    }
}

// === impl InForce ===

impl InForce {
    /// Whether every Pod that is ready decides by the mapping, and at least one does.
    pub(super) fn everywhere(&self) -> bool {
        self.asked > 0 && self.others.is_empty() && self.unknown.is_empty()
    }

    /// What is still to happen until it is in force.
    pub(super) fn missing(&self) -> String {
        let Self { asked, others, unknown, digest } = self;
        match (others.as_slice(), unknown.as_slice()) {
            (_, _) if *asked == 0 => "no webhook Pod is ready".to_owned(),
            ([(pod, other), ..], _) => format!(
                "{} of {asked} webhook Pods still decide by another one: Pod {pod} has sha256 {other}, and the \
                 ConfigMap has {digest}",
                others.len()
            ),
            ([], [(pod, why), ..]) => format!("Pod {pod} does not say what it decides by: {why}"),
            ([], []) => "nothing".to_owned(),
        }
    }

    /// Says where the mapping is not in force.
    pub(super) fn judge(&self, place: &str, report: &mut Report) {
        if !self.others.is_empty() {
            let message = format!(
                "it is not in force yet: {}. A kubelet brings it within a minute or two, and until then new Pods get \
                 Secrets by the old one. Wait before you replace Pods: pullcred check --live --wait",
                self.missing()
            );
            report.warning(Check::MappingNotInForce, place, message);
        } else if let Some((pod, why)) = self.unknown.first() {
            let why = format!("whether it is in force: Pod {pod} does not say: {why}");
            report.not_seen(place, &why);
        }
    }
}

/// The namespace, name and key of the ConfigMap from which a Pod has its mapping.
fn mapping_of(pod: &Pod) -> Option<(String, String, String)> {
    match file_of(pod, "--config", "PULLCRED_CONFIG")? {
        Mounted { source: Source::ConfigMap(name), key } => {
            Some((pod.metadata.namespace.clone()?, name, key))
        }
        Mounted { source: Source::Secret(_), .. } => None,
    }
}

/// Whether the Pod is ready and to stay.
pub(super) fn is_ready(pod: &Pod) -> bool {
    ready(pod).is_some() && pod.metadata.deletion_timestamp.is_none()
}

/// Since when it is ready, in seconds since the Unix epoch.
pub(super) fn ready_since(pod: &Pod) -> Option<i64> {
    ready(pod)?.last_transition_time.as_ref().map(|it| it.0.as_second())
}

fn ready(pod: &Pod) -> Option<&PodCondition> {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.find(|it| it.type_ == "Ready" && it.status == "True")
}

async fn decides(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    pod: &Pod,
    given: &str,
) -> Decides {
    let Some(port) = admin_port(pod) else {
        return Decides::Unknown(format!("it has no container port {ADMIN_PORT}"));
    };
    let pods = cluster.namespaced::<Pod>(namespace);
    let answer = forwarded(&pods, name, port, async |stream| get(stream, "/readyz?verbose").await);
    answer.await.map_or_else(Decides::Unknown, |answer| read(&answer, given))
}

fn admin_port(pod: &Pod) -> Option<u16> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut ports = containers.flat_map(|it| it.ports.iter().flatten());
    let port = ports.find(|it| it.name.as_deref() == Some(ADMIN_PORT))?;
    u16::try_from(port.container_port).ok()
}

/// What `/readyz?verbose` says of the mapping: `[+]mapping ok: … sha256 d7955138b5d5`.
fn read(answer: &str, given: &str) -> Decides {
    let mut lines = answer.lines().filter_map(|line| line.get(3..)?.strip_prefix("mapping "));
    let digest = lines.find_map(|line| {
        let (_, digest) = line.split_once("sha256 ")?;
        Some(digest.split(|c: char| !c.is_ascii_hexdigit()).next().unwrap_or_default().to_owned())
    });
    match digest {
        Some(digest) if digest == given => Decides::Given,
        Some(digest) => Decides::Other(digest),
        None => Decides::Unknown("/readyz names no digest of a mapping".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_what_is_in_force_is_read_off_readyz() {
        let given = "d7955138b5d5";
        let line = |rest: &str| {
            format!("[+]serving ok: in service\n[+]mapping ok: {rest}\nreadyz check passed\n")
        };
        let file = "5 rules from /etc/pullcred/mapping/pullcred.yaml, sha256";
        let other = Decides::Other("0c2f8e4b91aa".to_owned());
        for (answer, expected) in [
            (line(&format!("{file} {given}")), Decides::Given),
            (line(&format!("{file} 0c2f8e4b91aa")), other.clone()),
            (line(&format!("{file} 0c2f8e4b91aa; not in force: line 3, sha256 {given}")), other),
        ] {
            assert_eq!(read(&answer, given), expected, "{answer}");
        }
        for answer in ["", "404 page not found", "[+]certificate ok: sha256 d7955138b5d5"] {
            assert!(matches!(read(answer, given), Decides::Unknown(_)), "{answer}");
        }
    }

    #[test]
    fn a_mapping_is_in_force_where_every_ready_pod_has_it() {
        let one = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let digest = "d7955138b5d5".to_owned();
        let all = InForce { asked: 2, digest: digest.clone(), ..InForce::default() };
        let none = InForce { digest: digest.clone(), ..InForce::default() };
        let others = vec![one("a", "0c2f8e4b91aa")];
        let some = InForce { asked: 2, others, digest: digest.clone(), ..InForce::default() };
        let unknown = vec![one("b", "forbidden")];
        let unknown = InForce { asked: 2, unknown, digest, ..InForce::default() };
        for (state, everywhere, severity) in
            [(all, true, ""), (none, false, ""), (some, false, "warning"), (unknown, false, "note")]
        {
            assert_eq!(state.everywhere(), everywhere, "{state:?}");
            let mut report = Report::default();
            state.judge("configmap home/mapping", &mut report);
            let out = report.json();
            assert_eq!(out.is_empty(), severity.is_empty(), "{out}");
            assert!(out.contains(severity), "{out}");
        }
    }
}
