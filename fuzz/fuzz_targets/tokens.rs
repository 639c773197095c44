//! Whatever a cloud or a plugin answers is a login that a Secret can carry, or an error of a bounded length; and whatever is
//! called a host of a provider gives addresses of that provider.

#![no_main]

use std::fmt::Display;

use libfuzzer_sys::fuzz_target;
use pullcred::core::{
    clouds::{AliyunHost, AzureCloud, EcrHost, is_google},
    rules::Endpoint,
};
use pullcred::registry::tokens::{
    aliyun, aws, azure, github, google, jwt,
    minted::Expiring,
    plugin,
    sign::AccessKey,
    wire::Answer,
    xml,
};

// The first byte is that of the status.
fuzz_target!(|data: &[u8]| {
    let (status, body) = match data {
        [b'2', body @ ..] => (200, body),
        [b'4', body @ ..] => (403, body),
        [b'5', body @ ..] => (503, body),
        _ => return,
    };
    let answer = Answer::new(status, body);
    let private = EcrHost::parse("123456789012.dkr.ecr.eu-west-1.amazonaws.com").map(aws::Service::of);
    let public = EcrHost::parse(EcrHost::PUBLIC).map(aws::Service::of);
    for service in [private, public].into_iter().flatten() {
        is_login(service.read_login(&answer));
    }
    is_login(google::read_impersonation(&answer));
    is_login(azure::read_login(&answer));
    is_login(aliyun::read_enterprise(&answer));
    is_login(aliyun::read_personal(&answer));
    is_login(github::read_token(&answer));
    for session in [aws::read_session(&answer), aws::read_agent(&answer)] {
        is_key(session.map(|it| it.key));
    }
    is_key(aliyun::read_session(&answer).map(|it| it.key));
    if let Err(error) = google::read_token(&answer) {
        is_short(&error);
    }
    if let Err(error) = azure::read_token(&answer) {
        is_short(&error);
    }
    if let Err(error) = xml::texts(body, [&["A", "B"]]) {
        is_short(&error);
    }
    if let Ok(registry) = "ghcr.io/acme".parse() {
        match plugin::read(body, &registry, Some(60), 1_700_000_000) {
            Ok(minted) => assert!(minted.expires_at > 1_700_000_000),
            Err(error) => is_short(&error),
        }
    }
    if let Ok(text) = str::from_utf8(body) {
        let _ = jwt::holder(text);
        is_host(text);
    }
});

fn is_login<E: Display>(login: Result<Expiring, E>) {
    match login {
        Ok(Expiring { username, password, .. }) => {
            assert!(!username.is_empty() && !username.contains(':'));
            assert!(!password.is_empty() && password.bytes().all(|byte| byte.is_ascii_graphic()));
        }
        Err(error) => is_short(&error),
    }
}

fn is_key<E: Display>(key: Result<AccessKey, E>) {
    match key {
        Ok(AccessKey { id, session, .. }) => {
            // They become headers.
            assert!(id.bytes().all(|byte| byte.is_ascii_graphic()));
            assert!(session.is_none_or(|it| it.bytes().all(|byte| byte.is_ascii_graphic())));
        }
        Err(error) => is_short(&error),
    }
}

fn is_short(error: &impl Display) {
    let text = error.to_string();
    assert!(text.len() < 500 && !text.contains('\n'), "{text}");
}

fn is_host(text: &str) {
    if let Some(host) = EcrHost::parse(text) {
        let service = aws::Service::of(host);
        let key = AccessKey { id: String::new(), secret: "x".into(), session: None };
        for url in [service.sts(), service.login_request(None, &key, 0).url().to_owned()] {
            let name = url.strip_prefix("https://").and_then(|it| it.split('/').next());
            assert!(name.is_some_and(|it| it.ends_with(host.domain) && is_name(it)), "{url}");
        }
    }
    if let Some(host) = AliyunHost::parse(text) {
        for url in [aliyun::sts(host.region), aliyun::api(host.region)] {
            let name = url.strip_prefix("https://");
            assert!(name.is_some_and(|it| it.ends_with(".aliyuncs.com") && is_name(it)), "{url}");
        }
    }
    if AzureCloud::of_host(text).is_some() || is_google(text) {
        assert!(is_name(text), "{text}");
    }
    if let Ok(endpoint) = text.parse::<Endpoint>() {
        assert!(endpoint.as_str().starts_with("https://") && !endpoint.as_str().contains('@'), "{text}");
    }
}

fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    text.bytes().all(fits) && !text.contains("..")
}
