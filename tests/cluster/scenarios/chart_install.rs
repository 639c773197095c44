//! The chart, installed by Helm from the private registry: what runs, and who may do what.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{
    fixtures::pod,
    node::{FIRST, HOME, Installed, NodeCluster, PRELOADED_IMAGE, RELEASE, Tag, lines_of},
    registration::INJECT,
    report::Report,
    wait::until_some,
};

/// Pods of the chart run where only Pods of level `restricted` are admitted, and their image needs a
/// password, too.
pub(crate) async fn image_from_the_private_registry(cluster: Arc<NodeCluster>) -> Result<Report> {
    let installed = cluster.pullcred().await?;
    let careless = pod("careless").image(PRELOADED_IMAGE);
    let refusal = installed.home.dry_run(careless).await?.refusal()?;
    assert!(refusal.contains("violates PodSecurity \"restricted:latest\""), "{refusal}");

    let of = |component| installed.started.iter().filter(move |(of, _)| *of == component).count();
    assert_eq!((of("webhook"), of("controller"), of("credentials")), (2, 1, 1));
    // The Pod that reads the mapping before anything is installed is the first to pull; the others find the image on the node.
    let image = Tag::USUAL.image();
    let said = format!("Successfully pulled image \"{image}\"");
    let events = installed.home.object("/api/v1", "events").await?;
    let messages = events["items"].as_array().into_iter().flatten().map(|it| &it["message"]);
    let pulled = messages.clone().filter_map(Value::as_str).any(|it| it.starts_with(&said));
    assert!(pulled, "no Pod of the release pulled {image}: {:?}", messages.collect::<Vec<_>>());

    let report = Report::new()
        .seen("`helm install`", lines_of(&installed.printed, &["STATUS:", "DESCRIPTION:"]))
        .seen("a Pod that is not so careful, in the release's namespace", refusal);
    Ok(installed.started.iter().fold(report, |report, (component, events)| {
        report.seen(format!("a Pod of the {component}, there"), events)
    }))
}

/// `helm test` has the API server judge, and needs no other pull Secret than the release's.
pub(crate) async fn helm_test(cluster: Arc<NodeCluster>) -> Result<Report> {
    cluster.pullcred().await?;
    let printed = cluster.helm(&["test", RELEASE, "--timeout=60s"]).await?;
    let phase = lines_of(&printed, &["TEST SUITE:", "Phase:"]);
    assert!(phase.ends_with("Phase: Succeeded"), "{printed}");
    Ok(Report::new().seen("`helm test`", phase))
}

/// What the API server allows the `ServiceAccount`s that the chart makes, beyond what it allows any.
pub(crate) async fn rights(cluster: Arc<NodeCluster>) -> Result<Report> {
    let Installed { home, before, .. } = cluster.pullcred().await?;
    let everybody = rules_of(&cluster, "default").await?;
    let mut report = Report::new();
    // The controller: its two Secrets, and the one registration. The credentials controller: copies, logins and the mapping by
    // name, and besides these which namespaces there are, Events, and reports with their Lease. The webhook reads these two.
    for (component, count) in [("webhook", 2), ("controller", 3), ("credentials", 8)] {
        let rules = rules_of(&cluster, &format!("{RELEASE}-{component}")).await?;
        let own: Vec<String> = rules.difference(&everybody).cloned().collect();
        assert_eq!(own.len(), count, "{component}: {own:?}");
        for rule in &own {
            let named = ["[pullcred", "[third"].iter().any(|name| rule.contains(name));
            let nameless = [
                "namespaces [] [] [get list watch]",
                "events.events.k8s.io [] [] [create]",
                "loginreports.pullcred.dev [] [] [get list watch create patch delete]",
                "pullsecretreports.pullcred.dev [] [] [get list watch create patch delete]",
                "pullsecretreports.pullcred.dev [] [] [get list watch]",
            ];
            assert!(named || nameless.contains(&rule.as_str()), "a rule without names: {rule}");
        }
        let what = format!("`kubectl auth can-i --list` as the {component}, beyond everybody's");
        report = report.seen(what, if own.is_empty() { "none".to_owned() } else { own.join("; ") });
    }

    let controller = account(&format!("{RELEASE}-controller"));
    let get = ["get", "secret", "--output=name", "--namespace"];
    // What it may read it can read, or the refusals would prove nothing.
    let own = [get.as_slice(), &[home.name(), "pullcred-ca", &controller]].concat();
    cluster.kubectl(&own).await?;
    for (namespace, secret) in [(home.name(), "registry"), (before.namespace.name(), "first")] {
        let other = [get.as_slice(), &[namespace, secret, &controller]].concat();
        let what =
            format!("`kubectl get secret {secret} --namespace {namespace}` as the controller");
        report = report.seen(what, refusal(&cluster, &other).await?);
    }
    let all = [get.as_slice(), &[home.name(), &controller]].concat();
    report = report.seen("`kubectl get secret` as the controller", refusal(&cluster, &all).await?);
    Ok(report)
}

