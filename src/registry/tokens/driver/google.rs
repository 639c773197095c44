//! Logins of Google's registries. One token opens all that its identity may read.

use super::{Call, address, at_hosts};
use crate::{
    core::rules::{Google, GoogleAccess},
    registry::tokens::{
        Minted, google,
        problem::{MintError, Problem, Step},
        proof::Proof,
    },
};

/// Longer than a token lives (12 h, where an organization allows that).
const LONGEST: i64 = 13 * 3600;

pub(super) async fn mint(
    call: &mut Call<'_>,
    login: &Google,
    proof: &Proof,
    hosts: &[&str],
) -> Result<Minted, MintError> {
    let read = match &login.access {
        GoogleAccess::Metadata => {
            let request = google::metadata_request(&call.context.machine.google);
            call.ask(Step::Token, request, google::read_metadata).await?
        }
        GoogleAccess::Federation { provider, .. } => {
            let token = proof.token().map_err(|problem| call.error(Step::Identity, problem))?;
            let endpoint = address(login.endpoints.token.as_ref());
            let impersonates = login.impersonate.is_some();
            let request = google::token_request(endpoint, provider, token, impersonates);
            call.ask(Step::Token, request, google::read_token).await?
        }
    };
    let expires_at = read.at.saturating_add(read.value.life);
    let life = call.life(Step::Token, &read, expires_at, LONGEST)?;
    let Some(account) = &login.impersonate else {
        let minted = read.value.login(read.at).map_err(|what| {
            let problem = Problem::Malformed { status: read.status, what };
            call.error_at(Step::Token, &read.host, problem)
        })?;
        let logins = at_hosts(&minted, hosts.iter().copied());
        return call.minted(logins, &[(expires_at, life)], None);
    };
    let endpoint = address(login.endpoints.api.as_ref());
    let request = google::impersonation_request(endpoint, account, &read.value.token);
    let read = call.ask(Step::Exchange, request, google::read_impersonation).await?;
    let expires_at = read.value.expires_at;
    let life = call.life(Step::Exchange, &read, expires_at, LONGEST)?;
    call.minted(at_hosts(&read.value, hosts.iter().copied()), &[(expires_at, life)], None)
}
