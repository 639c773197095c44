//! Two controllers at once.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use tokio::time::sleep;

use super::{follow::ms, home::Home};
use crate::{cluster::Cluster, controller::Controller, registration::INJECT, report::Report};

/// Logins change and labels come and go while two controllers run: in the end each copy is right, and neither of them writes
/// any more. They do not write against each other meanwhile.
pub(crate) async fn two_processes(cluster: Arc<Cluster>) -> Result<Report> {
    const MAPPING: &str = "
logins:
- {name: acme, secret: together-login}
rules:
- {registries: [ghcr.io/acme], secret: together-pull, login: acme, namespaces: ['copies-together-*']}
";
    const NAME: &str = "together-pull";
    const NAMESPACES: usize = 6;
    const ROTATIONS: usize = 10;
    let home = Home::new(cluster, "copies-together", MAPPING, &[NAME], &["together-login"]).await?;
    let password = |round: usize| format!("canary-{round}-of-together");
    let mut written = password(0);
    home.create_login("together-login", &[("ghcr.io/acme", &written)]).await?;
    let controllers = [home.start("0", "1s").await?, home.start("1", "1s").await?];
    let mut namespaces = Vec::new();
    for place in 0..NAMESPACES {
        namespaces.push(home.opted_in(&format!("copies-together-{place}"), &[]).await?);
    }
    let mut flips = 0;
    for round in 1..=ROTATIONS {
        written = password(round);
        home.rotate_login("together-login", &[("ghcr.io/acme", &written)]).await?;
        let namespace = &namespaces[round % NAMESPACES];
        namespace.label(INJECT, None).await?;
        // Some come back within the grace, and some after it.
        sleep(Duration::from_millis(if round % 3 == 0 { 1300 } else { 40 })).await;
        namespace.label(INJECT, "enabled").await?;
        flips += 1;
    }
    let begin = Instant::now();
    for namespace in &namespaces {
        home.copied(begin, namespace, NAME, &[("ghcr.io/acme", &written)]).await?;
    }
    let settled = begin.elapsed();
    sleep(Duration::from_millis(1500)).await;
    let before = (writes(&home, &controllers).await?, home.all(NAME).await?);
    sleep(Duration::from_millis(1500)).await;
    let after = (writes(&home, &controllers).await?, home.all(NAME).await?);
    ensure!(before == after, "they still write");
    let succeeded = after.0.get("success").copied().unwrap_or_default();
    // Of two processes, each may write every rotation and every creation once.
    let most = 2 * (NAMESPACES * (ROTATIONS + 1) + 2 * flips) as u64;
    ensure!(succeeded <= most, "{:?}", after.0);
    let both: Vec<&Controller> = controllers.iter().collect();
    home.says_nothing(&both).await?;
    Ok(Report::new().seen(
        format!("2 processes, {NAMESPACES} namespaces, {ROTATIONS} rotations, {flips} labels removed and added"),
        format!("all right {} after the last; writes: {:?}", ms(settled), after.0),
    ))
}

/// How often controllers wrote, by result.
async fn writes(home: &Home, controllers: &[Controller]) -> Result<BTreeMap<&'static str, u64>> {
    let mut sum = BTreeMap::new();
    for controller in controllers {
        for result in ["success", "conflict", "failure"] {
            for operation in ["create", "update", "delete"] {
                *sum.entry(result).or_default() +=
                    home.written(controller, operation, result).await?;
            }
        }
    }
    Ok(sum)
}
