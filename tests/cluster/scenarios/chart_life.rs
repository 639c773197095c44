//! The life of a release while Pods are created: upgrade, rollback, death, and its end.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use axum::http::StatusCode;
use serde_json::Value;

use crate::{
    fixtures::pod,
    namespace::{Namespace, StoredPod},
    node::{
        Creations, HOME, NodeCluster, RELEASE, Tag, UNSCHEDULED_IMAGE, VALUES, kill_all, lines_of,
    },
    registration::WEBHOOK,
    report::Report,
    wait::{until_some, until_within},
};

/// What the API server counts Pods by that it admitted although the webhook did not answer.
const FAIL_OPEN: &str = "apiserver_admission_webhook_fail_open_count";

/// What Helm leaves, for the reports' sake.
const DEFINITIONS: [&str; 2] = [
    "customresourcedefinition.apiextensions.k8s.io/loginreports.pullcred.dev",
    "customresourcedefinition.apiextensions.k8s.io/pullsecretreports.pullcred.dev",
];

/// A webhook leaves when the API server has no connection to it, after 95 s at the latest.
const LEAVE: Duration = Duration::from_secs(110);

/// An image that gets the copy of a login, and is never pulled.
const COPIED_IMAGE: &str = "registry.example.net/nobody/runs:1";

/// The name of copies, as the tests' values have it.
const COPY: &str = "third";

/// From the chart, the mapping and the image of an older revision to those of now, and back, while Pods are created: each gets its
/// Secret, also from webhooks that leave, and the copy of a login stays.
pub(crate) async fn upgrade_and_rollback(cluster: Arc<NodeCluster>) -> Result<Report> {
    let namespace = cluster.covered("upgrade", UNSCHEDULED_IMAGE).await?;
    let copied = cluster.covered("copied-upgrade", COPIED_IMAGE).await?;
    cluster.push_pullcred(Tag::NEXT).await?;
    let played = match cluster.helm_upgrade_to_older().await {
        Ok(of_then) => play_upgrade(&cluster, &[namespace, copied], of_then).await,
        Err(error) => Err(error),
    };
    // Others want to play with it.
    cluster.helm_upgrade_with(&["--values", VALUES]).await?;
    played
}

async fn play_upgrade(
    cluster: &NodeCluster,
    [namespace, copied]: &[Namespace; 2],
    of_then: bool,
) -> Result<Report> {
    // Their definitions are newer than the older chart, and Helm keeps them.
    cluster.kubectl(&[&["delete", "--ignore-not-found"][..], &DEFINITIONS].concat()).await?;
    let mut leaving = running(cluster, Tag::OLDER).await?;
    namespace.until_injected_for(UNSCHEDULED_IMAGE).await?;
    copied.until_injected_for(COPIED_IMAGE).await?;
    let copy = uid_of_copy(copied).await?;
    let failed = failed_open(cluster).await?;
    let load = || (Creations::start(namespace), Creations::start_with(copied, COPIED_IMAGE, COPY));
    let ended = async |(first, second): (Creations, Creations)| {
        anyhow::Ok(format!(
            "{}; with the copy of a login: {}",
            first.end().await?,
            second.end().await?
        ))
    };

    let creations = load();
    let tag = format!("image.tag={}", Tag::NEXT.0);
    let upgrade = cluster.helm_upgrade_with(&["--values", VALUES, "--set", &tag]).await?;
    leaving.extend(running(cluster, Tag::NEXT).await?);
    let upgraded = ended(creations).await?;
    ensure!(uid_of_copy(copied).await? == copy, "the upgrade made the copy again");

    let creations = load();
    let rollback = cluster.helm_rollback().await?;
    running(cluster, Tag::OLDER).await?;
    until_gone(&cluster.existing(HOME), &leaving).await?;
    let rolled_back = ended(creations).await?;
    ensure!(uid_of_copy(copied).await? == copy, "the rollback made the copy again");
    let since = failed_open(cluster).await? - failed;
    ensure!(since == 0, "{since} Pods were admitted without an answer");

    let program = if of_then { "the program of then" } else { "today's program" };
    Ok(Report::new()
        .seen(
            format!("`helm upgrade` from an older chart with {program} to this one"),
            lines_of(&upgrade, &["STATUS:", "DESCRIPTION:"]),
        )
        .seen("meanwhile", upgraded)
        .seen("`helm rollback`", rollback.trim())
        .seen("meanwhile, and until all Pods of before had left", rolled_back)
        .seen("copy of the login in the end", "the same object as at first")
        .seen(format!("`{FAIL_OPEN}` of the API server meanwhile"), since))
}

