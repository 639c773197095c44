//! Answers that no cloud gives: each is an error that names the login, the step, the status and what to do, and nothing of the
//! answer. The texts are in tests/testdata/tokens.

#[path = "../support/snapshot.rs"]
mod snapshot;

use std::fmt::Write;

use base64::{Engine, prelude::BASE64_STANDARD};
use pullcred::{
    core::rules::{Aws, AwsAccess, Azure, AzureAccess, Google, GoogleAccess, LoginSource},
    registry::tokens::{Machine, Proof, Step},
};
use serde_json::{Value, json};

use super::{
    Fetcher,
    clouds::{
        Authority, Reply, Server,
        aliyun::INSTANCE,
        azure,
        github::{APP, INSTALLATION},
        google::ACCOUNT,
        identity::{Key, pem},
    },
    endpoints, keys, now,
};

/// What must not be in any text.
const SECRET: &str = "hunter2";

const GOOD: &str = "the good answer";

/// One provider's way to a login.
struct Way {
    name: &'static str,
    source: fn(&str) -> LoginSource,
    proof: fn() -> Proof,
    host: &'static str,
    /// What leads to the step that is tried.
    before: fn() -> Vec<Reply>,
    /// What comes after a good answer to that step.
    after: fn() -> Vec<Reply>,
    good: fn() -> Value,
    /// The paths of the fields of the good answer that must be there, as JSON pointers.
    fields: &'static [&'static str],
    step: Step,
}

fn aws_keys() -> Proof {
    keys([("accessKeyId", "AKIA"), ("secretAccessKey", "s")])
}

fn ali_keys() -> Proof {
    keys([("accessKeyId", "LTAI"), ("accessKeySecret", "s")])
}

fn in_an_hour() -> String {
    k8s_openapi::jiff::Timestamp::from_second(now() + 3600).unwrap().to_string()
}

fn ecr_data() -> Value {
    let token = BASE64_STANDARD.encode(format!("AWS:{SECRET}"));
    json!({"authorizationToken": token, "expiresAt": now() + 43_000})
}

fn bearer() -> Value {
    json!({"access_token": SECRET, "expires_in": 3599, "token_type": "Bearer"})
}

fn refresh_token() -> Value {
    let claims = json!({"exp": now() + 4500, "x": SECRET});
    json!({"refresh_token": Key::read("app").token(&json!({}), &claims)})
}

