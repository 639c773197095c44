//! `pullcred status` on a real API server: what its user sees, by the rights that the user has.

use std::{path::Path, sync::Arc, time::Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::jiff::Timestamp;
use pullcred::core::reports::LEASE;
use serde_json::{Value, json};

use super::{
    house::{self, HOME},
    rights,
};
use crate::{
    account::Account,
    api::Api,
    cluster::{Cluster, ReportsCluster},
    namespace::Namespace,
    pki::User,
    pullcred::{Pullcred, Said},
    report::Report,
};

const LOGINS: &str = "/apis/pullcred.dev/v1alpha1/loginreports";
/// More namespaces than a page of a list has.
const NAMESPACES: usize = 260;
/// The longest time to the first line, for a person who waits for it.
const SOON: u128 = 5_000;

/// Reports written by hand are shown to the administrator as text, JSON and a page; to an account with `view` in one namespace, that
/// namespace. Stale reports and definitions that are gone are said.
pub(crate) async fn status(cluster: Arc<ReportsCluster>) -> Result<Report> {
    let cluster = cluster.cluster();
    let api = cluster.api();
    house::make_home(api).await?;
    house::install_definitions(api).await?;
    let namespaces = write_reports(api).await?;
    renew(api, Timestamp::now()).await?;

    let admin = cluster.control_plane().kubeconfig(User::ADMIN)?;
    let mut report = Report::new();
    report = report.seen("the administrator", of_all(&admin).await?);
    report = report.seen("an account with `view` in a namespace", of_one(&cluster).await?);

    renew(api, Timestamp::UNIX_EPOCH).await?;
    let said = run(&admin, &[]).await?;
    ensure!(
        said.code == 1 && said.stdout.starts_with("✗ The reports are stale"),
        "{}",
        said.stdout
    );
    report = report.seen("a Lease that is not renewed", "said first, exit code 1");
    house::delete_definitions(api).await?;
    let said = run(&admin, &[]).await?;
    ensure!(
        said.code == 1 && said.tells("this cluster has no reports: install"),
        "{}",
        said.stderr
    );
    report = report.seen("no definitions", "what to install, exit code 1");

    let names: Vec<&str> = namespaces.iter().map(String::as_str).collect();
    house::clear(api, &[&names[..], &[HOME]].concat()).await?;
    Ok(report)
}

/// A refused login, and namespaces of which one lacks a Secret and has Pods without it.
async fn write_reports(api: &Api) -> Result<Vec<String>> {
    let condition = json!({"type": "Healthy", "status": "False", "reason": "Refused",
        "message": "registry.example.com refuses the login", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let login = json!({
        "apiVersion": "pullcred.dev/v1alpha1", "kind": "LoginReport", "metadata": {"name": "acme"},
        "status": {
            "kind": "secret", "conditions": [condition], "registries": ["registry.example.com"],
            "namespaces": {"copied": "259/260", "wanted": 260, "ready": 259, "conflict": 0, "refused": 0},
        },
    });
    let query = "fieldManager=by-hand&force=true";
    api.apply(&format!("{LOGINS}/acme"), query, &login).await?.ok()?;
    let mut names = Vec::new();
    for number in 0..NAMESPACES {
        let name = format!("status-{number:03}");
        Namespace::create(api, &name, &json!({})).await?;
        let status = if number == 0 {
            json!({
                "secrets": [{"name": "acme", "state": "Missing", "reason": "LoginRefused"}],
                "pods": {"seen": 4, "without": 2, "failing": 0, "seenAt": "2026-01-01T00:00:00Z", "owners": [{
                    "kind": "Deployment", "name": "web", "without": 2, "failing": 0,
                    "remedy": "New ones: kubectl rollout restart deployment/web -n status-000",
                }]},
            })
        } else {
            json!({"secrets": [{"name": "acme", "state": "Ready"}]})
        };
        house::write_report_as(api, &name, &status).await?;
        names.push(name);
    }
    Ok(names)
}

async fn renew(api: &Api, at: Timestamp) -> Result<()> {
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{HOME}/leases/{LEASE}");
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": LEASE},
        "spec": {"holderIdentity": "by-hand", "renewTime": at.strftime("%Y-%m-%dT%H:%M:%S.000000Z").to_string()},
    });
    api.apply(&path, "fieldManager=by-hand&force=true", &lease).await?.ok().map(drop)
}

async fn run(kubeconfig: &Path, args: &[&str]) -> Result<Said> {
    let mut command = Pullcred::command();
    command.args(["status", "--installed-in", HOME]).args(args).env("KUBECONFIG", kubeconfig);
    Said::by(command, "").await
}

/// What the administrator sees, and how soon.
async fn of_all(admin: &Path) -> Result<String> {
    let begin = Instant::now();
    let text = run(admin, &[]).await?;
    let took = begin.elapsed().as_millis();
    ensure!(took < SOON, "{took} ms");
    let headline =
        format!("pullcred: 1 login fails, 1 of {NAMESPACES} namespaces needs attention, 2 Pods");
    ensure!(
        text.code == 1 && text.stdout.replace('\n', " ").starts_with(&headline),
        "{}",
        text.stdout
    );
    for line in [
        "✗ status-000  acme Missing (LoginRefused); 2 Pods lack a Secret",
        "    New ones: kubectl rollout restart deployment/web -n status-000",
        "    kubectl describe loginreport acme",
    ] {
        ensure!(text.stdout.lines().any(|it| it == line), "no line {line:?} in {}", text.stdout);
    }
    let json = run(admin, &["-o", "json"]).await?;
    let json: Value = serde_json::from_str(&json.stdout)?;
    ensure!(
        json["namespaces"]["total"] == NAMESPACES && json["freshness"]["state"] == "Fresh",
        "{json}"
    );
    let page = run(admin, &["-o", "html"]).await?;
    ensure!(
        page.stdout.starts_with("<!DOCTYPE html>") && page.tells("<h1>1 login fails</h1>"),
        "{}",
        page.stdout
    );
    Ok(format!("{NAMESPACES} namespaces in {took} ms; exit code 1"))
}

/// An account that may view one namespace sees it, and the output says what it may not see.
async fn of_one(cluster: &Arc<Cluster>) -> Result<String> {
    let api = cluster.api();
    rights::aggregate(api).await?;
    let namespace = Namespace::existing(api, "status-000");
    let account = Account::create(cluster.control_plane(), &namespace, "viewer").await?;
    let role = api.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/view").await?.object()?;
    account.bind(api, "Role", role["rules"].clone()).await?;
    let kubeconfig = account.kubeconfig(account.server()?, "status-viewer").await?;
    let own = run(&kubeconfig, &["--namespace", namespace.name()]).await?;
    let last = own.stdout.lines().last().context("nothing")?;
    ensure!(own.tells("✗ acme  Missing  LoginRefused"), "{}{}", own.stdout, own.stderr);
    ensure!(own.tells("Whether the reports are fresh could not be looked at"), "{}", own.stdout);
    ensure!(last == "    kubectl describe psr pullcred --namespace status-000", "{last}");
    let all = run(&kubeconfig, &[]).await?;
    let said = "name a namespace that you may view with --namespace";
    ensure!(all.code == 1 && all.tells(said), "{}", all.stderr);
    Ok("its namespace, and a hint for all others".to_owned())
}
