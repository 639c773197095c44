//! pullcred as the chart installs it, with Pods that run.

use std::{fs, path::Path, sync::Arc, time::Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{
    clinic::{examine, run},
    rights::{bindings, print_rights},
};
use crate::{
    fixtures::pod,
    node::{FIRST, HOME, NodeCluster, VALUES},
    pki::{Authority, User},
    registration::Registration,
    report::Report,
    wait::until,
};

/// Registration, mapping and what is served are found without a flag for them. Each webhook Pod shakes hands, over a
/// port that API server and kubelet forward: were it not so, there would be a note. Held against a stranger's
/// `caBundle`, the same handshakes are errors.
pub(crate) async fn a_real_installation(cluster: Arc<NodeCluster>) -> Result<Report> {
    let namespace = cluster.opted_in("check-real").await?;
    cluster.secret_by_login(&namespace, "first", FIRST, FIRST.password).await?;
    let image = cluster.push(FIRST, "shop/doctor:1").await?;
    let stored = namespace.create_pod(pod("app").image(&image)).await?;
    assert_eq!(stored.pull_secrets(), ["first"]);
    let in_namespace = ["--namespace", namespace.name()];
    let sound = examine(cluster.control_plane(), User::ADMIN, &in_namespace).await?;
    sound.is_sound()?;
    ensure!(sound.not_seen().is_empty(), "{sound:?}");

    let name = "check-stranger";
    let registration =
        Registration::service(name, HOME, "pullcred-webhook", &Authority::new(name)?);
    registration.clone().only_in(&[namespace.name()]).create(cluster.api()).await?;
    let args = [&in_namespace[..], &["--webhook-config", name]].concat();
    let distrusted = examine(cluster.control_plane(), User::ADMIN, &args).await?;
    let table = run(cluster.control_plane(), User::ADMIN, &args).await?;
    registration.delete(cluster.api()).await?;
    let pods = cluster.pods_of("webhook").await?;
    ensure!(!pods.is_empty(), "there are no webhook Pods");
    for pod in &pods {
        let place = format!("pod {HOME}/{}", pod.name());
        distrusted.has("error", "certificate", &place, "signed by none of the certificates")?;
    }

    // Nothing more is needed for all of it than the rights that the command writes for the values.
    let doctor = User::named("check-real-doctor");
    let rights = print_rights(Path::new(VALUES), HOME, "check-real").await?;
    let file = cluster.folder().join("check-real-rights.yaml");
    fs::write(&file, rights)?;
    cluster.kubectl(&["apply", "--filename", &file.display().to_string()]).await?;
    for arguments in bindings("check-real", HOME, doctor) {
        cluster.kubectl(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    }
    until("the rights of `--print-rights`", async || {
        let by_doctor = examine(cluster.control_plane(), doctor, &in_namespace).await?;
        Ok(by_doctor.not_seen().is_empty() && by_doctor.is_sound().is_ok())
    })
    .await?;
    Ok(Report::new()
        .seen("`check --live`, the chart as Helm installed it", sound.summary)
        .seen("`check --live`, the caBundle of a stranger", table.stdout + &table.stderr))
}

/// How often a mapping is changed until a look comes before the Pods have it. The kubelet here looks every second, and the
/// webhook every ten.
const CHANGES: usize = 5;

/// A mapping that has just changed is not in force yet, which `check --live` says and `--wait` waits for. One that the
/// webhook refuses is never in force, and nothing waits for it.
pub(crate) async fn mapping_in_force(cluster: Arc<NodeCluster>) -> Result<Report> {
    cluster.pullcred().await?;
    let home = cluster.existing(HOME);
    let path = "configmaps/pullcred-mapping";
    let before = home.object("/api/v1", path).await?["data"]["pullcred.yaml"].clone();
    let text = before.as_str().context("there is no mapping")?;
    let change = async |text: &str| {
        let change = json!({"data": {"pullcred.yaml": text}});
        home.patch_object("/api/v1", path, &change).await.map(drop)
    };
    let args = ["--namespace", "default"];
    let place = format!("configmap {HOME}/pullcred-mapping");

    let mut seen = None;
    for number in 0..CHANGES {
        change(&format!("{text}# change {number}\n")).await?;
        let early = run(cluster.control_plane(), User::ADMIN, &args).await?;
        if early.stdout.contains("mapping-not-in-force") {
            seen = Some(early);
            break;
        }
    }
    let early = seen.context("every look came after the mapping was in force")?;
    ensure!(early.code == 1 && early.stdout.contains("pullcred check --live --wait"), "{early:?}");
    let begin = Instant::now();
    let waited =
        run(cluster.control_plane(), User::ADMIN, &[&args[..], &["--wait=3m"]].concat()).await?;
    let took = begin.elapsed();
    ensure!(waited.code == 0 && waited.stderr.contains("waiting: "), "{waited:?}");
    ensure!(!waited.stdout.contains("mapping-not-in-force"), "{waited:?}");

    change(&format!("{text}# once more\n")).await?;
    let impatient =
        run(cluster.control_plane(), User::ADMIN, &[&args[..], &["--wait=0s"]].concat()).await?;
    ensure!(
        impatient.code == 1 && impatient.stderr.contains("not in force after 0 seconds"),
        "{impatient:?}"
    );

    change("rules: [{registries: ['quay.io:x', 'ghcr.io/*'], secret: A_B}]\n").await?;
    let refused =
        examine(cluster.control_plane(), User::ADMIN, &[&args[..], &["--wait=3m"]].concat())
            .await?;
    let part = "line 1, column 23: ";
    refused.is("error", "mapping", &place, part)?;
    refused.has("error", "mapping", &place, ", and 2 more")?;
    change(text).await?;
    let back =
        run(cluster.control_plane(), User::ADMIN, &[&args[..], &["--wait=3m"]].concat()).await?;
    ensure!(back.code == 0, "{back:?}");
    Ok(Report::new()
        .seen("`check --live` right after a change of the mapping", early.stdout)
        .seen("`check --live --wait`", format!("{}{:.1} s", waited.stderr, took.as_secs_f64())))
}
