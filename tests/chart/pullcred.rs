//! pullcred understands what the chart gives it, and has the metrics that the chart asks for.

use std::{collections::BTreeSet, convert::Infallible, io::Write};

use clap::Parser as _;
use prometheus_client::metrics::counter::Counter;
use pullcred::{
    cli::{Cli, Command, ControllerArgs},
    controller,
    core::{decide::Reason, image::ImageRef, reports::LoginHealth},
    http::observer::{HandshakeFailure, Observer},
    mapping,
    webhook::{metrics::Metrics, watch::Watch},
};

use crate::{
    helm::{CLOUDS, LOGINS, NAMESPACE, examples, notes, objects, render, repository},
    object::{Object, find},
};

/// The command line of the first container.
fn command_line(pod: &Object) -> Vec<String> {
    let arguments = pod.texts("/spec/containers/0/args").into_iter().map(str::to_owned);
    std::iter::once("pullcred".to_owned()).chain(arguments).collect()
}

#[test]
fn the_webhook_starts_with_these_arguments() {
    let webhook = find(&objects(&[]), "Deployment", "pullcred-webhook").pod().unwrap();
    let Command::Webhook(arguments) = Cli::try_parse_from(command_line(&webhook)).unwrap().command
    else {
        panic!("the Deployment runs another command than `webhook`");
    };
    // Where the arguments look for files, volumes put them.
    let mounted: Vec<_> = webhook
        .items("/spec/containers/0/volumeMounts")
        .map(|mount| mount.text("/mountPath").to_owned())
        .collect();
    assert_eq!(mounted, ["/etc/pullcred/mapping", "/etc/pullcred/tls"]);
    assert!(arguments.config.starts_with("/etc/pullcred/mapping"));
}

#[test]
fn the_controller_and_the_hook_name_what_the_chart_has() {
    let objects = objects(&[]);
    let controller = |kind, name| {
        let pod = find(&objects, kind, name).pod().unwrap();
        let Command::Controller(arguments) =
            Cli::try_parse_from(command_line(&pod)).unwrap().command
        else {
            panic!("the {kind} {name} runs another command than `controller`");
        };
        arguments
    };
    let ControllerArgs::Run(run) = controller("Deployment", "pullcred-controller") else {
        panic!("the Deployment runs a subcommand");
    };
    let names = run.into_options().names;
    find(&objects, "MutatingWebhookConfiguration", &names.configuration);
    find(&objects, "Service", &names.service);
    let role = find(&objects, "Role", "pullcred-controller");
    assert_eq!(role.texts("/rules/0/resourceNames"), [names.ca_secret, names.tls_secret.clone()]);
    let webhook = find(&objects, "Deployment", "pullcred-webhook").pod().unwrap();
    let mut volumes = webhook.items("/spec/volumes");
    let tls = volumes.find(|volume| volume.text("/name") == "tls").unwrap();
    assert_eq!(tls.text("/secret/secretName"), names.tls_secret);

    let ControllerArgs::Unregister(hook) = controller("Job", "pullcred-unregister") else {
        panic!("the Job does not run `unregister`");
    };
    assert_eq!(hook.webhook_config, names.configuration);
}

#[test]
fn the_job_that_publishes_and_the_controller_agree() {
    let objects = objects(&["--set=certificates.self.publish=job"]);
    let arguments = |kind, name| {
        let pod = find(&objects, kind, name).pod().unwrap();
        let line = command_line(&pod);
        let command = Cli::try_parse_from(&line).unwrap().command;
        let Command::Controller(parsed) = command else {
            panic!("the {kind} runs another command than `controller`");
        };
        (line, parsed)
    };
    let (run, ControllerArgs::Run(parsed)) = arguments("Deployment", "pullcred-controller") else {
        panic!("the Deployment runs a subcommand");
    };
    let options = parsed.into_options();
    assert_eq!(options.publish, controller::Publish::Never);
    // Ten years, by the flag's own default: the last third is the time for an upgrade.
    assert_eq!(options.ca_duration.as_secs(), 87_600 * 3600);
    let (publish, ControllerArgs::Publish(_)) = arguments("Job", "pullcred-publish") else {
        panic!("the Job does not run `publish`");
    };
    for name in ["--namespace=", "--service=", "--webhook-config=", "--ca-secret=", "--tls-secret="]
    {
        let of = |line: &[String]| line.iter().find(|it| it.starts_with(name)).cloned();
        assert_eq!(of(&publish), of(&run), "{name}");
    }
}

#[test]
fn the_hook_before_an_installation_reads_the_mapping_that_it_mounts() {
    let pod = find(&objects(&[]), "Job", "pullcred-mapping-check").pod().unwrap();
    let Command::Explain(arguments) = Cli::try_parse_from(command_line(&pod)).unwrap().command
    else {
        panic!("the Job runs another command than `explain`");
    };
    let mounted = pod.items("/spec/containers/0/volumeMounts").next().unwrap();
    let config = format!("{arguments:?}");
    assert!(config.contains(&format!("{}/pullcred.yaml", mounted.text("/mountPath"))), "{config}");
}

/// `/readyz?verbose` of a webhook shows the hash of the file, so the notes say which one to wait for.
#[test]
fn the_notes_have_the_hash_of_the_mapping() {
    for arguments in [&[][..], &["--set=tests.enabled=false,mapping.always={debug-tools}"]] {
        let objects = objects(arguments);
        let text = find(&objects, "ConfigMap", "pullcred-mapping").text("/data/pullcred.yaml");
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        // As the webhook looks at its file.
        let (_, (), hash) =
            Watch::start(vec![file.path().to_owned()], |_| Ok::<_, Infallible>(())).unwrap();
        let notes = notes(arguments);
        assert!(notes.contains(&format!("says sha256 {hash}")), "{hash}: {notes}");
    }
}