async fn uid_of_copy(namespace: &Namespace) -> Result<Value> {
    Ok(namespace.object("/api/v1", &format!("secrets/{COPY}")).await?["metadata"]["uid"].take())
}

/// A mapping that the webhook would refuse is refused before anything of the release is touched, in the words of its
/// parser.
pub(crate) async fn refused_mapping(cluster: Arc<NodeCluster>) -> Result<Report> {
    let namespace = cluster.covered("refused-mapping", UNSCHEDULED_IMAGE).await?;
    let before = cluster.pods_of("webhook").await?;
    let mapping = ["get", "configmap", "pullcred-mapping", "--namespace", HOME, "--output=json"];
    let config = cluster.control_plane().kubectl(&mapping).await?;

    // The schema and the templates let it through: only the parser knows that paths have no capitals.
    let rules = r#"mapping.rules=[
        {"registries":["registry.example.com/Shop"],"secret":"first"},
        {"registries":["registry.example.net"],"secret":"third","login":"third","namespaces":["copied-*"]}
    ]"#;
    let begin = Instant::now();
    let refused = cluster.helm_upgrade_with(&["--set-json", rules]).await;
    let took = begin.elapsed();
    let Err(error) = refused else {
        bail!("`helm upgrade` takes a mapping that the webhook refuses")
    };
    let error = format!("{error:#}");
    let words = error.lines().find(|line| line.contains("upper case in its path"));
    let words = words.with_context(|| format!("not in the parser's words: {error}"))?.trim();

    assert_eq!(cluster.pods_of("webhook").await?, before, "Pods were touched");
    assert_eq!(cluster.control_plane().kubectl(&mapping).await?, config, "the mapping was touched");
    namespace.until_injected_for(UNSCHEDULED_IMAGE).await?;
    // A release whose last upgrade failed can be upgraded.
    cluster.helm_upgrade_with(&["--values", VALUES]).await?;
    namespace.until_injected_for(UNSCHEDULED_IMAGE).await?;
    Ok(Report::new()
        .seen(
            format!("`helm upgrade` with a path in capitals, after {:.1} s", took.as_secs_f64()),
            words,
        )
        .seen("Pods and mapping of the release then", "as before"))
}

/// Both webhooks die at once: Pods are admitted without their Secret, and soon with it again.
pub(crate) async fn webhooks_killed(cluster: Arc<NodeCluster>) -> Result<Report> {
    let namespace = cluster.covered("webhooks-killed", UNSCHEDULED_IMAGE).await?;
    let before = failed_open(&cluster).await?;
    let begin = Instant::now();
    let killed = kill_all(&["/pullcred", "webhook"])?;
    // Those of a release before may still be leaving.
    ensure!(killed >= 2, "{killed} processes of the webhook");
    let stored = namespace.create_pod(pod("meanwhile").image(UNSCHEDULED_IMAGE)).await?;
    assert_eq!(stored.pull_secrets(), []);
    let counted = failed_open(&cluster).await?;
    ensure!(counted > before, "the API server still counts {before}");
    namespace.until_injected_for(UNSCHEDULED_IMAGE).await?;
    let back = begin.elapsed().as_secs_f64();
    let after = namespace.create_pod(pod("after").image(UNSCHEDULED_IMAGE)).await?;
    assert_eq!(after.pull_secrets(), ["first"]);
    Ok(Report::new()
        .stored("Pod created when both webhooks were killed, `failurePolicy: Ignore`", &stored)
        .seen("what the API server logs", cluster.control_plane().logged("failing open")?)
        .seen(format!("`{FAIL_OPEN}` of the API server"), format!("{before}, then {counted}"))
        .stored(
            format!("Pod created when the kubelet had started one again, {back:.1} s later"),
            &after,
        ))
}

