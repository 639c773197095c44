//! The way to a cloud: its own addresses, proxies, private authorities, time limits.

use std::time::Duration;

use pullcred::{
    core::rules::{Endpoints, GoogleAccess, LoginSource},
    registry::{
        Http, Proxy,
        tokens::{Machine, Proof},
    },
};

use super::{
    Fetcher,
    clouds::{
        Authority, Reply, Server, aliyun::INSTANCE, aws::ROLE, azure, google::ACCOUNT,
        proxy::Proxy as Cloudward,
    },
    endpoints, the_login,
};

const PASSWORD: &str = "Proxy-Authorization: Basic dTpodW50ZXIy";

fn fetcher(authority: &Authority, proxy: Proxy) -> Fetcher {
    let http = Http::with(Some(proxy), Some(authority.pem.as_bytes())).unwrap();
    Fetcher { http, machine: Machine::default(), ahead: 0 }
}

#[tokio::test]
async fn a_proxy_connects_to_the_providers_own_addresses() {
    let authority = Authority::new();
    let aws = super::aws::cloud(&authority);
    let google = super::google::cloud(&authority);
    let azure = super::azure::cloud(&authority);
    let aliyun = super::aliyun::cloud(&authority);
    let own = Endpoints::default;
    for (server, source, proof, host, asked) in [
        (
            &aws.server,
            super::aws::by_role(own()),
            super::aws::token(),
            super::aws::HOST,
            ["sts.eu-west-1.amazonaws.com", "api.ecr.eu-west-1.amazonaws.com"],
        ),
        (
            &google.server,
            super::google::source(Some(ACCOUNT), own()),
            super::google::token(),
            "gcr.io",
            ["sts.googleapis.com", "iamcredentials.googleapis.com"],
        ),
        (
            &azure.server,
            super::azure::source(azure::TENANT, azure::CLIENT, own()),
            super::azure::token(),
            azure::REGISTRY,
            ["login.microsoftonline.com", azure::REGISTRY],
        ),
        (
            &aliyun.server,
            super::aliyun::by_role(Some(INSTANCE), own()),
            super::aliyun::token(),
            super::aliyun::ENTERPRISE,
            ["sts.cn-shanghai.aliyuncs.com", "cr.cn-shanghai.aliyuncs.com"],
        ),
    ] {
        let cloudward = Cloudward::start(server.address, Some(PASSWORD));
        let proxy = Proxy::new(&format!("http://u:hunter2@{}", cloudward.address), "").unwrap();
        let minted = fetcher(&authority, proxy).mint(&source, &proof, &[host]).await.unwrap();
        assert_eq!(minted.logins.len(), 1);
        let heads = cloudward.heads();
        let lines: Vec<_> = heads.iter().map(|head| head.lines().next().unwrap()).collect();
        assert_eq!(lines, asked.map(|host| format!("CONNECT {host}:443 HTTP/1.1")));
    }
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_without_its_password() {
    let authority = Authority::new();
    let aws = super::aws::cloud(&authority);
    let cloudward = Cloudward::start(aws.server.address, Some(PASSWORD));
    let proxy = Proxy::new(&format!("http://u:wrong-hunter2@{}", cloudward.address), "").unwrap();
    let source = super::aws::by_role(Endpoints::default());
    let text = fetcher(&authority, proxy)
        .refusal(&source, &super::aws::token(), &[super::aws::HOST])
        .await;
    assert_eq!(
        text,
        format!(
            "login acme: step token at sts.eu-west-1.amazonaws.com: no answer; check the network policy, the proxy and the \
             address of the endpoint: the proxy {} did not connect: tunnel error: proxy authorization required",
            cloudward.address
        )
    );
    assert!(aws.server.requests().is_empty());
}

#[tokio::test]
async fn this_machine_and_metadata_are_never_asked_through_a_proxy() {
    let authority = Authority::new();
    let aws = super::aws::cloud(&authority);
    let google = super::google::cloud(&authority);
    let cloudward = Cloudward::start(aws.server.address, None);
    let proxy = || Proxy::new(&format!("http://{}", cloudward.address), "").unwrap();
    let source = super::aws::by_role(endpoints(&aws.server.url(), &aws.server.url()));
    let minted =
        fetcher(&authority, proxy()).mint(&source, &super::aws::token(), &[super::aws::HOST]).await;
    the_login(&minted.unwrap(), &aws.ledger, ROLE);
    let mut fetcher = fetcher(&authority, proxy());
    fetcher.machine.google = format!("http://{}", google.metadata.address).into();
    let source = LoginSource::Google(pullcred::core::rules::Google {
        access: GoogleAccess::Metadata,
        impersonate: None,
        endpoints: Endpoints::default(),
    });
    fetcher.mint(&source, &Proof::Machine, &["gcr.io"]).await.unwrap();
    assert!(cloudward.heads().is_empty());
}

#[tokio::test]
async fn an_exception_is_asked_without_the_proxy() {
    let authority = Authority::new();
    let aws = super::aws::cloud(&authority);
    let cloudward = Cloudward::start(aws.server.address, None);
    let proxy = Proxy::new(&format!("http://{}", cloudward.address), ".invalid").unwrap();
    // A name that no resolver knows: without the proxy there is no way to it.
    let nowhere = endpoints("https://sts.invalid", "https://ecr.invalid");
    let source = super::aws::by_role(nowhere);
    let text = fetcher(&authority, proxy)
        .refusal(&source, &super::aws::token(), &[super::aws::HOST])
        .await;
    assert!(text.starts_with("login acme: step token at sts.invalid: no answer"), "{text}");
    assert!(cloudward.heads().is_empty());
}

#[tokio::test]
async fn a_server_of_an_unknown_authority_gets_nothing() {
    let (known, unknown) = (Authority::new(), Authority::new());
    let aws = super::aws::cloud(&unknown);
    let source = super::aws::by_role(endpoints(&aws.server.url(), &aws.server.url()));
    let text =
        Fetcher::new(&known).refusal(&source, &super::aws::token(), &[super::aws::HOST]).await;
    assert!(
        text.contains("no answer; check") && text.contains("TLS: invalid peer certificate"),
        "{text}"
    );
    assert!(aws.server.requests().is_empty());
}

#[tokio::test]
async fn a_login_may_bring_the_authority_of_its_endpoints() {
    let (known, private) = (Authority::new(), Authority::new());
    let aws = super::aws::cloud(&private);
    let mut endpoints = endpoints(&aws.server.url(), &aws.server.url());
    endpoints.ca_bundle = Some(private.pem.as_str().into());
    let fetcher = Fetcher::new(&known);
    let source = super::aws::by_role(endpoints.clone());
    let minted = fetcher.mint(&source, &super::aws::token(), &[super::aws::HOST]).await.unwrap();
    the_login(&minted, &aws.ledger, ROLE);
    endpoints.ca_bundle = Some(known.pem.as_str().into());
    let source = super::aws::by_role(endpoints);
    let text = fetcher.refusal(&source, &super::aws::token(), &[super::aws::HOST]).await;
    assert!(text.contains("TLS: invalid peer certificate"), "{text}");
}

#[tokio::test]
async fn a_server_of_another_name_gets_nothing() {
    let authority = Authority::new();
    let aws = super::aws::cloud(&authority);
    let cloudward = Cloudward::start(aws.server.address, None);
    let proxy = Proxy::new(&format!("http://{}", cloudward.address), "").unwrap();
    let other = endpoints("https://sts.example.com", "https://ecr.example.com");
    let source = super::aws::by_role(other);
    let text = fetcher(&authority, proxy)
        .refusal(&source, &super::aws::token(), &[super::aws::HOST])
        .await;
    assert!(text.contains("TLS: invalid peer certificate"), "{text}");
    assert!(aws.server.requests().is_empty());
}

#[tokio::test]
async fn a_redirection_is_not_followed_and_nothing_is_sent() {
    let authority = Authority::new();
    let aws = super::aws::cloud(&authority);
    let evil = Server::start(&authority, &[], |_| Reply::new(200, ""));
    for status in [301, 302, 303, 307, 308] {
        aws.server.queue([Reply::new(status, "").with("location", format!("{}/x", evil.url()))]);
        let source = super::aws::by_role(endpoints(&aws.server.url(), &aws.server.url()));
        let text = Fetcher::new(&authority)
            .refusal(&source, &super::aws::token(), &[super::aws::HOST])
            .await;
        assert!(
            text.contains(&format!(
                "{status}: it redirects to localhost, and a token does not follow"
            )),
            "{text}"
        );
    }
    assert!(evil.requests().is_empty());
}

#[tokio::test]
async fn an_answer_without_end_is_cut() {
    let authority = Authority::new();
    let server = Server::start(&authority, &[], |_| Reply::new(200, "x".repeat(2 << 20)));
    let source = super::aws::by_role(endpoints(&server.url(), &server.url()));
    let text =
        Fetcher::new(&authority).refusal(&source, &super::aws::token(), &[super::aws::HOST]).await;
    assert!(text.ends_with("the answer has more than 1024 KiB"), "{text}");
}

#[tokio::test]
async fn a_server_that_hangs_is_left_after_ten_seconds() {
    let authority = Authority::new();
    let server = Server::start(&authority, &[], |_| {
        std::thread::sleep(Duration::from_secs(12));
        Reply::new(200, "")
    });
    let source = super::aws::by_role(endpoints(&server.url(), &server.url()));
    let text =
        Fetcher::new(&authority).refusal(&source, &super::aws::token(), &[super::aws::HOST]).await;
    assert!(text.ends_with("no answer within 10 seconds"), "{text}");
}

#[tokio::test]
async fn a_wait_that_a_service_asks_for_is_kept() {
    let authority = Authority::new();
    let aws = super::aws::cloud(&authority);
    let source = super::aws::by_role(endpoints(&aws.server.url(), &aws.server.url()));
    for (value, seconds) in [("7", Some(7)), ("99999999", Some(3600)), ("soon", None)] {
        aws.server.queue([Reply::new(429, "").with("retry-after", value)]);
        let error =
            Fetcher::new(&authority).mint(&source, &super::aws::token(), &[super::aws::HOST]).await;
        let error = error.unwrap_err();
        assert_eq!((error.retry_after(), error.outcome().as_str()), (seconds, "throttled"));
    }
}
