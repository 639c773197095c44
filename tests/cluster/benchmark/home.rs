//! The cluster that is measured: pullcred's namespace with its logins, a controller with a token of its own rights, and many
//! namespaces and Secrets beside them.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::{StreamExt, TryStreamExt, stream};
use kube::Client;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{audit::AuditLog, cost::Cpu};
use crate::{
    api::Api,
    cluster::loopback,
    control_plane::{ControlPlane, Options},
    fixtures::pod,
    pki::{Authority, User},
    pullcred::{Pullcred, Webhook},
    registration::INJECT,
    sandbox::{Sandbox, next_port},
    scenarios::reports::house::install_definitions,
    wait::until_within,
};

/// pullcred's namespace, and the name of its ServiceAccount, roles and Deployment.
const HOME: &str = "pullcred";
const ACCOUNT: &str = "pullcred-credentials";
const MAPPING: &str = "pullcred-mapping";
/// Requests in flight while the setup is made.
const IN_FLIGHT: usize = 32;
/// How long a controller may take to end.
const END: Duration = Duration::from_secs(10);
/// In a second of the API server's processor time.
const QUIET: Duration = Duration::from_millis(60);
const SECONDS_UNTIL_QUIET: u32 = 300;
/// The password of every login, until it is rotated.
pub(super) const FIRST_PASSWORD: &str = "first";
/// The bytes of a foreign Secret.
const FOREIGN_BYTES: usize = 10_000;

/// A control plane with what pullcred's chart would install for the credentials controller.
pub(super) struct Home {
    control_plane: ControlPlane,
    api: Api,
    kubeconfig: PathBuf,
    token: String,
}

// === names ===

/// The name of the Secret that a login fills.
pub(super) fn copy(login: usize) -> String {
    format!("robot-{login}")
}

fn login_secret(login: usize) -> String {
    format!("login-{login}")
}

pub(super) fn namespace(number: usize) -> String {
    format!("bench-{number:05}")
}

