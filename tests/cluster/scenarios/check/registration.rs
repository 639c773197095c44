//! The registration of a sound set-up, changed field by field.

use std::sync::Arc;

use anyhow::Result;
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::clinic::{Clinic, run};
use crate::{
    cluster::{Cluster, MAPPING, loopback},
    pki::{Authority, User},
    registration::INJECT,
    report::Report,
};

/// Nothing is wrong: no error, no warning, exit code 0.
pub(crate) async fn sound(cluster: Arc<Cluster>) -> Result<Report> {
    let clinic = Clinic::new(cluster, "check-sound").await?.with_a_pod().await?;
    let diagnosis = clinic.examine().await?;
    diagnosis.is_sound()?;
    assert!(diagnosis.not_seen().is_empty(), "{diagnosis:?}");
    Ok(Report::new().seen("`pullcred check --live`, all is well", clinic.table().await?))
}

/// Each change gives its own finding, and no other.
pub(crate) async fn each_field_changed(cluster: Arc<Cluster>) -> Result<Report> {
    let name = "check-registration";
    let clinic = Clinic::new(cluster, name).await?;
    let place = format!("registration {name}");
    let in_label = json!({"key": INJECT, "operator": "In", "values": ["enabled"]});
    let only = json!({"key": "kubernetes.io/metadata.name", "operator": "In", "values": [name]});
    // Where a change lets other scenarios' namespaces in, no Pod of theirs comes along.
    let nobody = json!({"matchLabels": {"check": name}});
    let rule = |operations: Value, resources: Value| {
        json!({"rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": operations,
                          "resources": resources, "scope": "Namespaced"}]})
    };
    let stranger = BASE64_STANDARD.encode(Authority::new("stranger")?.certificate());
    let changes: [(Value, &str, &str, &str); 13] = [
        (json!({"clientConfig": {"caBundle": null}}), "error", "ca-bundle", "is empty"),
        (rule(json!(["UPDATE"]), json!(["pods"])), "error", "rules", "no rule covers new Pods"),
        (rule(json!(["CREATE"]), json!(["pods", "services"])), "error", "rules", "more than new"),
        (
            json!({"failurePolicy": "Ignore", "sideEffects": "NoneOnDryRun"}),
            "warning",
            "side-effects",
            "write None",
        ),
        (json!({"reinvocationPolicy": "Never"}), "warning", "reinvocation", "write IfNeeded"),
        (json!({"timeoutSeconds": 30}), "warning", "timeout", "is 30"),
        (json!({"admissionReviewVersions": ["v1beta1", "v1"]}), "error", "review-versions", "[v1]"),
        (
            json!({"matchConditions": [{"$patch": "delete", "name": "not-a-mirror-pod"}]}),
            "warning",
            "match-conditions",
            "kubernetes.io/config.mirror",
        ),
        (
            json!({"objectSelector": {"matchExpressions": []}}),
            "error",
            "object-selector",
            "write pullcred.dev/inject NotIn [disabled]",
        ),
        (
            json!({"namespaceSelector": {"matchExpressions": [only]}}),
            "error",
            "namespace-selector",
            "did not opt in",
        ),
        (
            json!({"objectSelector": nobody, "namespaceSelector": {"matchExpressions": [in_label]}}),
            "error",
            "namespace-selector",
            "kube-system, kube-public, kube-node-lease",
        ),
        (
            json!({"failurePolicy": "Fail", "objectSelector": nobody,
                "namespaceSelector": {"matchExpressions": [in_label]}}),
            "error",
            "namespace-selector",
            "while it is down",
        ),
        (json!({"clientConfig": {"url": "https://127.0.0.1:1/wrong"}}), "error", "path", "/wrong"),
    ];
    let mut told = Vec::new();
    for (change, severity, check, part) in changes {
        clinic.change(change).await?;
        let diagnosis = clinic.examine().await?;
        diagnosis.is(severity, check, &place, part)?;
        told.push(format!("{severity} {check}"));
        clinic.restore().await?;
    }
    clinic.change(json!({"clientConfig": {"caBundle": stranger}})).await?;
    let url = format!("https://{}/mutate", clinic.listen());
    clinic.examine().await?.is("error", "certificate", &url, "signed by none")?;
    Ok(Report::new()
        .seen("`check --live`, a field of the registration changed each time", told.join("; "))
        .seen("`check --live`, the caBundle of a stranger", clinic.table().await?))
}

/// The registration is as it should be, but what answers has a certificate for another name.
pub(crate) async fn served_by_another_leaf(cluster: Arc<Cluster>) -> Result<Report> {
    let name = "check-leaf";
    let clinic = Clinic::new(Arc::clone(&cluster), name).await?;
    let listen = loopback();
    let _other =
        cluster.start_webhook("check-leaf-other", listen, "elsewhere.example", MAPPING).await?;
    let url = format!("https://{listen}/mutate");
    clinic.change(json!({"clientConfig": {"url": url}})).await?;
    clinic.examine().await?.is("error", "certificate", &url, "it is not for 127.0.0.1")?;

    let nowhere = "https://127.0.0.1:1/mutate";
    clinic.change(json!({"clientConfig": {"url": nowhere}})).await?;
    let unreachable = clinic.examine().await?;
    unreachable.is_sound()?;
    assert_eq!(unreachable.not_seen(), [nowhere]);

    clinic.delete_registration().await?;
    let gone = clinic.examine().await?;
    gone.is("error", "registration", &format!("registration {name}"), "no Pod gets a Secret")?;
    let table = clinic.table().await?;

    let args = ["--namespace=no-such-namespace"];
    let typo = run(clinic.cluster.control_plane(), User::ADMIN, &args).await?;
    assert_eq!((typo.code, typo.stdout.as_str()), (1, ""), "{}", typo.stderr);
    assert!(typo.stderr.contains("there is no namespace no-such-namespace"), "{}", typo.stderr);
    Ok(Report::new().seen("`check --live`, no registration", table))
}
