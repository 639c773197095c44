//! A few answers of an API server, on a free port of loopback, for a client that reads.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use serde_json::{Value, json};

/// Answers by path and query; 404 for all others.
pub(crate) struct ApiServer {
    address: SocketAddr,
}

impl ApiServer {
    /// Serves `answers`, which are a status and a body each, until the process ends.
    pub(crate) fn start(answers: BTreeMap<&'static str, (u16, Value)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let answers = answers.clone();
                thread::spawn(move || serve(connection, &answers));
            }
        });
        Self { address }
    }

    /// A kubeconfig that leads here, in namespace `shop`.
    pub(crate) fn kubeconfig(&self) -> String {
        let server = format!("http://{}", self.address);
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": server}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "shop"}}],
        })
        .to_string()
    }
}

/// Answers the requests of one connection, which have no bodies.
fn serve(mut connection: TcpStream, answers: &BTreeMap<&'static str, (u16, Value)>) {
    let mut lines = BufReader::new(connection.try_clone().unwrap()).lines().map_while(Result::ok);
    while let Some(request) = lines.next() {
        lines.by_ref().find(String::is_empty);
        let path = request.split(' ').nth(1).unwrap_or_default().trim_end_matches('?');
        let missing =
            (404, json!({"message": format!("{path} is not here"), "reason": "NotFound"}));
        let (code, body) = answers.get(path).cloned().unwrap_or(missing);
        let mut body = body;
        if code != 200 {
            body["apiVersion"] = "v1".into();
            body["kind"] = "Status".into();
            body["status"] = "Failure".into();
            body["code"] = code.into();
        }
        let body = body.to_string();
        let head = "Content-Type: application/json\r\nContent-Length";
        let answer = format!("HTTP/1.1 {code} Answer\r\n{head}: {}\r\n\r\n{body}", body.len());
        if connection.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