/// After `helm uninstall` nothing is left that could be in the way of others, and it can be installed again.
pub(crate) async fn uninstall(cluster: Arc<NodeCluster>) -> Result<Report> {
    let namespace = cluster.covered("uninstall", UNSCHEDULED_IMAGE).await?;
    let printed = cluster.helm_uninstall().await?;
    let looked = look_at_the_rest(&cluster, &namespace).await;
    // Others want to play with it.
    let again = cluster.helm_install().await?;
    let report = looked?;
    namespace.until_injected_for(UNSCHEDULED_IMAGE).await?;
    let stored = namespace.create_pod(pod("again").image(UNSCHEDULED_IMAGE)).await?;
    assert_eq!(stored.pull_secrets(), ["first"]);
    Ok(report
        .seen("`helm uninstall`", printed.trim())
        .seen("`helm install` again", lines_of(&again, &["STATUS:", "DESCRIPTION:"]))
        .stored("then a Pod", &stored))
}

async fn look_at_the_rest(cluster: &NodeCluster, namespace: &Namespace) -> Result<Report> {
    let stored = namespace.create_pod(pod("afterwards").image(UNSCHEDULED_IMAGE)).await?;
    ensure!(stored.pull_secrets() == [], "{} from nobody", stored.pull_secrets());
    let kubectl = async |arguments: &[&str]| cluster.control_plane().kubectl(arguments).await;
    let kinds = kubectl(&["api-resources", "--verbs=list", "--output=name"]).await?;
    let kinds = kinds.lines().collect::<Vec<_>>().join(",");
    let label = format!("app.kubernetes.io/instance={RELEASE}");
    let ours = ["get", &kinds, "--all-namespaces", "--output=name", "--selector", &label];
    let ours = [ours.as_slice(), &["--ignore-not-found"]].concat();
    // Webhooks serve on for a while, so that Pods are no remainder; the namespace for `helm test` takes a
    // moment. The definitions of reports stay.
    let stays = |name: &String| name.starts_with("pod/") || DEFINITIONS.contains(&name.as_str());
    let leaving = until_some("end of what Helm installed", async || {
        let printed = kubectl(&ours).await?;
        let names = printed.lines().filter(|line| !line.starts_with("Warning: "));
        let names: Vec<_> = names.map(str::to_owned).collect();
        Ok(names.iter().all(stays).then_some(names))
    });
    let (definitions, leaving): (Vec<_>, Vec<_>) =
        leaving.await?.into_iter().partition(|name| !name.starts_with("pod/"));
    assert_eq!(definitions, DEFINITIONS);
    let leaving = match leaving.as_slice() {
        [] => "none".to_owned(),
        pods => format!("on their way out: {}", pods.join(", ")),
    };
    let secrets = kubectl(&["get", "secrets", "--namespace", HOME, "--output=name"]).await?;
    let left = secrets.split_whitespace().collect::<Vec<_>>().join(", ");
    // As the notes of the chart have it.
    let certificates = ["pullcred-ca", "pullcred-tls"];
    kubectl(&[["delete", "secret", "--namespace", HOME].as_slice(), &certificates].concat())
        .await?;
    Ok(Report::new()
        .stored("Pod in a labelled namespace after `helm uninstall`", &stored)
        .seen("definitions of reports, which stay", definitions.join(", "))
        .seen("other objects of any kind with the release's label", leaving)
        .seen("Secrets left in the release's namespace, of which the chart's notes speak", left))
}

/// How often the API server went on without an answer of the webhook.
async fn failed_open(cluster: &NodeCluster) -> Result<u64> {
    let metrics = cluster.api().get("/metrics").await?.ok()?;
    let series = format!("{FAIL_OPEN}{{name=\"{WEBHOOK}\",type=\"admit\"}} ");
    let mut values = metrics.lines().filter_map(|line| line.strip_prefix(series.as_str()));
    // A series begins with its first count.
    Ok(values.next().map_or(Ok(0), str::parse)?)
}

/// The Pods of the webhook, which run the image with this tag.
async fn running(cluster: &NodeCluster, tag: Tag) -> Result<Vec<StoredPod>> {
    let pods = cluster.pods_of("webhook").await?;
    for pod in &pods {
        let runs = pod.at("/spec/containers/0/image").and_then(Value::as_str);
        ensure!(runs == Some(&tag.image()), "{} runs {runs:?}", pod.name());
    }
    Ok(pods)
}

async fn until_gone(home: &Namespace, pods: &[StoredPod]) -> Result<()> {
    for pod in pods {
        let is_gone =
            async || Ok(home.answer_to_get(pod.name()).await?.status() == StatusCode::NOT_FOUND);
        until_within(LEAVE, &format!("end of Pod {}", pod.name()), is_gone).await?;
    }
    Ok(())
}
