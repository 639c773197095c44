//! The policy beside what others put on copies, and at the limits of what it compares.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{
    home::{Home, MARK, secret_path},
    login::{DockerConfig, KEY, TYPE},
};
use crate::{
    account::api_with,
    api::{Answer, Api},
    cluster::Cluster,
    namespace::Namespace,
    report::Report,
    wait::until,
};

const HOME: &str = "copies-beside";
const NAME: &str = "beside-pull";
const FORCED: &str = "fieldManager=pullcred-credentials&force=true";
const FINGERPRINTS: [&str; 2] =
    ["0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"];
/// As long as the data of a Secret may be.
const LARGEST: usize = 1 << 20;

/// A copy in a namespace: the controller's token writes it, and so does an administrator.
struct Place {
    own: Api,
    admin: Api,
    namespace: Namespace,
    path: String,
}

/// What is tried, a strategic merge patch, and the words of the refusal.
type Attempt = (&'static str, Value, &'static str);

// === impl Place ===

impl Place {
    async fn write(&self, copy: &Value) -> Result<()> {
        self.own.apply(&self.path, FORCED, copy).await?.ok().map(drop)
    }

    /// A change by somebody else.
    async fn edit(&self, change: &Value) -> Result<()> {
        self.namespace.patch_object("/api/v1", &format!("secrets/{NAME}"), change).await.map(drop)
    }

    async fn stored(&self) -> Result<Value> {
        self.namespace.object("/api/v1", &format!("secrets/{NAME}")).await
    }

    async fn refusals(&self, attempts: Vec<Attempt>) -> Result<Vec<&'static str>> {
        let before = self.stored().await?;
        let mut refused = Vec::new();
        for (what, change, words) in attempts {
            refusal(what, self.own.patch(&self.path, &change).await?, words)?;
            refused.push(what);
        }
        ensure!(self.stored().await? == before, "a refused write has changed the Secret");
        Ok(refused)
    }
}

/// A controller's writes pass whatever others have added to its copy, and take nothing of it away; a copy of the largest
/// size costs no more than an expression may.
pub(crate) async fn policy_beside_others(cluster: Arc<Cluster>) -> Result<Report> {
    const MAPPING: &str = "
logins:
- {name: acme, secret: beside-login}
rules:
- {registries: [ghcr.io/acme], secret: beside-pull, login: acme, namespaces: ['copies-beside-*']}
";
    let home = Home::new(cluster, HOME, MAPPING, &[NAME], &["beside-login"]).await?;
    let kubeconfig = home.account.kubeconfig(home.account.server()?, HOME).await?;
    let namespace = home.labelled("copies-beside-a", &json!({})).await?;
    let own = api_with(&kubeconfig).await?;
    let path = secret_path(namespace.name(), NAME);
    let place = Place { own, admin: home.api().clone(), namespace, path };
    in_force(&home, &place).await?;

    let kept = additions_stay(&place).await?;
    let mut refused = additions_are_safe(&place).await?;
    of_the_largest_size(&place).await?;
    refused.extend(others_are_safe(&place).await?);
    for namespace in ["kube-public", "kube-node-lease"] {
        let path = secret_path(namespace, NAME);
        let answer = place.own.apply(&path, FORCED, &copy(FINGERPRINTS[0], "x")).await?;
        refusal(namespace, answer, "namespaces of the system")?;
    }
    Ok(Report::new()
        .seen("updated, and left as others made it", kept)
        .seen("refused by the policy, with the controller's token", refused.join(", "))
        .seen("a copy of 1 MiB", "created, updated, deleted"))
}

/// The API server checks the types of a policy's expressions, and says in its status what it finds.
async fn in_force(home: &Home, place: &Place) -> Result<()> {
    let policy =
        format!("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/{HOME}");
    until("status of the policy", async || {
        let policy = home.api().get(&policy).await?.object()?;
        let status = &policy["status"];
        let warnings = &status["typeChecking"]["expressionWarnings"];
        ensure!(warnings.is_null(), "{warnings}");
        Ok(!status["observedGeneration"].is_null())
    })
    .await?;
    let mut other = copy(FINGERPRINTS[0], "x");
    other["type"] = "Opaque".into();
    let query = format!("{FORCED}&dryRun=All");
    until("policy in force", async || {
        Ok(!place.own.apply(&place.path, &query, &other).await?.status().is_success())
    })
    .await
}

/// A copy as a controller applies it.
fn copy(content: &str, password: &str) -> Value {
    let mut copy = DockerConfig::new(&[("ghcr.io/acme", password)]).secret(NAME);
    copy["metadata"]["labels"] = json!({MARK.0: MARK.1});
    copy["metadata"]["annotations"] =
        json!({"pullcred.dev/login": "acme", "pullcred.dev/content": content});
    copy
}

