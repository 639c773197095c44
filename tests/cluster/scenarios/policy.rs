//! The mapping as a MutatingAdmissionPolicy: the API server itself gives the same list as the webhook.

use std::{collections::BTreeMap, fs, sync::Arc, time::Instant};

use anyhow::{Context, Result, ensure};
use pullcred::{
    core::{
        decide::decide,
        image::ImageRef,
        pod::Pod,
        review::Request,
        rules::{Mapping, RegistryPattern},
    },
    mapping,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, loopback},
    namespace::Namespace,
    pullcred::Pullcred,
    registration::Registration,
    report::Report,
};

const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies";
const BINDINGS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings";
const VECTORS: &str = include_str!("../../../crates/core/tests/vectors/images.jsonl");
const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/testdata/admission");
const CASES_MAPPING: &str = include_str!("../../testdata/mapping.yaml");

/// A policy that covers one namespace.
pub(crate) struct Policy {
    name: String,
}

// === impl Policy ===

impl Policy {
    /// What `pullcred policy` makes of a mapping, narrowed to one namespace and in effect.
    pub(crate) async fn create(
        cluster: &Cluster,
        namespace: &Namespace,
        mapping: &str,
        image: &str,
    ) -> Result<Self> {
        let name = format!("policy-{}", namespace.name());
        let file = cluster.control_plane().folder().join(format!("{name}.yaml"));
        fs::write(&file, mapping)?;
        let mut command = Pullcred::command();
        command.arg("policy").arg("--config").arg(&file).args(["-o", "json", "--name", &name]);
        let output = command.output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut list: Value = serde_json::from_slice(&output.stdout)?;
        let [policy, binding] = list["items"].as_array_mut().context("no items")?.as_mut_slice()
        else {
            anyhow::bail!("not two items");
        };
        let selector = "/spec/matchConstraints/namespaceSelector/matchExpressions";
        policy.pointer_mut(selector).and_then(Value::as_array_mut).context("no selector")?.push(
            json!({"key": "kubernetes.io/metadata.name", "operator": "In", "values": [namespace.name()]}),
        );
        cluster.api().post(POLICIES, policy).await?.ok()?;
        cluster.api().post(BINDINGS, binding).await?.ok()?;
        namespace.until_injected_for(image).await?;
        Ok(Self { name })
    }

    async fn delete(self, cluster: &Cluster) -> Result<()> {
        for collection in [BINDINGS, POLICIES] {
            cluster.api().delete(&format!("{collection}/{}", self.name)).await?.ok()?;
        }
        Ok(())
    }
}

/// What a Pod would be stored with, or what the API server says against it.
async fn would_have(
    cluster: &Cluster,
    namespace: &str,
    pod: &Value,
) -> Result<Result<Vec<String>, String>> {
    let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All");
    let answer = cluster.api().post(&path, pod).await?;
    if !answer.status().is_success() {
        return Ok(Err(answer.refusal()?));
    }
    let names = answer.object()?["spec"]["imagePullSecrets"].take();
    let names = names.as_array().cloned().unwrap_or_default();
    Ok(Ok(names.iter().map(|it| it["name"].as_str().unwrap_or_default().to_owned()).collect()))
}

/// What the Pod lists and what the decision adds.
fn decided(mapping: &Mapping, namespace: &str, object: &Value) -> Result<Vec<String>> {
    let pod = Pod::deserialize(object)?;
    let listed: Vec<String> = pod.pull_secrets().map(ToOwned::to_owned).collect();
    let request = Request::create(namespace, pod);
    let decision = decide(&request, mapping, None);
    Ok(listed.into_iter().chain(decision.injected().iter().map(|&it| it.to_owned())).collect())
}

/// The Pods of all golden cases that create one, by the name of their file.
fn golden_pods(namespace: &str) -> Result<BTreeMap<String, Value>> {
    let mut pods = BTreeMap::new();
    for entry in fs::read_dir(CASES)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let case: Value = serde_saphyr::from_str(&fs::read_to_string(&path)?)?;
        // The others are no creation of a Pod, or bring a mapping of their own.
        if case.get("mapping").is_some() || case.get("request").is_some() {
            continue;
        }
        if case.get("namespace").is_some_and(|it| it != namespace) {
            continue;
        }
        let name = path.file_stem().context("no name")?.to_string_lossy().into_owned();
        pods.insert(name.clone(), complete(case["pod"].clone(), &name));
    }
    Ok(pods)
}

/// What an API server asks for beside what the case is about.
fn complete(mut pod: Value, name: &str) -> Value {
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    if !pod["metadata"].is_object() {
        pod["metadata"] = json!({});
    }
    pod["metadata"]["name"] = name.into();
    if let Some(metadata) = pod["metadata"].as_object_mut() {
        metadata.remove("namespace");
    }
    pod
}

fn of_image(image: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "it"},
        "spec": {"containers": [{"name": "it", "image": image}]},
    })
}

