//! What each state in a report does to a Pod.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::webhook::{Answer, Webhook, place, report, usual};

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
        let expected = Answer {
            added: texts(added),
            warnings: Vec::from_iter(warning),
            annotations: texts(annotations),
        };
        assert_eq!(webhook.ask("shop", "skip.io/app").await, expected, "{state}");
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
