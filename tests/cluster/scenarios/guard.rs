//! The example of a policy that the API server has from a file, as it stands in `examples`.

use std::sync::Arc;

use anyhow::{Context, Result, bail};

use crate::{cluster::Cluster, registration::Registration, report::Report, wait::until_some};

/// The object of this scenario.
const NAME: &str = "guarded";

/// The account that the example names.
const CONTROLLER: &str = "--as=system:serviceaccount:pullcred:pullcred-controller";

/// Who may patch a webhook configuration may, with the policy, change its `caBundle` and nothing else; the administrator still may.
pub(crate) async fn only_the_ca_bundle(cluster: Arc<Cluster>) -> Result<Report> {
    Registration::service(NAME, "nowhere", "nothing", cluster.webhooks())
        .webhook_name("guard.cluster.test")
        .only_in(&["nowhere"])
        .create(cluster.api())
        .await?;
    let kubectl = async |line: &str| {
        let arguments: Vec<_> = line.split(' ').collect();
        cluster.control_plane().kubectl(&arguments).await
    };
    kubectl(
        "create clusterrole guarded --verb=get,patch,create,delete \
         --resource=mutatingwebhookconfigurations",
    )
    .await?;
    kubectl("create clusterrolebinding guarded --clusterrole=guarded --serviceaccount=pullcred:pullcred-controller").await?;
    let patch = async |patch: &str, user: Option<&str>| {
        let arguments =
            ["patch", "mutatingwebhookconfiguration", NAME, "--type=json", "--patch", patch];
        let arguments: Vec<_> = arguments.into_iter().chain(user).collect();
        cluster.control_plane().kubectl(&arguments).await
    };
    // What the controller does. The API server takes a moment to know of the role.
    let bundle = r#"[{"op":"remove","path":"/webhooks/0/clientConfig/caBundle"}]"#;
    until_some("right to patch", async || Ok(patch(bundle, Some(CONTROLLER)).await.ok())).await?;

    let mut report = Report::new();
    for (what, change) in [
        (
            "all resources",
            r#"[{"op":"replace","path":"/webhooks/0/rules/0/resources","value":["*/*"]}]"#,
        ),
        (
            "all operations",
            r#"[{"op":"replace","path":"/webhooks/0/rules/0/operations","value":["*"]}]"#,
        ),
        ("all namespaces", r#"[{"op":"remove","path":"/webhooks/0/namespaceSelector"}]"#),
        ("all Pods", r#"[{"op":"remove","path":"/webhooks/0/objectSelector"}]"#),
        (
            "another address",
            r#"[{"op":"replace","path":"/webhooks/0/clientConfig","value":{"url":"https://thief.example"}}]"#,
        ),
        ("Fail", r#"[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Fail"}]"#),
        (
            "another time limit",
            r#"[{"op":"replace","path":"/webhooks/0/timeoutSeconds","value":30}]"#,
        ),
        ("no condition", r#"[{"op":"remove","path":"/webhooks/0/matchConditions"}]"#),
        ("an annotation", r#"[{"op":"add","path":"/metadata/annotations","value":{"a":"b"}}]"#),
        (
            "a second webhook",
            r#"[{"op":"copy","from":"/webhooks/0","path":"/webhooks/1"},{"op":"replace","path":"/webhooks/1/name","value":"second.cluster.test"}]"#,
        ),
    ] {
        let refused = refusal(patch(change, Some(CONTROLLER)).await, what)?;
        report = report.seen(format!("as the controller: {what}"), refused);
    }
    let delete = kubectl(&format!("delete mutatingwebhookconfiguration {NAME} {CONTROLLER}")).await;
    report = report.seen("as the controller: delete it", refusal(delete, "delete")?);

    patch(r#"[{"op":"replace","path":"/webhooks/0/timeoutSeconds","value":5}]"#, None).await?;
    kubectl(&format!("delete mutatingwebhookconfiguration {NAME}")).await?;
    Ok(report)
}

/// The words in which the policy refused.
fn refusal(answer: Result<String>, what: &str) -> Result<String> {
    let Err(error) = answer else { bail!("{what}: the policy lets it through") };
    let error = format!("{error:#}");
    let line = error.lines().find(|line| line.contains("static.k8s.io"));
    Ok(line.with_context(|| format!("{what}: another failure: {error}"))?.trim().to_owned())
}
