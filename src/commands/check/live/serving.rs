//! What the webhook configuration points to: the Service, what is behind it, and what certificate that serves.

use std::collections::BTreeMap;

use hyper::Uri;
use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhook, ServiceReference},
    core::v1::{Pod, Secret, Service},
    discovery::v1::EndpointSlice,
};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::{net::TcpStream, time::timeout};

use super::{
    super::{Check, finding::Report},
    certificates::{Bundle, Timestamp, chain, judge_served},
    forward::{EXCHANGE, forwarded, too_slow},
    handshake,
    mounted::{Source, file_of},
    registration::FailurePolicy,
    replicas,
};
use crate::{
    cluster::{CallError, Cluster, Collection},
    paste,
};

/// How many Pods of the webhook shake hands: more have the same Secret.
const POD_MAX: usize = 8;
/// The port of a Service where a webhook configuration names none (admissionregistration.k8s.io/v1).
const DEFAULT_PORT: i32 = 443;

/// Checks what stands behind a webhook.
pub(super) struct Serving<'s> {
    pub(super) cluster: &'s Cluster,
    pub(super) webhook: &'s MutatingWebhook,
    pub(super) bundle: &'s Bundle,
    pub(super) now: Timestamp,
}

/// An address behind a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Endpoint {
    /// The Pod, where it is one.
    pod: Option<String>,
    port: u16,
}

type Chain = Vec<CertificateDer<'static>>;

// === impl Serving ===

