//! Checks of logins and the audit of Pods: what there is for them, and when.

use std::collections::BTreeSet;

use clap::Parser as _;
use pullcred::cli::{Cli, Command};

use crate::{
    access::rights,
    helm::{CLOUDS, LOGINS, notes, objects, refusal, render},
    object::{Object, find},
};

const HEALTH: &str = "--set=health.enabled=true";
const AUDIT: &str = "--set=audit.enabled=true";
const NAME: &str = "pullcred-credentials";

/// The objects that are not the same with `arguments` as without, as `Kind/name`.
fn changed(usual: &[&str], arguments: &[&str]) -> Vec<String> {
    let before = objects(usual);
    let after = objects(&[usual, arguments].concat());
    let names = |all: &[Object], others: &[Object]| -> BTreeSet<String> {
        let changed = all.iter().filter(|object| !others.contains(object));
        changed.map(|object| format!("{}/{}", object.kind(), object.name())).collect()
    };
    let (gone, come) = (names(&before, &after), names(&after, &before));
    gone.union(&come).cloned().collect()
}

/// The rules of the egress of the credentials controller: ports and addresses.
fn egress(arguments: &[&str]) -> Vec<String> {
    let objects = objects(arguments);
    find(&objects, "NetworkPolicy", NAME).egress()
}

/// What the credentials controller runs with, as its own command line says it.
fn switches(arguments: &[&str]) -> (bool, bool) {
    let objects = objects(arguments);
    let deployment = find(&objects, "Deployment", NAME);
    let arguments = deployment.texts("/spec/template/spec/containers/0/args").into_iter();
    let line = std::iter::once("pullcred").chain(arguments);
    let Command::Credentials(arguments) = Cli::try_parse_from(line).unwrap().command else {
        panic!("the container runs another command than `credentials`");
    };
    let options = arguments.into_options();
    (options.health, options.audit)
}

#[test]
fn both_are_off_until_they_are_turned_on() {
    for usual in [LOGINS, CLOUDS] {
        let off = [usual, "--set=health.enabled=false", "--set=audit.enabled=false"];
        assert_eq!(render(&[usual]), render(&off), "{usual}");
        assert_eq!(switches(&[usual]), (false, false), "{usual}");
    }
    let usual = render(&[LOGINS]);
    for word in ["--health", "--audit", "port: 53", "PROXY"] {
        assert!(!usual.contains(word), "{word}");
    }
    assert_eq!(egress(&[LOGINS]), ["443,6443,8443,16443"], "the API server's ports alone");
}

#[test]
fn each_is_the_flag_of_the_code() {
    assert_eq!(switches(&[LOGINS, HEALTH]), (true, false));
    assert_eq!(switches(&[LOGINS, AUDIT]), (false, true));
    assert_eq!(switches(&[LOGINS, HEALTH, AUDIT]), (true, true));
}

/// A login is read by a right that is there for its copies. What is new is the way to registries.
#[test]
fn checks_of_logins_take_the_way_to_registries_and_no_right() {
    assert_eq!(
        changed(&[LOGINS], &[HEALTH]),
        ["Deployment/pullcred-credentials", "NetworkPolicy/pullcred-credentials"]
    );
    assert_eq!(rights(&objects(&[LOGINS])), rights(&objects(&[LOGINS, HEALTH])));
    let api_server = "443,6443,8443,16443";
    assert_eq!(egress(&[LOGINS, HEALTH]), [api_server, "53,53", "443"]);
    let narrow = [
        LOGINS,
        HEALTH,
        "--set=credentials.egress.ports={443,5000}",
        "--set=credentials.egress.to[0].ipBlock.cidr=192.0.2.0/24",
        "--set=credentials.proxy.url=http://proxy.example.com:3128",
    ];
    assert_eq!(egress(&narrow)[2], "443,5000,3128 192.0.2.0/24");
    // Where logins are fetched, that way is there already.
    assert_eq!(changed(&[CLOUDS], &[HEALTH]), ["Deployment/pullcred-credentials"]);
}

