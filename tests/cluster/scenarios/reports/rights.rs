//! Who may read and write what of reports, asked of the API server's own authorizer.

use std::sync::Arc;

use anyhow::{Result, ensure};
use axum::http::StatusCode;
use pullcred::core::reports::{LEASE, PullSecretStatus};
use serde_json::json;

use super::{
    house::{self, HOME, Heartbeat, Reader},
    rows::MAPPING,
};
use crate::{
    account::{Account, api_with},
    api::Api,
    cluster::{Cluster, ReportsCluster},
    namespace::Namespace,
    report::Report,
    wait::until,
};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const REPORTS: &str = "/apis/pullcred.dev/v1alpha1";

/// With the webhook's token: reports and one Lease, and nothing else. With `view` in a namespace: its report, and no other.
pub(crate) async fn rights(cluster: Arc<ReportsCluster>) -> Result<Report> {
    let cluster = cluster.cluster();
    let api = cluster.api();
    house::make_home(api).await?;
    house::install_definitions(api).await?;
    let _heartbeat = Heartbeat::start(&cluster);
    let namespaces =
        [house::opted_in(api, "rights-a").await?, house::opted_in(api, "rights-b").await?];
    for namespace in &namespaces {
        house::write_report(api, namespace.name(), &PullSecretStatus::default()).await?;
    }
    let reader = Reader::start(&cluster, "rights", MAPPING).await?;
    reader.until_fresh(true).await?;
    let refused = of_the_webhook(&reader.account).await?;
    let mut report = Report::new().seen(
        "the webhook's token: reports of all namespaces and one Lease are read; everything else that was tried",
        format!("403, {refused} requests"),
    );
    aggregate(api).await?;
    for role in ["view", "edit", "admin"] {
        let seen = of_a_tenant(&cluster, &namespaces, role).await?;
        report = report.seen(format!("an account with `{role}` in a namespace"), seen);
    }
    reader.end(api).await?;
    house::delete_definitions(api).await?;
    house::clear(api, &["rights-a", "rights-b", HOME]).await?;
    Ok(report)
}

async fn of_the_webhook(account: &Account) -> Result<usize> {
    let api = api_with(&account.kubeconfig(account.server()?, "rights-of-webhook").await?).await?;
    let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{HOME}/leases");
    let lease = format!("{leases}/{LEASE}");
    let report = house::report_path("rights-a");
    let in_namespace = format!("{REPORTS}/namespaces/rights-a/pullsecretreports");
    // What is allowed succeeds, or the refusals would prove nothing.
    for path in [
        &report,
        &in_namespace,
        &format!("{REPORTS}/pullsecretreports"),
        &format!("{REPORTS}/pullsecretreports?watch=true&timeoutSeconds=1"),
        &lease,
        &format!("{leases}?fieldSelector=metadata.name%3D{LEASE}"),
    ] {
        api.get(path).await?.ok()?;
    }
    let object = json!({"apiVersion": "pullcred.dev/v1alpha1", "kind": "PullSecretReport",
                        "metadata": {"name": "pullcred"}, "status": {}});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}});
    let own = format!("/api/v1/namespaces/{HOME}");
    let there = "/api/v1/namespaces/rights-a";
    let token =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let mut answers = vec![
        ("apply a report", api.apply(&report, "fieldManager=a&force=true", &object).await?),
        ("delete a report", api.delete(&report).await?),
        ("create a report", api.post(&in_namespace, &object).await?),
        ("login reports", api.get(&format!("{REPORTS}/loginreports")).await?),
        ("all leases", api.get(&leases).await?),
        ("another lease", api.get(&format!("{leases}/other")).await?),
        ("a node's lease", api.get("/apis/coordination.k8s.io/v1/leases").await?),
        ("patch the lease", api.patch(&lease, &json!({})).await?),
        ("delete the lease", api.delete(&lease).await?),
        ("namespaces", api.get("/api/v1/namespaces").await?),
        ("the mapping", api.get(&format!("{own}/configmaps/pullcred-mapping")).await?),
        ("roles", api.get(&format!("{RBAC}/clusterroles")).await?),
        ("a token", api.post(&format!("{own}/serviceaccounts/rights/token"), &token).await?),
        ("definitions", api.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions").await?),
    ];
    for place in [own.as_str(), there, "/api/v1"] {
        for resource in ["secrets", "configmaps", "pods", "events", "serviceaccounts"] {
            answers.push((resource, api.get(&format!("{place}/{resource}")).await?));
        }
    }
    answers.push(("create a Pod", api.post(&format!("{there}/pods"), &pod).await?));
    let refused = answers.len();
    for (what, answer) in answers {
        ensure!(answer.status() == StatusCode::FORBIDDEN, "{what}: {}", answer.status());
    }
    Ok(refused)
}

/// Installs the chart's role for viewers, and waits until the API server has added it to its own.
pub(super) async fn aggregate(api: &Api) -> Result<()> {
    let roles = format!("{RBAC}/clusterroles");
    for role in house::view_roles()? {
        let name = role["metadata"]["name"].as_str().unwrap_or_default();
        let query = "fieldManager=by-hand&force=true";
        api.apply(&format!("{roles}/{name}"), query, &role).await?.ok()?;
    }
    until("pullsecretreports in `view`", async || {
        let view = api.get(&format!("{roles}/view")).await?.object()?;
        Ok(view["rules"].to_string().contains("pullsecretreports"))
    })
    .await
}

/// The API as an account that has a role of the cluster's own in one namespace.
pub(super) async fn tenant(cluster: &Cluster, namespace: &Namespace, role: &str) -> Result<Api> {
    let name = format!("tenant-{role}");
    let account = Account::create(cluster.control_plane(), namespace, &name).await?;
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace.name()}],
    });
    namespace.create_object(RBAC, "rolebindings", &binding).await?;
    let file = format!("{}-{name}", namespace.name());
    api_with(&account.kubeconfig(account.server()?, &file).await?).await
}

async fn of_a_tenant(
    cluster: &Cluster,
    [own, other]: &[Namespace; 2],
    role: &str,
) -> Result<String> {
    let api = tenant(cluster, own, role).await?;
    let report = house::report_path(own.name());
    until("right to view the report", async || Ok(api.get(&report).await?.status().is_success()))
        .await?;
    api.get(&format!("{REPORTS}/namespaces/{}/pullsecretreports", own.name())).await?.ok()?;
    let object = json!({"apiVersion": "pullcred.dev/v1alpha1", "kind": "PullSecretReport",
                        "metadata": {"name": "pullcred"}, "status": {}});
    let answers = [
        ("another's", api.get(&house::report_path(other.name())).await?),
        ("all", api.get(&format!("{REPORTS}/pullsecretreports")).await?),
        ("of logins", api.get(&format!("{REPORTS}/loginreports")).await?),
        ("apply", api.apply(&report, "fieldManager=a&force=true", &object).await?),
        ("delete", api.delete(&report).await?),
    ];
    let refused = answers.len();
    for (what, answer) in answers {
        ensure!(answer.status() == StatusCode::FORBIDDEN, "{role}: {what}: {}", answer.status());
    }
    Ok(format!("reads its report; everything else 403, {refused} requests"))
}