impl Serving<'_> {
    /// Judges it, and answers the Pods of the webhook, which show what it runs with.
    pub(super) async fn judge(&self, report: &mut Report) -> Vec<Pod> {
        let config = &self.webhook.client_config;
        match (&config.service, &config.url) {
            (Some(service), _) => self.service(service, report).await,
            (None, Some(url)) => {
                match at_url(url).await {
                    Ok((name, chain)) => self.certificate(url, &chain, &name, report),
                    Err(why) => report.not_seen(url, &format!("no handshake from here: {why}")),
                }
                Vec::new()
            }
            (None, None) => Vec::new(),
        }
    }

    fn certificate(&self, place: &str, chain: &Chain, name: &ServerName<'_>, report: &mut Report) {
        // Without anything to trust there is nothing to hold it against, and that is reported already.
        if !self.bundle.is_empty() {
            judge_served(place, chain, self.bundle, name, self.now, report);
        }
    }

    async fn service(&self, reference: &ServiceReference, report: &mut Report) -> Vec<Pod> {
        let ServiceReference { namespace, name, port, .. } = reference;
        let place = format!("service {namespace}/{name}");
        let services = Collection::of::<Service>(Some(namespace));
        let service = match self.cluster.get::<Service>(&services, name).await {
            Ok(Some(service)) => service,
            Ok(None) => {
                let message = "there is no such Service, so the API server reaches no webhook: install it, or \
                                   correct the registration";
                report.error(Check::Service, place, message);
                return Vec::new();
            }
            Err(error) => {
                report.not_seen(place, &error.reason());
                return Vec::new();
            }
        };
        let spec = service.spec.unwrap_or_default();
        let number = port.unwrap_or(DEFAULT_PORT);
        if let Some(port) = spec.ports.iter().flatten().find(|it| it.port == number) {
            self.endpoints(reference, port.name.as_deref(), report).await;
        } else {
            let message = format!(
                "it has no port {number}, which the registration names: correct one of them"
            );
            report.error(Check::Service, place.clone(), message);
        }
        let selector = spec.selector.unwrap_or_default();
        let controllers = match replicas::of_controller(&selector) {
            Some(selector) => selected(self.cluster, namespace, &selector).await,
            None => Ok(Vec::new()),
        };
        match (selected(self.cluster, namespace, &selector).await, controllers) {
            (Ok(pods), Ok(controllers)) => {
                replicas::judge("webhook", &pods, report);
                replicas::judge("controller", &controllers, report);
                pods
            }
            (Err(error), _) | (_, Err(error)) => {
                report.not_seen(format!("pods of {place}"), &error.reason());
                Vec::new()
            }
        }
    }

    async fn endpoints(
        &self,
        ServiceReference { namespace, name, .. }: &ServiceReference,
        port: Option<&str>,
        report: &mut Report,
    ) {
        let place = format!("service {namespace}/{name}");
        let slices = Collection::of::<EndpointSlice>(Some(namespace));
        let ours = format!("kubernetes.io/service-name={name}");
        let ready = match self.cluster.list(slices, Some(&ours)).all::<EndpointSlice>().await {
            Ok(slices) => ready(&slices, port),
            Err(error) => {
                return report.not_seen(format!("endpoints of {place}"), &error.reason());
            }
        };
        match (ready.len(), FailurePolicy::of(self.webhook)) {
            (0, policy) => {
                let then = match policy {
                    FailurePolicy::Fail => "no Pod can be created in opted-in namespaces",
                    FailurePolicy::Ignore => "new Pods get no Secret",
                };
                let see = paste::name(namespace)
                    .map_or_else(String::new, |it| format!(": see kubectl get pods -n {it}"));
                let message = format!("nothing behind it is ready, so {then}{see}");
                report.error(Check::Endpoints, place, message);
            }
            (1, FailurePolicy::Fail) => {
                let message = "failurePolicy is Fail, and only one webhook is ready: without it no Pod can be created in \
                               opted-in namespaces. Run two";
                report.warning(Check::FailurePolicy, place, message);
            }
            _ => {}
        }
        self.pods_serve(namespace, name, &ready, report).await;
    }

    /// Shakes hands with every Pod, through the API server: a Service's address leads nowhere from outside.
    async fn pods_serve(
        &self,
        namespace: &str,
        service: &str,
        ready: &[Endpoint],
        report: &mut Report,
    ) {
        // The name that the API server asks for (apiserver: pkg/util/webhook/client.go).
        let Ok(name) = ServerName::try_from(format!("{service}.{namespace}.svc")) else { return };
        let pods = self.cluster.namespaced::<Pod>(namespace);
        let mut first_failure = None;
        if !ready.is_empty() && ready.iter().all(|endpoint| endpoint.pod.is_none()) {
            let place = format!("service {namespace}/{service}");
            report.not_seen(place, "no Pods are behind it, so there is no port to forward");
        }
        for Endpoint { pod, port } in ready.iter().take(POD_MAX) {
            let Some(pod) = pod else { continue };
            let shake = async |stream| handshake::chain(stream, name.to_owned()).await;
            match forwarded(&pods, pod, *port, shake).await {
                Ok(chain) => {
                    self.certificate(&format!("pod {namespace}/{pod}"), &chain, &name, report);
                }
                Err(why) => {
                    first_failure.get_or_insert((pod, why));
                }
            }
        }
        if let Some((pod, why)) = first_failure {
            let why = format!("no handshake by port-forward, so only its Secret is judged: {why}");
            report.not_seen(format!("pod {namespace}/{pod}"), &why);
            self.secret_serves(namespace, pod, &name, report).await;
        }
    }

    /// Judges what the Pod mounts, which is what it serves, or will within a minute or two.
    async fn secret_serves(
        &self,
        namespace: &str,
        pod: &str,
        name: &ServerName<'_>,
        report: &mut Report,
    ) {
        let pods = Collection::of::<Pod>(Some(namespace));
        let Ok(Some(pod)) = self.cluster.get::<Pod>(&pods, pod).await else { return };
        let Some(file) = file_of(&pod, "--tls-cert", "PULLCRED_TLS_CERT") else { return };
        let Source::Secret(secret) = &file.source else { return };
        let place = format!("secret {namespace}/{secret}");
        let secrets = Collection::of::<Secret>(Some(namespace));
        match self.cluster.get::<Secret>(&secrets, secret).await {
            Ok(Some(secret)) => {
                let data = secret.data.unwrap_or_default();
                let text = data.get(&file.key).map_or(&[][..], |text| &text.0);
                self.certificate(&place, &chain(text), name, report);
            }
            Ok(None) => report.not_seen(place, "there is no such Secret"),
            Err(error) => report.not_seen(place, &error.reason()),
        }
    }
}