#[test]
fn the_environment_has_names_that_pullcred_reads() {
    let source = std::fs::read_to_string(repository().join("src/cli/mod.rs")).unwrap()
        + &std::fs::read_to_string(repository().join("src/cli/webhook.rs")).unwrap();
    for object in objects(&[LOGINS]) {
        let Some(pod) = object.pod() else { continue };
        for variable in pod.items("/spec/containers/0/env") {
            let name = variable.text("/name");
            assert!(source.contains(&format!("env = \"{name}\"")), "{}: {name}", object.name());
        }
    }
}

#[test]
fn the_mapping_is_one() {
    for (example, values) in examples() {
        let objects = objects(&[&values]);
        let Some(config) = objects.iter().find(|object| object.name().ends_with("-mapping")) else {
            assert!(matches!(&*example, "minimal" | "credentials-alone"), "{example}");
            continue;
        };
        let text = config.text("/data/pullcred.yaml");
        let mapping = mapping::parse(text).unwrap_or_else(|error| panic!("{example}: {error}"));

        // The rule of Helm's test covers pullcred's own image, in the test's namespace and nowhere else.
        let pod = objects.iter().find(|object| object.kind() == "Pod").unwrap();
        let namespace = objects.iter().find(|object| object.kind() == "Namespace").unwrap();
        let image = ImageRef::parse(pod.text("/spec/containers/0/image")).unwrap();
        let secrets = |namespace: &str| -> Vec<_> {
            let mut found = Vec::new();
            mapping.matches(&image, namespace, &mut found);
            found.iter().map(|found| found.secret.as_str().to_owned()).collect()
        };
        assert_eq!(secrets(namespace.name()), [pod.name()], "{example}");
        assert_eq!(secrets("team-a"), [""; 0], "{example}");
    }
}

#[test]
fn helm_test_asks_for_a_pod_in_an_opted_in_namespace_that_a_policy_guards() {
    let objects = objects(&["--set=imagePullSecrets[0].name=registry"]);
    let pod = find(&objects, "Pod", "pullcred-helm-test").pod().unwrap();
    // It runs where the release's own pull Secrets are.
    assert_eq!(pod.text("/metadata/namespace"), NAMESPACE);
    assert_eq!(pod.text("/spec/imagePullSecrets/0/name"), "registry");
    let Command::Controller(ControllerArgs::Probe(probe)) =
        Cli::try_parse_from(command_line(&pod)).unwrap().command
    else {
        panic!("the Pod runs another command than `controller probe`");
    };
    let namespace = find(&objects, "Namespace", &probe.namespace);
    assert_eq!(namespace.text("/metadata/labels/pullcred.dev~1inject"), "enabled");
    let role = find(&objects, "Role", "pullcred-helm-test");
    assert_eq!(role.text("/metadata/namespace"), namespace.name());
    assert_eq!(role.texts("/rules/0/resourceNames"), [&*probe.pod]);
    assert_eq!(role.texts("/rules/0/verbs"), ["create", "patch"]);
    let connects = find(&objects, "NetworkPolicy", "pullcred-controller");
    let components = connects.texts("/spec/podSelector/matchExpressions/0/values");
    assert!(components.contains(&"helm-test"), "{components:?}");
    let policy = find(&objects, "ValidatingAdmissionPolicy", "pullcred-helm-test");
    // No hook: it is in force long before a test begins.
    assert!(policy.at("/metadata/annotations").is_null());
    assert_eq!(
        policy.text(
            "/spec/matchConstraints/namespaceSelector/matchLabels/kubernetes.io~1metadata.name"
        ),
        namespace.name()
    );
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_are_there() {
    let mut metrics = Metrics::new(Counter::default());
    let _reports = metrics.with_reports();
    // A family without a series is not shown.
    metrics.answered(Some(Reason::OptedOut));
    metrics.refused("malformed");
    metrics.handshake_failed(HandshakeFailure::Protocol);
    metrics.certificate.succeeded();
    metrics.config.failed();
    let copies = controller::credentials::metrics::Metrics::new(Counter::default());
    copies.login("acme", true);
    copies.fetching().start("acme");
    copies.fetching().ends("acme", 1);
    copies.fetching().skew("acme", 1);
    let tried =
        LoginHealth { checked_at: "2026-01-01T00:00:00Z".to_owned(), ..LoginHealth::default() };
    copies.health().start();
    copies.health().set("acme", Some(&tried), false);
    let exposed = metrics.encode().unwrap()
        + &controller::certificates::metrics::Metrics::new(Counter::default()).encode().unwrap()
        + &copies.encode().unwrap();
    let exposed: BTreeSet<_> =
        exposed.lines().filter_map(|line| line.split(['{', ' ']).next()).collect();

    let text = render(&[
        CLOUDS,
        "--set=health.enabled=true",
        "--set=metrics.prometheusRule.enabled=true,metrics.prometheusRule.scrapedElsewhere=true",
        "--set=metrics.dashboard.enabled=true",
        "--show-only=templates/monitoring/prometheusrule.yaml",
        "--show-only=templates/monitoring/dashboard.yaml",
    ]);
    let asked_for: BTreeSet<_> = text
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("pullcred_"))
        .collect();
    assert!(asked_for.len() > 5, "{asked_for:?}");
    for metric in asked_for {
        assert!(exposed.contains(metric), "{metric} is not among {exposed:?}");
    }
}
