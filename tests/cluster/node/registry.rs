//! Private registries: TLS, and a password for everything.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Result;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::{pki::Authority, process::Process};

/// A registry takes a moment to start.
const START: Duration = Duration::from_secs(30);

/// The port of `https`, so that an image's name need not say it.
const PORT: u16 = 443;

/// The only user of every registry.
pub(crate) const USER: &str = "robot";

/// A registry to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    /// Its name (RFC 2606 keeps these for examples).
    pub(crate) host: &'static str,
    /// What [`USER`] pulls with.
    pub(crate) password: &'static str,
    /// The password as the registry keeps it: `htpasswd -nbB` of the Apache server makes such lines.
    bcrypt: &'static str,
    address: Ipv4Addr,
}

/// Most images come from here.
pub(crate) const FIRST: Account = Account {
    host: "registry.example.com",
    password: "pull-from-the-first",
    bcrypt: "$2b$05$Lk2QmXwE9vTzR7bYcN4hO.jL3c1NK9AuwR2XMUyLCxkzV9qvSUpfW",
    address: Ipv4Addr::new(127, 0, 0, 2),
};

/// Another registry with another password.
pub(crate) const SECOND: Account = Account {
    host: "images.example.org",
    password: "pull-from-the-second",
    bcrypt: "$2b$05$Zs8GdUa1fHjK3pWqVtB6xO56Ey6JpD.kNCnzGkyjeWf1He9MVEtPm",
    address: Ipv4Addr::new(127, 0, 0, 3),
};

/// The registry whose login is kept in pullcred's namespace, and copied from there.
pub(crate) const THIRD: Account = Account {
    host: "registry.example.net",
    password: "pull-from-the-third",
    bcrypt: "$2b$05$Qm4RtYwZ8vBcD1eFgH6iJuLbD0yBDW5Cmor2JEKha2afFDJDp2OEe",
    address: Ipv4Addr::new(127, 0, 0, 4),
};

/// The same registry when its password has been rotated.
pub(crate) const THIRD_ROTATED: Account = Account {
    password: "pull-from-the-third-again",
    bcrypt: "$2b$05$Wn7XsUaK2pLdE9hGtB5vOeCBTlJrGsISRIn5TsVzm1uqHJqdrjDF6",
    ..THIRD
};

/// The host that two accounts of Alibaba Cloud share. Its token server knows who may pull; this is who pushes.
pub(crate) const SHARED: Account = Account {
    host: "registry.cn-shanghai.aliyuncs.com",
    password: "push-to-the-shared",
    bcrypt: "",
    address: Ipv4Addr::new(127, 0, 0, 5),
};

/// A running registry. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Registry {
    process: Process,
    users: PathBuf,
}

// === impl Account ===

impl Account {
    /// The full name of an image in this registry.
    pub(crate) fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.host)
    }

    /// A line for `/etc/hosts`.
    pub(crate) fn hosts_entry(&self) -> String {
        format!("{} {}\n", self.address, self.host)
    }

    /// A line for the registry's file of users.
    fn htpasswd(&self) -> String {
        format!("{USER}:{}\n", self.bcrypt)
    }

    /// What `docker login` would write to `config.json`.
    pub(crate) fn docker_config(&self) -> Value {
        use base64::{Engine, prelude::BASE64_STANDARD};
        let auth = BASE64_STANDARD.encode(format!("{USER}:{}", self.password));
        json!({"auths": {self.host: {"auth": auth}}})
    }
}

// === impl Registry ===

impl Registry {
    /// Starts the registry of `account`, with its files in `folder`, and waits until it answers.
    pub(crate) async fn start(
        program: &Path,
        account: Account,
        authority: &Authority,
        folder: &Path,
    ) -> Result<Self> {
        let name = account.host;
        let users = folder.join(format!("{name}.htpasswd"));
        fs::write(&users, account.htpasswd())?;
        let auth = json!({"htpasswd": {"realm": name, "path": users}});
        let process = serve(program, account, &auth, authority, folder).await?;
        Ok(Self { process, users })
    }

    /// From now on this password is accepted and no other. The registry reads the file again when it has changed.
    pub(crate) fn accept(&self, account: Account) -> Result<()> {
        let new = self.users.with_extension("new");
        fs::write(&new, account.htpasswd())?;
        Ok(fs::rename(new, &self.users)?)
    }

    /// The last lines of its log.
    pub(crate) fn log_tail(&self) -> String {
        self.process.log_tail()
    }
}

/// Starts the registry program for a host, with any kind of authorization, and waits until it answers.
pub(super) async fn serve(
    program: &Path,
    account: Account,
    auth: &Value,
    authority: &Authority,
    folder: &Path,
) -> Result<Process> {
    let name = account.host;
    let (certificate, key) = authority.server(&[name])?.write(folder, name)?;
    let address = (IpAddr::from(account.address), PORT);
    // JSON is YAML.
    let configuration = json!({
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": folder.join(name)}},
        "http": {
            "addr": format!("{}:{PORT}", account.address),
            "tls": {"certificate": certificate, "key": key},
        },
        "auth": auth,
    });
    let path = folder.join(format!("{name}.yaml"));
    fs::write(&path, configuration.to_string())?;
    let mut command = Command::new(program);
    command.arg("serve").arg(path).env("OTEL_TRACES_EXPORTER", "none");
    let mut process = Process::start(name, &mut command, folder)?;
    process.ready(START, async || Ok(TcpStream::connect(address).await.map(drop)?)).await?;
    Ok(process)
}
