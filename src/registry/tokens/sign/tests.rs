use std::fs;

use hyper::Method;
use serde::Deserialize;

use super::*;
use crate::registry::percent::escaped;

/// A case of AWS's own suite (`tests/aws-signing-test-suite/v4` of `github.com/awslabs/aws-c-auth`), but for those of folded
/// headers and of dots in paths, which are never sent here.
#[derive(Deserialize)]
struct Case {
    #[serde(rename = "case")]
    name: String,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
    token: Option<String>,
    signed: String,
    signature: String,
}

const EXAMPLE: Scope<'_> = Scope { region: "us-east-1", service: "service" };
/// 2015-08-30T12:36:00Z.
const NOW: i64 = 1_440_938_160;

fn key(session: Option<&str>) -> AccessKey {
    AccessKey {
        id: "AKIDEXAMPLE".to_owned(),
        secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
        session: session.map(Into::into),
    }
}

fn header<'r>(request: &'r Request, name: &str) -> &'r str {
    request.headers().find(|(it, _)| *it == name).map(|(_, value)| value).unwrap()
}

/// What a client that takes a raw target escapes of it.
fn sendable(target: &str) -> String {
    target
        .chars()
        .map(|c| if c == ' ' || !c.is_ascii() { escaped(&c.to_string()) } else { c.to_string() })
        .collect()
}

#[test]
fn signatures_of_aws_are_those_of_its_suite() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/testdata/tokens/sigv4.jsonl");
    let cases = fs::read_to_string(file).unwrap();
    let mut checked = 0;
    for line in cases.lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        let url = format!("https://example.amazonaws.com{}", sendable(&case.target));
        let mut request = match case.method.as_str() {
            "GET" => Request::get(url),
            "POST" => Request::new(Method::POST, url, case.body.into_bytes()),
            method => panic!("{method}"),
        };
        for (name, value) in case.headers {
            request = request.with(Box::leak(name.into_boxed_str()), value);
        }
        let request = sigv4(request, &key(case.token.as_deref()), EXAMPLE, NOW);
        let expected = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={}, Signature={}",
            case.signed, case.signature
        );
        assert_eq!(header(&request, "authorization"), expected, "{}", case.name);
        checked += 1;
    }
    assert_eq!(checked, 23);
}

/// The expected value was computed by another program with the same keys; AWS publishes none for ECR.
#[test]
fn a_request_to_ecr_is_signed_with_its_session() {
    let request = Request::post(
        "https://api.ecr.eu-west-1.amazonaws.com/",
        "application/x-amz-json-1.1",
        b"{}".to_vec(),
    )
    .with("x-amz-target", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken");
    let scope = Scope { region: "eu-west-1", service: "ecr" };
    let request = sigv4(request, &key(Some("TOKEN")), scope, NOW);
    let signed = header(&request, "authorization");
    assert!(
        signed.contains(
            "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target,"
        )
    );
    assert!(
        signed.ends_with("1034537dabf7fc02b482b34b3181363b3814621c8ce9c96278f0b37dc15b0f3b"),
        "{signed}"
    );
    assert_eq!(header(&request, "x-amz-security-token"), "TOKEN");
}

/// The example of "V3 request body and signature mechanism" in Alibaba Cloud's documentation.
#[test]
fn a_signature_of_alibaba_cloud_is_that_of_its_document() {
    let url = "https://ecs.cn-shanghai.aliyuncs.com/?ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai";
    let key = AccessKey {
        id: "YourAccessKeyId".to_owned(),
        secret: "YourAccessKeySecret".into(),
        session: None,
    };
    // 2023-10-26T10:22:32Z.
    let now = 1_698_315_752;
    let nonce = "3156853299f313e23d1673dc12e1703d";
    let request = acs3(
        Request::new(Method::POST, url.to_owned(), Vec::new()),
        &key,
        ("RunInstances", "2014-05-26"),
        now,
        nonce,
    );
    assert_eq!(header(&request, "x-acs-date"), "2023-10-26T10:22:32Z");
    assert_eq!(
        header(&request, "authorization"),
        "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,\
         SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,\
         Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    );
}

#[test]
fn each_part_of_a_request_changes_its_signature() {
    let key = key(None);
    let other = AccessKey { secret: "other".into(), ..key.clone() };
    let base = || Request::post("https://a.io/x?b=1", "text/plain", b"body".to_vec());
    let of = |request, key: &AccessKey, scope, now| {
        header(&sigv4(request, key, scope, now), "authorization")
            .rsplit_once('=')
            .unwrap()
            .1
            .to_owned()
    };
    let mut seen = vec![of(base(), &key, EXAMPLE, NOW)];
    for signature in [
        of(base(), &other, EXAMPLE, NOW),
        of(base(), &key, Scope { region: "eu-west-1", ..EXAMPLE }, NOW),
        of(base(), &key, Scope { service: "ecr", ..EXAMPLE }, NOW),
        of(base(), &key, EXAMPLE, NOW + 1),
        of(base().with("x-more", "1"), &key, EXAMPLE, NOW),
        of(Request::post("https://a.io/x?b=2", "text/plain", b"body".to_vec()), &key, EXAMPLE, NOW),
        of(Request::post("https://a.io/y?b=1", "text/plain", b"body".to_vec()), &key, EXAMPLE, NOW),
        of(Request::post("https://b.io/x?b=1", "text/plain", b"body".to_vec()), &key, EXAMPLE, NOW),
        of(
            Request::post("https://a.io/x?b=1", "text/plain", b"bodies".to_vec()),
            &key,
            EXAMPLE,
            NOW,
        ),
    ] {
        assert!(!seen.contains(&signature));
        seen.push(signature);
    }
}
