//! The story of `ErrImagePull` once more, without a webhook: by nothing but the command line.

use std::{fs, path::PathBuf, sync::Arc};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::{
    namespace::Namespace,
    node::{Events, FIRST, NodeCluster, SECOND, until_phase},
    pki::User,
    pullcred::{Pullcred, Said},
    report::Report,
};

const MAPPING: &str = "rules: [{registries: [registry.example.com], secret: example}]\n";

/// One who has a namespace that did not opt in, a mapping, a manifest, and a Docker config with more in it than needed.
struct Desk {
    cluster: Arc<NodeCluster>,
    namespace: Namespace,
    mapping: PathBuf,
    manifest: PathBuf,
    docker_config: PathBuf,
}

// === impl Desk ===

impl Desk {
    async fn new(cluster: Arc<NodeCluster>, image: &str) -> Result<Self> {
        let namespace = cluster.unlabelled("by-hand").await?;
        let file = |name: &str, text: String| -> Result<PathBuf> {
            let path = cluster.folder().join(name);
            fs::write(&path, text)?;
            Ok(path)
        };
        let manifest = format!(
            "# What people see first.\n\
             apiVersion: v1\nkind: Pod\nmetadata:\n  name: front\n  namespace: {}\n\
             spec:\n  terminationGracePeriodSeconds: 0\n  containers:\n\
             \x20   - name: front\n      image: {image} # private\n",
            namespace.name()
        );
        let logins = [FIRST, SECOND].map(|account| account.docker_config()["auths"].clone());
        let logins = logins.iter().filter_map(Value::as_object).flatten();
        let logins: serde_json::Map<_, _> = logins.map(|(k, v)| (k.clone(), v.clone())).collect();
        Ok(Self {
            mapping: file("by-hand-mapping.yaml", MAPPING.to_owned())?,
            manifest: file("by-hand-front.yaml", manifest)?,
            docker_config: file("by-hand-docker.json", json!({"auths": logins}).to_string())?,
            cluster,
            namespace,
        })
    }

    /// Asks the binary, which trusts the registries' authority as a laptop of the same company would.
    async fn pullcred(&self, args: &[&str]) -> Result<Said> {
        let mut command = Pullcred::command();
        command
            .args(args)
            .env("KUBECONFIG", self.cluster.control_plane().kubeconfig(User::ADMIN)?)
            .env("SSL_CERT_FILE", self.cluster.folder().join("registries.crt"))
            .env("PULLCRED_CONFIG", &self.mapping);
        let said = Said::by(command, "").await?;
        for account in [FIRST, SECOND] {
            ensure!(!said.tells(account.password), "{args:?} tells a password");
        }
        Ok(said)
    }

    async fn explain(&self) -> Result<Said> {
        self.pullcred(&["explain", "--live", "--namespace", self.namespace.name()]).await
    }

    async fn inject(&self, args: &[&str]) -> Result<Said> {
        let manifest = self.manifest.display().to_string();
        self.pullcred(&[&["inject", "--filename", &manifest], args].concat()).await
    }

    async fn apply_manifest(&self) -> Result<()> {
        let manifest = self.manifest.display().to_string();
        self.cluster.kubectl(&["apply", "--filename", &manifest]).await
    }
}

pub(crate) async fn story(cluster: Arc<NodeCluster>) -> Result<Report> {
    let image = cluster.push(FIRST, "by-hand/front:1").await?;
    let desk = Desk::new(cluster, &image).await?;
    let name = desk.namespace.name();

    // It hangs; why?
    desk.apply_manifest().await?;
    let hanging = desk.namespace.pod("front").await?;
    let refused = Events::until(&desk.namespace, &hanging, "BackOff", "").await?;
    let before = desk.explain().await?;
    assert!(before.code == 0 && before.stdout.contains("front waits: "), "{before:?}");
    let advice =
        format!("pullcred secret --registry {} --name example -n {name} --apply", FIRST.host);
    assert!(before.stdout.contains(&advice), "{before:?}");

    // The advised Secret, with a look at the registry first: one image that is there, and one that is not.
    let docker_config = desk.docker_config.display().to_string();
    let secret = ["secret", "--from-docker-config", &docker_config, "--registry", FIRST.host];
    let secret = [&secret[..], &["--name", "example", "--namespace", name, "--apply", "--verify"]];
    let secret = secret.concat();
    let absent = desk.pullcred(&[&secret[..], &[&FIRST.image("by-hand/front:2")]].concat()).await?;
    assert!(absent.code == 1 && absent.stderr.contains(": 404: "), "{absent:?}");
    let made = desk.pullcred(&[&secret[..], &[&image]].concat()).await?;
    assert!(made.code == 0 && made.stderr.contains(": 200: "), "{made:?}");
    let shown =
        desk.pullcred(&["secret", "show", "--live", "example", "--namespace", name]).await?;
    assert!(shown.tells(FIRST.host) && !shown.tells(SECOND.host), "{shown:?}");

    // The manifest lacks its name, and then does not.
    let lacking = desk.inject(&["--check"]).await?;
    assert_eq!(lacking.code, 1, "{lacking:?}");
    let injected = desk.inject(&[]).await?;
    assert!(injected.stdout.contains("# private"), "{injected:?}");
    fs::write(&desk.manifest, injected.stdout)?;
    let complete = desk.inject(&["--check"]).await?;
    assert_eq!(complete.code, 0, "{complete:?}");

    // The list of a Pod cannot change: it is made again, and runs.
    desk.namespace.delete_pod("front").await?;
    desk.apply_manifest().await?;
    let running = desk.namespace.pod("front").await?;
    assert_eq!(running.pull_secrets(), ["example"]);
    let pulled = until_phase(&desk.namespace, &running, "Running").await?;
    let after = desk.explain().await?;
    assert!(after.code == 0 && !after.stdout.contains("do: "), "{after:?}");
    Ok(Report::new()
        .seen("`kubectl apply` of a Pod, without any webhook", refused)
        .seen("`pullcred explain --live`", before.stdout)
        .seen(
            "`pullcred secret --from-docker-config … --verify` of an image that is not there",
            absent.stderr,
        )
        .seen(
            "`pullcred secret --from-docker-config … --verify … --apply`",
            made.stderr + &made.stdout,
        )
        .seen("`pullcred secret show --live`", shown.stdout)
        .seen("`pullcred inject --check`, exit code 1", lacking.stderr)
        .seen("`pullcred inject --check` of what `inject` wrote, exit code 0", complete.stderr)
        .seen("that manifest", pulled)
        .seen("`pullcred explain --live` again", after.stdout))
}
