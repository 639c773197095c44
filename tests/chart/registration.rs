//! The MutatingWebhookConfiguration, and the certificates it trusts.

use serde_json::{Value, json};

use crate::{
    helm::{objects, refusal},
    object::{Object, find},
};

fn registration(arguments: &[&str]) -> Object {
    find(&objects(arguments), "MutatingWebhookConfiguration", "pullcred").clone()
}

#[test]
fn the_registration_is_this() {
    assert_eq!(
        registration(&[]).at("/webhooks"),
        &json!([{
            "name": "inject.pullcred.dev",
            "admissionReviewVersions": ["v1"],
            // No caBundle: that is the controller's field.
            "clientConfig": {"service": {
                "name": "pullcred-webhook", "namespace": "pullcred", "path": "/mutate", "port": 443,
            }},
            "rules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                "resources": ["pods"], "scope": "Namespaced",
            }],
            "failurePolicy": "Ignore",
            "matchPolicy": "Equivalent",
            "reinvocationPolicy": "IfNeeded",
            "sideEffects": "None",
            "timeoutSeconds": 3,
            "namespaceSelector": {"matchExpressions": [
                {"key": "pullcred.dev/inject", "operator": "In", "values": ["enabled"]},
                {"key": "kubernetes.io/metadata.name", "operator": "NotIn",
                 "values": ["kube-node-lease", "kube-public", "kube-system", "pullcred"]},
                {"key": "control-plane", "operator": "NotIn", "values": ["true"]},
                {"key": "kubernetes.azure.com/managedby", "operator": "NotIn", "values": ["aks"]},
            ]},
            "objectSelector": {"matchExpressions": [
                {"key": "pullcred.dev/inject", "operator": "NotIn", "values": ["disabled"]},
            ]},
            "matchConditions": [{
                "name": "not-a-mirror-pod",
                "expression": "!has(object.metadata.annotations) || \
                    !('kubernetes.io/config.mirror' in object.metadata.annotations)",
            }],
        }])
    );
}

#[test]
fn excluded_namespaces_are_listed_once_each() {
    let excluded =
        registration(&["--set=registration.excludedNamespaces={monitoring,kube-system}"]);
    assert_eq!(
        excluded.texts("/webhooks/0/namespaceSelector/matchExpressions/1/values"),
        ["kube-node-lease", "kube-public", "kube-system", "monitoring", "pullcred"]
    );
}

#[test]
fn cert_manager_is_told_where_the_ca_is() {
    let mode = "--set=certificates.mode=certManager";
    let registration = registration(&[mode]);
    let annotations = registration.at("/metadata/annotations");
    assert_eq!(annotations, &json!({"cert-manager.io/inject-ca-from": "pullcred/pullcred-cm-tls"}));
    assert_eq!(registration.at("/webhooks/0/clientConfig/caBundle"), &Value::Null);

    let objects = objects(&[mode]);
    let certificate = find(&objects, "Certificate", "pullcred-cm-tls");
    assert_eq!(certificate.text("/spec/secretName"), "pullcred-cm-tls");
    assert_eq!(certificate.texts("/spec/dnsNames")[0], "pullcred-webhook.pullcred.svc");
    // The chain of the chart's own: a self-signed CA, by which the leaf is signed.
    let ca = find(&objects, "Certificate", "pullcred-cm-ca");
    assert_eq!(ca.at("/spec/isCA"), true);
    let issuer = find(&objects, "Issuer", certificate.text("/spec/issuerRef/name"));
    assert_eq!(issuer.text("/spec/ca/secretName"), ca.text("/spec/secretName"));
    assert!(
        objects.iter().all(
            |object| object.name() != "pullcred-controller" || object.kind() == "NetworkPolicy"
        )
    );
}

/// What one mode leaves behind is in no other's way.
#[test]
fn no_two_modes_share_the_name_of_a_secret() {
    let of_self = objects(&[]);
    let of_self = find(&of_self, "Role", "pullcred-controller").clone();
    let of_self = of_self.texts("/rules/0/resourceNames");
    let objects = objects(&["--set=certificates.mode=certManager"]);
    let certificates = objects.iter().filter(|object| object.kind() == "Certificate");
    let of_cert_manager: Vec<_> =
        certificates.map(|object| object.text("/spec/secretName")).collect();
    assert_eq!(of_self, ["pullcred-ca", "pullcred-tls"]);
    assert_eq!(of_cert_manager, ["pullcred-cm-ca", "pullcred-cm-tls"]);
    let webhook = find(&objects, "Deployment", "pullcred-webhook");
    assert_eq!(webhook.text("/spec/template/spec/volumes/1/secret/secretName"), "pullcred-cm-tls");
}

#[test]
fn cert_managers_own_namespace_does_not_depend_on_the_webhook() {
    let excluded = |arguments: &[&str]| {
        let registration = registration(arguments);
        let names = "/webhooks/0/namespaceSelector/matchExpressions/1/values";
        registration.texts(names).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let mode = "--set=certificates.mode=certManager";
    assert!(excluded(&[mode]).contains(&"cert-manager".to_owned()));
    let elsewhere = "--set=certificates.certManager.namespace=pki";
    assert!(excluded(&[mode, elsewhere]).contains(&"pki".to_owned()));
    assert!(!excluded(&[]).contains(&"cert-manager".to_owned()));
}

#[test]
fn an_issuer_of_ones_own_needs_no_other() {
    let objects = objects(&[
        "--set=certificates.mode=certManager",
        "--set-json=certificates.certManager.issuerRef={\"name\":\"internal\",\"kind\":\"ClusterIssuer\"}",
    ]);
    let certificate = find(&objects, "Certificate", "pullcred-cm-tls");
    assert_eq!(
        certificate.at("/spec/issuerRef"),
        &json!({"name": "internal", "kind": "ClusterIssuer"})
    );
    assert!(objects.iter().all(|object| object.kind() != "Issuer"));
}

#[test]
fn a_certificate_of_ones_own_needs_its_ca() {
    let own =
        ["--set=certificates.mode=existingSecret", "--set=certificates.existingSecret.name=mine"];
    assert!(
        refusal(&own).contains("set certificates.existingSecret.caBundle to the CA certificate")
    );

    let ca = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let bundle = format!("--set=certificates.existingSecret.caBundle={ca}");
    let objects = objects(&[own[0], own[1], &bundle]);
    let registration = find(&objects, "MutatingWebhookConfiguration", "pullcred");
    assert_eq!(
        registration.text("/webhooks/0/clientConfig/caBundle"),
        "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUIKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="
    );
    let webhook = find(&objects, "Deployment", "pullcred-webhook");
    assert_eq!(webhook.text("/spec/template/spec/volumes/1/secret/secretName"), "mine");

    let injected = format!(
        "--set=registration.annotations.{}=pullcred/mine",
        r"cert-manager\.io/inject-ca-from-secret"
    );
    self::registration(&[own[0], own[1], &injected]);
}
