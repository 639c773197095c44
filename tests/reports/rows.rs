//! What each state in a report does to a Pod.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::{
    cli::run,
    webhook::{Webhook, place, report, usual},
};

#[tokio::test(start_paused = true)]
async fn each_row_of_the_table_is_answered_as_it_says() {
    let texts = |texts: &[&str]| texts.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    let webhook = Webhook::knowing(usual()).await;
    let own = |keys| json!([{"name": "robot", "state": "Conflict", "keys": keys}]);
    let is = |state| json!([{"name": "robot", "state": state}]);
    for (secrets, warning) in [
        (is("Ready"), None),
        (is("Pending"), Some("is not in namespace shop yet: pullcred is copying it")),
        (is("Missing"), Some("is not in namespace shop: pullcred lacks its login")),
        (
            is("WrongType"),
            Some("is of a type that kubelets skip: use kubernetes.io/dockerconfigjson"),
        ),
        (
            is("Unreadable"),
            Some("cannot be read, and fails every pull of this Pod: correct or delete it"),
        ),
        (is("Expired"), Some("has an expired login: pulls fail until it is renewed")),
        (
            json!([{"name": "robot", "state": "Expired", "expiredAt": "2026-01-01T00:00:00Z"}]),
            Some("has a login that ended at 2026-01-01T00:00:00Z: pulls fail until it is renewed"),
        ),
        (
            json!([{"name": "robot", "state": "Expired", "expiredAt": "at the end of the year"}]),
            Some("has an expired login: pulls fail until it is renewed"),
        ),
        (json!([{"name": "robot", "state": "Ready", "expiredAt": "2026-01-01T00:00:00Z"}]), None),
        (
            json!([{"name": "robot", "state": "Missing", "reason": "LoginRefused"}]),
            Some("is not in namespace shop: a registry refuses its login"),
        ),
        (is("Refused"), Some("has a login that its registry refuses: ask who runs pullcred")),
        (is("Reinvented"), None),
        (own(json!(["ghcr.io"])), None),
        (
            own(json!(["ghcr.io/other"])),
            Some("has no login for ghcr.io/acme/app: delete it and pullcred makes it"),
        ),
        (
            own(json!([])),
            Some("has no login for ghcr.io/acme/app: delete it and pullcred makes it"),
        ),
        (
            json!([{"name": "robot", "state": "Ready", "keys": ["quay.io"]}]),
            Some("has no login for ghcr.io/acme/app: add one, or ask its owner"),
        ),
    ] {
        webhook.server.put(&place("shop"), Some(report(&secrets)));
        sleep(Duration::from_secs(1)).await;
        let answer = webhook.ask("shop", "ghcr.io/acme/app").await;
        assert_eq!(answer.added, ["robot", "tools"], "{secrets}");
        let warnings = warning.map(|it| format!("pull secret robot {it}"));
        assert_eq!(answer.warnings, Vec::from_iter(warnings), "{secrets}");
    }

    let left_out = "pull secret extra is not in namespace shop";
    for (state, added, warning, annotations) in [
        (
            "Ready",
            &["extra", "tools"][..],
            None,
            &["injected=extra,tools", "matched-registry=skip.io"][..],
        ),
        (
            "Missing",
            &["tools"],
            Some(format!("{left_out}: left out by its rule")),
            &["injected=tools", "matched-registry=skip.io", "withheld=extra"],
        ),
        (
            "Pending",
            &["tools"],
            Some(format!("{left_out} yet: left out by its rule")),
            &["injected=tools", "matched-registry=skip.io", "withheld=extra"],
        ),
    ] {
        let secrets = json!([{"name": "extra", "state": state}]);
        webhook.server.put(&place("shop"), Some(report(&secrets)));
        sleep(Duration::from_secs(1)).await;
        let answer = webhook.ask("shop", "skip.io/app").await;
        assert_eq!(answer.added, texts(added), "{state}");
        assert_eq!(answer.warnings, Vec::from_iter(warning), "{state}");
        assert_eq!(answer.annotations, texts(annotations), "{state}");
    }

    let secrets = json!([{"name": "tools", "state": "Unreadable"}]);
    webhook.server.put(&place("shop"), Some(report(&secrets)));
    sleep(Duration::from_secs(1)).await;
    let answer = webhook.ask("shop", "nginx").await;
    assert!(answer.added.is_empty());
    assert_eq!(answer.annotations, ["skipped-reason=withheld", "withheld=tools"]);
    assert_eq!(
        answer.warnings,
        [
            "pull secret tools cannot be read, and would fail every pull: left out until it is corrected"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_exists_is_discovered_where_the_mapping_says() {
    let webhook = Webhook::knowing(usual()).await;
    webhook.server.put(&place("other"), Some(usual()));
    sleep(Duration::from_secs(1)).await;
    let answer = webhook.ask("shop", "own.io/app").await;
    assert_eq!(answer.added, ["tools", "own"]);
    assert_eq!(answer.annotations, ["discovered=own", "injected=tools,own"]);
    assert_eq!(webhook.ask("other", "own.io/app").await.added, ["tools"]);
    assert_eq!(webhook.metric("reports_namespaces"), 2);

    // An object of another name is nobody's report.
    let another = place("shop").replace("reports/pullcred", "reports/another");
    webhook.server.put(
        &another,
        Some(report(&json!([{"name": "more", "state": "Ready", "keys": ["own.io"]}]))),
    );
    sleep(Duration::from_secs(1)).await;
    assert_eq!(webhook.added("own.io/app").await, ["tools", "own"]);
    webhook.server.put(&place("shop"), None);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(webhook.added("own.io/app").await, ["tools"]);
    assert_eq!(webhook.metric("reports_namespaces"), 1);
}

/// The API server writes each annotation of an event once, and may call the webhook again for the same Pod.
#[tokio::test(start_paused = true)]
async fn a_second_call_adds_nothing_and_overwrites_no_annotation() {
    let webhook = Webhook::knowing(usual()).await;
    for image in ["own.io/app", "skip.io/app", "ghcr.io/acme/app"] {
        let first = webhook.ask("shop", image).await;
        let second = webhook.ask_of("shop", image, &first.added).await;
        assert!(second.added.is_empty(), "{image}: {second:?}");
        assert!(first.keys.is_disjoint(&second.keys), "{image}: {first:?} {second:?}");
        assert!(!second.annotations.iter().any(|it| it.starts_with("discovered")), "{second:?}");
        // What is known changes between two calls, as it does between two releases.
        webhook.server.put(&place("shop"), None);
        sleep(Duration::from_secs(1)).await;
        let third = webhook.ask("shop", image).await;
        assert_eq!(third.keys.is_disjoint(&first.keys), third.annotations != first.annotations);
        webhook.server.put(&place("shop"), Some(usual()));
        sleep(Duration::from_secs(1)).await;
    }
}

/// `inject --reports` gives a Pod what the webhook gives it.
#[tokio::test(start_paused = true)]
async fn the_command_line_answers_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("reports.json");
    let webhook = Webhook::knowing(usual()).await;
    let states = [
        "Ready",
        "Pending",
        "Missing",
        "WrongType",
        "Unreadable",
        "Conflict",
        "Refused",
        "Expired",
        "New",
    ];
    for state in states {
        let secrets = ["robot", "extra", "tools", "own"]
            .map(|name| json!({"name": name, "state": state, "keys": ["own.io", "ghcr.io/other"]}));
        let mut report = report(&json!(secrets));
        webhook.server.put(&place("shop"), Some(report.clone()));
        sleep(Duration::from_secs(1)).await;
        report["metadata"] = json!({"name": "pullcred", "namespace": "shop"});
        std::fs::write(&file, report.to_string()).unwrap();
        for image in ["ghcr.io/acme/app", "skip.io/app", "own.io/app", "nginx"] {
            let answer = webhook.ask("shop", image).await;
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "shop"},
                "spec": {"containers": [{"name": "app", "image": image}]},
            });
            let reports = file.to_str().unwrap();
            let config = "explain/reports/mapping.yaml";
            let args =
                ["inject", "--config", config, "--reports", reports, "-f", "-", "-o", "json"];
            let run = run(&args, &pod.to_string());
            let value: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
            let list = value["spec"]["imagePullSecrets"].as_array().into_iter().flatten();
            let list: Vec<&str> = list.map(|it| it["name"].as_str().unwrap()).collect();
            assert_eq!(list, answer.added, "{state} {image}: {}", run.shown());
            for warning in &answer.warnings {
                assert!(run.stderr.contains(warning), "{state} {image}: {}", run.shown());
            }
            assert_eq!(run.stderr.matches(": pull secret").count(), answer.warnings.len());
        }
    }
}
