//! The six changes between the three certificate modes.
//!
//! cert-manager does not run here: its binaries are Go modules of their own that the module proxy does not serve. The scenario plays its
//! part: it makes the Secrets that Certificates ask for, leaves them behind when a Certificate goes, and writes the `caBundle` where the
//! annotation of its CA injector asks for it.

use std::{fs, sync::Arc, time::Instant};

use anyhow::{Context, Result, ensure};
use axum::http::StatusCode;
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::{
    namespace::Namespace,
    node::{HOME, NodeCluster, RELEASE, UNSCHEDULED_IMAGE},
    pki::Authority,
    registration::{COLLECTION, WEBHOOK},
    report::Report,
    wait::until_some,
};

const GROUP: &str = "cert-manager.io";
const CERTIFICATES: &str = "/apis/cert-manager.io/v1";

/// What callers ask the webhook for.
const HOST: &str = "pullcred-webhook.pullcred-system.svc";

/// The Secret of the mode `existingSecret`.
const OWN_SECRET: &str = "own-certificate";

/// A certificate mode, the other arguments of `helm upgrade`, and the Secret that webhook Pods mount in that mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Itself,
    CertManager,
    ExistingSecret,
}

/// From each mode to each other one, by `helm upgrade`: then webhook Pods serve what the API server trusts, and the controller, where there
/// is one, is ready.
pub(crate) async fn every_change(cluster: Arc<NodeCluster>) -> Result<Report> {
    use Mode::{CertManager, ExistingSecret, Itself};

    let namespace = cluster.covered("modes", UNSCHEDULED_IMAGE).await?;
    for resource in ["certificates", "issuers"] {
        define(&cluster, resource).await?;
    }
    let own = Authority::new("own")?;
    let issuer = Authority::new("issuer")?;
    store(&cluster, OWN_SECRET, &own).await?;
    let bundle = cluster.folder().join("own-ca.crt");
    fs::write(&bundle, own.certificate())?;
    let bundle = format!("certificates.existingSecret.caBundle={}", bundle.display());

    let mut report = Report::new();
    let way = [Itself, CertManager, Itself, ExistingSecret, CertManager, ExistingSecret, Itself];
    for pair in way.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let begin = Instant::now();
        change(&cluster, from, to, &bundle, &issuer)
            .await
            .with_context(|| format!("{from:?} to {to:?}"))?;
        let upgraded = begin.elapsed().as_secs_f64();
        // Only a certificate by a CA of the `caBundle` gets a Pod its Secret.
        namespace.until_injected_for(UNSCHEDULED_IMAGE).await?;
        let injected = begin.elapsed().as_secs_f64();
        for pod in cluster.pods_of("webhook").await? {
            let mounted = pod.at("/spec/volumes/1/secret/secretName").and_then(Value::as_str);
            ensure!(mounted == Some(to.secret()), "{to:?}: {} mounts {mounted:?}", pod.name());
        }
        let controllers = cluster.pods_of("controller").await?.len();
        ensure!(controllers == usize::from(to == Itself), "{to:?}: {controllers} controllers");
        report = report.seen(
            format!("{from:?} to {to:?}"),
            format!("upgraded after {upgraded:.1} s, Pods get Secrets after {injected:.1} s"),
        );
    }
    let home = cluster.existing(HOME);
    for secret in [OWN_SECRET, "pullcred-cm-ca", "pullcred-cm-tls"] {
        home.delete_object("/api/v1", &format!("secrets/{secret}")).await?;
    }
    Ok(report)
}

/// One `helm upgrade`, as docs/operations.md has it, beside a cert-manager.
async fn change(
    cluster: &NodeCluster,
    from: Mode,
    to: Mode,
    bundle: &str,
    issuer: &Authority,
) -> Result<()> {
    if from == Mode::Itself && to == Mode::ExistingSecret {
        // The controller would write its own CA again while it is still there.
        cluster.helm_upgrade(&["controller.replicas=0"]).await?;
        gone(cluster, "controller").await?;
    }
    let mode = format!("certificates.mode={}", to.value());
    let mut arguments = vec!["--set", &mode, "--set", "controller.replicas=1"];
    let secret = format!("certificates.existingSecret.name={OWN_SECRET}");
    if to == Mode::ExistingSecret {
        // Another wrote the `caBundle`: now it is Helm's.
        arguments.extend(["--set", &secret, "--set-file", bundle, "--force-conflicts"]);
    }
    let upgrade = async { cluster.helm_upgrade_with(&arguments).await.map(drop) };
    let certificates = async {
        if to == Mode::CertManager { cert_manager(cluster, issuer).await } else { Ok(()) }
    };
    tokio::try_join!(upgrade, certificates)?;
    Ok(())
}

