//! Copies follow labels of namespaces and the content of logins.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde_json::json;
use tokio::time::sleep;

use super::{
    home::{Home, SOON, shape},
    login::opens,
};
use crate::{cluster::Cluster, registration::INJECT, report::Report};

/// A namespace is labelled: its copy has the rule's logins, under keys no wider than the rule's. The password is rotated: the
/// same Secret has the new one.
pub(crate) async fn follow(cluster: Arc<Cluster>) -> Result<Report> {
    const MAPPING: &str = "
logins:
- {name: acme, secret: follow-login}
rules:
- {registries: [ghcr.io/acme, quay.io/tools/], secret: follow-pull, login: acme, namespaces: ['copies-follow-*']}
";
    let home =
        Home::new(cluster, "copies-follow", MAPPING, &["follow-pull"], &["follow-login"]).await?;
    let login = |ghcr: &'static str| {
        [
            ("ghcr.io", ghcr),
            ("quay.io", "canary-quay-of-follow"),
            ("index.docker.io/v1/", "canary-hub-of-follow"),
        ]
    };
    let copy =
        |ghcr: &'static str| [("ghcr.io/acme", ghcr), ("quay.io/tools/", "canary-quay-of-follow")];
    home.create_login("follow-login", &login("canary-old-of-follow")).await?;
    let namespace = home.labelled("copies-follow-a", &json!({})).await?;
    let controller = home.start("0", "10m").await?;
    ensure!(home.secret(&namespace, "follow-pull").await?.is_none(), "a copy without a label");

    let begin = Instant::now();
    namespace.label(INJECT, "enabled").await?;
    let (stored, came) =
        home.copied(begin, &namespace, "follow-pull", &copy("canary-old-of-follow")).await?;
    let metadata = &stored["metadata"];
    ensure!(metadata["annotations"]["pullcred.dev/login"] == "acme", "{}", shape(&stored));
    let content = metadata["annotations"]["pullcred.dev/content"].as_str().unwrap_or_default();
    let is_hex = content.len() == 32 && content.bytes().all(|it| it.is_ascii_hexdigit());
    ensure!(is_hex, "{}", shape(&stored));
    ensure!(
        metadata["ownerReferences"].is_null() && metadata["finalizers"].is_null(),
        "{}",
        shape(&stored)
    );
    opens(
        &stored,
        &["ghcr.io/acme/app:1", "ghcr.io/acme", "quay.io/tools/lint"],
        &[
            "ghcr.io/other/app",
            "quay.io/other",
            "quay.io/toolsevil/a",
            "nginx",
            "registry.example.com/a",
        ],
    )?;
    let (_, fresh) = {
        let begin = Instant::now();
        let new = home.opted_in("copies-follow-b", &[]).await?;
        home.copied(begin, &new, "follow-pull", &copy("canary-old-of-follow")).await?
    };
    let elsewhere = home.opted_in("copies-elsewhere", &[]).await?;

    let begin = Instant::now();
    home.rotate_login("follow-login", &login("canary-new-of-follow")).await?;
    let (rotated, took) =
        home.copied(begin, &namespace, "follow-pull", &copy("canary-new-of-follow")).await?;
    ensure!(rotated["metadata"]["uid"] == metadata["uid"], "it was made again");
    let annotation = &rotated["metadata"]["annotations"]["pullcred.dev/content"];
    ensure!(*annotation != content, "the same fingerprint for another password");
    ensure!(
        home.secret(&elsewhere, "follow-pull").await?.is_none(),
        "a copy outside of the rule's namespaces"
    );
    let hidden = home.says_nothing(&[&controller]).await?;
    Ok(Report::new()
        .seen("namespace labelled: time until the copy can be read", ms(came))
        .seen("namespace created with the label: the same", ms(fresh))
        .seen("login rotated: time until the copy has it, in place", ms(took))
        .seen(
            "passwords in log at trace, metrics, readiness and Events",
            format!("none; {hidden}"),
        ))
}

