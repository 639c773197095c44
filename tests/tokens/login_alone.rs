//! A login that is tried alone, by the real client: Basic and Bearer, a private authority, a proxy, `Retry-After`.

use base64::{Engine, prelude::BASE64_STANDARD};
use pullcred::{
    core::image::ImageRef,
    registry::{Http, Login, NoAnswer, Outcome, Probed, Proxy, Question, probe},
};
use serde_json::json;

use super::clouds::{Authority, Received, Reply, Server, proxy::Proxy as Cloudward};

const NAMES: &[&str] = &["registry.example.com", "auth.example.com"];
const RIGHT: &str = "right";
const REALM: &str = "Bearer realm=\"https://auth.example.com/token\",service=\"registry\"";

/// What a registry is like.
#[derive(Clone, Copy)]
struct Like {
    bearer: bool,
    /// The status of `acme/web` with a login that is taken.
    image: u16,
    /// The status for a wrong password.
    wrong: u16,
    /// Whether anybody may pull `acme/open`.
    open: bool,
}

const LIKE: Like = Like { bearer: true, image: 200, wrong: 401, open: true };

fn answer(like: Like, request: &Received) -> Reply {
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("robot:{RIGHT}")));
    let authorization = request.header("authorization");
    let empty = |status| Reply::new(status, "");
    if request.uri.path() == "/token" {
        let token = Reply::json(200, &json!({"token": "t"}));
        return if authorization == basic { token } else { empty(like.wrong) };
    }
    if like.open && request.uri.path() == "/v2/acme/open/manifests/latest" {
        return empty(200);
    }
    let wanted = if like.bearer { "Bearer t" } else { &basic };
    if authorization == wanted {
        return empty(if request.uri.path() == "/v2/" { 200 } else { like.image });
    }
    let challenge = if like.bearer { REALM } else { "Basic realm=\"x\"" };
    let status = if authorization.is_empty() { 401 } else { like.wrong };
    empty(status).with("www-authenticate", challenge)
}

/// Asks with a password; answers the requests, too.
async fn ask(
    server: &Server,
    authority: &Authority,
    image: Option<&str>,
    password: &str,
) -> (Probed, Vec<String>) {
    let cloudward = Cloudward::start(server.address, None);
    let proxy = Proxy::new(&format!("http://{}", cloudward.address), "").unwrap();
    let http = Http::with(Some(proxy), Some(authority.pem.as_bytes())).unwrap();
    let login = Login::new("robot".to_owned(), password.to_owned()).unwrap();
    let before = server.requests().len();
    let text = image.unwrap_or("registry.example.com/app");
    let question = image.map_or(Question::LoginAlone, |_| Question::LoginByImage);
    let probed = probe(&http, &ImageRef::parse(text).unwrap(), question, &login).await;
    let requests = server.requests().into_iter().skip(before);
    let requests = requests.map(|it| format!("{} {}", it.method, it.uri)).collect();
    (probed, requests)
}

#[tokio::test]
async fn a_login_is_tried_without_an_image() {
    let authority = Authority::new();
    for bearer in [true, false] {
        let like = Like { bearer, ..LIKE };
        let server = Server::start(&authority, NAMES, move |request| answer(like, request));
        let (probed, requests) = ask(&server, &authority, None, RIGHT).await;
        assert_eq!(probed.outcome, Outcome::Opened);
        let token = bearer.then_some("GET /token?service=registry");
        let expected: Vec<&str> =
            ["GET /v2/"].into_iter().chain(token).chain(["GET /v2/"]).collect();
        assert_eq!(requests, expected, "no scope is asked for");
        let (probed, _) = ask(&server, &authority, None, "wrong").await;
        assert_eq!(probed.outcome, Outcome::Refused { status: 401 });
        assert_eq!(probed.by_token_server, bearer);
    }
}

#[tokio::test]
async fn an_image_that_proves_nothing_is_followed_by_the_login_alone() {
    let authority = Authority::new();
    let server = Server::start(&authority, NAMES, |request| answer(LIKE, request));
    let open = Some("registry.example.com/acme/open");
    let (probed, _) = ask(&server, &authority, open, RIGHT).await;
    assert_eq!(probed.outcome, Outcome::Opened);
    let (probed, _) = ask(&server, &authority, open, "wrong").await;
    assert_eq!(probed.outcome, Outcome::Refused { status: 401 });
}

#[tokio::test]
async fn a_token_server_that_says_403_to_a_wrong_password_refuses_it() {
    let authority = Authority::new();
    let like = Like { wrong: 403, ..LIKE };
    let server = Server::start(&authority, NAMES, move |request| answer(like, request));
    for image in [None, Some("registry.example.com/acme/web")] {
        let (probed, _) = ask(&server, &authority, image, "wrong").await;
        assert_eq!(probed.outcome, Outcome::Refused { status: 403 }, "{image:?}");
    }
    let server =
        Server::start(&authority, NAMES, |request| answer(Like { image: 403, ..LIKE }, request));
    let (probed, _) = ask(&server, &authority, Some("registry.example.com/acme/web"), RIGHT).await;
    assert_eq!(probed.outcome, Outcome::Denied { status: 403 }, "the login is good");
}

#[tokio::test]
async fn what_a_registry_asks_to_wait_is_heard() {
    let authority = Authority::new();
    for (header, seconds) in [("120", Some(120)), ("soon", None)] {
        let server = Server::start(&authority, NAMES, move |_| {
            Reply::new(429, "").with("retry-after", header)
        });
        let (probed, _) = ask(&server, &authority, None, RIGHT).await;
        assert_eq!(probed.outcome, Outcome::Status { status: 429 });
        assert_eq!(probed.retry_after, seconds);
    }
}

#[tokio::test]
async fn an_authority_that_is_not_known_is_no_refusal() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = Server::start(&authority, NAMES, |request| answer(LIKE, request));
    let (probed, requests) = ask(&server, &other, None, RIGHT).await;
    assert!(matches!(probed.outcome, Outcome::NoAnswer(NoAnswer::Tls(_))), "{probed:?}");
    assert!(requests.is_empty());
}