/// The golden cases, by the policy, by the webhook and by the decision itself.
pub(crate) async fn golden_cases(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = cluster.apart("shop").await?;
    let name = namespace.name();
    let pods = golden_pods(name)?;
    ensure!(pods.len() >= 30, "only {} cases", pods.len());
    let mapping = mapping::parse(CASES_MAPPING)?;

    let policy = Policy::create(&cluster, &namespace, CASES_MAPPING, "nginx").await?;
    let mut by_policy = BTreeMap::new();
    for (case, pod) in &pods {
        by_policy.insert(case, would_have(&cluster, name, pod).await?);
    }
    policy.delete(&cluster).await?;
    namespace.until_left_alone("nginx").await?;

    let listen = loopback();
    let _webhook = cluster.start_webhook("policy-twin", listen, "127.0.0.1", CASES_MAPPING).await?;
    let registration =
        Registration::url("policy-twin", listen, cluster.webhooks()).only_in(&[name]);
    registration.create(cluster.api()).await?;
    namespace.until_injected_for("nginx").await?;

    let mut report = Report::new();
    let (mut injected, mut refused) = (0, 0);
    for (case, pod) in &pods {
        let by_webhook = would_have(&cluster, name, pod).await?;
        let by_policy = &by_policy[case];
        assert_eq!(*by_policy, by_webhook, "{case}");
        match &by_webhook {
            Ok(list) => {
                assert_eq!(*list, decided(&mapping, name, pod)?, "{case}");
                injected += usize::from(!list.is_empty());
                report = report.seen(
                    format!("golden case `{case}`, by policy and by webhook"),
                    format!("`{}`", list.join(", ")),
                );
            }
            Err(_) => refused += 1,
        }
    }
    registration.delete(cluster.api()).await?;
    ensure!(injected >= 15 && refused <= 8, "{injected} injected, {refused} refused");
    Ok(report.seen("golden cases that the API server refuses with both", refused))
}

/// Image references, each in a Pod of its own: every fourth vector, and rules for their registries and repositories.
pub(crate) async fn image_vectors(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = cluster.apart("policy-vectors").await?;
    let name = namespace.name();
    let vectors: Vec<Value> =
        VECTORS.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let is_hand = |it: &&Value| it["id"].as_str().is_some_and(|id| id.starts_with("hand-"));
    let generated = vectors.iter().filter(|it| !is_hand(it)).step_by(4);
    let images: Vec<&str> = vectors
        .iter()
        .filter(is_hand)
        .chain(generated)
        .filter_map(|vector| vector["image"].as_str())
        .collect();

    let text = mapping_for(&images);
    let mapping = mapping::parse(&text)?;
    let _policy = Policy::create(&cluster, &namespace, &text, "nginx").await?;
    let (mut some, mut none, mut refused) = (0, 0, 0);
    for image in &images {
        let pod = of_image(image);
        match would_have(&cluster, name, &pod).await? {
            Ok(list) => {
                assert_eq!(list, decided(&mapping, name, &pod)?, "{image:?}");
                *if list.is_empty() { &mut none } else { &mut some } += 1;
            }
            // Spaces around an image are refused by the API server.
            Err(_) => refused += 1,
        }
    }
    ensure!(some >= 100 && none >= 50 && refused <= 20, "{some}, {none}, {refused}");
    Ok(Report::new().seen(
        "image vectors, by policy and by decision",
        format!("{some} with the same list, {none} with nothing in both, {refused} refused by the API server"),
    ))
}

/// A rule for every registry of the images, and one for every repository.
fn mapping_for(images: &[&str]) -> String {
    let mut patterns = BTreeMap::new();
    for image in images.iter().filter_map(|image| ImageRef::parse(image).ok()) {
        let host = image.registry().to_owned();
        let repository = format!("{host}/{}", image.repository());
        let glob = host.split_once('.').map(|(_, rest)| format!("*.{rest}"));
        for text in [Some(host), Some(repository), glob].into_iter().flatten() {
            if let Ok(pattern) = text.parse::<RegistryPattern>() {
                patterns.insert((pattern.host().to_owned(), pattern.path().to_owned()), text);
            }
        }
    }
    let rules = patterns
        .values()
        .enumerate()
        .map(|(n, text)| format!("- {{registries: ['{text}'], secret: s-{n}}}"));
    format!("rules:\n{}\n", rules.collect::<Vec<_>>().join("\n"))
}

/// The largest mapping that is let through, and a Pod with as many images as are promised.
pub(crate) async fn largest_mapping(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = cluster.apart("policy-large").await?;
    let rules = (0..1_200).map(|n| {
        format!("- {{registries: [registry-{n}.example.com/team], secret: s-{}}}", n % 50)
    });
    let mut lines: Vec<String> = rules.collect();
    lines.push("- {registries: [docker.io], secret: hub}".to_owned());
    let text = format!("rules:\n{}\n", lines.join("\n"));
    let _policy = Policy::create(&cluster, &namespace, &text, "nginx").await?;
    let containers: Vec<Value> = (0..40)
        .map(|n| json!({"name": format!("c-{n}"), "image": format!("registry-{n}.example.com/team/{}:1", "a".repeat(60))}))
        .collect();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "it"}, "spec": {"containers": containers},
    });
    let mapping = mapping::parse(&text)?;
    let begin = Instant::now();
    let list = would_have(&cluster, namespace.name(), &pod).await?.map_err(anyhow::Error::msg)?;
    let took = begin.elapsed();
    assert_eq!(list, decided(&mapping, namespace.name(), &pod)?);
    Ok(Report::new().seen(
        "1,201 rules as a policy, a Pod with 40 images",
        format!("{} Secrets, {} ms", list.len(), took.as_millis()),
    ))
}
