//! `pullcred secret --verify`: against the registry of the distribution project, and against small servers for the answers that
//! it does not give.

#![cfg(test)]

#[path = "support/cli.rs"]
mod cli;
#[path = "support/process.rs"]
#[expect(dead_code, reason = "only the start of a webhook is of use here")]
mod process;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use cli::{Run, run};
use serde_json::json;
use tempfile::TempDir;

/// Who may pull, the password, and that password as `htpasswd -nbB` of the Apache server writes it.
const USER: &str = "robot";
const PASSWORD: &str = "pull-from-the-first";
const BCRYPT: &str = "$2b$05$Lk2QmXwE9vTzR7bYcN4hO.jL3c1NK9AuwR2XMUyLCxkzV9qvSUpfW";

/// For the slowest start on a busy machine.
const START: Duration = Duration::from_secs(60);

/// A registry that asks for a password, with one image. Dropping it ends it.
struct Registry {
    address: SocketAddr,
    process: Child,
    _folder: TempDir,
}

impl Registry {
    fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/registry/binary.sh");
        let output = Command::new(&script).stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "{} has built no registry", script.display());
        let program = String::from_utf8(output.stdout).unwrap();

        let folder = tempfile::tempdir().unwrap();
        let users = folder.path().join("htpasswd");
        fs::write(&users, format!("{USER}:{BCRYPT}\n")).unwrap();
        let address = free_address();
        let configuration = json!({
            "version": "0.1",
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": folder.path().join("store")}},
            "http": {"addr": address.to_string()},
            "auth": {"htpasswd": {"realm": "test", "path": users}},
        });
        let path = folder.path().join("registry.yaml");
        fs::write(&path, configuration.to_string()).unwrap();
        let mut command = Command::new(program.trim());
        command.arg("serve").arg(path).env("OTEL_TRACES_EXPORTER", "none");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let registry = Self { address, process: command.spawn().unwrap(), _folder: folder };
        let deadline = Instant::now() + START;
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "the registry does not start");
            thread::sleep(Duration::from_millis(50));
        }
        registry.push("acme/web", "1");
        registry
    }

    /// Puts an index without any image into a repository: there is nothing to upload for that.
    fn push(&self, repository: &str, tag: &str) {
        let kind = "application/vnd.oci.image.index.v1+json";
        let index = json!({"schemaVersion": 2, "mediaType": kind, "manifests": []}).to_string();
        let login = BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"));
        let request = format!(
            "PUT /v2/{repository}/manifests/{tag} HTTP/1.1\r\nHost: {}\r\nAuthorization: Basic {login}\r\n\
             Content-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{index}",
            self.address,
            index.len(),
        );
        let mut connection = TcpStream::connect(self.address).unwrap();
        connection.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A server that gives one answer to each path, and keeps the heads of requests.
struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `answers` come by the beginning of the request line and what else must be in the head; `{host}` becomes the address.
    fn start(answers: &'static [(&'static str, &'static str, &'static str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let head = read_head(&connection);
                let found = answers
                    .iter()
                    .find(|(line, part, _)| head.starts_with(line) && head.contains(part));
                // So do servers that are spoken to in TLS.
                let answer = found.map_or("400 Bad Request\r\n\r\n", |(_, _, answer)| answer);
                let answer = answer.replace("{host}", &address.to_string());
                kept.lock().unwrap().push(head);
                let _ = (&connection).write_all(format!("HTTP/1.1 {answer}").as_bytes());
            }
        });
        Self { address, requests }
    }
}

/// Everything up to the empty line, or up to what is no text.
fn read_head(connection: &TcpStream) -> String {
    let mut head = String::new();
    let mut reader = BufReader::new(connection);
    loop {
        let mut line = Vec::new();
        let read = if reader.fill_buf().is_ok_and(|it| it.first() == Some(&0x16)) {
            0
        } else {
            reader.read_until(b'\n', &mut line).unwrap_or_default()
        };
        head.push_str(&String::from_utf8_lossy(&line));
        if read == 0 || line == b"\r\n" {
            return head;
        }
    }
}