const WAYS: [Way; 9] = [
    Way {
        name: "ecr",
        source: |url| super::aws::by_keys(endpoints(url, url)),
        proof: aws_keys,
        host: super::aws::HOST,
        before: Vec::new,
        after: Vec::new,
        good: || json!({"authorizationData": [ecr_data()]}),
        fields: &[
            "/authorizationData",
            "/authorizationData/0/authorizationToken",
            "/authorizationData/0/expiresAt",
        ],
        step: Step::Registry,
    },
    Way {
        name: "ecr-public",
        source: |url| super::aws::by_keys(endpoints(url, url)),
        proof: aws_keys,
        host: "public.ecr.aws",
        before: Vec::new,
        after: Vec::new,
        good: || json!({"authorizationData": ecr_data()}),
        fields: &[
            "/authorizationData",
            "/authorizationData/authorizationToken",
            "/authorizationData/expiresAt",
        ],
        step: Step::Registry,
    },
    Way {
        name: "google-sts",
        source: |url| super::google::source(None, endpoints(url, url)),
        proof: super::google::token,
        host: super::google::HOST,
        before: Vec::new,
        after: Vec::new,
        good: bearer,
        fields: &["/access_token", "/expires_in"],
        step: Step::Token,
    },
    Way {
        name: "google-impersonation",
        source: |url| super::google::source(Some(ACCOUNT), endpoints(url, url)),
        proof: super::google::token,
        host: super::google::HOST,
        before: || vec![Reply::json(200, &bearer())],
        after: Vec::new,
        good: || json!({"accessToken": SECRET, "expireTime": in_an_hour()}),
        fields: &["/accessToken", "/expireTime"],
        step: Step::Exchange,
    },
    Way {
        name: "entra",
        source: |url| super::azure::source(azure::TENANT, azure::CLIENT, endpoints(url, url)),
        proof: super::azure::token,
        host: azure::REGISTRY,
        before: Vec::new,
        after: || vec![Reply::json(200, &refresh_token())],
        good: bearer,
        fields: &["/access_token"],
        step: Step::Token,
    },
    Way {
        name: "acr",
        source: |url| super::azure::source(azure::TENANT, azure::CLIENT, endpoints(url, url)),
        proof: super::azure::token,
        host: azure::REGISTRY,
        before: || vec![Reply::json(200, &bearer())],
        after: Vec::new,
        good: refresh_token,
        fields: &["/refresh_token"],
        step: Step::Exchange,
    },
    Way {
        name: "aliyun-enterprise",
        source: |url| super::aliyun::by_keys(Some(INSTANCE), endpoints(url, url)),
        proof: ali_keys,
        host: super::aliyun::ENTERPRISE,
        before: Vec::new,
        after: Vec::new,
        good: || json!({"IsSuccess": true, "TempUsername": "u", "AuthorizationToken": SECRET, "ExpireTime": (now() + 3600) * 1000}),
        fields: &["/TempUsername", "/AuthorizationToken", "/ExpireTime"],
        step: Step::Registry,
    },
    Way {
        name: "aliyun-personal",
        source: |url| super::aliyun::by_keys(None, endpoints(url, url)),
        proof: ali_keys,
        host: super::aliyun::PERSONAL,
        before: Vec::new,
        after: Vec::new,
        good: || json!({"data": {"tempUserName": "u", "authorizationToken": SECRET, "expireDate": (now() + 3600) * 1000}}),
        fields: &["/data", "/data/tempUserName", "/data/authorizationToken", "/data/expireDate"],
        step: Step::Registry,
    },
    Way {
        name: "github",
        source: |url| super::github::source(APP, INSTALLATION, &[], url),
        proof: || keys([("privateKey", &pem("app"))]),
        host: super::github::HOST,
        before: Vec::new,
        after: Vec::new,
        good: || json!({"token": SECRET, "expires_at": in_an_hour()}),
        fields: &["/token", "/expires_at"],
        step: Step::Registry,
    },
];

impl Way {
    /// The texts for some answers at this way's step.
    async fn texts(&self, replies: Vec<(String, Reply)>) -> String {
        let authority = Authority::new();
        let server = Server::start(&authority, &[], |_| panic!("every answer is set"));
        let url = server.url();
        let fetcher = Fetcher::new(&authority);
        let mut texts = String::new();
        for (what, reply) in replies {
            let is_good = what == GOOD;
            let after = if is_good { (self.after)() } else { Vec::new() };
            let expected = (self.before)().len() + 1 + after.len();
            server.queue((self.before)().into_iter().chain([reply]).chain(after));
            let before = server.requests().len();
            let proof = (self.proof)();
            let text = match fetcher.mint(&(self.source)(&url), &proof, &[self.host]).await {
                Ok(_) => "a login".to_owned(),
                Err(error) => {
                    assert_eq!(error.step, self.step, "{what}: {error}");
                    assert!(error.status().is_some(), "{what}");
                    pullcred::errors::with_causes(&error)
                }
            };
            assert!(!text.contains(SECRET), "{what}: {text}");
            // What was queued for this attempt is used up, and nothing more was asked.
            assert_eq!(server.requests().len() - before, expected, "{what}");
            writeln!(texts, "{what}\n    {text}").unwrap();
        }
        texts.replace(&server.address.port().to_string(), "PORT")
    }

