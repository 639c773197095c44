//! What the chart gives to the credentials controller, for the account of a home: rights, and the policy of its writes.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::{account::Account, api::Api};

/// The chart with logins as Helm renders it: its own tests keep these files true.
pub(super) const WITH_REPORTS: &str = include_str!("../../../chart/snapshots/credentials.snap");
pub(super) const WITHOUT_REPORTS: &str =
    include_str!("../../../chart/snapshots/credentials-without-reports.snap");
/// The same with checks of logins and the audit of Pods.
pub(super) const WITH_HEALTH: &str = include_str!("../../../chart/snapshots/health.snap");

pub(super) const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";
const POLICIES: &str = "validatingadmissionpolicies";
const BINDINGS: &str = "validatingadmissionpolicybindings";

/// Gives an account the rights and the policy that the chart gives to its controller, for these names of copies and logins.
pub(super) async fn grant(
    api: &Api,
    chart: &str,
    account: &Account,
    namespace: &str,
    copies: &[&str],
    logins: &[&str],
) -> Result<()> {
    let mut granted = Vec::new();
    for rendered in chart.split("\n---\n") {
        if !rendered.contains("# Source: pullcred/templates/credentials/") {
            continue;
        }
        let mut object: Value = serde_saphyr::from_str(rendered)?;
        let kind = object["kind"].as_str().unwrap_or_default().to_owned();
        match kind.as_str() {
            "ClusterRole" | "Role" => {
                let secrets = if kind == "Role" { logins } else { copies };
                for rule in object["rules"].as_array_mut().into_iter().flatten() {
                    if rule["resources"][0] == "secrets" {
                        ensure!(rule["resourceNames"].is_array(), "a rule without names: {rule}");
                        rule["resourceNames"] = json!(secrets);
                    }
                }
                account.bind(api, &kind, object["rules"].take()).await?;
            }
            "ValidatingAdmissionPolicy" | "ValidatingAdmissionPolicyBinding" => {
                let collection = if kind.ends_with('g') { BINDINGS } else { POLICIES };
                let path = format!("{ADMISSION}/{collection}");
                api.post(&path, &policy(&object, account, namespace)?).await?.ok()?;
            }
            _ => continue,
        }
        granted.push(kind);
    }
    granted.sort_unstable();
    let all =
        ["ClusterRole", "Role", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"];
    ensure!(granted == all, "the chart has {granted:?}");
    Ok(())
}

/// A policy or a binding of the chart, for another account in another namespace.
fn policy(rendered: &Value, account: &Account, namespace: &str) -> Result<Value> {
    let release = "system:serviceaccount:pullcred:pullcred-credentials";
    let text = rendered.to_string();
    let changed = text
        .replace(release, &account.user())
        .replace("'kube-system', 'pullcred'", &format!("'kube-system', '{namespace}'"));
    let is_binding = rendered["kind"] == "ValidatingAdmissionPolicyBinding";
    let is_for = |words: &str| is_binding || changed.contains(words);
    ensure!(is_for(&account.user()), "not for {}: {text}", account.user());
    ensure!(is_for(&format!("'kube-system', '{namespace}'")), "not for {namespace}: {text}");
    let mut object: Value = serde_json::from_str(&changed)?;
    object["metadata"]["name"] = namespace.into();
    if is_binding {
        object["spec"]["policyName"] = namespace.into();
    }
    Ok(object)
}

/// Takes away what was granted in the whole cluster.
pub(super) async fn revoke(api: &Api, account: &Account, namespace: &str) -> Result<()> {
    for collection in [BINDINGS, POLICIES] {
        api.delete(&format!("{ADMISSION}/{collection}/{namespace}")).await?.ok()?;
    }
    account.unbind(api).await
}
