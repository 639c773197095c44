//! `pullcred secret` on an API server: applied, shown, and refused.

use std::{io::Write, process::Stdio, sync::Arc};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::{
    cluster::Cluster, namespace::Namespace, pki::User, pullcred::Pullcred, report::Report,
};

const PASSWORD: &str = "canary-of-the-cluster";

/// What the binary said, and whether it was content.
struct Said {
    success: bool,
    stdout: String,
    stderr: String,
}

async fn pullcred(cluster: &Cluster, args: &[&str]) -> Result<Said> {
    let mut command = Pullcred::command();
    command.args(args).arg("--kubeconfig").arg(cluster.control_plane().kubeconfig(User::ADMIN)?);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn()?;
        // A pipe takes as little as this at once. Whoever does not read it closes it, which is no matter here.
        let _ = child.stdin.take().map(|mut pipe| pipe.write_all(PASSWORD.as_bytes()));
        child.wait_with_output()
    });
    let output = output.await??;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes);
    let said = Said {
        success: output.status.success(),
        stdout: text(output.stdout)?,
        stderr: text(output.stderr)?,
    };
    ensure!(
        !said.stdout.contains(PASSWORD) && !said.stderr.contains(PASSWORD),
        "the password is told"
    );
    Ok(said)
}

fn make<'a>(namespace: &'a Namespace, registry: &'a str, name: &'a str) -> Vec<&'a str> {
    let login = ["secret", "--username", "robot", "--password-stdin", "--apply"];
    [&login[..], &["--registry", registry, "--name", name, "-n", namespace.name()]].concat()
}

pub(crate) async fn applied_and_shown(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = Namespace::create(cluster.api(), "secret-apply", &json!({})).await?;
    let said = pullcred(&cluster, &make(&namespace, "quay.io/acme", "pull")).await?;
    ensure!(said.success, "{}", said.stderr);
    assert_eq!(said.stdout, "secret/pull applied in namespace secret-apply\n");
    let stored = namespace.object("/api/v1", "secrets/pull").await?;
    assert_eq!(stored["type"], "kubernetes.io/dockerconfigjson");

    // Again, with another registry: what was there before is not there any more.
    let again = pullcred(&cluster, &make(&namespace, "ghcr.io", "pull")).await?;
    ensure!(again.success, "{}", again.stderr);
    let shown =
        pullcred(&cluster, &["secret", "show", "--live", "pull", "-n", namespace.name()]).await?;
    ensure!(shown.success, "{}", shown.stderr);
    assert_eq!(
        shown.stdout,
        "Secret secret-apply/pull (kubernetes.io/dockerconfigjson)\n\
         \x20 KEY      THE KUBELET MATCHES  USER   PASSWORD\n\
         \x20 ghcr.io  ghcr.io              robot  ********\n"
    );
    Ok(Report::new()
        .seen("`pullcred secret --apply`, twice, and `show --live`", said.stdout.trim()))
}

pub(crate) async fn another_type_is_in_the_way(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = Namespace::create(cluster.api(), "secret-type", &json!({})).await?;
    let opaque: Value = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pull"}, "type": "Opaque",
        "data": {".dockerconfigjson": "e30="},
    });
    namespace.create_object("/api/v1", "secrets", &opaque).await?;
    let said = pullcred(&cluster, &make(&namespace, "quay.io", "pull")).await?;
    ensure!(!said.success, "{}", said.stdout);
    ensure!(said.stderr.contains("kubectl delete secret pull -n secret-type"), "{}", said.stderr);

    let mut own = opaque;
    own["metadata"]["name"] = "own".into();
    own["type"] = "kubernetes.io/dockerconfigjson".into();
    own["data"][".dockerconfigjson"] = "eyJhdXRocyI6e319".into();
    namespace.create_object("/api/v1", "secrets", &own).await?;
    let owned = pullcred(&cluster, &make(&namespace, "quay.io", "own")).await?;
    ensure!(
        !owned.success && owned.stderr.contains("written by somebody else"),
        "{}",
        owned.stderr
    );
    Ok(Report::new()
        .seen("`--apply` where a Secret of another type is", said.stderr.trim())
        .seen("`--apply` where a Secret of somebody else is", owned.stderr.trim()))
}
