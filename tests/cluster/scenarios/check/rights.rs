//! Whoever may read little is told what was not looked at.

use std::{fs, path::Path, sync::Arc};

use anyhow::{Result, ensure};

use super::clinic::{Clinic, examine};
use crate::{
    cluster::Cluster,
    namespace::PRIVATE_IMAGE,
    pki::User,
    pullcred::{Pullcred, Said},
    report::Report,
};

/// What `pullcred check --print-rights` writes for a mapping, with each object called `name`.
pub(super) async fn print_rights(mapping: &Path, home: &str, name: &str) -> Result<String> {
    let mut command = Pullcred::command();
    command.args(["check", "--print-rights", "--installed-in", home, "--config"]).arg(mapping);
    let Said { code, stdout, stderr } = Said::by(command, "").await?;
    ensure!(code == 0, "{stderr}");
    Ok(stdout.replace("name: pullcred-check", &format!("name: {name}")))
}

/// The three commands of kubectl that give the rights to a user.
pub(super) fn bindings(name: &str, home: &str, user: User) -> [Vec<String>; 3] {
    let secrets = format!("{name}-secrets");
    let bind = |kind: &str, name: &str, role: String| {
        let user = format!("--user={}", user.name);
        let words = ["create", kind, name, &role, &user, "--namespace", home];
        words.map(str::to_owned).to_vec()
    };
    [
        bind("clusterrolebinding", name, format!("--clusterrole={name}")),
        bind("rolebinding", name, format!("--role={name}")),
        bind("clusterrolebinding", &secrets, format!("--clusterrole={secrets}")),
    ]
}

/// Without any right, each thing is a note, and there is nothing to fail for.
pub(crate) async fn of_nobody(cluster: Arc<Cluster>) -> Result<Report> {
    let nobody = User::named("check-nobody");
    let diagnosis = examine(cluster.control_plane(), nobody, &[]).await?;
    diagnosis.is_sound()?;
    assert_eq!(diagnosis.not_seen(), ["registration", "mapping", "namespaces"]);
    diagnosis.has("note", "not-seen", "registration", "is forbidden")?;
    Ok(Report::new().seen("`check --live` without any right", &diagnosis.summary))
}

/// With the rights that the command writes for the mapping, all of it can be looked at, and nothing else.
pub(crate) async fn of_the_printed_rights(cluster: Arc<Cluster>) -> Result<Report> {
    let name = "check-rights";
    let doctor = User::named("check-doctor");
    let clinic = Clinic::new(cluster, name).await?.with_a_pod().await?;
    let args = clinic.args();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let before = examine(clinic.cluster.control_plane(), doctor, &args).await?;
    before.is_sound()?;
    assert_eq!(before.not_seen().len(), 2, "{before:?}");

    let mapping = clinic.mapping();
    let rights = print_rights(&mapping, clinic.namespace.name(), "check-rights").await?;
    let file = clinic.cluster.control_plane().folder().join("check-rights-roles.yaml");
    fs::write(&file, rights)?;
    let kubectl = async |args: &[&str]| clinic.cluster.control_plane().kubectl(args).await;
    kubectl(&["apply", "--filename", &file.display().to_string()]).await?;
    for arguments in bindings("check-rights", clinic.namespace.name(), doctor) {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        kubectl(&arguments).await?;
    }
    crate::wait::until("the rights of the documented role", async || {
        Ok(examine(clinic.cluster.control_plane(), doctor, &args).await?.not_seen().is_empty())
    })
    .await?;
    let after = examine(clinic.cluster.control_plane(), doctor, &args).await?;
    after.is_sound()?;
    // All namespaces, where other scenarios do as they like: nothing of them is out of reach.
    let whole = examine(clinic.cluster.control_plane(), doctor, &args[1..]).await?;
    let forbidden = whole.forbidden();
    assert!(forbidden.is_empty(), "{forbidden:?}");
    // No more than that: no list of Secrets, none that the mapping does not name, no port of other Pods.
    let may = async |what: &[&str]| {
        let user = format!("--as={}", doctor.name);
        let can_i = [&["auth", "can-i"], what, &["--namespace=default", &user]].concat();
        // Its exit code says no, too.
        clinic.cluster.control_plane().kubectl(&can_i).await.is_ok()
    };
    assert!(may(&["get", &format!("secrets/{}", PRIVATE_IMAGE.1)]).await);
    for what in [
        &["list", "secrets"][..],
        &["get", "secrets/bootstrap-token"],
        &["create", "pods/portforward"],
        &["get", "configmaps"],
    ] {
        assert!(!may(what).await, "{what:?}");
    }
    Ok(Report::new()
        .seen("`check --live` without rights", &before.summary)
        .seen("`check --live` with the rights of `--print-rights`", &after.summary))
}
