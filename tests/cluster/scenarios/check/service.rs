//! A webhook behind a Service, with Pods that are as the chart makes them.

use std::sync::Arc;

use anyhow::Result;
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::clinic::{Diagnosis, REGISTRY, docker_config, examine, private_pod};
use crate::{
    cluster::{Cluster, MAPPING},
    fixtures::pod,
    namespace::{Namespace, PRIVATE_IMAGE},
    pki::{Authority, User},
    registration::{COLLECTION, Registration, WEBHOOK},
    report::Report,
    sandbox::NODE_ADDRESS,
};

const SLICE: &str = "endpointslices/webhook-by-hand";
const SLICES: &str = "/apis/discovery.k8s.io/v1";

/// The whole of it, mapping and certificate found by the Pods of the Service; then each part broken.
pub(crate) async fn behind_a_service(cluster: Arc<Cluster>) -> Result<Report> {
    let home = cluster.unlabelled("check-service-home").await?;
    let patient = cluster.apart("check-service").await?;
    install(&cluster, &home).await?;
    Registration::service("check-service", home.name(), "webhook", cluster.webhooks())
        .only_in(&[patient.name()])
        .create(cluster.api())
        .await?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": PRIVATE_IMAGE.1},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": docker_config(REGISTRY)},
    });
    patient.create_object("/api/v1", "secrets", &secret).await?;
    patient.create_pod(private_pod("app").pull_secrets(&[PRIVATE_IMAGE.1])).await?;

    let look = || look(&cluster, &patient);
    let sound = look().await?;
    sound.is_sound()?;
    // No kubelet runs this Pod, so nothing can be forwarded to it: neither what it serves nor what it decides by is seen.
    let mapping = "configmap check-service-home/mapping";
    assert_eq!(sound.not_seen(), ["pod check-service-home/webhook", mapping]);

    let stranger = Authority::new("stranger")?;
    let leaf = stranger.server(&["webhook.check-service-home.svc"])?;
    let encoded = |text: &str| BASE64_STANDARD.encode(text);
    home.patch_object(
        "/api/v1",
        "secrets/tls",
        &json!({"data": {"tls.crt": encoded(&leaf.certificate)}}),
    )
    .await?;
    let place = "secret check-service-home/tls";
    look().await?.is("error", "certificate", place, "signed by none of the certificates")?;
    let other_name = cluster.webhooks().server(&["webhook.elsewhere.svc"])?;
    home.patch_object(
        "/api/v1",
        "secrets/tls",
        &json!({"data": {"tls.crt": encoded(&other_name.certificate)}}),
    )
    .await?;
    look().await?.is("error", "certificate", place, "not for webhook.check-service-home.svc")?;
    home.delete_object("/api/v1", "secrets/tls").await?;
    look().await?.is_sound()?;

    let service = "service check-service-home/webhook";
    let fail = json!({"webhooks": [{"name": WEBHOOK, "failurePolicy": "Fail"}]});
    let path = format!("{COLLECTION}/check-service");
    cluster.api().patch(&path, &fail).await?.ok()?;
    look().await?.is("warning", "failure-policy", service, "only one webhook is ready")?;
    home.delete_object(SLICES, SLICE).await?;
    let down = look().await?;
    down.is("error", "endpoints", service, "no Pod can be created in opted-in namespaces")?;

    let port = json!({"spec": {"ports": [{"$patch": "replace"}, {"name": "https", "port": 8443}]}});
    home.patch_object("/api/v1", "services/webhook", &port).await?;
    look().await?.is("error", "service", service, "it has no port 443")?;
    let broken =
        json!({"data": {"pullcred.yaml": "rules: [{registries: [quay.io], secret: A_B}]"}});
    home.patch_object("/api/v1", "configmaps/mapping", &broken).await?;
    let both = look().await?;
    both.has(
        "error",
        "mapping",
        "configmap check-service-home/mapping",
        "\"A_B\" is not the name",
    )?;
    home.delete_object("/api/v1", "services/webhook").await?;
    let gone = look().await?;
    gone.has("error", "service", service, "there is no such Service")?;
    Ok(Report::new()
        .seen("`check --live` behind a Service, all is well", &sound.summary)
        .seen("`check --live` behind a Service, nothing ready", &down.summary))
}

/// Without `--config`: the mapping is that of the webhook's Pod.
async fn look(cluster: &Cluster, patient: &Namespace) -> Result<Diagnosis> {
    let args = ["--namespace", patient.name(), "--webhook-config", patient.name()];
    examine(cluster.control_plane(), User::ADMIN, &args).await
}

/// A Service, a Pod that it selects, with mapping and certificate mounted, and an `EndpointSlice` by hand: no kubelet says
/// that the Pod is ready.
async fn install(cluster: &Cluster, home: &Namespace) -> Result<()> {
    let identity = cluster.webhooks().server(&["webhook.check-service-home.svc"])?;
    let object = |kind: &str, name: &str, rest: Value| {
        let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
        for (key, value) in rest.as_object().into_iter().flatten() {
            object[key] = value.clone();
        }
        object
    };
    let map = object("ConfigMap", "mapping", json!({"data": {"pullcred.yaml": MAPPING}}));
    home.create_object("/api/v1", "configmaps", &map).await?;
    let tls = json!({
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": identity.certificate, "tls.key": identity.key},
    });
    home.create_object("/api/v1", "secrets", &object("Secret", "tls", tls)).await?;
    let service = json!({"spec": {
        "selector": {"app": "webhook"}, "ports": [{"name": "https", "port": 443, "targetPort": 8443}],
    }});
    home.create_object("/api/v1", "services", &object("Service", "webhook", service)).await?;
    let mount = |name: &str| json!({"name": name, "mountPath": format!("/etc/pullcred/{name}")});
    let pod = pod("webhook")
        .label("app", "webhook")
        .image("registry.k8s.io/pullcred:1")
        .args(&[
            "webhook",
            "--config=/etc/pullcred/mapping/pullcred.yaml",
            "--tls-cert=/etc/pullcred/tls/tls.crt",
        ])
        .of_last_container("volumeMounts", json!([mount("mapping"), mount("tls")]))
        .spec(
            "volumes",
            json!([
                {"name": "mapping", "configMap": {"name": "mapping"}},
                {"name": "tls", "secret": {"secretName": "tls"}},
            ]),
        );
    home.create_pod(pod).await?;
    let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    home.patch_pod("webhook/status", &ready).await?;
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "webhook-by-hand",
                     "labels": {"kubernetes.io/service-name": "webhook"}},
        "addressType": "IPv4",
        "ports": [{"name": "https", "port": 8443, "protocol": "TCP"}],
        "endpoints": [{
            "addresses": [NODE_ADDRESS], "conditions": {"ready": true},
            "targetRef": {"kind": "Pod", "name": "webhook", "namespace": home.name()},
        }],
    });
    home.create_object(SLICES, "endpointslices", &slice).await.map(drop)
}
