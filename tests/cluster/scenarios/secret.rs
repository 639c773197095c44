//! `pullcred secret` on an API server: applied, shown, and refused.

use std::sync::Arc;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::{
    cluster::Cluster,
    namespace::Namespace,
    pki::User,
    pullcred::{Pullcred, Said},
    report::Report,
};

const PASSWORD: &str = "canary-of-the-cluster";

/// Asks the binary about this cluster, with a password at hand.
async fn pullcred(cluster: &Cluster, args: &[&str]) -> Result<Said> {
    let kubeconfig = cluster.control_plane().kubeconfig(User::ADMIN)?;
    let mut command = Pullcred::command();
    command.args(args).arg("--kubeconfig").arg(kubeconfig);
    let said = Said::by(command, PASSWORD).await?;
    ensure!(!said.tells(PASSWORD), "the password is told");
    Ok(said)
}

fn make<'a>(namespace: &'a Namespace, registry: &'a str, name: &'a str) -> Vec<&'a str> {
    let login = ["secret", "--username", "robot", "--password-stdin", "--apply"];
    [&login[..], &["--registry", registry, "--name", name, "-n", namespace.name()]].concat()
}

pub(crate) async fn applied_and_shown(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = Namespace::create(cluster.api(), "secret-apply", &json!({})).await?;
    let said = pullcred(&cluster, &make(&namespace, "quay.io/acme", "pull")).await?;
    ensure!(said.code == 0, "{}", said.stderr);
    assert_eq!(said.stdout, "secret/pull applied in namespace secret-apply\n");
    let stored = namespace.object("/api/v1", "secrets/pull").await?;
    assert_eq!(stored["type"], "kubernetes.io/dockerconfigjson");

    // Again, with another registry: what was there before is not there any more.
    let again = pullcred(&cluster, &make(&namespace, "ghcr.io", "pull")).await?;
    ensure!(again.code == 0, "{}", again.stderr);
    let shown =
        pullcred(&cluster, &["secret", "show", "--live", "pull", "-n", namespace.name()]).await?;
    ensure!(shown.code == 0, "{}", shown.stderr);
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
    ensure!(said.code != 0, "{}", said.stdout);
    ensure!(said.stderr.contains("kubectl delete secret pull -n secret-type"), "{}", said.stderr);

    let mut own = opaque;
    own["metadata"]["name"] = "own".into();
    own["type"] = "kubernetes.io/dockerconfigjson".into();
    own["data"][".dockerconfigjson"] = "eyJhdXRocyI6e319".into();
    namespace.create_object("/api/v1", "secrets", &own).await?;
    let owned = pullcred(&cluster, &make(&namespace, "quay.io", "own")).await?;
    ensure!(
        owned.code != 0 && owned.stderr.contains("written by somebody else"),
        "{}",
        owned.stderr
    );
    Ok(Report::new()
        .seen("`--apply` where a Secret of another type is", said.stderr.trim())
        .seen("`--apply` where a Secret of somebody else is", owned.stderr.trim()))
}
