use super::PluginProblem as P;
use super::*;

const NOW: i64 = 1_700_000_000;

fn registry(text: &str) -> RegistryPattern {
    text.parse().unwrap()
}

fn response(duration: &str, auth: &str) -> String {
    format!(
        r#"{{"kind":"CredentialProviderResponse","apiVersion":"{API_VERSION}","cacheKeyType":"Registry","cacheDuration":{duration},"auth":{auth}}}"#
    )
}

fn one(key: &str, password: &str) -> String {
    format!(r#"{{"{key}":{{"username":"u","password":"{password}"}}}}"#)
}

fn read_for(registry_text: &str, text: &str, refresh: Option<u32>) -> Result<Minted, P> {
    read(text.as_bytes(), &registry(registry_text), refresh, NOW)
}

#[test]
fn a_request_is_as_the_kubelet_writes_it() {
    let image = image(&registry("ghcr.io/acme"));
    let with = request(&image, Some(&"ey.J-_".into()));
    let value: serde_json::Value = serde_json::from_slice(&with).unwrap();
    assert_eq!(
        value,
        serde_json::json!({
            "kind": "CredentialProviderRequest",
            "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
            "image": "ghcr.io/acme/app",
            "serviceAccountToken": "ey.J-_",
        })
    );
    let without: serde_json::Value = serde_json::from_slice(&request(&image, None)).unwrap();
    assert!(without.get("serviceAccountToken").is_none());
    let odd: serde_json::Value =
        serde_json::from_slice(&request(&image, Some(&"a\"b\n".into()))).unwrap();
    assert_eq!(odd["serviceAccountToken"], "");
}

#[test]
fn the_entry_of_the_registry_counts() {
    for (registry, auth, password) in [
        ("ghcr.io/acme", one("ghcr.io", "p"), Ok("p")),
        ("ghcr.io/acme", one("https://ghcr.io/v2/", "p"), Ok("p")),
        ("ghcr.io/acme", one("ghcr.io/acme", "p"), Ok("p")),
        ("eu.gcr.io", one("*.gcr.io", "p"), Ok("p")),
        ("a.b.gcr.io", one("*.gcr.io", "p"), Err(())),
        ("ghcr.io/acme", one("ghcr.io/acme/web", "p"), Err(())),
        ("ghcr.io/acme", one("quay.io", "p"), Err(())),
        ("ghcr.io/acme", one("*", "p"), Err(())),
        ("ghcr.io/acme", one("*.io", "p"), Ok("p")),
        ("ghcr.io/acme", one("ghcr.io", ""), Err(())),
        ("ghcr.io/acme", "null".to_owned(), Err(())),
        ("ghcr.io/acme", "{}".to_owned(), Err(())),
        (
            "acme.azurecr.io",
            r#"{"*.azurecr.*":{"username":"","password":""},"acme.azurecr.io":{"username":"u","password":"p"}}"#.to_owned(),
            Ok("p"),
        ),
        // A narrower entry without a user hides nothing.
        (
            "ghcr.io/acme",
            r#"{"ghcr.io":{"username":"u","password":"p"},"ghcr.io/acme":{"username":"","password":"x"}}"#.to_owned(),
            Ok("p"),
        ),
        (
            "ghcr.io/acme",
            r#"{"ghcr.io":{"username":"u","password":"wide"},"ghcr.io/acme":{"username":"u","password":"narrow"}}"#.to_owned(),
            Ok("narrow"),
        ),
    ] {
        let read = read_for(registry, &response(r#""1h0m0s""#, &auth), None);
        let found = read.as_ref().map(|it| &*it.logins[0].password);
        match password {
            Ok(password) => assert_eq!(found.unwrap(), password, "{registry} {auth}"),
            Err(()) => assert_eq!(read.unwrap_err(), P::NoLogin(registry.into()), "{auth}"),
        }
    }
}

#[test]
fn the_next_run_is_the_soonest_that_is_known() {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    let token =
        |exp: i64| format!("e30.{}.x", BASE64_URL_SAFE_NO_PAD.encode(format!("{{\"exp\":{exp}}}")));
    for (duration, password, refresh, next, expires_at) in [
        (r#""6h0m0s""#, "p".to_owned(), None, 21_600, NOW + 43_200),
        (r#""6h0m0s""#, "p".to_owned(), Some(1800), 1800, NOW + 3600),
        ("null", "p".to_owned(), Some(1800), 1800, NOW + 3600),
        (r#""0s""#, "p".to_owned(), Some(1800), 1800, NOW + 3600),
        // The plugin says an hour, its token says forty minutes.
        (r#""1h0m0s""#, token(NOW + 2400), None, 1200, NOW + 2400),
        ("null", token(NOW + 2400), None, 1200, NOW + 2400),
    ] {
        let minted =
            read_for("ghcr.io", &response(duration, &one("ghcr.io", &password)), refresh).unwrap();
        assert_eq!(minted.renewal, Renewal::After(next), "{duration} {refresh:?}");
        assert_eq!(minted.expires_at, expires_at);
        assert_eq!(minted.life, expires_at - NOW);
    }
    let auth = one("ghcr.io", "p");
    for duration in ["null", r#""0s""#, r#""0""#, r#""21.6us""#] {
        let error = read_for("ghcr.io", &response(duration, &auth), None).unwrap_err();
        assert_eq!(error, P::NoDuration, "{duration}");
    }
    let error = read_for("ghcr.io", &response("null", &one("ghcr.io", &token(NOW - 5))), None);
    assert_eq!(error.unwrap_err(), P::Over(5));
}

#[test]
fn what_is_no_answer_of_the_protocol_is_refused_without_its_words() {
    let good = response(r#""1h""#, &one("ghcr.io", "hunter2"));
    assert!(read_for("ghcr.io", &good, None).is_ok());
    let bad = [
        String::new(),
        "hunter2".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        good.replace("/v1\"", "/v1beta1\""),
        good.replace("CredentialProviderResponse", "CredentialProviderRequest"),
        good.replace("\"Registry\"", "\"Pod\""),
        good.replace("\"Registry\"", "null"),
        good.replace("\"1h\"", "\"1\""),
        good.replace("\"1h\"", "\"h\""),
        good.replace("\"1h\"", "\"-1h\""),
        good.replace("\"1h\"", "\"1d\""),
        good.replace("\"1h\"", "\"\""),
        good.replace("\"1h\"", "\"99999999999999999999h\""),
        good.replace("\"1h\"", "3600"),
        good.replace("\"u\"", "1"),
        good.replace("\"hunter2\"", "[\"hunter2\"]"),
        good.replace("\"hunter2\"", "null"),
        good.replace("hunter2", "hunter2\\n"),
        good.replace("\"u\"", "\"u:hunter2\""),
        format!("{good}x"),
    ];
    for text in bad {
        let error = read_for("ghcr.io", &text, None).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}: {text}");
    }
}

#[test]
fn durations_of_go_are_read() {
    for (text, seconds) in [
        ("6h0m0s", 21_600),
        ("5h59m59.5s", 21_599),
        ("1m30s", 90),
        ("1500ms", 1),
        ("21.6µs", 0),
        ("0", 0),
        ("1ns", 0),
    ] {
        assert_eq!(duration(text), Ok(seconds), "{text}");
    }
}