/// Makes a Secret for a registry and asks for an image with it.
fn verify(host: &str, image: &str, password: &str) -> Run {
    let registry = host.to_owned();
    let args = [
        "secret",
        "--username",
        USER,
        "--password-stdin",
        "--registry",
        &registry,
        "--name",
        "pull",
        "--verify",
        image,
    ];
    let run = run(&args, password);
    assert!(!run.stderr.contains(password), "{}", run.stderr);
    run
}

fn reported(run: &Run, host: &str) -> String {
    run.stderr.replace(host, "HOST")
}

#[test]
fn a_registry_with_a_password() {
    let registry = Registry::start();
    let host = registry.address.to_string();
    let local = "warning: HOST is on each node another registry: the one on the node itself\n";
    let refused =
        "pullcred: the Secret was not written, because a registry did not open an image with it\n";

    let run = verify(&host, &format!("{host}/acme/web:1"), PASSWORD);
    assert_eq!(run.code, Some(0), "{}", run.shown());
    assert_eq!(
        reported(&run, &host),
        format!("{local}HOST/acme/web:1: 200: the registry opens it for robot\n")
    );
    assert!(run.stdout.contains("kind: Secret"));

    for (image, password, verdict) in [
        ("acme/web:1", "wrong-password", "401: the registry does not take the password of robot"),
        (
            "acme/web:2",
            PASSWORD,
            "404: the registry takes the password of robot, but has no such image, or hides it",
        ),
        (
            "acme/other",
            PASSWORD,
            "404: the registry takes the password of robot, but has no such image, or hides it",
        ),
    ] {
        let run = verify(&host, &format!("{host}/{image}"), password);
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{}", run.shown());
        assert_eq!(reported(&run, &host), format!("{local}HOST/{image}: {verdict}\n{refused}"));
    }
    let elsewhere = verify(&host, "quay.io/acme/web", PASSWORD);
    assert!(
        elsewhere.stderr.contains("quay.io/acme/web: the Secret has no login for it"),
        "{}",
        elsewhere.stderr
    );
}

const CHALLENGE: &str = "401 No\r\nWWW-Authenticate: Bearer realm=\"http://{host}/token\",service=\"test\",scope=\"repository:a/b:pull\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const TOKEN: &str =
    "200 OK\r\nContent-Length: 20\r\nConnection: close\r\n\r\n{\"token\": \"t-1.2.3\"}";
const OK: &str = "200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

#[test]
fn the_flow_with_a_token() {
    let server = Server::start(&[
        ("HEAD /v2/a/b/manifests/1 ", "authorization: Bearer t-1.2.3", OK),
        ("HEAD /v2/a/b/manifests/1 ", "", CHALLENGE),
        ("GET /token?service=test&scope=repository%3Aa%2Fb%3Apull ", "authorization: Basic", TOKEN),
    ]);
    let host = server.address.to_string();
    let run = verify(&host, &format!("{host}/a/b:1"), "canary");
    assert_eq!(run.code, Some(0), "{}", run.shown());
    assert!(run.stderr.contains("200: the registry opens it for robot"), "{}", run.stderr);
    // The password goes to the token server only, and only when it is asked for.
    let basic = format!("authorization: Basic {}", BASE64_STANDARD.encode("robot:canary"));
    let requests = server.requests.lock().unwrap();
    let with: Vec<_> = requests.iter().filter(|it| it.contains(&basic)).collect();
    assert!(with.len() == 1 && with[0].starts_with("GET /token"), "{requests:?}");
}

