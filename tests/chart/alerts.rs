//! The alerts as the chart renders them. What fires when is for promtool: charts/alerts.sh.

use crate::{
    helm::{LOGINS, NAMESPACE, objects, refusal},
    object::{Object, find},
};

const RULES: &str = "--set=metrics.prometheusRule.enabled=true";
const ELSEWHERE: &str = "--set=metrics.prometheusRule.scrapedElsewhere=true";
const MONITOR: &str = "--set=metrics.serviceMonitor.enabled=true";

/// The alerts of the chart with these arguments.
fn alerts(arguments: &[&str]) -> Vec<Object> {
    let objects = objects(&[&[RULES, ELSEWHERE], arguments].concat());
    find(&objects, "PrometheusRule", "pullcred").items("/spec/groups/0/rules").collect()
}

fn names(alerts: &[Object]) -> Vec<&str> {
    alerts.iter().map(|alert| alert.text("/alert")).collect()
}

#[test]
fn rules_take_something_that_scrapes() {
    let refusal = refusal(&[RULES]);
    assert!(refusal.contains("set metrics.prometheusRule.scrapedElsewhere to true"), "{refusal}");
    for scraper in [ELSEWHERE, MONITOR] {
        find(&objects(&[RULES, scraper]), "PrometheusRule", "pullcred");
    }
}

#[test]
fn alerts_can_be_routed_and_lead_to_a_runbook() {
    let alerts = alerts(&["--set=metrics.prometheusRule.alertLabels.team=platform"]);
    assert!(alerts.len() > 20, "{:?}", names(&alerts));
    for alert in alerts {
        let name = alert.text("/alert");
        assert_eq!(alert.text("/labels/namespace"), NAMESPACE, "{name}");
        assert_eq!(alert.text("/labels/release"), "pullcred", "{name}");
        assert_eq!(alert.text("/labels/team"), "platform", "{name}");
        assert!(matches!(alert.text("/labels/severity"), "critical" | "warning"), "{name}");
        assert!(!alert.text("/annotations/summary").is_empty(), "{name}");
        assert!(!alert.text("/annotations/description").is_empty(), "{name}");
        let runbook = alert.text("/annotations/runbook_url");
        let anchor = format!("/docs/runbooks.md#{}", name.to_lowercase());
        assert!(runbook.starts_with("https://") && runbook.ends_with(&anchor), "{runbook}");
        let expression = alert.text("/expr");
        assert!(!expression.contains("<webhook>") && !expression.contains("<pods>"), "{name}");
    }
}

#[test]
fn alerts_take_values() {
    let changed = alerts(&[
        "--set=metrics.prometheusRule.runbookURL=",
        "--set=metrics.prometheusRule.alertLabels.severity=page",
        "--set=metrics.prometheusRule.disabled={PullcredSlow}",
    ]);
    for alert in &changed {
        assert!(alert.at("/annotations/runbook_url").is_null());
        assert_eq!(alert.text("/labels/severity"), "page");
    }
    let there = names(&changed);
    assert!(
        there.contains(&"PullcredFailingOpen") && !there.contains(&"PullcredSlow"),
        "{there:?}"
    );
}

/// Without a controller, an alert about it would never stop firing.
#[test]
fn alerts_about_the_controller_are_for_releases_that_have_one() {
    let alerts = alerts(&["--set=certificates.mode=certManager"]);
    for alert in &alerts {
        let expression = alert.text("/expr");
        let asks = ["pullcred_last_reconcile", "pullcred_watch", "pullcred_webhook_configuration"];
        assert!(!asks.iter().any(|metric| expression.contains(metric)), "{expression}");
    }
    let there = names(&alerts);
    assert!(!there.contains(&"PullcredControllerDown"), "{there:?}");
    assert!(there.contains(&"PullcredWebhookConfigurationMissing"), "{there:?}");
}

/// The same for the credentials controller, and for a release without the webhook.
#[test]
fn alerts_are_about_what_the_release_has() {
    let [usual, logins, alone] =
        [&[][..], &[LOGINS], &[LOGINS, "--set=webhook.enabled=false"]].map(alerts);
    let is_about_copies = |alert: &&Object| alert.text("/expr").contains("pullcred-credentials");
    let of_copies: Vec<Object> = logins.iter().filter(is_about_copies).cloned().collect();
    assert_eq!(usual.iter().filter(is_about_copies).count(), 0);
    // All that is said of log lines and certificates is said of its Pods, too; and one is about the webhook's reports.
    assert_eq!(
        names(&of_copies).len(),
        logins.len() - usual.len() + 2 - 1,
        "{:?}",
        names(&of_copies)
    );
    assert!(names(&logins).contains(&"PullcredReportsStale"));
    let mut expected = names(&of_copies);
    expected.retain(|name| *name != "PullcredCertificateExpiring");
    assert_eq!(names(&alone), expected);
    for alert in &alone {
        let expression = alert.text("/expr");
        assert!(
            !expression.contains("webhook") && !expression.contains("apiserver"),
            "{expression}"
        );
    }
    for alert in logins {
        let expression = alert.text("/expr");
        assert!(!expression.contains("<credentials>"), "{expression}");
    }
}
