//! Every row of the table of decisions: a Pod applied with kubectl, the warnings that its creator sees, and the stored list.

use std::sync::Arc;

use anyhow::{Result, ensure};
use pullcred::core::reports::{
    PullSecretStatus, ReportedSecret,
    ReportedState::{
        self, Conflict, Expired, Missing, Pending, Ready, Refused, Unreadable, WrongType,
    },
};

use super::{
    house::{self, HOME, Heartbeat, Reader},
    kubectl::Transcript,
};
use crate::{
    api::Api,
    cluster::{Cluster, ReportsCluster},
    fixtures::pod,
    namespace::{Namespace, StoredPod},
    report::Report,
};

/// A rule as usual, one that leaves its name out where the Secret is missing, and a name for every Pod.
pub(super) const MAPPING: &str = "
rules:
- {registries: [registry.example.com], secret: robot}
- {registries: [mirror.example.com], secret: mirror, whenMissing: skip}
always: [tools]
discover: {namespaces: ['found-*']}
";
/// The names of that mapping.
pub(super) const NAMES: [&str; 3] = ["robot", "mirror", "tools"];
/// Images that its rules cover.
const IMAGES: [&str; 2] = ["registry.example.com/shop/web:1", "mirror.example.com/nginx:1"];

/// What is known of the three Secrets of a namespace: a state, and registry keys of theirs.
pub(super) type Row = (&'static str, Option<(ReportedState, Option<&'static [&'static str]>)>);

/// A row for each namespace, and what its Pod lists.
pub(super) const ROWS: [(Row, &[&str]); 13] = [
    (("nothing", None), &["robot", "mirror", "tools"]),
    (("ready", Some((Ready, None))), &["robot", "mirror", "tools"]),
    (
        ("ready-opens", Some((Ready, Some(&["registry.example.com", "mirror.example.com"])))),
        &["robot", "mirror", "tools"],
    ),
    (("ready-opens-nothing", Some((Ready, Some(&["quay.io"])))), &["robot", "mirror", "tools"]),
    (("pending", Some((Pending, None))), &["robot", "tools"]),
    (("missing", Some((Missing, None))), &["robot", "tools"]),
    (("conflict", Some((Conflict, None))), &["robot", "mirror", "tools"]),
    (
        ("conflict-opens", Some((Conflict, Some(&["registry.example.com", "mirror.example.com"])))),
        &["robot", "mirror", "tools"],
    ),
    (
        ("conflict-opens-nothing", Some((Conflict, Some(&["quay.io"])))),
        &["robot", "mirror", "tools"],
    ),
    (("wrong-type", Some((WrongType, None))), &["robot", "mirror", "tools"]),
    (("expired", Some((Expired, None))), &["robot", "mirror", "tools"]),
    (("refused", Some((Refused, None))), &["robot", "mirror", "tools"]),
    (("unreadable", Some((Unreadable, None))), &["robot", "mirror"]),
];

/// Reports are written by hand, since a controller does not come to all of these states.
pub(crate) async fn rows(cluster: Arc<ReportsCluster>) -> Result<Report> {
    let cluster = cluster.cluster();
    let api = cluster.api();
    house::make_home(api).await?;
    house::install_definitions(api).await?;
    let heartbeat = Heartbeat::start(&cluster);
    let namespaces = make(api).await?;
    let reader = Reader::start(&cluster, "rows", MAPPING).await?;
    reader.until_fresh(true).await?;
    reader.until_known(ROWS.len() as u64 - 1).await?;

    let (transcript, report) = play(&cluster, &namespaces).await?;
    insta::with_settings!({
        snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true,
    }, {
        insta::assert_snapshot!("rows", transcript);
    });
    drop(heartbeat);
    reader.end(api).await?;
    house::delete_definitions(api).await?;
    let names: Vec<&str> = namespaces.iter().map(Namespace::name).collect();
    house::clear(api, &[&names[..], &[HOME]].concat()).await?;
    Ok(report)
}

/// Makes the namespaces and reports of all rows.
pub(super) async fn make(api: &Api) -> Result<Vec<Namespace>> {
    let mut namespaces = Vec::new();
    for ((name, known), _) in ROWS {
        let namespace = house::opted_in(api, name).await?;
        if let Some(known) = known {
            house::write_report(api, name, &status(known)).await?;
        }
        namespaces.push(namespace);
    }
    Ok(namespaces)
}

/// A report in which all names are in a state.
pub(super) fn status((state, keys): (ReportedState, Option<&[&str]>)) -> PullSecretStatus {
    let keys = keys.map(|keys| keys.iter().map(ToString::to_string).collect::<Vec<_>>());
    let secret = |name: &str| ReportedSecret {
        name: name.to_owned(),
        state,
        reason: None,
        expired_at: None,
        keys: keys.clone(),
    };
    PullSecretStatus { secrets: NAMES.map(secret).to_vec(), ..PullSecretStatus::default() }
}

async fn play(cluster: &Cluster, namespaces: &[Namespace]) -> Result<(String, Report)> {
    let mut transcript = Transcript::new(cluster);
    let mut report = Report::new();
    for (namespace, ((name, known), listed)) in namespaces.iter().zip(ROWS) {
        transcript.about(&match known {
            None => "no report".to_owned(),
            Some((state, None)) => format!("{state:?}"),
            Some((state, Some(keys))) => format!("{state:?}, with logins for {}", keys.join(", ")),
        });
        let printed = transcript.apply(&format!("{name}.json"), &manifest(name))?;
        let list = "--output jsonpath={.spec.imagePullSecrets[*].name}";
        transcript.run(&format!("get pod web --namespace {name} {list}"))?;
        let stored = namespace.pod("web").await?;
        ensure!(stored.pull_secrets() == *listed, "{name}: {}", stored.pull_secrets());
        let warnings = printed.lines().filter(|line| line.starts_with("Warning: ")).count();
        report = report.seen(format!("{name}: list"), stored.pull_secrets());
        report = report.seen(format!("{name}: warnings of `kubectl apply`"), warnings);
    }
    Ok((transcript.into_text(), report))
}

fn manifest(namespace: &str) -> serde_json::Value {
    let mut web = pod("web").image(IMAGES[0]).image(IMAGES[1]).into_object();
    web["metadata"]["namespace"] = namespace.into();
    web
}

/// The same Pod by a dry run: its list, and the warnings.
pub(super) async fn answer(namespace: &Namespace) -> Result<(Vec<String>, Vec<String>)> {
    let answer = namespace.dry_run(pod("web").image(IMAGES[0]).image(IMAGES[1])).await?;
    let warnings = answer.warnings().to_vec();
    let stored = StoredPod::from(answer.object()?);
    let list = stored.at("/spec/imagePullSecrets").and_then(serde_json::Value::as_array).cloned();
    let names = list.unwrap_or_default().into_iter();
    let names = names.filter_map(|it| it["name"].as_str().map(str::to_owned));
    Ok((names.collect(), warnings))
}
