//! What others do to a copy is undone.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    follow::ms,
    home::{Home, SOON, shape},
    login::{DockerConfig, KEY},
};
use crate::{cluster::Cluster, namespace::Namespace, report::Report, wait::time_until};

const MAPPING: &str = "
logins:
- {name: acme, secret: drift-login}
rules:
- {registries: [ghcr.io/acme], secret: drift-pull, login: acme, namespaces: ['copies-drift-*']}
";

const NAME: &str = "drift-pull";
const PATH: &str = "secrets/drift-pull";

/// Edited, taken over, extended, deleted and made immutable: each time the copy is right again, and stays so. Each is a copy of
/// its own, since one that is changed again and again is repaired more slowly.
pub(crate) async fn drift(cluster: Arc<Cluster>) -> Result<Report> {
    let home = Home::new(cluster, "copies-drift", MAPPING, &[NAME], &["drift-login"]).await?;
    let old = [("ghcr.io/acme", "canary-old-of-drift")];
    home.create_login("drift-login", &old).await?;
    let controller = home.start("0", "10m").await?;

    let mut report = Report::new();
    for (number, (what, change)) in (1..).zip(edits()) {
        let (namespace, before) = copied(&home, &number.to_string(), &old).await?;
        let begin = Instant::now();
        namespace.patch_object("/api/v1", PATH, &change).await?;
        let took = repaired(&home, begin, &namespace, &old).await?;
        let (now, _) = home.copied(Instant::now(), &namespace, NAME, &old).await?;
        ensure!(now["metadata"]["uid"] == before["metadata"]["uid"], "{what}: made again");
        report = report.seen(format!("{what}: right again after"), ms(took));
    }
    let (namespace, _) = copied(&home, "taken-over", &old).await?;
    take_over(&home, &namespace).await?;
    let took = repaired(&home, Instant::now(), &namespace, &old).await?;
    report = report.seen(
        "`kubectl apply --server-side --force-conflicts` of other data: right again after",
        ms(took),
    );

    let (namespace, _) = copied(&home, "deleted", &old).await?;
    let begin = Instant::now();
    namespace.delete_object("/api/v1", PATH).await?;
    let took = repaired(&home, begin, &namespace, &old).await?;
    report = report.seen("deleted: there again after", ms(took));
    let left_alone = noted(&home, &old).await?;

    // Only as it is now can it be immutable: it stays, until there is something to change.
    let (namespace, before) = copied(&home, "immutable", &old).await?;
    namespace.patch_object("/api/v1", PATH, &json!({"immutable": true})).await?;
    let new = [("ghcr.io/acme", "canary-new-of-drift")];
    let begin = Instant::now();
    home.rotate_login("drift-login", &new).await?;
    let took = repaired(&home, begin, &namespace, &new).await?;
    let (now, _) = home.copied(Instant::now(), &namespace, NAME, &new).await?;
    ensure!(now["metadata"]["uid"] != before["metadata"]["uid"], "it was not immutable");
    report = report.seen("made immutable, then the login is rotated: made again after", ms(took));
    home.says_nothing(&[&controller]).await?;
    Ok(report.seen("annotation of others on the copy", left_alone))
}

/// A namespace of its own, and the copy in it.
async fn copied(home: &Home, name: &str, logins: &[(&str, &str)]) -> Result<(Namespace, Value)> {
    let namespace = home.opted_in(&format!("copies-drift-{name}"), &[]).await?;
    let (stored, _) = home.copied(Instant::now(), &namespace, NAME, logins).await?;
    Ok((namespace, stored))
}

/// What others note on a copy, or on its namespace, is no reason to write.
async fn noted(home: &Home, logins: &[(&str, &str)]) -> Result<&'static str> {
    let (namespace, _) = copied(home, "noted", logins).await?;
    namespace.label("team", "a").await?;
    let note = json!({"metadata": {"annotations": {"example.com/note": "ours"}}});
    let noted = namespace.patch_object("/api/v1", PATH, &note).await?;
    sleep(Duration::from_millis(700)).await;
    let after = home.secret(&namespace, NAME).await?.unwrap_or_default();
    ensure!(after == noted, "it is not left alone: {}", shape(&after));
    Ok("stays, nothing is written")
}

/// What people do with `kubectl edit`, as patches.
fn edits() -> [(&'static str, Value); 5] {
    let other = DockerConfig::new(&[("ghcr.io/acme", "somebody-else")]).encoded();
    let more = BASE64_STANDARD.encode("more");
    [
        ("data edited", json!({"data": {KEY: other}})),
        ("key added", json!({"data": {"more": more}})),
        (
            "two keys added and data edited",
            json!({"data": {KEY: other, "more": more, "and.more": more}}),
        ),
        (
            "annotation with the fingerprint edited",
            json!({"metadata": {"annotations": {"pullcred.dev/content": "0"}}}),
        ),
        (
            "annotation with the login removed",
            json!({"metadata": {"annotations": {"pullcred.dev/login": null}}}),
        ),
    ]
}

/// As a person with kubectl: other data, by force.
async fn take_over(home: &Home, namespace: &Namespace) -> Result<()> {
    let mut secret = DockerConfig::new(&[("ghcr.io/acme", "somebody-else")]).secret(NAME);
    secret["metadata"]["namespace"] = namespace.name().into();
    let control_plane = home.cluster.control_plane();
    let file = control_plane.folder().join("drift-taken-over.json");
    std::fs::write(&file, secret.to_string())?;
    let file = file.display().to_string();
    let apply = ["apply", "--server-side", "--force-conflicts", "--filename", &file];
    control_plane.kubectl(&apply).await.map(drop)
}

/// Waits until the copy has this content and nothing else, by the marks of what was written last.
async fn repaired(
    home: &Home,
    begin: Instant,
    namespace: &Namespace,
    logins: &[(&str, &str)],
) -> Result<Duration> {
    let expected = DockerConfig::new(logins);
    time_until(begin, SOON, "repaired copy", async || {
        let Some(secret) = home.secret(namespace, NAME).await? else { return Ok(false) };
        let annotations = &secret["metadata"]["annotations"];
        let content = annotations["pullcred.dev/content"].as_str().unwrap_or_default();
        Ok(DockerConfig::of(&secret).is_ok_and(|it| it == expected)
            && secret["data"].as_object().is_some_and(|it| it.len() == 1)
            && content.len() == 32
            && annotations["pullcred.dev/login"] == "acme")
    })
    .await
}
