use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::keyring::secret::{Contents, Form};

fn read(config: &Value) -> Credentials {
    let text = config.to_string();
    Credentials::read(Form::DockerConfigJson.type_(), |_| Some(text.as_bytes())).unwrap()
}

fn patterns(texts: &[&str]) -> Vec<RegistryPattern> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// A login whose user is `user`.
fn login(user: &str) -> Value {
    json!({"username": user, "password": "hunter2"})
}

/// The keys of a slice with the users of their logins.
fn slice(config: &[(&str, &str)], registries: &[&str]) -> Vec<String> {
    let auths: serde_json::Map<_, _> =
        config.iter().map(|(key, user)| ((*key).to_owned(), login(user))).collect();
    let slice = read(&json!({"auths": auths})).slice(&patterns(registries));
    let user = |login: &Credential| String::from_utf8_lossy(&login.username).into_owned();
    slice.logins.iter().map(|(key, login)| format!("{key}: {}", user(login))).collect()
}

#[test]
fn a_slice_is_no_wider_than_the_rule() {
    for (config, registries, expected) in [
        (&[("ghcr.io", "a"), ("quay.io", "b")][..], &["ghcr.io"][..], &["ghcr.io: a"][..]),
        (&[("ghcr.io", "a")], &["ghcr.io/acme"], &["ghcr.io/acme: a"]),
        (&[("ghcr.io", "a")], &["ghcr.io/acme/"], &["ghcr.io/acme/: a"]),
        (&[("ghcr.io/acme", "a")], &["ghcr.io/acme/"], &["ghcr.io/acme/: a"]),
        (&[("ghcr.io/acme/", "a")], &["ghcr.io/acme"], &["ghcr.io/acme/: a"]),
        (&[("ghcr.io/acme/web", "a")], &["ghcr.io/acme"], &["ghcr.io/acme/web: a"]),
        (&[("ghcr.io/acme", "a")], &["ghcr.io/acmeevil"], &[]),
        (&[("ghcr.io/acmeevil", "a")], &["ghcr.io/acme"], &[]),
        (&[("ghcr.io", "a"), ("ghcr.io/acme", "b")], &["ghcr.io/acme/x"], &["ghcr.io/acme/x: b"]),
        (
            &[("ghcr.io", "a"), ("ghcr.io/acme", "b")],
            &["ghcr.io"],
            &["ghcr.io: a", "ghcr.io/acme: b"],
        ),
        (&[("https://index.docker.io/v1/", "a")], &["docker.io"], &["docker.io: a"]),
        (&[("https://index.docker.io/v1/", "a")], &["docker.io/acme"], &["docker.io/acme: a"]),
        (&[("https://quay.io/v2/", "a")], &["Quay.io/acme"], &["quay.io/acme: a"]),
        (&[("*.example.com", "a")], &["reg.example.com/x"], &["reg.example.com/x: a"]),
        (&[("*.example.com", "a")], &["*.example.com/x"], &["*.example.com/x: a"]),
        (&[("reg.example.com", "a")], &["*.example.com"], &["reg.example.com: a"]),
        (&[("*.example.com", "a")], &["r*.example.com"], &["r*.example.com: a"]),
        (&[("reg.example.com:5000", "a")], &["reg.example.com"], &[]),
        (&[("reg.example.com", "a")], &["reg.example.com:443"], &[]),
    ] {
        assert_eq!(slice(config, registries), expected, "{config:?} {registries:?}");
    }
}

#[test]
fn what_no_login_serves_is_named() {
    let config = json!({"auths": {"ghcr.io": login("a"), "quay.io": {}}});
    let slice = read(&config).slice(&patterns(&["ghcr.io/acme", "quay.io", "reg.io"]));
    let unserved: Vec<_> = slice.unserved().iter().map(RegistryPattern::as_str).collect();
    assert_eq!(unserved, ["quay.io", "reg.io"]);
}

#[test]
fn user_and_password_pass_byte_for_byte() {
    let not_text = BASE64_STANDARD.encode(b"u\xff:p\xfe:q\n");
    let config = json!({"auths": {
        "a.io": {"auth": not_text},
        "b.io": {"username": "u:v", "password": "p\"\u{1F600}"},
        "c.io": {"username": "", "password": "token"},
        "d.io": {"auth": BASE64_STANDARD.encode("old:one"), "username": "ignored"},
    }});
    let credentials = read(&config);
    let rendered = credentials.slice(&patterns(&["a.io", "b.io", "c.io", "d.io"])).render();
    let again =
        Credentials::read(Form::DockerConfigJson.type_(), |_| Some(rendered.as_slice())).unwrap();
    assert!(again.logins == credentials.logins);
    assert_eq!(&*credentials.logins[&RegistryKey::from("a.io")].password, b"p\xfe:q\n");
}