    /// The good answer, changed in every way that one could think of.
    fn replies(&self) -> Vec<(String, Reply)> {
        let good = (self.good)();
        let mut replies = vec![(GOOD.to_owned(), Reply::json(200, &good))];
        for field in self.fields {
            let values = [
                ("null", json!(null)),
                ("a list", json!([SECRET])),
                ("empty text", json!("")),
                ("true", json!(true)),
            ];
            for (kind, value) in values {
                let mut body = good.clone();
                *body.pointer_mut(field).unwrap() = value;
                replies.push((format!("{field} is {kind}"), Reply::json(200, &body)));
            }
            let mut body = good.clone();
            let (parent, name) = field.rsplit_once('/').unwrap();
            body.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
            replies.push((format!("{field} is missing"), Reply::json(200, &body)));
        }
        let html = format!("<!DOCTYPE html>\n<html><body>Please log in, {SECRET}</body></html>");
        for (what, reply) in [
            ("an HTML page", Reply::new(200, html.clone())),
            ("an HTML page of a proxy", Reply::new(403, html.clone())),
            ("an HTML page of a load balancer", Reply::new(502, html)),
            ("nothing", Reply::new(200, "")),
            ("half of it", Reply::new(200, &good.to_string()[..20])),
            ("twice", Reply::new(200, format!("{good}{good}"))),
            ("a list", Reply::json(200, &json!([SECRET]))),
            ("text", Reply::json(200, &json!(SECRET))),
            ("not UTF-8", Reply::new(200, "\u{fffd}")),
            ("a refusal without a word", Reply::new(403, "")),
            ("a refusal with another form", Reply::new(401, format!("[\"{SECRET}\"]"))),
            ("too many requests", Reply::new(429, "").with("retry-after", "7")),
            ("a server in trouble", Reply::new(500, SECRET)),
            ("a redirection", Reply::new(301, "").with("location", "https://evil.example.com/x")),
            ("a redirection to nowhere", Reply::new(302, "")),
        ] {
            replies.push((what.to_owned(), reply));
        }
        replies
    }
}

#[tokio::test]
async fn hostile_answers_are_errors_that_help() {
    for way in WAYS {
        let texts = way.texts(way.replies()).await;
        let (first, rest) = texts.split_once("    a login\n").unwrap();
        assert_eq!(first, format!("{GOOD}\n"));
        assert!(!rest.contains("    a login\n"), "{}: {rest}", way.name);
        snapshot::snapshot("tokens", way.name, &texts);
    }
}

#[tokio::test]
async fn lives_that_cannot_be_are_errors_that_help() {
    let mut all = String::new();
    let ecr = |seconds: Value| json!({"authorizationData": [{"authorizationToken": ecr_data()["authorizationToken"], "expiresAt": seconds}]});
    let [ecr_way, _, google_sts, impersonation, _, acr, enterprise, personal, github] = &WAYS;
    let ali = |milliseconds: i64| json!({"TempUsername": "u", "AuthorizationToken": SECRET, "ExpireTime": milliseconds});
    let small = |milliseconds: i64| json!({"data": {"tempUserName": "u", "authorizationToken": SECRET, "expireDate": milliseconds}});
    let token = |exp: Value| json!({"refresh_token": Key::read("app").token(&json!({}), &json!({"exp": exp}))});
    for (way, cases) in [
        (
            ecr_way,
            vec![
                ("a date of 2015", ecr(json!(1_448_926_547.984))),
                ("milliseconds for seconds", ecr(json!((now() + 43_000) * 1000))),
                ("a negative number", ecr(json!(-1))),
                ("half a minute", ecr(json!(now() + 30))),
                ("a number beyond all", ecr(json!(1e300))),
            ],
        ),
        (
            google_sts,
            vec![
                ("no seconds", json!({"access_token": SECRET, "expires_in": 0})),
                (
                    "less than none",
                    json!({"access_token": SECRET, "expires_in": -62_135_596_800_i64}),
                ),
                (
                    "milliseconds for seconds",
                    json!({"access_token": SECRET, "expires_in": 3_600_000}),
                ),
            ],
        ),
        (
            impersonation,
            vec![
                ("no date", json!({"accessToken": SECRET, "expireTime": "soon"})),
                (
                    "the zero of Go",
                    json!({"accessToken": SECRET, "expireTime": "0001-01-01T00:00:00Z"}),
                ),
            ],
        ),
        (
            acr,
            vec![
                ("no date in the token", token(json!(null))),
                ("a date of 2015 in the token", token(json!(1_448_926_547))),
                ("no token at all", json!({"refresh_token": SECRET})),
            ],
        ),
        (
            enterprise,
            vec![
                ("seconds for milliseconds", ali(now() + 3600)),
                ("a date of 2015", ali(1_448_926_547_984)),
                (
                    "refused with status 200",
                    json!({"IsSuccess": false, "Code": "NO_PRIVILEGE", "AuthorizationToken": SECRET}),
                ),
            ],
        ),
        (personal, vec![("seconds for milliseconds", small(now() + 3600))]),
        (
            github,
            vec![(
                "a date of 2015",
                json!({"token": SECRET, "expires_at": "2015-07-11T22:14:10Z"}),
            )],
        ),
    ] {
        let replies =
            cases.into_iter().map(|(what, body)| (what.to_owned(), Reply::json(200, &body)));
        writeln!(all, "# {}\n{}", way.name, way.texts(replies.collect()).await).unwrap();
    }
    assert!(!all.contains("a login\n"), "{all}");
    snapshot::snapshot("tokens", "lives", &round(&all.replace(" 29 s only", " 30 s only")));
}