#[test]
fn answers_that_tell_troubles_apart() {
    const SCOPE: &str = "401 No\r\nWWW-Authenticate: Bearer realm=\"http://{host}/token\",error=\"insufficient_scope\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const FORBIDDEN: &str = "403 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const UNAUTHORIZED: &str = "401 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const BUSY: &str = "429 Slow\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const BROKEN: &str = "503 Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const AROUND: &str = "307 There\r\nLocation: /v2/around/manifests/latest\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const THERE: &str = "307 There\r\nLocation: /v2/public/manifests/latest\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const NEGOTIATE: &str =
        "401 No\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const LIST: &str = "401 No\r\nWWW-Authenticate: Negotiate, Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const TOKENS: &str = "401 No\r\nWWW-Authenticate: Negotiate\r\nWWW-Authenticate: Basic realm=\"x\", Bearer realm=\"http://{host}/token\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let server = Server::start(&[
        ("HEAD /v2/public/", "", OK),
        ("HEAD /v2/list/", "authorization: Basic", OK),
        ("HEAD /v2/list/", "", LIST),
        ("HEAD /v2/tokens/", "authorization: Bearer", OK),
        ("HEAD /v2/tokens/", "", TOKENS),
        ("HEAD /v2/moved/", "", THERE),
        ("HEAD /v2/around/", "", AROUND),
        ("HEAD /v2/busy/", "", BUSY),
        ("HEAD /v2/broken/", "", BROKEN),
        ("HEAD /v2/negotiate/", "", NEGOTIATE),
        ("HEAD /v2/scope/", "authorization: Bearer", SCOPE),
        ("HEAD /v2/forbidden/", "authorization: Bearer", FORBIDDEN),
        (
            "HEAD /v2/refused/",
            "",
            "401 No\r\nWWW-Authenticate: Bearer realm=\"http://{host}/refuses\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ),
        ("HEAD /v2/", "", CHALLENGE),
        ("GET /token", "", TOKEN),
        ("GET /refuses", "", UNAUTHORIZED),
    ]);
    let host = server.address.to_string();
    for (repository, verdict) in [
        (
            "public",
            "200: the registry opens it, but without a login, too: that proves nothing of the login",
        ),
        (
            "moved",
            "200: the registry opens it, but without a login, too: that proves nothing of the login",
        ),
        ("around", "the registry redirects from one place to the next"),
        ("busy", "429: the registry has had enough requests for now"),
        ("broken", "503: the registry is in trouble itself"),
        ("negotiate", "the registry wants neither a password nor a token"),
        ("list", "200: the registry opens it for robot"),
        ("tokens", "200: the registry opens it for robot"),
        ("scope", "401: the registry knows robot, who may not pull it"),
        ("forbidden", "403: the registry knows robot, who may not pull it"),
        ("refused", "401: the registry does not take the password of robot"),
    ] {
        let run = verify(&host, &format!("{host}/{repository}"), "canary");
        let code = i32::from(!verdict.starts_with("200"));
        assert_eq!(run.code, Some(code), "{}", run.shown());
        let line = format!("{host}/{repository}: {verdict}\n");
        assert!(run.stderr.contains(&line), "{repository}: {}", run.stderr);
    }
}

#[test]
fn tls_and_the_network() {
    let folder = tempfile::tempdir().unwrap();
    let mapping = folder.path().join("mapping.yaml");
    fs::write(&mapping, "always: [x]\n").unwrap();
    // Any server will do that speaks TLS with a certificate of nobody's.
    let server = process::Webhook::start(process::command(&mapping).arg("--tls-self-signed"));
    let host = server.address.to_string();
    let run = verify(&host, &format!("{host}/acme/web"), "canary");
    assert_eq!(run.code, Some(1), "{}", run.shown());
    assert!(run.stderr.contains("TLS: invalid peer certificate: UnknownIssuer"), "{}", run.stderr);

    let host = free_address().to_string();
    let run = verify(&host, &format!("{host}/acme/web"), "canary");
    assert_eq!(run.code, Some(1), "{}", run.shown());
    assert!(run.stderr.contains("the network: Connection refused"), "{}", run.stderr);
}

/// The head of every request that carries a login or a token.
fn with_login(server: &Server) -> Vec<String> {
    let requests = server.requests.lock().unwrap();
    requests.iter().filter(|it| it.contains("authorization:")).cloned().collect()
}

/// A server whose answers are made at run time: `Server` keeps them for the life of the process.
fn serve(answers: Vec<(&'static str, &'static str, String)>) -> Server {
    let answers = answers.into_iter().map(|(line, part, answer)| (line, part, &*answer.leak()));
    Server::start(answers.collect::<Vec<_>>().leak())
}

