//! The story of one login in pullcred's namespace: private images run in every labelled namespace, and nobody makes a Secret there.

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::{
    fixtures::pod,
    namespace::{Namespace, StoredPod},
    node::{Account, Events, HOME, LOGIN, NodeCluster, THIRD, THIRD_ROTATED, until_phase},
    pullcred::{Pullcred, Said},
    registration::INJECT,
    report::Report,
    wait::time_until,
};

/// The name of copies, as the tests' values have it.
const COPY: &str = "third";
/// The grace of the tests' values.
const GRACE: Duration = Duration::from_secs(3);
/// For what a controller does in milliseconds, on a machine that starts containers meanwhile.
const SOON: Duration = Duration::from_secs(10);
/// How often a namespace and a Pod come together.
const TOGETHER: usize = 20;

/// Namespaces are labelled: private images run in them. The password is rotated, and the old one is revoked at the registry: new
/// Pods run. The label goes: the copy goes after the grace.
pub(crate) async fn one_login(cluster: Arc<NodeCluster>) -> Result<Report> {
    let image = cluster.push(cluster.third(), "story/app:1").await?;
    let namespaces =
        [cluster.opted_in("copied-front").await?, cluster.opted_in("copied-back").await?];
    let mut report = Report::new();
    for namespace in &namespaces {
        let events = runs(namespace, "before", &image).await?;
        let what = format!("labelled namespace {}, nothing else: Pod", namespace.name());
        report = report.seen(what, events);
    }
    let together = together(&cluster, &image).await?;
    let what = format!("labelled namespace and Pod in one `kubectl apply`, {TOGETHER} times");
    report = report.seen(what, together);

    let rotated = rotate(&cluster, &namespaces).await?;
    report = report.seen("password rotated: both copies have it after", rotated);
    for namespace in &namespaces {
        let events = runs(namespace, "after", &image).await?;
        let what = format!("the old password is revoked: new Pod in {}", namespace.name());
        report = report.seen(what, events);
    }

    let [goes, stays] = &namespaces;
    let begin = Instant::now();
    goes.label(INJECT, None).await?;
    let gone = time_until(begin, GRACE + SOON, "end of the copy", async || {
        Ok(copy(&cluster, goes).await?.is_none())
    });
    let gone = gone.await?;
    ensure!(gone >= GRACE, "gone after {gone:?}");
    ensure!(copy(&cluster, stays).await?.is_some(), "the other copy has gone, too");
    Ok(report.seen(
        format!("label removed, grace of {} s: copy gone after", GRACE.as_secs()),
        format!("{:.1} s", gone.as_secs_f64()),
    ))
}

/// A labelled namespace and a Pod at once, again and again: each Pod runs. How often the kubelet was faster than the copy is
/// answered.
async fn together(cluster: &NodeCluster, image: &str) -> Result<String> {
    let mut pods = Vec::new();
    for number in 0..TOGETHER {
        pods.push(apply(cluster, &format!("copied-together-{number}"), image).await?);
    }
    let (mut without_copy, mut failed_pulls) = (0, 0);
    for (namespace, pod) in &pods {
        assert_eq!(pod.pull_secrets(), [COPY]);
        until_phase(namespace, pod, "Running").await?;
        let events = Events::of(namespace, pod).await?;
        without_copy += usize::from(events.has("FailedToRetrieveImagePullSecret", ""));
        failed_pulls += usize::from(events.has("Failed", "ErrImagePull"));
        namespace.delete_pod(pod.name()).await?;
    }
    // A Pod that had to wait gets its image by the kubelet's next attempt. Many would mean that copies come late.
    ensure!(failed_pulls <= TOGETHER / 2, "{failed_pulls} of {TOGETHER} Pods saw ErrImagePull");
    Ok(format!("all run; {without_copy} before their copy, {failed_pulls} with `ErrImagePull`"))
}

/// Changes the password in the one Secret, waits for the copies, and revokes the old one.
async fn rotate(cluster: &NodeCluster, namespaces: &[Namespace]) -> Result<String> {
    let begin = Instant::now();
    let change = json!({"data": {".dockerconfigjson": encoded(THIRD_ROTATED)}});
    cluster.existing(HOME).patch_object("/api/v1", &format!("secrets/{LOGIN}"), &change).await?;
    for namespace in namespaces {
        let what = format!("new password in {}", namespace.name());
        time_until(begin, SOON, &what, async || {
            let copy = copy(cluster, namespace).await?.context("the copy has gone")?;
            Ok(copy["data"][".dockerconfigjson"] == encoded(THIRD_ROTATED))
        })
        .await?;
    }
    let took = begin.elapsed();
    cluster.revoke_third()?;
    let old = cluster.push(THIRD, "story/app:2").await;
    ensure!(old.is_err(), "the old password is still accepted");
    Ok(format!("{} ms", took.as_millis()))
}