/// The seconds of a text that depend on the time of the test.
fn round(text: &str) -> String {
    let is_long = |part: &str| part.len() > 6 && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<_> =
        text.split(' ').map(|part| if is_long(part) { "MANY" } else { part }).collect();
    parts.join(" ")
}

#[tokio::test]
async fn logins_that_no_secret_can_carry_are_errors_that_help() {
    let pair = |pair: &str| json!({"authorizationData": [{"authorizationToken": BASE64_STANDARD.encode(pair), "expiresAt": now() + 43_000}]});
    let replies = [
        ("64 KiB", pair(&format!("AWS:{}", SECRET.repeat(9363)))),
        ("no colon", pair(SECRET)),
        ("no user", pair(&format!(":{SECRET}"))),
        ("no password", pair("AWS:")),
        ("a line break", pair(&format!("AWS:{SECRET}\n"))),
        (
            "no base64",
            json!({"authorizationData": [{"authorizationToken": "hunter2!", "expiresAt": now() + 43_000}]}),
        ),
        ("no logins", json!({"authorizationData": []})),
    ];
    let replies = replies.map(|(what, body)| (what.to_owned(), Reply::json(200, &body)));
    let texts = WAYS[0].texts(replies.into()).await;
    assert!(!texts.contains("a login\n"), "{texts}");
    snapshot::snapshot("tokens", "unusable", &texts);
}

#[tokio::test]
async fn a_password_with_a_colon_is_a_login() {
    let token = BASE64_STANDARD.encode("AWS:a:b");
    let body =
        json!({"authorizationData": [{"authorizationToken": token, "expiresAt": now() + 43_000}]});
    let authority = Authority::new();
    let server = Server::start(&authority, &[], move |_| Reply::json(200, &body));
    let source = super::aws::by_keys(endpoints(&server.url(), &server.url()));
    let minted =
        Fetcher::new(&authority).mint(&source, &aws_keys(), &[super::aws::HOST]).await.unwrap();
    assert_eq!(&*minted.logins[0].password, "a:b");
}