/// Who may change namespaces may not opt them in, unless the chart's values say so.
pub(crate) async fn opt_in_policy(cluster: Arc<NodeCluster>) -> Result<Report> {
    let namespace = cluster.unlabelled("policy").await?;
    let create = "create clusterrole namespace-editor --verb=get,patch --resource=namespaces";
    cluster.kubectl(&create.split(' ').collect::<Vec<_>>()).await?;
    let bind = "create clusterrolebinding namespace-editor --clusterrole=namespace-editor";
    let users = ["--user=developer", "--user=platform"];
    cluster.kubectl(&bind.split(' ').chain(users).collect::<Vec<_>>()).await?;

    let opt_in = format!("{INJECT}=enabled");
    let label = |user| ["label", "namespace", namespace.name(), &opt_in, user];
    // The API server takes a moment to know of role and policy.
    let attempt = [label("--as=developer").as_slice(), &["--dry-run=server"]].concat();
    let refused = until_some("refusal by the policy", async || {
        let refusal = refusal(&cluster, &attempt).await.ok();
        Ok(refusal.filter(|refusal| refusal.contains("ValidatingAdmissionPolicy")))
    });
    refused.await?;
    let refused = refusal(&cluster, &label("--as=developer")).await?;
    assert!(refused.contains("developer may not set or change it"), "{refused}");
    cluster.kubectl(&["label", "namespace", namespace.name(), "team=a", "--as=developer"]).await?;

    cluster.kubectl(&label("--as=platform")).await?;
    namespace.until_injected_for(&FIRST.image("any")).await?;
    let stored = namespace.create_pod(pod("app").image(&FIRST.image("any"))).await?;
    assert_eq!(stored.pull_secrets(), ["first"]);
    Ok(Report::new()
        .seen("`kubectl label namespace` by somebody who may change namespaces", refused)
        .stored("the same by somebody in `optInPolicy.subjects`; then a Pod", &stored))
}

/// Resources, paths, names and verbs: a line for each rule of a `ServiceAccount`.
async fn rules_of(cluster: &NodeCluster, name: &str) -> Result<BTreeSet<String>> {
    let list = ["auth", "can-i", "--list", "--namespace", HOME, &account(name)];
    let printed = cluster.control_plane().kubectl(&list).await?;
    let words = |rule: &str| rule.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(printed.lines().skip(1).map(words).collect())
}

/// The flag with which kubectl acts as a `ServiceAccount` of the release's namespace.
fn account(name: &str) -> String {
    format!("--as=system:serviceaccount:{HOME}:{name}")
}

/// Why the API server forbids what kubectl asks for.
async fn refusal(cluster: &NodeCluster, arguments: &[&str]) -> Result<String> {
    let Err(error) = cluster.kubectl(arguments).await else {
        bail!("`kubectl {}` was not refused", arguments.join(" "))
    };
    let error = format!("{error:#}");
    let line = error.lines().find(|line| line.contains("(Forbidden)"));
    let line = line.with_context(|| format!("another failure than a refusal: {error}"))?.trim();
    ensure!(!line.contains(FIRST.password), "{line}");
    Ok(line.to_owned())
}
