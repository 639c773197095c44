//! Plugins in a container of their own, behind a Unix socket: the other side gets the words of the mapping, an image and one
//! token for one audience, and has no token for the API server.
//!
//! A message is its length in four bytes and JSON. A connection carries one request and one answer.

use std::{collections::BTreeMap, io, path::Path, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    task::JoinSet,
    time::timeout,
};
use tracing::{info, warn};
use zeroize::{Zeroize, Zeroizing};

use super::{spec::Spec, world::World};
use crate::{
    core::rules::{Plugin, RegistryPattern},
    errors::with_causes,
    registry::tokens::{
        MintError, Minted, Problem, Proof, SecretText, Step,
        plugin::{self, PluginProblem},
    },
};

/// How long a plugin may run, as for the kubelet.
const RUN: Duration = Duration::from_secs(60);
/// How long the other side may take for its part.
const TALK: Duration = Duration::from_secs(5);
/// The longest request, in bytes: the words of the mapping and a token.
const REQUEST_MAX: u32 = 1 << 20;
/// The longest answer, in bytes: a mebibyte of a plugin's in base64.
const ANSWER_MAX: u32 = 2 << 20;
/// How many plugins run at once.
const AT_ONCE: usize = 8;

#[derive(Serialize, Deserialize)]
struct Request {
    name: Box<str>,
    args: Vec<Box<str>>,
    env: BTreeMap<Box<str>, Box<str>>,
    image: String,
    token: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Answer {
    /// What the plugin wrote, in base64.
    Output(String),
    /// Why there is nothing.
    Problem(String),
}

impl Drop for Request {
    fn drop(&mut self) {
        self.token.zeroize();
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Self::Output(text) = self {
            text.zeroize();
        }
    }
}

/// Runs plugins of a folder for those who ask at a socket, for as long as the process lives.
///
/// # Errors
///
/// Where the socket cannot be opened, or fails for good.
pub async fn serve(socket: &Path, folder: &Path) -> io::Result<()> {
    // The socket of a process before this one.
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(socket)?;
    info!(socket = %socket.display(), folder = %folder.display(), "running plugins");
    let mut running = JoinSet::new();
    loop {
        while running.len() >= AT_ONCE {
            running.join_next().await;
        }
        let (stream, _) = listener.accept().await?;
        let folder = folder.to_owned();
        running.spawn(async move {
            if let Err(error) = serve_one(stream, &folder).await {
                warn!(error = with_causes(&error), "a request for a plugin broke off");
            }
        });
    }
}

async fn serve_one(mut stream: UnixStream, folder: &Path) -> io::Result<()> {
    let request: Request = in_time(receive(&mut stream, REQUEST_MAX)).await?;
    let answer = match run(folder, &request).await {
        Ok(output) => Answer::Output(BASE64_STANDARD.encode(&*output)),
        Err(problem) => {
            let text = with_causes(&problem);
            warn!(plugin = &*request.name, error = text, "a plugin gave no login");
            Answer::Problem(text)
        }
    };
    in_time(send(&mut stream, &answer)).await
}

async fn run(folder: &Path, request: &Request) -> Result<Zeroizing<Vec<u8>>, PluginProblem> {
    let Request { name, args, env, image, token } = request;
    // The mapping has only such names; the other end of a socket may write others.
    if name.is_empty() || name.starts_with('.') || name.contains('/') {
        return Err(PluginProblem::Start { name: name.clone(), why: io::ErrorKind::InvalidInput });
    }
    let token = token.as_deref().map(SecretText::from);
    let plugin = Plugin {
        name: name.clone(),
        args: args.clone(),
        env: env.clone(),
        audience: None,
        refresh: None,
    };
    plugin::run(folder, &plugin, &plugin::request(image, token.as_ref()), RUN).await
}

/// Has plugins behind a socket asked for a login.
///
/// # Errors
///
/// [`MintError`], whose text holds nothing of an answer.
pub async fn ask(
    socket: Option<&Path>,
    spec: &Spec,
    plugin: &Plugin,
    proof: &Proof,
    world: &dyn World,
) -> Result<Minted, MintError> {
    let error = |problem| MintError {
        login: spec.login.name.clone(),
        step: Step::Plugin,
        host: None,
        problem,
    };
    let Some(socket) = socket else {
        let why = "no container runs plugins: start one with `pullcred plugins`, and name its socket with --plugins";
        return Err(error(Problem::Unusable(why.to_owned())));
    };
    let mut all: Option<Minted> = None;
    let mut asked: Vec<&str> = Vec::new();
    for pattern in &spec.patterns {
        if asked.contains(&pattern.host()) {
            continue;
        }
        asked.push(pattern.host());
        let output = ask_one(socket, plugin, proof, pattern).await.map_err(error)?;
        let minted = plugin::read(&output, pattern, plugin.refresh, world.now());
        let minted = minted.map_err(|problem| error(Problem::Plugin(problem)))?;
        all = Some(match all {
            None => minted,
            Some(mut first) => {
                first.logins.extend(minted.logins);
                if minted.expires_at < first.expires_at {
                    (first.expires_at, first.life, first.renewal) =
                        (minted.expires_at, minted.life, minted.renewal);
                }
                first
            }
        });
    }
    all.ok_or_else(|| {
        error(Problem::Unusable("no rule with this login names a registry".to_owned()))
    })
}

async fn ask_one(
    socket: &Path,
    plugin: &Plugin,
    proof: &Proof,
    pattern: &RegistryPattern,
) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let token = match proof {
        Proof::Token(token) => Some(token.to_string()),
        Proof::Keys(_) | Proof::Machine => None,
    };
    let Plugin { name, args, env, .. } = plugin.clone();
    let request = Request { name, args, env, image: plugin::image(pattern), token };
    let talk = async {
        let mut stream = UnixStream::connect(socket).await?;
        send(&mut stream, &request).await?;
        receive::<Answer>(&mut stream, ANSWER_MAX).await
    };
    let answer =
        timeout(RUN + 2 * TALK, talk).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let answer = answer.map_err(|error| {
        Problem::Unusable(format!(
            "the container of plugins does not answer at {}: {error}. Check that it runs",
            socket.display()
        ))
    })?;
    match &answer {
        Answer::Output(text) => {
            let output = BASE64_STANDARD.decode(text).map(Zeroizing::new);
            output.map_err(|_| {
                Problem::Unusable("the container of plugins is of another version".to_owned())
            })
        }
        Answer::Problem(text) => Err(Problem::Unusable(text.clone())),
    }
}

