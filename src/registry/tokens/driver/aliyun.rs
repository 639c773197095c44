//! Logins of Alibaba Cloud Container Registry: one for an instance, or one for the Personal Edition of a region.

use super::{Call, address, at_hosts, nonce, session_name};
use crate::{
    core::{
        clouds::AliyunHost,
        rules::{Aliyun, AliyunAccess},
    },
    registry::tokens::{
        Minted,
        aliyun::{self, Session, Stamp},
        problem::{MintError, Problem, Step},
        proof::Proof,
        sign::AccessKey,
        wire::Answer,
    },
};

/// Longer than a login lives (24 h, where an access key asks for it).
const LONGEST: i64 = 25 * 3600;

pub(super) async fn mint(
    call: &mut Call<'_>,
    login: &Aliyun,
    proof: &Proof,
    hosts: &[&str],
) -> Result<Minted, MintError> {
    let mut regions: Vec<(&str, Vec<&str>)> = Vec::new();
    for &host in hosts {
        let of_host = AliyunHost::parse(host).map(|it| it.region);
        let region = login.region.as_deref().or(of_host).ok_or_else(|| {
            let why =
                format!("the host {host} does not say its region: write `region` for the login");
            call.error(Step::Identity, Problem::Unusable(why))
        })?;
        match regions.iter_mut().find(|(it, _)| *it == region) {
            Some((_, hosts)) => hosts.push(host),
            None => regions.push((region, vec![host])),
        }
    }
    let Some((first, _)) = regions.first() else { return call.minted(Vec::new(), &[], None) };
    let (key, session) = key(call, login, proof, first).await?;

    let (mut logins, mut lives) = (Vec::with_capacity(hosts.len()), Vec::new());
    for (region, hosts) in regions {
        let own = aliyun::api(region);
        let base = address(login.endpoints.api.as_ref()).unwrap_or(&own);
        let request = |now| {
            let nonce = nonce()?;
            let stamp = Stamp { now, nonce: &nonce };
            Ok(match &login.instance {
                Some(instance) => aliyun::enterprise_request(base, instance, &key, stamp),
                None => aliyun::personal_request(base, &key, stamp),
            })
        };
        let read = |answer: &Answer| match &login.instance {
            Some(_) => aliyun::read_enterprise(answer),
            None => aliyun::read_personal(answer),
        };
        let read = call.ask_dated(Step::Registry, request, read).await?;
        let expires_at = read.value.expires_at;
        lives.push((expires_at, call.life(Step::Registry, &read, expires_at, LONGEST)?));
        logins.extend(at_hosts(&read.value, hosts.into_iter()));
    }
    call.minted(logins, &lives, session)
}

/// The key that signs, and how many seconds its session lives.
async fn key(
    call: &mut Call<'_>,
    login: &Aliyun,
    proof: &Proof,
    region: &str,
) -> Result<(AccessKey, Option<i64>), MintError> {
    let AliyunAccess::Role { role, oidc_provider, .. } = &login.access else {
        let key = proof.access_key("accessKeySecret");
        return Ok((key.map_err(|problem| call.error(Step::Identity, problem))?, None));
    };
    let token = proof.token().map_err(|problem| call.error(Step::Identity, problem))?;
    let own = aliyun::sts(region);
    let base = address(login.endpoints.token.as_ref()).unwrap_or(&own);
    let name = session_name(call.login);
    let request = |now| {
        let nonce = nonce()?;
        let stamp = Stamp { now, nonce: &nonce };
        Ok(aliyun::session_request(base, role, oidc_provider, &name, token, stamp))
    };
    let read = call.ask_dated(Step::Token, request, aliyun::read_session).await?;
    let life = call.life(Step::Token, &read, read.value.expires_at, LONGEST)?;
    let Session { key, .. } = read.value;
    Ok((key, Some(life)))
}
