//! What holds for every Pod: the patch applies under two implementations of RFC 6902, gives exactly the Pod that the
//! rules ask for, and a second pass changes nothing.

#![cfg(test)]

mod support;

use std::sync::LazyLock;

use k8s_openapi::api::core::v1::Pod;
use proptest::{collection::vec, option, prelude::*, sample::select};
use pullcred::{
    core::{answer, decide::decide, image::ImageRef, review as core_review, rules::Mapping},
    mapping,
};
use serde_json::{Value, json};
use support::{review, rfc6902};

static MAPPING: LazyLock<Mapping> =
    LazyLock::new(|| mapping::parse(include_str!("testdata/mapping.yaml")).unwrap());

const IMAGES: [&str; 12] = [
    "registry.cn-shanghai.aliyuncs.com/huangyisan/nginx",
    "ghcr.io/acme/tools:1",
    "ghcr.io/other/tools@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "quay.io/acme",
    "1.dkr.ecr.eu-west-1.amazonaws.com/app",
    "registry.internal:5000/app",
    "nginx",
    "index.docker.io/user/app",
    "public.example.com/app",
    "my_host.io/app",
    "Not An Image",
    "",
];
const NAMES: [&str; 6] = ["aliyun", "acme-robot", "hub", "mine", "", "aliyun"];

prop_compose! {
    fn container()(
        name in "[a-z]{1,8}",
        image in option::weighted(0.95, prop_oneof![8 => select(&IMAGES[..]).prop_map(str::to_owned), 1 => any::<String>()]),
        env in option::of(any::<String>()),
    ) -> Value {
        let mut container = json!({ "name": name, "resources": {} });
        if let Some(image) = image {
            container["image"] = json!(image);
        }
        if let Some(env) = env {
            container["env"] = json!([{ "name": "TEXT", "value": env }]);
        }
        container
    }
}

/// A list that is absent, null, empty, or has entries of any kind.
fn pull_secrets() -> impl Strategy<Value = Option<Value>> {
    let entry = prop_oneof![
        6 => select(&NAMES[..]).prop_map(|name| json!({ "name": name })),
        1 => Just(json!({})),
    ];
    prop_oneof![
        2 => Just(None),
        1 => Just(Some(Value::Null)),
        4 => vec(entry, 0..5).prop_map(|entries| Some(json!(entries))),
    ]
}

prop_compose! {
    fn pod()(
        containers in vec(container(), 0..4),
        init in option::of(vec(container(), 0..3)),
        volume in option::of(select(&IMAGES[..])),
        list in pull_secrets(),
        label in option::of(select(&["disabled", "enabled", "other"][..])),
        unknown in any::<Option<String>>(),
    ) -> Value {
        let mut spec = json!({ "containers": containers, "nodeSelector": { "kubernetes.io/os": "linux" } });
        if let Some(init) = init {
            spec["initContainers"] = json!(init);
        }
        if let Some(reference) = volume {
            spec["volumes"] = json!([{ "name": "data", "image": { "reference": reference } }]);
        }
        if let Some(list) = list {
            spec["imagePullSecrets"] = list;
        }
        if let Some(unknown) = unknown {
            spec["fieldOfTomorrow"] = json!({ "text": unknown });
        }
        let mut metadata = json!({ "generateName": "web-", "creationTimestamp": null });
        if let Some(label) = label {
            metadata["labels"] = json!({ "pullcred.dev/inject": label });
        }
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {} })
    }
}

/// The patch that the webhook answers `pod` with.
fn patch_for(pod: &Value) -> Option<Value> {
    let body = review::create("shop", pod, &Value::Null).to_string();
    let request = core_review::parse(body.as_bytes()).unwrap();
    let answer = answer::respond(&request.uid, &decide(&request, &MAPPING, None)).unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    for warning in answer["response"]["warnings"].as_array().into_iter().flatten() {
        let warning = warning.as_str().unwrap();
        assert!(warning.chars().count() <= 120 && !warning.contains(char::is_control), "{warning}");
    }
    review::patch_of(&answer, &request.uid)
}

/// The Pod as the rules ask for it, made without a patch.
fn expected(pod: &Value) -> Value {
    let mut expected = pod.clone();
    if pod["metadata"]["labels"]["pullcred.dev/inject"] == "disabled" {
        return expected;
    }
    let spec = &pod["spec"];
    let mut found = Vec::new();
    let images = ["containers", "initContainers"]
        .into_iter()
        .flat_map(|list| spec[list].as_array().into_iter().flatten())
        .map(|container| &container["image"])
        .chain(spec["volumes"].as_array().into_iter().flatten().map(|v| &v["image"]["reference"]));
    for image in images {
        if let Ok(image) = ImageRef::parse(image.as_str().unwrap_or_default()) {
            MAPPING.matches(&image, "shop", &mut found);
        }
    }
    let mut list = spec["imagePullSecrets"].as_array().cloned().unwrap_or_default();
    let before = list.len();
    for name in MAPPING.secrets(&mut found) {
        let entry = json!({ "name": name.as_str() });
        if !list.contains(&entry) {
            list.push(entry);
        }
    }
    if list.len() > before {
        expected["spec"]["imagePullSecrets"] = json!(list);
    }
    expected
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn the_patch_gives_exactly_the_expected_pod(pod in pod()) {
        let mut ours = pod.clone();
        let mut theirs = pod.clone();
        if let Some(patch) = patch_for(&pod) {
            rfc6902::apply(&mut ours, &patch).unwrap();
            let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
            json_patch::patch(&mut theirs, &patch).unwrap();
        }
        prop_assert_eq!(&ours, &theirs);
        prop_assert_eq!(&ours, &expected(&pod));
        // A Pod that could be decoded still can.
        if serde_json::from_value::<Pod>(pod).is_ok() {
            prop_assert!(serde_json::from_value::<Pod>(ours.clone()).is_ok());
        }
        prop_assert_eq!(patch_for(&ours), None, "a second pass patches nothing");
    }

    #[test]
    fn any_bytes_are_survived(bytes in vec(any::<u8>(), 0..200)) {
        let _ = core_review::parse(&bytes);
    }

    #[test]
    fn any_cut_of_a_review_is_refused(pod in pod(), cut in 0.0..1.0_f64) {
        let body = review::create("shop", &pod, &Value::Null).to_string();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place within a short text")]
        let at = (body.len() as f64 * cut) as usize;
        prop_assert!(core_review::parse(&body.as_bytes()[..at]).is_err());
    }
}