#[test]
fn checks_of_logins_go_by_the_proxy_and_trust_private_authorities() {
    let objects = objects(&[
        LOGINS,
        HEALTH,
        "--set=credentials.proxy.url=http://proxy:3128,credentials.proxy.noProxy=a",
        "--set-string=credentials.caBundle=-----BEGIN CERTIFICATE-----",
    ]);
    let deployment = find(&objects, "Deployment", NAME);
    let container = "/spec/template/spec/containers/0";
    assert_eq!(
        deployment.environment()[1..],
        [
            "HTTPS_PROXY=http://proxy:3128",
            "NO_PROXY=a",
            "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
            "SSL_CERT_DIR=/etc/pullcred/authorities",
        ]
    );
    let mount = deployment.text(&format!("{container}/volumeMounts/0/name"));
    assert_eq!(mount, deployment.text("/spec/template/spec/volumes/0/name"));
    let authorities = deployment.text("/spec/template/spec/volumes/0/configMap/name");
    let authorities = find(&objects, "ConfigMap", authorities);
    assert_eq!(authorities.text("/data/ca.crt"), "-----BEGIN CERTIFICATE-----\n");
    let hash = "/spec/template/metadata/annotations/pullcred.dev~1authorities";
    assert_eq!(deployment.text(hash).len(), 12);
    // Nothing is fetched, so there is no identity for it.
    assert!(!objects.iter().any(|it| it.name() == "pullcred-pull"));
}

/// It is the only right on Pods that pullcred has, and only to list them.
#[test]
fn the_audit_takes_the_right_to_list_pods_and_no_way_out() {
    assert_eq!(
        changed(&[LOGINS], &[AUDIT]),
        ["ClusterRole/pullcred-credentials", "Deployment/pullcred-credentials"]
    );
    let rights = |arguments: &[&str]| -> Vec<String> {
        let all = rights(&objects(arguments)).into_iter();
        all.filter(|right| right.starts_with(NAME)).collect()
    };
    let without = rights(&[LOGINS]);
    assert!(!without.iter().any(|right| right.contains("pods")), "{without:?}");
    let with = rights(&[LOGINS, AUDIT]);
    let more: Vec<_> = with.iter().filter(|right| !without.contains(right)).collect();
    assert_eq!(more, ["pullcred-credentials: list on pods"]);
    assert_eq!(with.len(), without.len() + 1);
    // Where only discovery brings the controller, it may audit, too.
    let discover = r#"--set-json=mapping={"discover":{"namespaces":["sandbox-*"]}}"#;
    let with = rights(&[discover, AUDIT]);
    assert!(with.iter().any(|right| right == "pullcred-credentials: list on pods"), "{with:?}");
}

#[test]
fn neither_is_turned_on_for_nothing() {
    let off = "--set=reports.enabled=false";
    let from = "--set=mappingFrom.configMap=mine";
    let discover = r#"--set-json=mapping={"discover":{"namespaces":["sandbox-*"]}}"#;
    for (arguments, words) in [
        (
            &[LOGINS, HEALTH, off][..],
            "health.enabled is true, and reports.enabled is false: what is found is said in reports. Leave reports.enabled true",
        ),
        (&[LOGINS, AUDIT, off], "audit.enabled is true, and reports.enabled is false"),
        (&[HEALTH], "there is no login to try: write mapping.logins, and login in the rules"),
        (&[discover, HEALTH], "there is no login to try: write mapping.logins"),
        (
            &[from, HEALTH],
            "there is no login to try: write credentials.secretNames and credentials.loginSecretNames",
        ),
        (
            &[AUDIT],
            "there is no credentials controller that looks for Pods: write mapping.logins or mapping.discover",
        ),
        (&[from, AUDIT], "or discovery.enabled: true, or leave audit.enabled out"),
        (&["--set=health.interval=5m"], "additional properties 'interval' not allowed"),
        (&["--set=audit.enabled=sometimes"], "/audit/enabled"),
    ] {
        let refusal = refusal(arguments);
        assert!(refusal.contains(words), "{arguments:?}: {refusal}");
    }
    // The names of a mapping of one's own are enough.
    let names = "--set=credentials.secretNames={a},credentials.loginSecretNames={b}";
    assert_eq!(switches(&[from, names, HEALTH, AUDIT]), (true, true));
}

#[test]
fn notes_say_where_the_findings_are() {
    let usual = notes(&[LOGINS]);
    let (health, audit) = (notes(&[LOGINS, HEALTH]), notes(&[LOGINS, AUDIT]));
    let (logins, secrets) = ("kubectl get loginreports", "kubectl get pullsecretreports -A");
    for (notes, expected) in
        [(usual, [false, false]), (health, [true, false]), (audit, [false, true])]
    {
        assert_eq!([notes.contains(logins), notes.contains(secrets)], expected, "{notes}");
    }
}
