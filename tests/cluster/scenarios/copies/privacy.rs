//! Nothing of a login is in any output, also where something is wrong with it.

use std::{sync::Arc, time::Instant};

use anyhow::{Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{
    home::Home,
    login::{DockerConfig, KEY, TYPE},
};
use crate::{cluster::Cluster, report::Report};

const LOGIN: &str = "privacy-login";

/// Logins of each kind that cannot be used, and writes that are refused: what is wrong is said, and the login is not. Copies
/// stay as they are meanwhile.
pub(crate) async fn privacy(cluster: Arc<Cluster>) -> Result<Report> {
    const MAPPING: &str = "
logins:
- {name: acme, secret: privacy-login}
rules:
- {registries: [ghcr.io/acme], secret: privacy-pull, login: acme, namespaces: ['copies-privacy-*']}
";
    const NAME: &str = "privacy-pull";
    let home = Home::new(cluster, "copies-privacy", MAPPING, &[NAME], &[LOGIN]).await?;
    let first = [("ghcr.io/acme", "canary-first-of-privacy")];
    home.create_login(LOGIN, &first).await?;
    let namespace = home.opted_in("copies-privacy-a", &[]).await?;
    let controller = home.start("0", "10m").await?;
    let (stored, _) = home.copied(Instant::now(), &namespace, NAME, &first).await?;

    let mut report = Report::new();
    for (what, said, secret) in unusable(&home) {
        home.namespace.delete_object("/api/v1", &format!("secrets/{LOGIN}")).await?;
        home.reported(&controller, "there is no Secret privacy-login").await?;
        home.namespace.create_object("/api/v1", "secrets", &secret).await?;
        let line = home.reported(&controller, said).await?;
        ensure!(home.secret(&namespace, NAME).await?.as_ref() == Some(&stored), "{what}: touched");
        home.says_nothing(&[&controller]).await?;
        report = report.seen(format!("login: {what}; `/readyz`"), line.trim());
    }
    // No Secret fits into this namespace.
    let full = home.labelled("copies-privacy-full", &json!({})).await?;
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"},
        "spec": {"hard": {"secrets": "0"}},
    });
    full.create_object("/api/v1", "resourcequotas", &quota).await?;
    full.label(crate::registration::INJECT, "enabled").await?;
    let last = [("ghcr.io/acme", "canary-last-of-privacy")];
    home.rotate_login(LOGIN, &last).await?;
    home.copied(Instant::now(), &namespace, NAME, &last).await?;
    let refused = home.reported(&controller, "copies-privacy-full/privacy-pull").await?;
    for reason in ["LoginMissing", "LoginUnreadable", "NoLoginForRegistry", "CopyRefused"] {
        ensure!(!home.events(reason).await?.is_empty(), "no Event {reason}");
    }
    let hidden = home.says_nothing(&[&controller]).await?;
    Ok(report.seen("copy refused by a quota; `/readyz`", refused.trim()).seen(
        "passwords in log at trace, metrics, readiness and Events",
        format!("none; {hidden}"),
    ))
}

/// What is wrong, what is said of it, and the Secret. Each has a password that may be shown nowhere.
fn unusable(home: &Home) -> Vec<(&'static str, &'static str, Value)> {
    let secret = |type_: &str, key: &str, text: &str| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": type_, "metadata": {"name": LOGIN},
            "data": {key: BASE64_STANDARD.encode(text)},
        })
    };
    for password in ["canary-other-registry", "canary-opaque", "canary-no-colon", "canary-number"] {
        home.hide(password);
    }
    let auths = |entry: Value| json!({"auths": {"ghcr.io/acme": entry}}).to_string();
    let no_colon = auths(json!({"auth": BASE64_STANDARD.encode("canary-no-colon")}));
    let number = auths(json!({"username": "robot", "password": ["canary-number"]}));
    let other = DockerConfig::new(&[("quay.io", "canary-other-registry")]);
    vec![
        ("for another registry", "no login for ghcr.io/acme", other.secret(LOGIN)),
        (
            "of type Opaque",
            "is no pull Secret",
            secret("Opaque", KEY, &auths(json!({"auth": super::login::auth("canary-opaque")}))),
        ),
        ("`auth` without a colon", "is no pull Secret", secret(TYPE, KEY, &no_colon)),
        ("password of a wrong type", "is no pull Secret", secret(TYPE, KEY, &number)),
    ]
}