#[tokio::test]
async fn hostile_sessions_of_aws_are_errors_that_help() {
    let until = in_an_hour();
    let xml = |fields: &str| {
        format!(
            "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleWithWebIdentityResult>\
             <Credentials>{fields}</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        )
    };
    let all = format!(
        "<AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey><SessionToken>{SECRET}</SessionToken>\
         <Expiration>{until}</Expiration>"
    );
    let mut cases = vec![
        ("nothing", String::new()),
        ("JSON", json!({"Credentials": SECRET}).to_string()),
        ("an HTML page", format!("<!doctype html><html>{SECRET}</html>")),
        (
            "another root",
            xml(&all).replace("AssumeRoleWithWebIdentityResponse", "AssumeRoleResponse"),
        ),
        ("an entity", xml(&all).replace(SECRET, "&hunter2;")),
        ("a document type", format!("<!DOCTYPE x [<!ENTITY hunter2 \"x\">]>{}", xml(&all))),
        ("a comment in a key", xml(&all).replace(SECRET, "hunt<!-- x -->er2")),
        ("CDATA", xml(&all).replace(SECRET, "<![CDATA[hunter2]]>")),
        (
            "a prefix",
            xml(&all)
                .replace("<Credentials>", "<a:Credentials>")
                .replace("</Credentials>", "</a:Credentials>"),
        ),
        ("two keys", xml(&format!("{all}<AccessKeyId>ASIA2</AccessKeyId>"))),
        ("half of it", xml(&all)[..300].to_owned()),
        ("a key with a line break", xml(&all).replace("ASIA<", "AS\nIA<")),
        ("no date", xml(&all).replace(&until, "tomorrow")),
        ("a date of 2015", xml(&all).replace(&until, "2015-11-30T00:00:00Z")),
        ("seconds for a date", xml(&all).replace(&until, "1448926547")),
    ];
    for field in ["AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"] {
        let (open, close) = (format!("<{field}>"), format!("</{field}>"));
        let (before, rest) = all.split_once(&open).unwrap();
        let (_, after) = rest.split_once(&close).unwrap();
        cases.push((field, xml(&format!("{before}{after}"))));
    }
    let replies = cases.into_iter().map(|(what, body)| (what.to_owned(), Reply::new(200, body)));
    let way = Way {
        name: "aws-sts",
        source: |url| super::aws::by_role(endpoints(url, url)),
        proof: super::aws::token,
        step: Step::Token,
        ..WAYS[0]
    };
    let texts = way.texts(replies.collect()).await;
    assert!(!texts.contains("a login\n"), "{texts}");
    snapshot::snapshot("tokens", way.name, &round(&texts));
}

/// What a machine is asked, and what it answers when all is well.
fn machines() -> [(&'static str, LoginSource, &'static str, Value, &'static [&'static str]); 3] {
    let nowhere = || endpoints("https://localhost:1", "https://localhost:1");
    let access = AwsAccess::PodIdentity;
    let agent = LoginSource::Aws(Aws { access, endpoints: nowhere() });
    let session = json!({
        "AccessKeyId": "ASIA", "SecretAccessKey": SECRET, "Token": SECRET, "Expiration": in_an_hour(),
    });
    let (access, impersonate) = (GoogleAccess::Metadata, None);
    let google = LoginSource::Google(Google { access, impersonate, endpoints: nowhere() });
    let access = AzureAccess::Metadata { client: None };
    let azure = LoginSource::Azure(Azure { access, hosts: Vec::new(), endpoints: nowhere() });
    [
        (
            "eks",
            agent,
            super::aws::HOST,
            session,
            &["AccessKeyId", "SecretAccessKey", "Token", "Expiration"],
        ),
        ("google", google, super::google::HOST, bearer(), &["access_token", "expires_in"]),
        ("azure", azure, azure::REGISTRY, bearer(), &["access_token"]),
    ]
}

#[tokio::test]
async fn hostile_answers_of_machines_are_errors_that_help() {
    let server = Server::start_plain(|_| panic!("every answer is set"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "t").unwrap();
    let base = format!("http://{}", server.address);
    let mut fetcher = Fetcher::new(&Authority::new());
    fetcher.machine = Machine {
        google: base.as_str().into(),
        azure: base.as_str().into(),
        eks: Some((base.as_str().into(), file)),
    };
    let mut texts = String::new();
    for (name, source, host, good, fields) in machines() {
        let mut replies = vec![
            ("an HTML page".to_owned(), Reply::new(200, "<html>hunter2</html>")),
            ("a refusal".to_owned(), Reply::new(403, SECRET)),
            (
                "a redirection".to_owned(),
                Reply::new(302, "").with("location", "http://evil.example.com/"),
            ),
            ("a machine in trouble".to_owned(), Reply::new(503, "")),
        ];
        for field in fields {
            let (mut null, mut missing) = (good.clone(), good.clone());
            null[field] = Value::Null;
            missing.as_object_mut().unwrap().remove(*field);
            replies.push((format!("{field} is null"), Reply::json(200, &null)));
            replies.push((format!("{field} is missing"), Reply::json(200, &missing)));
        }
        writeln!(texts, "# {name}").unwrap();
        for (what, reply) in replies {
            server.queue([reply]);
            let error = fetcher.mint(&source, &Proof::Machine, &[host]).await.unwrap_err();
            assert_eq!(error.step, Step::Token, "{what}");
            let text = pullcred::errors::with_causes(&error);
            assert!(!text.contains(SECRET), "{text}");
            writeln!(texts, "{what}\n    {text}").unwrap();
        }
    }
    let texts = texts.replace(&server.address.port().to_string(), "PORT");
    snapshot::snapshot("tokens", "machines", &texts);
}