/// Without the webhook, whose names `pullcred policy` has the API server add: the copies come as before, and Pods run.
pub(crate) async fn without_the_webhook(cluster: Arc<NodeCluster>) -> Result<Report> {
    cluster.pullcred().await?;
    let home = cluster.existing(HOME);
    let mapping = home.object("/api/v1", "configmaps/pullcred-mapping").await?;
    let mapping = mapping["data"]["pullcred.yaml"].as_str().context("there is no mapping")?;
    cluster.helm_upgrade(&["webhook.enabled=false"]).await?;
    let played = by_a_policy(&cluster, mapping).await;
    let policy = "mutatingadmissionpolicy,mutatingadmissionpolicybinding";
    let removed = cluster.kubectl(&["delete", policy, "pullcred"]).await;
    // Others want to play with it.
    cluster.helm_upgrade(&["webhook.enabled=true"]).await?;
    removed?;
    played
}

async fn by_a_policy(cluster: &NodeCluster, mapping: &str) -> Result<Report> {
    let list = cluster.existing(HOME).object("/apis/apps/v1", "deployments").await?;
    let names = list["items"].as_array().into_iter().flatten().map(|it| &it["metadata"]["name"]);
    let names: Vec<&str> = names.filter_map(Value::as_str).collect();
    ensure!(names == ["pullcred-credentials"], "{names:?} are installed");
    let file = cluster.folder().join("copies-without-webhook.yaml");
    fs::write(&file, mapping)?;
    let mut command = Pullcred::command();
    command.arg("policy").arg("--config").arg(&file);
    let said = Said::by(command, "").await?;
    ensure!(said.code == 0, "{}", said.stderr);
    let file = cluster.folder().join("copies-policy.yaml");
    fs::write(&file, said.stdout)?;
    let file = file.display().to_string();
    cluster.kubectl(&["apply", "--server-side", "--filename", &file]).await?;

    let account = cluster.third();
    let image = cluster.push(account, "policy/app:1").await?;
    let namespace = cluster.opted_in("copied-by-policy").await?;
    namespace.until_injected_for(&image).await?;
    let events = runs(&namespace, "app", &image).await?;
    Ok(Report::new()
        .seen("`webhook.enabled: false`: Deployments of the release", names.join(", "))
        .seen("names by `pullcred policy`, labelled namespace, nothing else: Pod", events))
}

async fn apply(cluster: &NodeCluster, name: &str, image: &str) -> Result<(Namespace, StoredPod)> {
    let mut app =
        pod("app").image(image).of_last_container("imagePullPolicy", "Always".into()).into_object();
    app["metadata"]["namespace"] = name.into();
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": {INJECT: "enabled"}},
    });
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [namespace, app]});
    let file = cluster.folder().join(format!("{name}.json"));
    fs::write(&file, list.to_string())?;
    let file = file.display().to_string();
    let apply = ["apply", "--server-side", "--filename", &file];
    cluster.kubectl(&apply).await?;
    let namespace = cluster.existing(name);
    let stored = namespace.pod("app").await?;
    Ok((namespace, stored))
}

/// A Pod with a private image that the kubelet asks the registry for, and runs.
async fn runs(namespace: &Namespace, name: &str, image: &str) -> Result<Events> {
    let app = pod(name).image(image).of_last_container("imagePullPolicy", "Always".into());
    let stored = namespace.create_pod(app).await?;
    assert_eq!(stored.pull_secrets(), [COPY]);
    until_phase(namespace, &stored, "Running").await
}

/// The copy of a namespace, where there is one.
async fn copy(cluster: &NodeCluster, namespace: &Namespace) -> Result<Option<Value>> {
    let path = format!("/api/v1/namespaces/{}/secrets/{COPY}", namespace.name());
    cluster.api().get(&path).await?.found()
}

/// A login as it stands in a Secret, and in the same form in a copy of it.
fn encoded(account: Account) -> String {
    BASE64_STANDARD.encode(account.docker_config().to_string())
}