/// The Docker config of a login, which is as wide as its rule: the copies have the very same bytes.
fn docker_config(login: usize, password: &str) -> String {
    let auth = BASE64_STANDARD.encode(format!("robot:{password}"));
    format!(r#"{{"auths":{{"registry.example.com/team-{login}":{{"auth":"{auth}"}}}}}}"#)
}

fn login_data(login: usize, password: &str) -> Value {
    json!({".dockerconfigjson": BASE64_STANDARD.encode(docker_config(login, password))})
}

// === impl Home ===

impl Home {
    /// Starts a control plane with so many logins, and the rights for their copies.
    pub(super) async fn start(sandbox: &Sandbox, folder: &Path, logins: usize) -> Result<Self> {
        Self::start_with(sandbox, folder, rights(logins), logins).await
    }

    /// The same with the definitions of reports, and the rights to write and to read these.
    pub(super) async fn start_with_reports(
        sandbox: &Sandbox,
        folder: &Path,
        logins: usize,
    ) -> Result<Self> {
        let mut rights = rights(logins);
        for (path, object) in &mut rights {
            if let Some(rules) = object["rules"].as_array_mut() {
                let more = if path.contains("/clusterroles") { everywhere() } else { at_home() };
                rules.extend(more);
            }
        }
        let home = Self::start_with(sandbox, folder, rights, logins).await?;
        install_definitions(&home.api).await?;
        Ok(home)
    }

    async fn start_with(
        sandbox: &Sandbox,
        folder: &Path,
        rights: Vec<(String, Value)>,
        logins: usize,
    ) -> Result<Self> {
        let control_plane = Options::default();
        let control_plane = AuditLog::of_user(control_plane, folder, HOME, ACCOUNT)?;
        let control_plane = control_plane.start(sandbox, folder).await?;
        let api = Api::new(control_plane.client(User::ADMIN).await?);
        let post = async |path: &str, object: Value| -> Result<Value> {
            api.post(path, &object).await?.object().context(path.to_owned())
        };
        post("/api/v1/namespaces", json!({"metadata": {"name": HOME}})).await?;
        for login in 0..logins {
            let secret = json!({
                "metadata": {"name": login_secret(login)}, "type": "kubernetes.io/dockerconfigjson",
                "data": login_data(login, FIRST_PASSWORD),
            });
            post(&format!("/api/v1/namespaces/{HOME}/secrets"), secret).await?;
        }
        let mapping = json!({"metadata": {"name": MAPPING}});
        post(&format!("/api/v1/namespaces/{HOME}/configmaps"), mapping).await?;
        for (path, object) in rights {
            post(&path, object).await?;
        }
        let accounts = format!("/api/v1/namespaces/{HOME}/serviceaccounts");
        let token = post(
            &format!("{accounts}/{ACCOUNT}/token"),
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                   "spec": {"expirationSeconds": 86_400}}),
        )
        .await?;
        let token = token["status"]["token"].as_str().context("no token")?.to_owned();
        let kubeconfig = control_plane.kubeconfig_of_token(ACCOUNT, &token)?;
        Ok(Self { control_plane, api, kubeconfig, token })
    }

    pub(super) async fn client(&self) -> Result<Client> {
        self.control_plane.client(User::ADMIN).await
    }

    pub(super) fn api_server(&self) -> u32 {
        self.control_plane.api_server_id()
    }

    pub(super) fn audit_log(&self) -> AuditLog {
        AuditLog::in_folder(self.control_plane.folder())
    }

    /// From now on the mapping has the first so many logins, each with a rule for all namespaces of the benchmark.
    pub(super) async fn map(&self, logins: usize) -> Result<()> {
        self.map_with(logins, 0).await
    }

    /// The same, and so many rules without a login.
    pub(super) async fn map_with(&self, logins: usize, others: usize) -> Result<()> {
        let named =
            |login: usize| json!({"name": format!("team-{login}"), "secret": login_secret(login)});
        let rule = |login: usize| {
            json!({
                "registries": [format!("registry.example.com/team-{login}")],
                "secret": copy(login), "login": format!("team-{login}"), "namespaces": ["bench-*"],
            })
        };
        let (named, rules): (Vec<_>, Vec<_>) =
            (0..logins).map(|login| (named(login), rule(login))).unzip();
        let other = |number: usize| json!({"registries": [format!("other-{number}.example.com")], "secret": "other"});
        let rules: Vec<_> = rules.into_iter().chain((0..others).map(other)).collect();
        // JSON is YAML.
        let mapping = json!({"logins": named, "rules": rules}).to_string();
        let path = format!("/api/v1/namespaces/{HOME}/configmaps/{MAPPING}");
        let change = json!({"data": {"pullcred.yaml": mapping}});
        self.api.patch(&path, &change).await?.ok().map(drop)
    }

    /// Starts the controller, with its own rights only, and waits until it is ready.
    pub(super) async fn controller(&self) -> Result<Pullcred> {
        self.controller_by("credentials", &self.kubeconfig, &[]).await
    }

    /// The same with reports, by another way to the API server.
    pub(super) async fn controller_with_reports(&self, by: SocketAddr) -> Result<Pullcred> {
        let kubeconfig = self.kubeconfig_by("credentials-reports", by)?;
        self.controller_by("credentials-reports", &kubeconfig, &["--reports"]).await
    }

    /// The same with an audit of Pods.
    pub(super) async fn controller_with_audit(&self, by: SocketAddr) -> Result<Pullcred> {
        let kubeconfig = self.kubeconfig_by("credentials-audit", by)?;
        self.controller_by("credentials-audit", &kubeconfig, &["--reports", "--audit"]).await
    }

    async fn controller_by(
        &self,
        name: &str,
        kubeconfig: &Path,
        flags: &[&str],
    ) -> Result<Pullcred> {
        let admin = SocketAddr::from(([127, 0, 0, 1], next_port()));
        let mut command = Pullcred::command();
        command
            .env("KUBECONFIG", kubeconfig)
            .args(["credentials", "--namespace", HOME, "--mapping-config-map", MAPPING])
            .args(["--admin-listen", &admin.to_string()])
            .args(flags);
        let folder = self.control_plane.folder();
        Pullcred::start(name, &mut command, admin, admin, folder).await
    }

    /// Starts a webhook, which reads reports if it has a way to the API server.
    pub(super) async fn webhook(&self, name: &str, by: Option<SocketAddr>) -> Result<Pullcred> {
        let identity = Authority::new("webhooks")?.server(&["127.0.0.1"])?;
        let kubeconfig = by.map(|by| self.kubeconfig_by(name, by)).transpose()?;
        let kubeconfig = kubeconfig.unwrap_or_default().display().to_string();
        let environment = [("KUBECONFIG", kubeconfig.as_str()), ("PULLCRED_OWN_NAMESPACE", HOME)];
        let mapping = "rules:\n- {registries: [registry.example.com], secret: robot-0}\n";
        let flags = if by.is_some() { &["--reports"][..] } else { &[] };
        let environment = &environment[..];
        let listen = loopback();
        let webhook = Webhook { name, mapping, listen, identity: &identity, flags, environment };
        webhook.start(self.control_plane.folder()).await
    }

    /// A kubeconfig with the controller's token, for another address of the API server.
    fn kubeconfig_by(&self, name: &str, by: SocketAddr) -> Result<PathBuf> {
        let path = self.control_plane.kubeconfig_of_token(name, &self.token)?;
        let mut document: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
        document["clusters"][0]["cluster"]["server"] = format!("https://{by}").into();
        fs::write(&path, document.to_string())?;
        Ok(path)
    }

    /// Where the API server listens.
    pub(super) fn address(&self) -> Result<SocketAddr> {
        let document: Value = serde_json::from_str(&fs::read_to_string(&self.kubeconfig)?)?;
        let server = document["clusters"][0]["cluster"]["server"].as_str().context("no server")?;
        Ok(server.trim_start_matches("https://").trim_end_matches('/').parse()?)
    }

    /// Waits until so many namespaces have a report.
    pub(super) async fn until_reports(&self, count: usize, limit: Duration) -> Result<()> {
        let path = "/apis/pullcred.dev/v1alpha1/pullsecretreports?limit=1";
        until_within(limit, &format!("{count} reports"), async || {
            Ok(super::reports::count(&self.api.get(path).await?.object()?) == count)
        })
        .await
    }

    /// Ends a controller as Kubernetes does.
    pub(super) async fn end(&self, mut controller: Pullcred) -> Result<()> {
        controller.process().terminate()?;
        let status = controller.process().ended(END).await?;
        ensure!(status.success(), "the controller ended with {status}");
        Ok(())
    }

    /// Creates namespaces, opted in or not.
    pub(super) async fn create_namespaces(
        &self,
        numbers: Range<usize>,
        opted_in: bool,
    ) -> Result<()> {
        at_once(numbers.map(|number| self.create_namespace(number, opted_in))).await
    }

    pub(super) async fn create_namespace(&self, number: usize, opted_in: bool) -> Result<()> {
        let labels = if opted_in { json!({INJECT: "enabled"}) } else { json!({}) };
        let object = json!({"metadata": {"name": namespace(number), "labels": labels}});
        self.api.post("/api/v1/namespaces", &object).await?.ok().map(drop)
    }

    /// Creates a Pod as it comes right after its namespace.
    pub(super) async fn create_pod(&self, namespace: &str) -> Result<()> {
        let pod = pod("app").image("registry.example.com/team-0/app:1").into_object();
        let path = format!("/api/v1/namespaces/{namespace}/pods");
        self.api.post(&path, &pod).await?.ok().map(drop)
    }

    /// Creates so many Pods in each of so many namespaces, every second one without its Secret. No node runs them.
    pub(super) async fn create_pods(&self, namespaces: usize, pods: usize) -> Result<()> {
        let create = async |number: usize| {
            let mut app = pod(&format!("app-{number}")).image("registry.example.com/team-0/app:1");
            if number.is_multiple_of(2) {
                app = app.pull_secrets(&[&copy(0)]);
            }
            let path = format!("/api/v1/namespaces/{}/pods", namespace(number / pods));
            self.api.post(&path, &app.into_object()).await?.ok().map(drop)
        };
        at_once((0..namespaces * pods).map(create)).await
    }

    /// Creates Secrets that have nothing to do with pullcred, spread over so many namespaces.
    pub(super) async fn create_foreign_secrets(
        &self,
        count: usize,
        namespaces: usize,
    ) -> Result<()> {
        let content = "x".repeat(FOREIGN_BYTES);
        let create = async |number: usize| {
            let namespace = namespace(number % namespaces);
            let object = json!({
                "metadata": {"name": format!("foreign-{number}")}, "stringData": {"blob": content},
            });
            let path = format!("/api/v1/namespaces/{namespace}/secrets");
            self.api.post(&path, &object).await?.ok().map(drop)
        };
        at_once((0..count).map(create)).await
    }

    /// Opts a namespace in.
    pub(super) async fn opt_in(&self, namespace: &str) -> Result<()> {
        let patch = json!({"metadata": {"labels": {INJECT: "enabled"}}});
        self.api.patch(&format!("/api/v1/namespaces/{namespace}"), &patch).await?.ok().map(drop)
    }

    /// Rotates a login.
    pub(super) async fn rotate(&self, login: usize, password: &str) -> Result<()> {
        let path = format!("/api/v1/namespaces/{HOME}/secrets/{}", login_secret(login));
        let change = json!({"data": login_data(login, password)});
        self.api.patch(&path, &change).await?.ok().map(drop)
    }

    /// Fails unless the namespaces with these numbers, and no others, have a copy of each of these logins, with its
    /// content.
    pub(super) async fn check_copies(
        &self,
        numbers: &BTreeSet<usize>,
        passwords: &[&str],
    ) -> Result<()> {
        for (login, password) in passwords.iter().enumerate() {
            let (expected, name) = (login_data(login, password), copy(login));
            let path = format!("/api/v1/secrets?fieldSelector=metadata.name%3D{name}");
            let list = self.api.get(&path).await?.object()?;
            let mut found = BTreeSet::new();
            for secret in list["items"].as_array().context("no list")? {
                let namespace = secret["metadata"]["namespace"].as_str().unwrap_or_default();
                ensure!(secret["data"] == expected, "{namespace}/{name} has other content");
                found.insert(namespace.to_owned());
            }
            let wanted: BTreeSet<String> = numbers.iter().copied().map(namespace).collect();
            let wrong: Vec<_> = found.symmetric_difference(&wanted).take(5).collect();
            ensure!(wrong.is_empty(), "{name}: too much or missing in {wrong:?}");
        }
        Ok(())
    }

    /// Changes the data of a copy, as a person does.
    pub(super) async fn edit_copy(&self, namespace: &str) -> Result<()> {
        let patch = json!({"data": login_data(0, "edited")});
        self.api.patch(&copy_path(namespace), &patch).await?.ok().map(drop)
    }

    /// Deletes a copy.
    pub(super) async fn delete_copy(&self, namespace: &str) -> Result<()> {
        self.api.delete(&copy_path(namespace)).await?.ok().map(drop)
    }

    /// Waits until the API server has nothing to do, such as what follows the creation of a namespace.
    pub(super) async fn until_quiet(&self) -> Result<()> {
        for _ in 0..SECONDS_UNTIL_QUIET {
            let cpu = Cpu::start(self.api_server())?;
            sleep(Duration::from_secs(1)).await;
            if cpu.spent()? < QUIET {
                return Ok(());
            }
        }
        bail!("the API server is not quiet after {SECONDS_UNTIL_QUIET} s")
    }
}