#[test]
fn the_legacy_form_comes_out_as_the_other() {
    let text = json!({"https://ghcr.io/v1/": login("a")}).to_string();
    let credentials =
        Credentials::read("kubernetes.io/dockercfg", |_| Some(text.as_bytes())).unwrap();
    let rendered = credentials.slice(&patterns(&["ghcr.io"])).render();
    let auth = BASE64_STANDARD.encode("a:hunter2");
    let expected = json!({"auths": {"ghcr.io": {"auth": auth}}}).to_string();
    assert_eq!(String::from_utf8_lossy(&rendered), expected);
}

#[test]
fn a_fingerprint_depends_on_content_and_key() {
    let fingerprint = |user: &str, key: &[u8]| {
        let config = json!({"auths": {"ghcr.io": login(user)}});
        read(&config).slice(&patterns(&["ghcr.io"])).fingerprint(key)
    };
    assert_eq!(fingerprint("a", b"k"), fingerprint("a", b"k"));
    assert_ne!(fingerprint("a", b"k"), fingerprint("b", b"k"));
    assert_ne!(fingerprint("a", b"k"), fingerprint("a", b"l"));
    assert_eq!(fingerprint("a", b"k").len(), 32);
}

#[test]
fn nothing_secret_is_shown() {
    let config = json!({"auths": {"https://hunter2@ghcr.io": login("hunter2")}});
    let credentials = read(&config);
    let slice = credentials.slice(&patterns(&["ghcr.io"]));
    assert!(!slice.is_empty());
    for shown in [format!("{credentials:?}"), format!("{slice:?}")] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let broken = br#"{"auths": {"ghcr.io": {"auth": "hunter2"}}}"#;
    let error = Credentials::read(Form::DockerConfigJson.type_(), |_| Some(broken)).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

fn host() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&["a.io", "b.io", "*.io", "a.io:50", "docker.io", "a*.io"][..])
}

fn registry() -> impl Strategy<Value = String> {
    (host(), "((/[ab]){1,3}/?)?").prop_map(|(host, path)| format!("{host}{path}"))
}

proptest! {
    // What a slice opens at the kubelet is what the rule covers and the login opens, but for the kubelet's raw
    // prefixes, which reach further than a rule whose path has no slash behind it.
    #[test]
    fn the_kubelet_offers_a_slice_where_rule_and_login_meet(
        keys in prop::collection::btree_set(registry(), 1..5),
        registries in prop::collection::btree_set(registry(), 1..4),
        image in "(a|b|ab)\\.io(:50)?(/[ab]){1,4}",
    ) {
        let auths: serde_json::Map<_, _> =
            keys.iter().map(|key| (key.clone(), login(key))).collect();
        let credentials = read(&json!({"auths": auths}));
        let registries: Vec<_> = registries.iter().map(String::as_str).collect();
        let patterns = patterns(&registries);
        let slice = credentials.slice(&patterns);
        let rendered = slice.render();
        let contents =
            secret::read(Form::DockerConfigJson.type_(), |_| Some(rendered.as_slice())).unwrap();
        let Contents::Entries(entries) = contents else { return Err(TestCaseError::fail("ignored")) };
        let of_slice = Keyring::new([("", entries.into_iter().map(|entry| entry.key))]);
        let whole = Keyring::new([("", credentials.keys().cloned())]);

        let image = ImageRef::parse(&image).unwrap();
        let exact = |key: &RegistryKey| {
            let path = key.as_str().split_once('/').map_or("", |(_, path)| path);
            is_above(path, &image.repository())
        };
        let offered = |keyring: &Keyring| {
            keyring.lookup(&image).iter().any(|offer| exact(offer.key))
        };
        let covered = patterns.iter().any(|pattern| covers(pattern, &image));
        if offered(&of_slice) {
            prop_assert!(covered && offered(&whole), "{image}: {slice:?}");
        }
        // Of globs that overlap, neither includes the other, and then nothing is copied.
        let plain = keys.iter().all(|key| !key.contains('*'))
            && registries.iter().all(|registry| !registry.contains('*'));
        if plain && covered && offered(&whole) {
            prop_assert!(offered(&of_slice), "{image}: {slice:?}");
        }
    }
}

fn covers(pattern: &RegistryPattern, image: &ImageRef<'_>) -> bool {
    let name = format!("{}/{}", image.registry(), image.repository());
    name.parse().is_ok_and(|name| pattern.includes(&name))
}