async fn in_time<T>(talk: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(TALK, talk).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn send(stream: &mut UnixStream, message: &impl Serialize) -> io::Result<()> {
    let body = Zeroizing::new(serde_json::to_vec(message)?);
    let length = u32::try_from(body.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(&body).await
}

/// Reads a message. Its parser's error is not repeated: it may quote a token.
async fn receive<T: for<'de> Deserialize<'de>>(
    stream: &mut UnixStream,
    most: u32,
) -> io::Result<T> {
    let length = stream.read_u32().await?;
    if length > most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the message is too long"));
    }
    let mut body = Zeroizing::new(vec![0; length as usize]);
    stream.read_exact(&mut body).await?;
    serde_json::from_slice(&body)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the message cannot be read"))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, sync::Arc};

    use super::*;
    use crate::{fetch::Outside, mapping};

    fn spec() -> Spec {
        let text = "logins: [{name: p, plugin: {name: give, args: [one], env: {WHO: me}, audience: reg, refresh: 30m}}]\n\
                    rules: [{registries: [reg.example.com/a, reg.example.com/b], secret: s, login: p, namespaces: [x]}]\n";
        Spec::shared(&mapping::parse(text).unwrap()).remove(0)
    }

    /// Asks a plugin with this script.
    async fn asked(script: &str) -> Result<Minted, MintError> {
        let folder = tempfile::tempdir().unwrap();
        let (socket, program) = (folder.path().join("socket"), folder.path().join("give"));
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let serving = {
            let (socket, folder) = (socket.clone(), folder.path().to_owned());
            tokio::spawn(async move { serve(&socket, &folder).await })
        };
        while !socket.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let spec = spec();
        let crate::core::rules::LoginSource::Plugin(plugin) = spec.source() else {
            panic!("no plugin")
        };
        let proof = Proof::Token("to.k.en".into());
        let world: Arc<dyn World> = Arc::new(Outside::from_env(None));
        let result = ask(Some(&socket), &spec, plugin, &proof, &*world).await;
        serving.abort();
        result
    }

    #[tokio::test]
    async fn a_plugin_gets_the_words_of_the_mapping_an_image_and_a_token() {
        let answer = r#"read -r request
case "$request" in *'"image":"reg.example.com/a/app"'*'"serviceAccountToken":"to.k.en"'*) ;; *) exit 3 ;; esac
[ "$1" = one ] && [ "$WHO" = me ] && [ -z "$HOME" ] || exit 4
echo '{"kind":"CredentialProviderResponse","apiVersion":"credentialprovider.kubelet.k8s.io/v1","cacheKeyType":"Registry","auth":{"reg.example.com":{"username":"u","password":"p"}}}'"#;
        let minted = asked(answer).await.unwrap();
        assert_eq!(minted.logins.len(), 1, "asked once for a host");
        assert_eq!((&*minted.logins[0].username, &*minted.logins[0].password), ("u", "p"));
    }

    #[tokio::test]
    async fn a_plugin_that_fails_says_nothing_of_what_it_wrote() {
        for script in
            ["echo hunter2; echo hunter2 >&2; exit 1", "echo '{\"hunter2\": 1}'", "exit 0"]
        {
            let error = with_causes(&asked(script).await.unwrap_err());
            assert!(error.contains("step plugin") && !error.contains("hunter2"), "{error}");
        }
    }

    #[tokio::test]
    async fn without_a_container_for_plugins_that_is_said() {
        let spec = spec();
        let crate::core::rules::LoginSource::Plugin(plugin) = spec.source() else {
            panic!("no plugin")
        };
        let world = Outside::from_env(None);
        for socket in [None, Some(Path::new("/nowhere/socket"))] {
            let error = ask(socket, &spec, plugin, &Proof::Machine, &world).await.unwrap_err();
            assert!(with_causes(&error).contains("container"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_message_of_another_kind_ends_the_connection() {
        for bytes in [&[0xff; 8][..], &[0, 0, 0, 2, b'{', b'x'], &[0, 0]] {
            let (mut one, other) = UnixStream::pair().unwrap();
            let folder = tempfile::tempdir().unwrap();
            one.write_all(bytes).await.unwrap();
            drop(one);
            assert!(serve_one(other, folder.path()).await.is_err());
        }
        let request = Request {
            name: "../sh".into(),
            args: vec![],
            env: BTreeMap::new(),
            image: "x".into(),
            token: None,
        };
        assert!(matches!(run(Path::new("/bin"), &request).await, Err(PluginProblem::Start { .. })));
    }
}
