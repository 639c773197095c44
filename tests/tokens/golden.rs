//! Requests that the vendors' own clients sent, recorded once: ours are the same, and the clouds of these tests take them.
//!
//! They are in tests/testdata/tokens/recorded.jsonl, each with the client and its version. Headers that only name the client
//! were left out, where they are not signed.

use std::{collections::BTreeMap, fs, path::Path};

use axum::http::{HeaderMap, HeaderName};
use pullcred::{
    core::clouds::EcrHost,
    registry::tokens::{
        aliyun::{self, Stamp},
        aws::{self, Service},
        azure, google,
        sign::AccessKey,
        wire::Request,
    },
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    clouds::{
        Authority, Received,
        aliyun::INSTANCE,
        aws::ROLE,
        azure as azure_cloud,
        google::{ACCOUNT, PROVIDER},
    },
    now,
};

#[derive(Deserialize)]
struct Recorded {
    client: String,
    request: String,
    /// When it was signed.
    at: Option<i64>,
    method: String,
    target: String,
    headers: BTreeMap<String, String>,
    body: String,
}

/// The key of the recorded requests.
fn key(id: &str) -> AccessKey {
    let session = Some("s3ssion-token".into());
    AccessKey { id: id.to_owned(), secret: "s3cret-half".into(), session }
}

fn recorded() -> Vec<Recorded> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testdata/tokens/recorded.jsonl");
    let text = fs::read_to_string(path).unwrap();
    let all: Vec<_> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(all.len(), 10);
    all
}

impl Recorded {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    fn received(&self) -> Received {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        Received {
            method: self.method.parse().unwrap(),
            uri: self.target.parse().unwrap(),
            headers,
            body: self.body.clone().into(),
        }
    }

    /// What we send for the same.
    fn ours(&self) -> Request {
        let base = format!("https://{}", self.header("host"));
        let base = base.as_str();
        let ecr = |host| Service::of(EcrHost::parse(host).unwrap());
        let at = self.at.unwrap_or_default();
        let stamp = Stamp { now: at, nonce: self.header("x-acs-signature-nonce") };
        let (session, ali) = (key("ASIAEXAMPLE"), key("LTAIEXAMPLE"));
        let token = "TOKEN".into();
        match self.request.as_str() {
            "aws-sts" => aws::session_request(base, ROLE, "pullcred-acme", &token),
            "ecr" => ecr(super::aws::HOST).login_request(Some(base), &session, at),
            "ecr-public" => ecr("public.ecr.aws").login_request(Some(base), &session, at),
            "google-sts" => google::token_request(Some(base), PROVIDER, &token, false),
            "google-sts-impersonating" => google::token_request(Some(base), PROVIDER, &token, true),
            "google-impersonation" => {
                google::impersonation_request(Some(base), ACCOUNT, &"ya29.first".into())
            }
            "entra" => azure::token_request(base, azure_cloud::TENANT, azure_cloud::CLIENT, &token),
            "acr" => azure::login_request(Some(base), self.header("host"), &"entra-token".into()),
            "aliyun-enterprise" => aliyun::enterprise_request(base, INSTANCE, &ali, stamp),
            "aliyun-personal" => aliyun::personal_request(base, &ali, stamp),
            other => panic!("{other}"),
        }
    }
}

/// A body as what it says: the order of fields and fields that are null say nothing.
fn meaning(content_type: &str, body: &[u8]) -> Value {
    if content_type.starts_with("application/x-www-form-urlencoded") {
        let text = str::from_utf8(body).unwrap();
        let pairs = text.split('&').map(|pair| pair.split_once('=').unwrap());
        let pairs: BTreeMap<_, _> =
            pairs.map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
        return Value::from_iter(pairs);
    }
    if body.is_empty() {
        return Value::Null;
    }
    let mut value: Value = serde_json::from_slice(body).unwrap();
    value.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    value
}

#[test]
fn ours_are_the_requests_of_the_vendors_own_clients() {
    for theirs in recorded() {
        let ours = theirs.ours();
        let what = format!("{} by {}", theirs.request, theirs.client);
        assert_eq!(ours.method(), theirs.method, "{what}");
        assert_eq!(ours.authority(), theirs.header("host"), "{what}");
        let (path, query) = ours.target();
        // The registry of Azure answers with and without the version; the kubelet's plugin sends none.
        let target = theirs.target.replace("?api-version=2021-07-01", "");
        let ours_target =
            if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        assert_eq!(ours_target, target, "{what}");
        let header =
            |name| ours.headers().find(|(it, _)| *it == name).map_or("", |(_, value)| value);
        let content_type = |text: &str| text.split(';').next().unwrap().to_owned();
        let (our_type, their_type) = (header("content-type"), theirs.header("content-type"));
        assert_eq!(content_type(our_type), content_type(their_type), "{what}");
        assert_eq!(
            meaning(our_type, ours.body()),
            meaning(their_type, theirs.body.as_bytes()),
            "{what}"
        );
        for name in theirs.headers.keys() {
            // What the client adds of its own, and a signature that covers that.
            let is_theirs = [
                "host",
                "content-type",
                "accept",
                "user-agent",
                "x-acs-accesskey-id",
                "x-acs-credentials-provider",
            ];
            let signs_more = name == "authorization" && theirs.request.starts_with("aliyun");
            if is_theirs.contains(&name.as_str()) || signs_more {
                continue;
            }
            assert_eq!(header(name), theirs.header(name), "{what}: {name}");
        }
    }
}

#[test]
fn the_clouds_of_these_tests_take_signatures_of_the_vendors() {
    let authority = Authority::new();
    let (aws, aliyun) = (super::aws::cloud(&authority), super::aliyun::cloud(&authority));
    let mut taken = 0;
    for theirs in recorded() {
        let Some(at) = theirs.at else { continue };
        let request = theirs.received();
        let ask = |secret: &str| {
            let session = Some("s3ssion-token");
            aws.ledger.set_ahead(at - now());
            aliyun.ledger.set_ahead(at - now());
            aws.key("ASIAEXAMPLE", secret, session);
            aliyun.key("LTAIEXAMPLE", secret, session);
            if theirs.request.starts_with("ecr") { aws.ask(&request) } else { aliyun.ask(&request) }
        };
        assert_eq!(ask("another").status, 400, "{}", theirs.request);
        let reply = ask("s3cret-half");
        assert_eq!(reply.status, 200, "{}: {}", theirs.request, reply.body);
        taken += 1;
    }
    assert_eq!(taken, 4);
}
