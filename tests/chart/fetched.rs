//! Logins that pullcred fetches: what there is for them, and when.

use std::collections::BTreeSet;

use clap::Parser as _;
use pullcred::{
    cli::{Cli, Command},
    core::rules::{Login, Mapping},
    fetch::marks::{EXPIRES, ISSUED, RENEW},
    mapping,
};
use serde_json::{Value, json};

use crate::{
    access::rights,
    helm::{CLOUDS, LOGINS, objects, refusal, render},
    object::{Object, find},
};

const NAME: &str = "pullcred-credentials";

/// Values that say the same of the mapping in a ConfigMap of one's own as the chart reads in that of [`CLOUDS`].
const FROM: [&str; 9] = [
    "--set=mappingFrom.configMap=mine",
    "--set=credentials.secretNames={acr,ali-a,ali-b,ecr,ecr-public,gar,ghcr,kept,vault}",
    "--set=credentials.loginSecretNames={robot}",
    "--set=credentials.fetched.logins={ali-a,ali-b,ecr,ecr-by-pod,gar,ghcr,vault}",
    "--set=credentials.fetched.keySecretNames={ali-b-keys,ghcr-app}",
    "--set=credentials.fetched.serviceAccountNames={team-pull}",
    "--set=credentials.fetched.ambient={eks-pod-identity}",
    "--set=credentials.fetched.audiences={//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k8s}",
    "--set=credentials.egress.ports={443,8443}",
];

fn clouds() -> Mapping {
    let objects = objects(&[CLOUDS]);
    let config = find(&objects, "ConfigMap", "pullcred-mapping");
    mapping::parse(config.text("/data/pullcred.yaml")).unwrap()
}

fn of_credentials(arguments: &[&str]) -> Vec<String> {
    rights(&objects(arguments)).into_iter().filter(|right| right.starts_with(NAME)).collect()
}

/// Whether some rule has the login copied, and not only fetched by namespaces.
fn is_shared(mapping: &Mapping, login: &Login) -> bool {
    let mut fills = mapping.rules().iter().filter_map(|rule| rule.fill.as_ref());
    fills.any(|fill| fill.login == login.name && fill.identity.is_none())
}

#[test]
fn without_them_everything_is_as_before() {
    let usual = render(&[LOGINS]);
    for word in ["pullcred-pull", "serviceaccounts/token", "pullcred-login-", "port: 53", "PROXY"] {
        assert!(!usual.contains(word), "{word}");
    }
    let set = render(&[
        LOGINS,
        "--set=credentials.proxy.url=http://proxy:3128,credentials.proxy.noProxy=a",
        "--set=credentials.egress.ports={8443}",
        "--set-string=credentials.caBundle=-----BEGIN CERTIFICATE-----",
    ]);
    assert_eq!(set, usual);
}

#[test]
fn their_rights_are_these() {
    let rights = of_credentials(&[CLOUDS]);
    assert_eq!(
        rights,
        [
            "pullcred-credentials: create on events",
            "pullcred-credentials: create on events",
            "pullcred-credentials: create on serviceaccounts/token pullcred-pull",
            "pullcred-credentials: create on serviceaccounts/token team-pull",
            "pullcred-credentials: get create patch on leases pullcred-reports",
            "pullcred-credentials: get list watch create patch delete on loginreports pullsecretreports",
            "pullcred-credentials: get list watch create patch delete on secrets acr ali-a ali-b ecr ecr-public gar ghcr kept vault",
            "pullcred-credentials: get list watch create patch on secrets pullcred-login-ali-a pullcred-login-ali-b \
             pullcred-login-ecr pullcred-login-ecr-by-pod pullcred-login-gar pullcred-login-ghcr pullcred-login-vault",
            "pullcred-credentials: get list watch on configmaps pullcred-mapping",
            "pullcred-credentials: get list watch on namespaces",
            "pullcred-credentials: get list watch on secrets ali-b-keys ghcr-app",
            "pullcred-credentials: get list watch on secrets robot",
        ]
    );
    let from: Vec<_> = of_credentials(&FROM);
    let expected: Vec<_> = rights
        .iter()
        .map(|right| right.replace("configmaps pullcred-mapping", "configmaps mine"))
        .collect();
    assert_eq!(from, expected, "the values say the same as the mapping");
}

