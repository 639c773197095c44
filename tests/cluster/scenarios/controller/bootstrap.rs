//! From nothing to a certificate that callers trust.

use std::{env, sync::Arc};

use anyhow::{Result, ensure};
use serde_json::json;

use super::home::{CA_SECRET, Home, TLS_SECRET, USUAL, decoded};
use crate::{cluster::Cluster, controller::Controller, report::Report, wait::until};

/// How often five processes start together. Five rounds take ten seconds; `PULLCRED_CONTROLLER_ROUNDS` asks for more.
const ROUNDS: u32 = 5;

/// Five processes start at once, again and again: one CA each time, and no key in any log.
pub(crate) async fn five_at_once(cluster: Arc<Cluster>) -> Result<Report> {
    let home = Home::new(cluster, "controller-start").await?;
    home.register(&["nowhere"]).await?;
    let rounds = env::var("PULLCRED_CONTROLLER_ROUNDS").map_or(Ok(ROUNDS), |it| it.parse())?;
    let mut conflicts = 0;
    for round in 0..rounds {
        let mut controllers = Vec::new();
        for process in 0..5 {
            controllers.push(home.spawn(&format!("{round}-{process}"), USUAL).await?);
        }
        for controller in &mut controllers {
            controller.ready().await?;
        }
        conflicts += check_one_ca(&home, &controllers).await?;
        no_key_is_logged(&home, &controllers).await?;
        controllers.into_iter().for_each(Controller::kill);
        for secret in [CA_SECRET, TLS_SECRET] {
            home.delete_secret(secret).await?;
        }
        home.empty_bundle().await?;
    }
    let seen =
        format!("one CA in each of {rounds} rounds, {conflicts} writes refused as conflicts");
    Ok(Report::new().seen("5 controllers started together, no Secret there", seen))
}

/// A Secret that the controller did not make is left as it is, and readiness says so.
pub(crate) async fn secrets_of_somebody_else(cluster: Arc<Cluster>) -> Result<Report> {
    let home = Home::new(cluster, "controller-foreign").await?;
    home.register(&["nowhere"]).await?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": TLS_SECRET},
        "type": "kubernetes.io/tls", "stringData": {"tls.crt": "mine", "tls.key": "mine"},
    });
    let before = home.namespace.create_object("/api/v1", "secrets", &secret).await?;
    let controller = home.spawn("0", USUAL).await?;
    until("word of the foreign Secret", async || {
        // Not ready, so the answer is an error that quotes the report.
        let report = controller.readyz().await.err().map(|error| error.to_string());
        Ok(report.is_some_and(|report| report.contains("is not the controller's")))
    })
    .await?;
    home.until_published().await?;
    ensure!(home.secret(TLS_SECRET).await? == Some(before), "the Secret has been written");
    let refusal =
        controller.readyz().await.err().map(|error| error.to_string()).unwrap_or_default();
    let line = refusal.lines().find(|line| line.contains("tls-secret")).unwrap_or_default();
    Ok(Report::new().seen("a TLS Secret of somebody else: left as it is, `/readyz`", line))
}

/// One CA was made, it is what callers trust, and it has signed the leaf. Answers how many writes were refused.
async fn check_one_ca(home: &Home, controllers: &[Controller]) -> Result<u64> {
    let (mut made, mut conflicts) = (0, 0);
    for controller in controllers {
        for (result, count) in [("success", &mut made), ("conflict", &mut conflicts)] {
            let series =
                format!("pullcred_certificate_writes_total{{object=\"ca\",result=\"{result}\"}}");
            *count += controller.metric(&series).await?;
        }
    }
    ensure!(made == 1, "{made} CAs were made");
    home.until_published().await?;
    let ca = home.ca().await?;
    ensure!(ca.matches("BEGIN CERTIFICATE").count() == 1, "not one CA: {ca}");
    let tls = home.secret(TLS_SECRET).await?.unwrap_or_default();
    ensure!(decoded(&tls["data"]["ca.crt"])? == ca, "the leaf is of another CA");
    Ok(conflicts)
}

/// At level trace, with everything that the libraries say too.
async fn no_key_is_logged(home: &Home, controllers: &[Controller]) -> Result<()> {
    for (secret, key) in [(CA_SECRET, "ca.key"), (TLS_SECRET, "tls.key")] {
        let secret = home.secret(secret).await?.unwrap_or_default();
        let encoded = secret["data"][key].as_str().unwrap_or_default().to_owned();
        let pem = decoded(&secret["data"][key])?;
        let body: Vec<&str> = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        ensure!(body.len() > 1, "{key} is no PEM");
        for controller in controllers {
            let log = controller.log()?;
            ensure!(log.lines().count() > 20, "the log is almost empty");
            let shows = |part: &str| log.contains(part);
            ensure!(
                !shows(&encoded[40..80]) && !body.iter().any(|line| shows(line)),
                "{key} is logged"
            );
        }
    }
    Ok(())
}
