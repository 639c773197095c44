//! Logins of GitHub's container registry.

use super::{Call, address, at_hosts};
use crate::{
    core::rules::Github,
    registry::tokens::{
        Minted,
        github::{self, App},
        problem::{MintError, Step},
        proof::Proof,
    },
};

/// Longer than a token lives (an hour).
const LONGEST: i64 = 25 * 3600;

pub(super) async fn mint(
    call: &mut Call<'_>,
    login: &Github,
    proof: &Proof,
    hosts: &[&str],
) -> Result<Minted, MintError> {
    let key = proof.key("privateKey").map_err(|problem| call.error(Step::Identity, problem))?;
    let app = App::new(&login.app, &key).map_err(|problem| call.error(Step::Identity, problem))?;
    let endpoint = address(login.endpoints.api.as_ref());
    let request = |now| {
        let proof = app.proof(now)?;
        Ok(github::token_request(endpoint, login.installation, &login.repositories, &proof))
    };
    let read = call.ask_dated(Step::Registry, request, github::read_token).await?;
    let expires_at = read.value.expires_at;
    let life = call.life(Step::Registry, &read, expires_at, LONGEST)?;
    call.minted(at_hosts(&read.value, hosts.iter().copied()), &[(expires_at, life)], None)
}