async fn additions_stay(place: &Place) -> Result<&'static str> {
    let [first, second] = FINGERPRINTS;
    place.write(&copy(first, "one")).await?;
    let additions = json!({
        "metadata": {
            "labels": {"team": "a"},
            "annotations": {"note": "x", "pullcred.dev/other": "x", "pullcred.dev/content": null},
            "finalizers": ["example.com/wait"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "Secret", "name": NAME,
                                 "uid": place.stored().await?["metadata"]["uid"]}],
        },
        "data": {"added": "YQ=="},
    });
    place.edit(&additions).await?;
    place.write(&copy(second, "two")).await.context("update beside what others added")?;
    // Marks that somebody has taken away are no reason to refuse the removal of keys.
    place.edit(&json!({"metadata": {"annotations": {"pullcred.dev/login": null}}})).await?;
    let strip = json!({"data": {"added": null}});
    place.own.patch(&place.path, &strip).await?.ok().context("removal of a key")?;
    place.write(&copy(first, "three")).await.context("marks written again")?;

    let stored = place.stored().await?;
    ensure!(stored["data"] == copy(first, "three")["data"], "not the data that was written");
    let metadata = &stored["metadata"];
    ensure!(metadata["labels"] == json!({MARK.0: MARK.1, "team": "a"}), "{metadata}");
    let annotations = metadata["annotations"].as_object().map(serde_json::Map::len);
    ensure!(annotations == Some(4) && metadata["annotations"]["note"] == "x", "{metadata}");
    ensure!(metadata["finalizers"] == json!(["example.com/wait"]), "{metadata}");
    ensure!(metadata["ownerReferences"].is_array(), "{metadata}");
    Ok("a label, two annotations, a finalizer, an ownerReference")
}

/// The thief of a token can change nothing on a copy that is somebody else's.
async fn additions_are_safe(place: &Place) -> Result<Vec<&'static str>> {
    let metadata = |change: Value| json!({"metadata": change});
    let attempts = vec![
        (
            "somebody's label removed",
            metadata(json!({"labels": {"team": null}})),
            "changes no label",
        ),
        (
            "somebody's annotation removed",
            metadata(json!({"annotations": {"note": null}})),
            "changes no annotation",
        ),
        (
            "somebody's annotation changed",
            metadata(json!({"annotations": {"note": "y"}})),
            "changes no annotation",
        ),
        (
            "another annotation of pullcred's changed",
            metadata(json!({"annotations": {"pullcred.dev/other": "y"}})),
            "changes no annotation",
        ),
        ("finalizers removed", metadata(json!({"finalizers": null})), "no finalizers"),
        ("ownerReferences removed", metadata(json!({"ownerReferences": null})), "no finalizers"),
        ("a key added", json!({"data": {"more": "YQ=="}}), "no key of a Secret but"),
        (
            "the label dropped alone",
            metadata(json!({"labels": {MARK.0: null}})),
            "changes nothing else",
        ),
    ];
    let refused = place.refusals(attempts).await?;
    place.edit(&json!({"metadata": {"finalizers": null, "ownerReferences": null}})).await?;
    // A controller makes an immutable copy again where its login has changed.
    place.edit(&json!({"immutable": true})).await?;
    place.own.delete(&place.path).await?.ok().context("deletion of an immutable copy")?;
    Ok(refused)
}

/// The cost of an expression is limited, and grows with what it compares.
async fn of_the_largest_size(place: &Place) -> Result<()> {
    let [first, second] = FINGERPRINTS;
    let large = |content: &str, filler: &str| {
        let filler = filler.repeat(LARGEST - r#"{"auths":{},"x":""}"#.len());
        let config = format!(r#"{{"auths":{{}},"x":"{filler}"}}"#);
        let mut copy = copy(content, "x");
        copy["data"][KEY] = BASE64_STANDARD.encode(config).into();
        copy
    };
    place.write(&large(first, "a")).await.context("creation")?;
    place.write(&large(second, "b")).await.context("update")?;
    let release = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME},
    });
    let query = "fieldManager=pullcred-credentials&dryRun=All";
    let mut marked = large(second, "b");
    // Under another manager the data stays, and so the release compares all of it.
    place.namespace.delete_object("/api/v1", &format!("secrets/{NAME}")).await?;
    marked["metadata"]["labels"] = json!({});
    marked["metadata"]["annotations"] = json!({});
    place.namespace.create_object("/api/v1", "secrets", &marked).await?;
    let join = "fieldManager=pullcred-credentials";
    refusal(
        "join",
        place.own.apply(&place.path, join, &large(second, "b")).await?,
        "with the label",
    )?;
    // As if it had been joined before the policy was in force.
    place.admin.apply(&place.path, join, &large(second, "b")).await?.ok().context("join")?;
    place.own.apply(&place.path, query, &release).await?.ok().context("release")?;
    place.own.delete(&place.path).await?.ok().context("deletion").map(drop)
}

/// A Secret of somebody's, with a key more, and with the label of another manager.
async fn others_are_safe(place: &Place) -> Result<Vec<&'static str>> {
    let mut theirs = copy(FINGERPRINTS[0], "one");
    theirs["metadata"] = json!({"name": NAME, "labels": {MARK.0: "Helm"}});
    theirs["data"]["more"] = "YQ==".into();
    ensure!(theirs["type"] == TYPE, "{theirs}");
    place.namespace.create_object("/api/v1", "secrets", &theirs).await?;
    let attempts = vec![
        ("a key of somebody's Secret removed", json!({"data": {"more": null}}), "is not its own"),
        ("Helm's Secret marked", copy(FINGERPRINTS[0], "one"), "with the label"),
    ];
    place.refusals(attempts).await
}

/// The policy refused, in these words.
fn refusal(what: &str, answer: Answer, words: &str) -> Result<()> {
    let refusal = answer.refusal().with_context(|| what.to_owned())?;
    ensure!(refusal.contains("pullcred's credentials controller"), "{what}: {refusal}");
    ensure!(refusal.contains(words), "{what}: {refusal}");
    Ok(())
}