/// A token of a namespace's own ServiceAccount may be asked for everywhere; one of pullcred's only at home.
#[test]
fn rights_to_tokens_are_where_the_identity_is() {
    let objects = objects(&[CLOUDS]);
    for (kind, names) in [("ClusterRole", ["team-pull"]), ("Role", ["pullcred-pull"])] {
        let rules = find(&objects, kind, NAME).items("/rules");
        let of_tokens: Vec<_> =
            rules.filter(|rule| rule.texts("/resources") == ["serviceaccounts/token"]).collect();
        assert_eq!(of_tokens.len(), 1, "{kind}");
        assert_eq!(of_tokens[0].texts("/resourceNames"), names, "{kind}");
        assert_eq!(of_tokens[0].texts("/verbs"), ["create"], "{kind}");
    }
}

/// What the mapping's own parser says of them is what the roles have.
#[test]
fn their_names_are_those_of_the_mapping() {
    let mapping = clouds();
    let objects = objects(&[CLOUDS]);
    let role = find(&objects, "Role", NAME);
    let names = |verbs: &str| -> BTreeSet<String> {
        let rules = role.items("/rules").filter(|rule| {
            rule.texts("/resources") == ["secrets"] && rule.texts("/verbs").join(" ") == verbs
        });
        rules
            .flat_map(|rule| {
                rule.texts("/resourceNames").into_iter().map(str::to_owned).collect::<Vec<_>>()
            })
            .collect()
    };
    let fetched = mapping.logins().iter().filter(|it| it.is_fetched() && is_shared(&mapping, it));
    let fetched: BTreeSet<_> = fetched.map(|it| it.secret().to_string()).collect();
    assert_eq!(names("get list watch create patch"), fetched);
    let kept =
        mapping.logins().iter().filter(|it| !it.is_fetched()).map(|it| it.secret().to_string());
    let keys = mapping.logins().iter().filter_map(|it| Some(it.source.keys()?.to_string()));
    assert_eq!(names("get list watch"), kept.chain(keys).collect());
    let identities: BTreeSet<_> = mapping
        .rules()
        .iter()
        .filter_map(|rule| Some(rule.fill.as_ref()?.identity.as_ref()?.to_string()))
        .collect();
    assert_eq!(identities, BTreeSet::from(["team-pull".to_owned()]));
    // Every kind of source but plugins is in the example.
    let kinds: BTreeSet<_> = mapping.logins().iter().map(|it| it.source.kind()).collect();
    assert_eq!(kinds, ["aliyun", "aws", "azure", "file", "github", "google", "secret"].into());
}

