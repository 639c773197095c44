//! Logins of Amazon ECR.

use super::{Call, address, at_hosts, session_name};
use crate::{
    core::{
        clouds::EcrHost,
        rules::{Aws, AwsAccess},
    },
    registry::tokens::{
        Minted,
        aws::{self, Service, Session},
        problem::{MintError, Step},
        proof::Proof,
        sign::AccessKey,
    },
};

/// Longer than a login of ECR lives (12 h), and a session of a role (12 h at most).
const LONGEST: i64 = 13 * 3600;

pub(super) async fn mint(
    call: &mut Call<'_>,
    login: &Aws,
    proof: &Proof,
    hosts: &[&str],
) -> Result<Minted, MintError> {
    let parsed: Vec<_> =
        hosts.iter().filter_map(|&host| Some((host, Service::of(EcrHost::parse(host)?)))).collect();
    let mut services: Vec<Service<'_>> = Vec::new();
    for (_, service) in &parsed {
        if !services.contains(service) {
            services.push(*service);
        }
    }
    let Some(first) = services.first() else { return call.minted(Vec::new(), &[], None) };
    let (key, session) = key(call, login, proof, first).await?;

    let endpoint = address(login.endpoints.api.as_ref());
    let (mut logins, mut lives) = (Vec::with_capacity(hosts.len()), Vec::new());
    for service in services {
        let request = |now| Ok(service.login_request(endpoint, &key, now));
        let read = call.ask_dated(Step::Registry, request, |it| service.read_login(it)).await?;
        let expires_at = read.value.expires_at;
        lives.push((expires_at, call.life(Step::Registry, &read, expires_at, LONGEST)?));
        let of_service = parsed.iter().filter(|(_, it)| *it == service).map(|(host, _)| *host);
        logins.extend(at_hosts(&read.value, of_service));
    }
    call.minted(logins, &lives, session)
}

/// The key that signs, and how many seconds its session lives.
async fn key(
    call: &mut Call<'_>,
    login: &Aws,
    proof: &Proof,
    service: &Service<'_>,
) -> Result<(AccessKey, Option<i64>), MintError> {
    let here = |problem| call.error(Step::Identity, problem);
    let read = match &login.access {
        AwsAccess::Keys(_) => {
            let key = proof.access_key("secretAccessKey").map_err(here)?;
            return Ok((key, None));
        }
        AwsAccess::PodIdentity => {
            let (url, token) = call.context.machine.eks_agent().map_err(here)?;
            call.ask(Step::Token, aws::agent_request(url, &token), aws::read_agent).await?
        }
        AwsAccess::Role { role, .. } => {
            let token = proof.token().map_err(here)?;
            let own = service.sts();
            let base = address(login.endpoints.token.as_ref()).unwrap_or(&own);
            let request = aws::session_request(base, role, &session_name(call.login), token);
            call.ask(Step::Token, request, aws::read_session).await?
        }
    };
    let life = call.life(Step::Token, &read, read.value.expires_at, LONGEST)?;
    let Session { key, .. } = read.value;
    Ok((key, Some(life)))
}