/// The label goes: after the grace, the copy goes. It comes back within the grace: the copy stays. The login's Secret goes: all
/// copies stay.
pub(crate) async fn removal(cluster: Arc<Cluster>) -> Result<Report> {
    const GRACE: Duration = Duration::from_secs(2);
    const MAPPING: &str = "
logins:
- {name: acme, secret: removal-login}
rules:
- {registries: [ghcr.io/acme], secret: removal-pull, login: acme, namespaces: ['copies-removal-*']}
";
    let home = Home::new(cluster, "copies-removal", MAPPING, &["removal-pull"], &["removal-login"])
        .await?;
    home.create_login("removal-login", &[("ghcr.io/acme", "canary-of-removal")]).await?;
    let content = [("ghcr.io/acme", "canary-of-removal")];
    let goes = home.opted_in("copies-removal-goes", &[]).await?;
    let stays = home.opted_in("copies-removal-stays", &[]).await?;
    let controller = home.start("0", "2s").await?;
    let (first, _) = home.copied(Instant::now(), &goes, "removal-pull", &content).await?;
    let (second, _) = home.copied(Instant::now(), &stays, "removal-pull", &content).await?;

    let begin = Instant::now();
    goes.label(INJECT, None).await?;
    stays.label(INJECT, "disabled").await?;
    sleep(GRACE / 2).await;
    ensure!(home.secret(&goes, "removal-pull").await? == Some(first), "gone within the grace");
    stays.label(INJECT, "enabled").await?;
    let gone = home.gone(begin, GRACE + SOON, &goes, "removal-pull").await?;
    ensure!(gone >= GRACE, "gone after {gone:?}");
    ensure!(
        home.secret(&stays, "removal-pull").await? == Some(second.clone()),
        "it did not stay as it was"
    );

    home.namespace.delete_object("/api/v1", "secrets/removal-login").await?;
    let line = home.reported(&controller, "removal-login").await?;
    ensure!(line.contains("there is no Secret removal-login"), "{line}");
    sleep(GRACE + Duration::from_millis(500)).await;
    ensure!(
        home.secret(&stays, "removal-pull").await? == Some(second),
        "touched without its login"
    );
    ensure!(!home.events("LoginMissing").await?.is_empty(), "no Event");
    home.says_nothing(&[&controller]).await?;
    Ok(Report::new()
        .seen(format!("label removed, `--grace {} s`: copy gone after", GRACE.as_secs()), ms(gone))
        .seen("label back within the grace", "the same copy, not written again")
        .seen("login's Secret deleted: copies stay, `/readyz`", line.trim()))
}

/// Who gets a copy: the labels that a rule asks for, and never a namespace of the system or the controller's own.
pub(crate) async fn audience(cluster: Arc<Cluster>) -> Result<Report> {
    const MAPPING: &str = "
logins:
- {name: acme, secret: audience-login}
rules:
- {registries: [ghcr.io/acme], secret: audience-pull, login: acme, namespaceLabels: {copies-audience: prod}}
";
    let home =
        Home::new(cluster, "copies-audience", MAPPING, &["audience-pull"], &["audience-login"])
            .await?;
    home.create_login("audience-login", &[("ghcr.io/acme", "canary-of-audience")]).await?;
    let content = [("ghcr.io/acme", "canary-of-audience")];
    let prod = [("copies-audience", "prod")];
    home.namespace.label(INJECT, "enabled").await?;
    home.namespace.label("copies-audience", "prod").await?;
    let system = crate::namespace::Namespace::existing(home.api(), "kube-public");
    system.label(INJECT, "enabled").await?;
    system.label("copies-audience", "prod").await?;
    let test = home.opted_in("copies-audience-test", &[("copies-audience", "test")]).await?;
    let without =
        home.labelled("copies-audience-without", &json!({"copies-audience": "prod"})).await?;
    let controller = home.start("0", "1s").await?;
    // It comes after the others, so that they have had their turn.
    let covered = home.opted_in("copies-audience-prod", &prod).await?;
    home.copied(Instant::now(), &covered, "audience-pull", &content).await?;
    let others = [&home.namespace, &system, &test, &without];
    for other in others {
        ensure!(home.secret(other, "audience-pull").await?.is_none(), "a copy in {}", other.name());
    }
    system.label(INJECT, None).await?;

    let begin = Instant::now();
    test.label("copies-audience", "prod").await?;
    let (_, came) = home.copied(begin, &test, "audience-pull", &content).await?;
    let begin = Instant::now();
    test.label("copies-audience", "test").await?;
    let gone = home.gone(begin, SOON, &test, "audience-pull").await?;
    home.says_nothing(&[&controller]).await?;
    let names: Vec<&str> = others.iter().map(|it| it.name()).collect();
    Ok(Report::new()
        .seen(
            "`namespaceLabels` hold: copy after; no longer, `--grace 1s`: gone after",
            format!("{}; {}", ms(came), ms(gone)),
        )
        .seen("no copy in", names.join(", ")))
}

/// A measured time.
pub(super) fn ms(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}