fn copy_path(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/secrets/{}", copy(0))
}

/// What the chart gives the controller, and nothing else.
fn rights(logins: usize) -> Vec<(String, Value)> {
    let copies: Vec<String> = (0..logins).map(copy).collect();
    let sources: Vec<String> = (0..logins).map(login_secret).collect();
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let account = json!([{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": HOME}]);
    let read = ["get", "list", "watch"];
    let everywhere = json!([
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": read},
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": copies,
         "verbs": ["get", "list", "watch", "create", "patch", "delete"]},
    ]);
    let at_home = json!([
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": sources, "verbs": read},
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [MAPPING], "verbs": read},
        {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
    ]);
    let metadata = json!({"name": ACCOUNT});
    let role_ref = |kind: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": ACCOUNT});
    let home = format!("{rbac}/namespaces/{HOME}");
    vec![
        (format!("/api/v1/namespaces/{HOME}/serviceaccounts"), json!({"metadata": metadata})),
        (format!("{rbac}/clusterroles"), json!({"metadata": metadata, "rules": everywhere})),
        (
            format!("{rbac}/clusterrolebindings"),
            json!({"metadata": metadata, "roleRef": role_ref("ClusterRole"), "subjects": account}),
        ),
        (format!("{home}/roles"), json!({"metadata": metadata, "rules": at_home})),
        (
            format!("{home}/rolebindings"),
            json!({"metadata": metadata, "roleRef": role_ref("Role"), "subjects": account}),
        ),
    ]
}

/// What reports take besides, in all namespaces and in pullcred's own.
fn everywhere() -> Vec<Value> {
    let all = ["get", "list", "watch", "create", "patch", "delete"];
    let kinds = ["loginreports", "pullsecretreports"];
    vec![
        json!({"apiGroups": ["pullcred.dev"], "resources": kinds, "verbs": all}),
        json!({"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]}),
        json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}),
    ]
}

fn at_home() -> Vec<Value> {
    let (names, verbs) = (["pullcred-reports"], ["get", "list", "watch", "create", "patch"]);
    let group = ["coordination.k8s.io"];
    vec![
        json!({"apiGroups": group, "resources": ["leases"], "resourceNames": names, "verbs": verbs}),
    ]
}

/// Runs many requests, some at a time.
async fn at_once(requests: impl Iterator<Item = impl Future<Output = Result<()>>>) -> Result<()> {
    stream::iter(requests).buffer_unordered(IN_FLIGHT).try_collect().await
}