/// The Pods behind the Service of a webhook; none where there is no such Service.
///
/// # Errors
///
/// [`CallError`]
pub(super) async fn pods_behind(
    cluster: &Cluster,
    ServiceReference { namespace, name, .. }: &ServiceReference,
) -> Result<Vec<Pod>, CallError> {
    let services = Collection::of::<Service>(Some(namespace));
    let service = cluster.get::<Service>(&services, name).await?;
    let selector = service.and_then(|it| it.spec?.selector).unwrap_or_default();
    selected(cluster, namespace, &selector).await
}

/// The Pods that a Service selects. Without a selector it has no Pods of its own.
pub(in crate::commands) async fn selected(
    cluster: &Cluster,
    namespace: &str,
    selector: &BTreeMap<String, String>,
) -> Result<Vec<Pod>, CallError> {
    if selector.is_empty() {
        return Ok(Vec::new());
    }
    let selector: Vec<String> =
        selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let pods = Collection::of::<Pod>(Some(namespace));
    cluster.list(pods, Some(&selector.join(","))).all().await
}

/// What is ready behind the port of that name, each Pod once: with two families of addresses it has two slices.
fn ready(slices: &[EndpointSlice], port_name: Option<&str>) -> Vec<Endpoint> {
    let mut found: BTreeMap<String, Endpoint> = BTreeMap::new();
    for slice in slices {
        let mut ports = slice.ports.iter().flatten();
        let port = ports
            .find(|it| it.name.as_deref().unwrap_or_default() == port_name.unwrap_or_default());
        let Some(port) = port.and_then(|it| u16::try_from(it.port?).ok()) else { continue };
        for endpoint in &slice.endpoints {
            // Unknown is to be taken for ready (discovery.k8s.io/v1, EndpointConditions).
            if endpoint.conditions.as_ref().and_then(|it| it.ready) == Some(false) {
                continue;
            }
            let pod = endpoint.target_ref.as_ref().filter(|it| it.kind.as_deref() == Some("Pod"));
            let pod = pod.and_then(|it| it.name.clone());
            let address = || endpoint.addresses.first().cloned().unwrap_or_default();
            found.entry(pod.clone().unwrap_or_else(address)).or_insert(Endpoint { pod, port });
        }
    }
    found.into_values().collect()
}

async fn at_url(url: &str) -> Result<(ServerName<'static>, Chain), String> {
    let uri: Uri = url.parse().map_err(|error| format!("{url} is no URL: {error}"))?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(host.clone()).map_err(|error| error.to_string())?;
    let port = uri.port_u16().unwrap_or(443);
    let shake = async {
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        handshake::chain(stream, name.clone()).await
    };
    match timeout(EXCHANGE, shake).await {
        Ok(Ok(chain)) => Ok((name, chain)),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(too_slow()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_with_two_addresses_is_one_endpoint() {
        let slice = |address: &str, ready: serde_json::Value, pod: &str| {
            serde_json::from_value(json!({
                "addressType": "IPv4", "metadata": {},
                "ports": [{"name": "admin", "port": 8080}, {"name": "https", "port": 8443}],
                "endpoints": [{
                    "addresses": [address], "conditions": {"ready": ready},
                    "targetRef": {"kind": "Pod", "name": pod},
                }],
            }))
            .unwrap()
        };
        let slices: [EndpointSlice; 4] = [
            slice("10.0.0.1", json!(true), "one"),
            slice("fd00::1", json!(true), "one"),
            slice("10.0.0.2", json!(null), "two"),
            slice("10.0.0.3", json!(false), "three"),
        ];
        let endpoint = |pod: &str| Endpoint { pod: Some(pod.to_owned()), port: 8443 };
        assert_eq!(ready(&slices, Some("https")), [endpoint("one"), endpoint("two")]);
        assert_eq!(ready(&slices, None), []);
    }
}