/// pullcred's own identity is there exactly where a login is fetched by a token of it.
#[test]
fn the_identity_is_there_where_its_tokens_are_used() {
    let login = |source: &str, registry: &str, more: &str| {
        format!(
            r#"--set-json=mapping={{"logins":[{{"name":"l",{source}}}],"rules":[{{"registries":["{registry}"],"secret":"s","login":"l","namespaces":["x"]{more}}}]}}"#
        )
    };
    let ecr = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
    let ali = "registry.cn-shanghai.aliyuncs.com";
    let role = r#""role":"arn:aws:iam::123456789012:role/pull""#;
    let ids = r#""tenant":"11111111-2222-3333-4444-555555555555","client":"66666666-7777-8888-9999-000000000000""#;
    for (source, registry, more) in [
        (format!(r#""aws":{{{role}}}"#), ecr, ""),
        (format!(r#""aws":{{{role},"tokenFile":"/run/token"}}"#), ecr, ""),
        (format!(r#""aws":{{{role}}}"#), ecr, r#","as":{"serviceAccount":"pullcred-pull"}"#),
        (r#""aws":{"keys":{"secret":"k"}}"#.to_owned(), ecr, ""),
        (r#""aws":{"ambient":"eks-pod-identity"}"#.to_owned(), ecr, ""),
        (
            r#""google":{"provider":"projects/1/locations/global/workloadIdentityPools/p/providers/k"}"#.to_owned(),
            "gcr.io",
            "",
        ),
        (r#""google":{"ambient":"gke"}"#.to_owned(), "gcr.io", ""),
        (
            r#""google":{"provider":"identitynamespace:acme.svc.id.goog:https://container.googleapis.com/v1/x"}"#
                .to_owned(),
            "gcr.io",
            "",
        ),
        (format!(r#""aws":{{{role},"audience":"other"}}"#), ecr, ""),
        (format!(r#""azure":{{{ids}}}"#), "acme.azurecr.io", ""),
        (r#""azure":{"ambient":"imds"}"#.to_owned(), "acme.azurecr.io", ""),
        (
            r#""aliyun":{"role":"acs:ram::111:role/pull","oidcProvider":"acs:ram::111:oidc-provider/c"}"#.to_owned(),
            ali,
            "",
        ),
        (r#""aliyun":{"keys":{"secret":"k"}}"#.to_owned(), ali, ""),
        (r#""file":"/run/logins/config.json""#.to_owned(), "a.io", ""),
    ] {
        let argument = login(&source, registry, more);
        let objects = objects(&[&argument]);
        let config = find(&objects, "ConfigMap", "pullcred-mapping");
        let mapping = mapping::parse(config.text("/data/pullcred.yaml")).unwrap();
        let login = &mapping.logins()[0];
        let expected = login.source.audience().is_some() && is_shared(&mapping, login);
        let is_identity =
            |it: &&Object| it.kind() == "ServiceAccount" && it.name() == "pullcred-pull";
        let identity = objects.iter().find(is_identity);
        assert_eq!(identity.is_some(), expected, "{source}{more}");
        if let Some(identity) = identity {
            assert_eq!(identity.at("/automountServiceAccountToken"), false);
        }
        let policy = "pullcred-credentials-tokens";
        if let Some(audience) = login.source.audience() {
            let policy = find(&objects, "ValidatingAdmissionPolicy", policy);
            let expression = policy.text("/spec/validations/0/expression");
            assert!(expression.ends_with(&format!("['{audience}']")), "{source}: {expression}");
        } else {
            assert!(!objects.iter().any(|it| it.name() == policy), "{source}");
        }
        let own = "pullcred-credentials: create on serviceaccounts/token pullcred-pull";
        let tokens = rights(&objects).iter().filter(|right| *right == own).count();
        // The same name in the namespaces is another right.
        assert_eq!(tokens, usize::from(expected) + usize::from(!more.is_empty()), "{source}{more}");
    }
}

#[test]
fn they_are_fetched_over_the_network() {
    let egress = |arguments: &[&str]| -> Vec<String> {
        find(&objects(arguments), "NetworkPolicy", NAME).egress()
    };
    let api_server = "443,6443,8443,16443";
    assert_eq!(egress(&[LOGINS]), [api_server]);
    assert_eq!(
        egress(&[CLOUDS]),
        [api_server, "53,53", "443,8443,3128", "80 169.254.170.23/32", "80 fd00:ec2::23/128"]
    );
    let narrow = "--set=credentials.egress.to[0].ipBlock.cidr=192.0.2.0/24";
    assert_eq!(egress(&[CLOUDS, narrow])[2], "443,8443,3128 192.0.2.0/24");
    let machines = "--set=credentials.fetched.ambient={gke,imds}";
    let from: Vec<&str> = FROM.iter().copied().chain([machines]).collect();
    assert_eq!(
        egress(&from)[3..],
        ["80 169.254.169.254/32", "988 169.254.169.252/32", "80 169.254.169.254/32"]
    );
    for (url, port) in [("http://proxy", 80), ("http://proxy:8080/", 8080)] {
        let url = format!("--set=credentials.proxy.url={url}");
        assert_eq!(egress(&[CLOUDS, &url])[2], format!("443,8443,{port}"));
    }
}

#[test]
fn proxy_authorities_and_volumes_reach_the_container() {
    let objects = objects(&[CLOUDS]);
    let deployment = find(&objects, "Deployment", NAME);
    let container = "/spec/template/spec/containers/0";
    assert_eq!(
        deployment.environment()[1..],
        [
            "HTTPS_PROXY=http://proxy.example.com:3128",
            "NO_PROXY=.example.com,10.0.0.0/8",
            // Both: the private ones come besides those of the image.
            "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
            "SSL_CERT_DIR=/etc/pullcred/authorities",
        ]
    );
    let names = |pointer: String| -> Vec<String> {
        deployment.items(&pointer).map(|it| it.text("/name").to_owned()).collect()
    };
    assert_eq!(names(format!("{container}/volumeMounts")), ["authorities", "logins", "ali"]);
    assert_eq!(names("/spec/template/spec/volumes".to_owned()), ["authorities", "logins", "ali"]);
    let authorities = find(&objects, "ConfigMap", "pullcred-authorities");
    assert!(authorities.text("/data/ca.crt").starts_with("-----BEGIN CERTIFICATE-----\n"));
    // They are read at the start, so other ones start other Pods.
    let hash = |arguments: &[&str]| -> Value {
        let objects = crate::helm::objects(arguments);
        let pod = "/spec/template/metadata/annotations";
        find(&objects, "Deployment", NAME).at(&format!("{pod}/pullcred.dev~1authorities")).clone()
    };
    let other = "--set-string=credentials.caBundle=-----BEGIN CERTIFICATE----- x";
    assert_ne!(hash(&[CLOUDS]), hash(&[CLOUDS, other]));
    assert_eq!(hash(&[CLOUDS, "--set=credentials.caBundle="]), Value::Null);
}

/// They are other people's programs: the container that runs them must not be able to ask the API server as pullcred.
#[test]
fn plugins_run_without_a_token_of_the_api_server() {
    let mapping = r#"--set-json=mapping={"logins":[{"name":"l","plugin":{"name":"p","audience":"a"}}],"rules":[{"registries":["a.io"],"secret":"s","login":"l","namespaces":["x"]}]}"#;
    let copy =
        r#"--set-json=credentials.plugins.initContainers=[{"name":"copy","image":"plugins:1"}]"#;
    let from = ["--set=credentials.plugins.enabled=true", copy];
    let from: Vec<&str> = FROM.iter().copied().chain(from).collect();
    for arguments in [&[mapping, copy][..], &from] {
        let objects = objects(arguments);
        let pod = find(&objects, "Deployment", NAME).pod().unwrap();
        assert_eq!(pod.at("/spec/automountServiceAccountToken"), false);
        assert_eq!(pod.text("/spec/initContainers/0/name"), "copy");
        let containers: Vec<_> = pod.items("/spec/containers").collect();
        let mounts = |container: &Object| -> Vec<String> {
            container.items("/volumeMounts").map(|it| it.text("/name").to_owned()).collect()
        };
        assert_eq!(containers[0].text("/name"), "credentials");
        assert_eq!(mounts(&containers[0]), ["api-token", "plugins-socket"]);
        assert_eq!(containers[1].text("/name"), "plugins");
        assert_eq!(mounts(&containers[1]), ["plugins", "plugins-socket"]);
        assert_eq!(containers[1].at("/volumeMounts/0/readOnly"), true);
        assert_eq!(containers[1].at("/securityContext/readOnlyRootFilesystem"), true);
        let folder = containers[0].text("/volumeMounts/0/mountPath");
        assert_eq!(folder, "/var/run/secrets/kubernetes.io/serviceaccount");
        let command = |container: &Object| {
            let arguments = container.texts("/args").into_iter();
            Cli::try_parse_from(std::iter::once("pullcred").chain(arguments)).unwrap().command
        };
        let (Command::Credentials(credentials), Command::Plugins(plugins)) =
            (command(&containers[0]), command(&containers[1]))
        else {
            panic!("the containers run other commands than `credentials` and `plugins`");
        };
        assert_eq!(credentials.into_options().plugins, Some(plugins.socket));
        assert_eq!(plugins.dir.to_str(), Some(containers[1].text("/volumeMounts/0/mountPath")));
    }
    let usual = find(&objects(&[CLOUDS]), "Deployment", NAME).pod().unwrap();
    assert_eq!(usual.at("/spec/automountServiceAccountToken"), true);
    assert_eq!(usual.items("/spec/containers").count(), 1);
    let words = "a login has plugin, and credentials.plugins.initContainers is empty";
    assert!(refusal(&[mapping]).contains(words));
    let image = "--set=credentials.plugins.volume.image.reference=plugins:1";
    let words = "Kubernetes mounts images without the permission to execute";
    assert!(refusal(&[mapping, copy, image]).contains(words));
    let words = "credentials.plugins.enabled is for mappingFrom alone";
    assert!(refusal(&[CLOUDS, "--set=credentials.plugins.enabled=true", copy]).contains(words));
}

/// What it lets through is for tests/cluster. Here: the names, and that all else stays as it is.
#[test]
fn a_policy_lets_them_be_written_at_home() {
    let objects = objects(&[CLOUDS]);
    let policy = find(&objects, "ValidatingAdmissionPolicy", NAME);
    let expressions: Vec<_> =
        policy.items("/spec/validations").map(|it| it.text("/expression").to_owned()).collect();
    assert_eq!(expressions.len(), 9);
    let home = expressions.iter().find(|it| it.contains("kube-public")).unwrap();
    assert!(
        home.contains("request.namespace == 'pullcred'")
            && home.contains(
                "in ['pullcred-login-ali-a', 'pullcred-login-ali-b', 'pullcred-login-ecr', "
            ),
        "{home}"
    );
    assert!(!home.contains("pullcred-login-acr"), "only namespaces fetch it: {home}");
    let annotations = expressions.iter().find(|it| it.contains("annotations.all")).unwrap();
    for mark in [EXPIRES, ISSUED, RENEW] {
        assert_eq!(annotations.matches(&format!("'{mark}'")).count(), 2, "{mark}");
    }
}

/// RBAC cannot limit what a token is for.
#[test]
fn a_policy_keeps_tokens_to_the_audiences_of_the_mapping() {
    let audiences = |objects: &[Object]| -> Vec<String> {
        let policy = find(objects, "ValidatingAdmissionPolicy", "pullcred-credentials-tokens");
        assert_eq!(
            policy.texts("/spec/matchConstraints/resourceRules/0/resources"),
            ["serviceaccounts/token"]
        );
        assert_eq!(policy.text("/spec/failurePolicy"), "Fail");
        let expression = policy.text("/spec/validations/0/expression");
        let (_, list) = expression.split_once("in [").unwrap();
        list.trim_end_matches(']').split(", ").map(|it| it.trim_matches('\'').to_owned()).collect()
    };
    let objects = objects(&[CLOUDS]);
    let mapping = clouds();
    let expected: BTreeSet<_> =
        mapping.logins().iter().filter_map(|it| Some(it.source.audience()?.to_owned())).collect();
    // The login to Alibaba Cloud has a token of its own, in a file.
    assert_eq!(expected.len(), 3);
    assert_eq!(audiences(&objects), expected.iter().cloned().collect::<Vec<_>>());
    let mut with_aliyun = expected;
    with_aliyun.insert("sts.aliyuncs.com".to_owned());
    assert_eq!(
        audiences(&crate::helm::objects(&FROM)),
        with_aliyun.into_iter().collect::<Vec<_>>()
    );
    let binding = find(&objects, "ValidatingAdmissionPolicyBinding", "pullcred-credentials-tokens");
    assert_eq!(binding.texts("/spec/validationActions"), ["Deny"]);
    for arguments in [&[LOGINS][..], &[CLOUDS, "--set=credentials.secretPolicy.enabled=false"]] {
        assert!(!render(arguments).contains("pullcred-credentials-tokens"), "{arguments:?}");
    }
}

#[test]
fn slips_of_the_pen_are_refused() {
    let one = |login: &str| format!(r#"--set-json=mapping.logins=[{{"name":"l",{login}}}]"#);
    for (argument, words) in [
        (one(r#""aws":{"rol":"x"}"#), "additional properties 'rol' not allowed"),
        (one(r#""aws":{"ambient":"imds"}"#), "/mapping/logins/0/aws/ambient"),
        (one(r#""google":{"tokenFile":"token"}"#), "/mapping/logins/0/google/tokenFile"),
        (one(r#""aliyun":{"keys":{}}"#), "missing property 'secret'"),
        (
            one(r#""azure":{"endpoints":{"api":"http://x"}}"#),
            "/mapping/logins/0/azure/endpoints/api",
        ),
        // A large number would be written with an exponent.
        (
            one(r#""github":{"app":"1","installation":12345678,"keys":{"secret":"k"}}"#),
            "/mapping/logins/0/github/installation': got number, want string",
        ),
        (one(r#""plugin":{"args":[]}"#), "missing property 'name'"),
        (one(r#""file":"config.json""#), "/mapping/logins/0/file"),
        (one(r#""secret":"s","file":"/x""#), "maxProperties: got 3, want 2"),
        ("--set=credentials.proxy.url=https://proxy".to_owned(), "/credentials/proxy/url"),
        (
            "--set=credentials.proxy.url=http://user:password@proxy".to_owned(),
            "/credentials/proxy/url",
        ),
        ("--set=credentials.egress.ports={}".to_owned(), "/credentials/egress/ports"),
        ("--set=credentials.caBundle=x".to_owned(), "/credentials/caBundle"),
        ("--set=credentials.fetched.ambient={ec2}".to_owned(), "/credentials/fetched/ambient/0"),
    ] {
        let refusal = refusal(&[&argument]);
        assert!(refusal.contains(words), "{argument}: {refusal}");
    }
    let from = "--set=mappingFrom.configMap=mine";
    for (arguments, words) in [
        (
            &[CLOUDS, "--set=credentials.fetched.logins={ecr}"][..],
            "credentials.fetched is for mappingFrom alone: the chart takes these names from mapping",
        ),
        (
            &[from, "--set=credentials.fetched.logins={ecr}"],
            "credentials.fetched.logins is set and credentials.secretNames is not: write the names of the copies",
        ),
        (
            &[from, "--set=credentials.secretNames={s}"],
            "or the names of logins that pullcred fetches under credentials.fetched.logins",
        ),
        (
            &[
                from,
                "--set=credentials.secretNames={s},credentials.loginSecretNames={r},credentials.fetched.keySecretNames={k}",
            ],
            "credentials.fetched has names and credentials.fetched.logins has none",
        ),
    ] {
        let refusal = refusal(arguments);
        assert!(refusal.contains(words), "{arguments:?}: {refusal}");
    }
    // Logins that are fetched are enough.
    let only =
        [from, "--set=credentials.secretNames={s}", "--set=credentials.fetched.logins={ecr}"];
    let objects = objects(&only);
    let role = find(&objects, "Role", NAME);
    assert_eq!(role.at("/rules/0/resourceNames"), &json!(["pullcred-login-ecr"]));
}