fn redirect(status: u16, to: &str) -> String {
    format!("{status} There\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

const WANTS_BASIC: &str = "401 No\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

#[test]
fn no_redirection_decides_where_a_login_goes() {
    for challenge in [CHALLENGE, WANTS_BASIC] {
        // The same host on another port, and the same server under another name: both are other origins.
        let thief =
            Server::start(vec![("HEAD /v2/", "", challenge), ("GET /token", "", TOKEN)].leak());
        let names = [thief.address.to_string(), format!("localhost:{}", thief.address.port())];
        for (status, name) in [301, 302, 303, 307, 308]
            .into_iter()
            .flat_map(|it| names.iter().map(move |to| (it, to)))
        {
            let server = serve(vec![(
                "HEAD /v2/",
                "",
                redirect(status, &format!("http://{name}/v2/a/b/manifests/1")),
            )]);
            let host = server.address.to_string();
            let run = verify(&host, &format!("{host}/a/b:1"), "canary");
            assert_eq!(run.code, Some(1), "{}", run.shown());
            let verdict =
                format!("redirects to {name}, which asks for a login: nothing was sent to it");
            assert!(run.stderr.contains(&verdict), "{status}: {}", run.stderr);
            assert_eq!(with_login(&server), Vec::<String>::new());
        }
        assert_eq!(with_login(&thief), Vec::<String>::new());
        assert_eq!(thief.requests.lock().unwrap().len(), 10);
    }
}

#[test]
fn a_redirection_to_the_same_registry_is_that_registry() {
    let server = serve(vec![
        ("HEAD /v2/a/b/", "", redirect(308, "/v2/c/d/manifests/1")),
        ("HEAD /v2/c/d/", "authorization: Basic", OK.to_owned()),
        ("HEAD /v2/c/d/", "", WANTS_BASIC.to_owned()),
    ]);
    let host = server.address.to_string();
    let run = verify(&host, &format!("{host}/a/b:1"), "canary");
    assert!(run.stderr.contains("200: the registry opens it for robot"), "{}", run.shown());
    assert_eq!(with_login(&server).len(), 2);
}

#[test]
fn neither_login_nor_token_follows_a_redirection() {
    let thief = Server::start(&[("HEAD /", "", OK), ("GET /", "", TOKEN)]);
    let there = |path: &str| redirect(307, &format!("http://{}{path}", thief.address));
    // Where what is asked for with a login is redirected, as to a store of blobs.
    let server = serve(vec![
        ("HEAD /v2/a/b/", "authorization: Basic", there("/blob")),
        ("HEAD /v2/a/b/", "", WANTS_BASIC.to_owned()),
        ("HEAD /v2/token/", "authorization: Bearer", there("/blob")),
        ("HEAD /v2/token/", "", CHALLENGE.to_owned()),
        ("GET /token", "", TOKEN.to_owned()),
        ("HEAD /v2/server/", "", CHALLENGE.replace("/token", "/elsewhere")),
        ("GET /elsewhere", "", there("/token")),
    ]);
    let host = server.address.to_string();
    for (image, verdict) in [
        ("a/b", "200: the registry opens it for robot"),
        ("token/x", "200: the registry opens it for robot"),
        (
            "server/x",
            "the registry's token server redirects, and a login does not follow a redirection",
        ),
    ] {
        let run = verify(&host, &format!("{host}/{image}"), "canary");
        assert!(run.stderr.contains(verdict), "{image}: {}", run.shown());
    }
    assert_eq!(with_login(&thief), Vec::<String>::new());
    assert_eq!(thief.requests.lock().unwrap().len(), 2);
}

#[test]
fn a_token_server_elsewhere_is_named() {
    let tokens = Server::start(&[("GET /token", "authorization: Basic", TOKEN)]);
    let elsewhere = format!("localhost:{}", tokens.address.port());
    let server = serve(vec![
        ("HEAD /v2/a/b/", "authorization: Bearer", OK.to_owned()),
        ("HEAD /v2/a/b/", "", CHALLENGE.replace("{host}", &elsewhere)),
        ("HEAD /v2/open/", "", CHALLENGE.replace("{host}", "token-server.invalid")),
    ]);
    let host = server.address.to_string();
    let run = verify(&host, &format!("{host}/a/b:1"), "canary");
    let reported = format!(
        "200: the registry opens it for robot (the login went to its token server {elsewhere})"
    );
    assert!(run.stderr.contains(&reported), "{}", run.shown());
    assert_eq!(with_login(&tokens).len(), 1);
    // Plain HTTP to another machine: not even its name is looked up.
    let run = verify(&host, &format!("{host}/open/x"), "canary");
    assert!(
        run.stderr.contains("token server is not on HTTPS: nothing was sent to it"),
        "{}",
        run.shown()
    );
}
