//! The clouds of these tests refuse what the real ones refuse: otherwise nothing that they accept would prove anything.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use pullcred::{
    core::clouds::EcrHost,
    registry::tokens::{
        SecretText,
        aliyun::{self, Stamp},
        aws::{self, Service},
        azure, github, google,
        sign::AccessKey,
        wire::Request,
    },
};
use serde_json::json;

use super::{
    clouds::{
        Authority, Received, Reply,
        aliyun::INSTANCE,
        aws::ROLE,
        github::{APP, Github, INSTALLATION},
        google::PROVIDER,
        identity::{ISSUER, Key, SUBJECT, Trust, pem},
    },
    now,
};

fn received(request: &Request) -> Received {
    let (path, query) = request.target();
    let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    let mut headers = HeaderMap::new();
    headers.insert("host", request.authority().parse().unwrap());
    headers.insert("user-agent", HeaderValue::from_static("test"));
    for (name, value) in request.headers() {
        headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    Received {
        method: request.method().parse().unwrap(),
        uri: target.parse().unwrap(),
        headers,
        body: request.body().to_vec().into(),
    }
}

fn with(request: &Received, name: &'static str, value: &str) -> Received {
    let mut request = request.clone();
    request.headers.insert(name, value.parse().unwrap());
    request
}

fn without(request: &Received, name: &str) -> Received {
    let mut request = request.clone();
    request.headers.remove(name);
    request
}

/// That a reply is a refusal with this word in it.
fn refused(reply: &Reply, word: &str) {
    assert!(reply.status >= 400 && reply.body.contains(word), "{word}: {reply:?}");
}

/// Tokens that nobody may take who trusts the issuer for this audience.
fn bad_tokens(audience: &str) -> Vec<(&'static str, String)> {
    let (issuer, at) = (Key::read("issuer"), now());
    let good = issuer.service_account(audience, SUBJECT, at);
    let (head, signed) = good.rsplit_once('.').unwrap();
    let claims = |claims: serde_json::Value| {
        let mut all =
            json!({"iss": ISSUER, "aud": [audience], "sub": SUBJECT, "iat": at, "exp": at + 3600});
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        all
    };
    let rs256 = json!({"alg": "RS256", "kid": "1"});
    let none = issuer.token(&json!({"alg": "none"}), &claims(json!({})));
    let other = issuer.service_account(audience, "system:serviceaccount:team-a:default", at);
    vec![
        ("another key", Key::read("stranger").service_account(audience, SUBJECT, at)),
        ("another audience", issuer.service_account("other", SUBJECT, at)),
        ("one audience more", issuer.token(&rs256, &claims(json!({"aud": [audience, "other"]})))),
        (
            "another issuer",
            issuer.token(&rs256, &claims(json!({"iss": "https://other.example.com"}))),
        ),
        ("another subject", other.clone()),
        ("expired", issuer.service_account(audience, SUBJECT, at - 3601)),
        ("not yet", issuer.token(&rs256, &claims(json!({"nbf": at + 3600})))),
        ("endless", issuer.token(&rs256, &claims(json!({"exp": null})))),
        ("no signature", format!("{}.", none.rsplit_once('.').unwrap().0)),
        ("alg none", none),
        ("alg HS256", issuer.token(&json!({"alg": "HS256", "kid": "1"}), &claims(json!({})))),
        ("another kid", issuer.token(&json!({"alg": "RS256", "kid": "2"}), &claims(json!({})))),
        ("changed claims", format!("{}.{signed}", other.rsplit_once('.').unwrap().0)),
        ("cut", head.to_owned()),
        ("empty", String::new()),
    ]
}

#[test]
fn a_token_is_taken_only_as_it_is_trusted() {
    let trust = Trust::of("aud");
    assert!(
        trust.verify(&Key::read("issuer").service_account("aud", SUBJECT, now()), now()).is_ok()
    );
    for (what, token) in bad_tokens("aud") {
        assert!(trust.verify(&token, now()).is_err(), "{what}");
    }
}

#[test]
fn each_cloud_refuses_tokens_that_it_does_not_trust() {
    let authority = Authority::new();
    let (aws_cloud, google_cloud) =
        (super::aws::cloud(&authority), super::google::cloud(&authority));
    let (azure_cloud, aliyun_cloud) =
        (super::azure::cloud(&authority), super::aliyun::cloud(&authority));
    let (base, role) = ("https://sts.eu-west-1.amazonaws.com", ROLE);
    for (what, token) in bad_tokens("sts.amazonaws.com") {
        let request = aws::session_request(base, role, "pullcred", &token.as_str().into());
        let reply = aws_cloud.ask(&received(&request));
        assert!(reply.status >= 400, "{what}: {reply:?}");
    }
    for (what, token) in bad_tokens(&super::google::audience()) {
        let request = google::token_request(None, PROVIDER, &token.as_str().into(), false);
        let reply = google_cloud.ask(&received(&request));
        assert!(reply.status >= 400, "{what}: {reply:?}");
    }
    for (what, token) in bad_tokens(super::azure::AUDIENCE) {
        let (tenant, client) = (super::clouds::azure::TENANT, super::clouds::azure::CLIENT);
        let request = azure::token_request("https://entra", tenant, client, &token.as_str().into());
        let reply = azure_cloud.ask(&received(&request));
        assert!(reply.status >= 400, "{what}: {reply:?}");
    }
    for (at, (what, token)) in bad_tokens(super::aliyun::AUDIENCE).into_iter().enumerate() {
        let (role, provider) = (super::clouds::aliyun::ROLE, super::clouds::aliyun::PROVIDER);
        let stamp = Stamp { now: now(), nonce: &at.to_string() };
        let token: SecretText = token.as_str().into();
        let request =
            aliyun::session_request("https://sts", role, provider, "pullcred", &token, stamp);
        let reply = aliyun_cloud.ask(&received(&request));
        assert!(reply.status >= 400, "{what}: {reply:?}");
    }
    for ledger in
        [&aws_cloud.ledger, &google_cloud.ledger, &azure_cloud.ledger, &aliyun_cloud.ledger]
    {
        assert!(ledger.issued().is_empty());
    }
}

#[test]
fn ecr_recomputes_signatures() {
    let authority = Authority::new();
    let cloud = super::aws::cloud(&authority);
    let (id, secret, session, _) = cloud.session("me");
    let key = AccessKey { id, secret: secret.into(), session: Some(session.into()) };
    let service = Service::of(EcrHost::parse(super::aws::HOST).unwrap());
    let good = received(&service.login_request(None, &key, now()));
    assert_eq!(cloud.ask(&good).status, 200);

    let of = |host: &str, key: &AccessKey, now| {
        received(&Service::of(EcrHost::parse(host).unwrap()).login_request(None, key, now))
    };
    let (wrong, unknown) = ("InvalidSignatureException", "UnrecognizedClientException");
    let here = super::aws::HOST;
    let elsewhere = "123456789012.dkr.ecr.eu-west-2.amazonaws.com";
    for (request, word) in [
        (of(elsewhere, &key, now()), wrong),
        (of(here, &key, now() - 301), wrong),
        (of(here, &key, now() + 310), wrong),
        (of(here, &AccessKey { secret: "other".into(), ..key.clone() }, now()), wrong),
        (of(here, &AccessKey { session: None, ..key.clone() }, now()), unknown),
        (of(here, &AccessKey { session: Some("other".into()), ..key.clone() }, now()), unknown),
        (of(here, &AccessKey { id: "AKIANONE".to_owned(), ..key.clone() }, now()), unknown),
    ] {
        refused(&cloud.ask(&request), word);
    }
    let public = "SpencerFrontendService.GetAuthorizationToken";
    refused(&cloud.ask(&with(&good, "x-amz-target", public)), wrong);
    let mut body = good.clone();
    body.body = b"{\"registryIds\":[]}".to_vec().into();
    refused(&cloud.ask(&body), wrong);
    refused(&cloud.ask(&with(&good, "host", "other.example.com")), wrong);
    refused(&cloud.ask(&with(&good, "x-amz-date", "20200101T000000Z")), wrong);
    refused(&cloud.ask(&with(&good, "content-type", "text/plain")), wrong);
    refused(&cloud.ask(&without(&good, "authorization")), "MissingAuthenticationToken");
    refused(&cloud.ask(&without(&good, "x-amz-security-token")), "UnrecognizedClient");
    cloud.ledger.set_ahead(3601);
    refused(
        &cloud.ask(&received(&service.login_request(None, &key, now() + 3601))),
        "ExpiredToken",
    );
}

#[test]
fn alibaba_cloud_recomputes_signatures_and_remembers_nonces() {
    let authority = Authority::new();
    let cloud = super::aliyun::cloud(&authority);
    let (id, secret, session) = cloud.session();
    let key = AccessKey { id, secret: secret.into(), session: Some(session.into()) };
    let base = aliyun::api("cn-shanghai");
    let enterprise = |key: &AccessKey, now, nonce: &str| {
        received(&aliyun::enterprise_request(&base, INSTANCE, key, Stamp { now, nonce }))
    };
    let good = enterprise(&key, now(), "1");
    assert_eq!(cloud.ask(&good).status, 200);
    refused(&cloud.ask(&good), "SignatureNonceUsed");
    let personal =
        received(&aliyun::personal_request(&base, &key, Stamp { now: now(), nonce: "2" }));
    assert_eq!(cloud.ask(&personal).status, 200);

    let fresh = |nonce| enterprise(&key, now(), nonce);
    refused(&cloud.ask(&enterprise(&key, now() - 901, "3")), "IllegalTimestamp");
    refused(&cloud.ask(&enterprise(&key, now() + 910, "4")), "IllegalTimestamp");
    let other = AccessKey { secret: "other".into(), ..key.clone() };
    refused(&cloud.ask(&enterprise(&other, now(), "5")), "SignatureDoesNotMatch");
    let sessionless = AccessKey { session: None, ..key.clone() };
    refused(&cloud.ask(&enterprise(&sessionless, now(), "6")), "InvalidSecurityToken");
    let unknown = AccessKey { id: "LTAX".to_owned(), ..key.clone() };
    refused(&cloud.ask(&enterprise(&unknown, now(), "7")), "InvalidAccessKeyId");
    let mut elsewhere = fresh("8");
    elsewhere.uri = "/?InstanceId=cri-other".parse().unwrap();
    refused(&cloud.ask(&elsewhere), "SignatureDoesNotMatch");
    let mut body = fresh("9");
    body.body = b"x".to_vec().into();
    refused(&cloud.ask(&body), "SignatureDoesNotMatch");
    refused(
        &cloud.ask(&with(&fresh("10"), "host", "cr.cn-beijing.aliyuncs.com")),
        "SignatureDoesNotMatch",
    );
    refused(
        &cloud.ask(&with(&fresh("11"), "x-acs-signature-nonce", "12")),
        "SignatureDoesNotMatch",
    );
    refused(&cloud.ask(&with(&fresh("13"), "x-acs-more", "1")), "IncompleteSignature");
    refused(&cloud.ask(&without(&fresh("14"), "authorization")), "IncompleteSignature");
}

#[test]
fn google_azure_and_github_refuse_what_they_did_not_give() {
    let authority = Authority::new();
    let google_cloud = super::google::cloud(&authority);
    let account = super::clouds::google::ACCOUNT;
    let request = google::impersonation_request(None, account, &"made-up".into());
    refused(&google_cloud.ask(&received(&request)), "UNAUTHENTICATED");

    let azure_cloud = super::azure::cloud(&authority);
    let request = azure::login_request(None, super::clouds::azure::REGISTRY, &"made-up".into());
    refused(&azure_cloud.ask(&received(&request)), "UNAUTHORIZED");

    let cloud = Github::start(&authority);
    let ask = |key: &str, app: &str, at: i64| {
        let key = pem(key).into();
        let proof = github::App::new(app, &key).unwrap().proof(at).unwrap();
        cloud.ask(&received(&github::token_request(None, INSTALLATION, &[], &proof))).status
    };
    assert_eq!(ask("app", APP, now()), 201);
    for (key, app, at) in [
        ("stranger", APP, now()),
        ("app", "other", now()),
        ("app", APP, now() - 600),
        ("app", APP, now() + 120),
    ] {
        assert_eq!(ask(key, app, at), 401, "{key} {app}");
    }
}