/// Waits until there are no Pods of a component that are not on their way out.
async fn gone(cluster: &NodeCluster, component: &str) -> Result<()> {
    let selector = format!("pods?labelSelector=app.kubernetes.io/component%3D{component}");
    until_some(&format!("end of the {component}"), async || {
        let list = cluster.existing(HOME).object("/api/v1", &selector).await?;
        Ok(list["items"].as_array().is_none_or(Vec::is_empty).then_some(()))
    })
    .await
}

/// Stands in for cert-manager once: creates the missing Secret of each Certificate, then writes the `caBundle`.
async fn cert_manager(cluster: &NodeCluster, issuer: &Authority) -> Result<()> {
    let home = cluster.existing(HOME);
    for name in ["pullcred-cm-ca", "pullcred-cm-tls"] {
        let what = format!("Certificate {name}");
        let certificate = until_some(&what, async || {
            let path = format!("{CERTIFICATES}/namespaces/{HOME}/certificates/{name}");
            let answer = cluster.api().get(&path).await?;
            if answer.status() == StatusCode::NOT_FOUND {
                return Ok(None);
            }
            answer.object().map(Some)
        });
        let certificate = certificate.await?;
        let secret = certificate["spec"]["secretName"].as_str().context("no secretName")?;
        let path = format!("/api/v1/namespaces/{HOME}/secrets/{secret}");
        if cluster.api().get(&path).await?.status() == StatusCode::NOT_FOUND {
            store(cluster, secret, issuer).await?;
        }
    }
    let path = format!("{COLLECTION}/{RELEASE}");
    let asked = until_some("the CA injector's annotation", async || {
        let object = cluster.api().get(&path).await?.object()?;
        let from = &object["metadata"]["annotations"]["cert-manager.io/inject-ca-from"];
        Ok(from.as_str().map(str::to_owned))
    });
    let asked = asked.await?;
    let (_, name) = asked.split_once('/').context("no namespace")?;
    let secret = home.object("/api/v1", &format!("secrets/{name}")).await?;
    // While the old controller is still there, it and the injector both write: cert-manager writes again at each change.
    until_some("caBundle of cert-manager", async || {
        let webhook =
            json!({"name": WEBHOOK, "clientConfig": {"caBundle": secret["data"]["ca.crt"]}});
        let change = json!({"webhooks": [webhook]});
        let written = cluster.api().patch(&path, &change).await?.object()?;
        let holds = written["webhooks"][0]["clientConfig"]["caBundle"] == secret["data"]["ca.crt"];
        Ok((holds && cluster.pods_of("controller").await?.is_empty()).then_some(()))
    })
    .await
}

/// A Secret with a certificate for the webhook, as cert-manager stores it.
async fn store(cluster: &NodeCluster, name: &str, authority: &Authority) -> Result<()> {
    let identity = authority.server(&[HOST])?;
    let encoded = |text: &str| BASE64_STANDARD.encode(text);
    let object = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": name, "annotations": {"cert-manager.io/certificate-name": name}},
        "data": {
            "tls.crt": encoded(&identity.certificate), "tls.key": encoded(&identity.key),
            "ca.crt": encoded(&authority.certificate()),
        },
    });
    cluster.existing(HOME).create_object("/api/v1", "secrets", &object).await.map(drop)
}

/// A kind of cert-manager's, as far as Helm asks.
async fn define(cluster: &NodeCluster, plural: &str) -> Result<()> {
    let kind = if plural == "issuers" { "Issuer" } else { "Certificate" };
    let version = json!({
        "name": "v1", "served": true, "storage": true,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
    });
    let object = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{GROUP}")},
        "spec": {
            "group": GROUP, "scope": "Namespaced", "versions": [version],
            "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind},
        },
    });
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    cluster.api().post(path, &object).await?.ok()?;
    let home: Namespace = cluster.existing(HOME);
    until_some(&format!("served {plural}"), async || {
        Ok(home.object(CERTIFICATES, plural).await.ok().map(drop))
    })
    .await
}

// === impl Mode ===

impl Mode {
    fn value(self) -> &'static str {
        match self {
            Self::Itself => "self",
            Self::CertManager => "certManager",
            Self::ExistingSecret => "existingSecret",
        }
    }

    fn secret(self) -> &'static str {
        match self {
            Self::Itself => "pullcred-tls",
            Self::CertManager => "pullcred-cm-tls",
            Self::ExistingSecret => OWN_SECRET,
        }
    }
}
