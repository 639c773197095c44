//! Logins of Azure Container Registry. Each registry gives its own.

use super::{Call, address};
use crate::{
    core::{
        clouds::AzureCloud,
        rules::{Azure, AzureAccess},
    },
    registry::tokens::{
        Minted, azure,
        problem::{MintError, Step},
        proof::Proof,
    },
};

/// Longer than a login lives (three hours by the documents, 75 minutes by its token).
const LONGEST: i64 = 25 * 3600;

pub(super) async fn mint(
    call: &mut Call<'_>,
    login: &Azure,
    proof: &Proof,
    hosts: &[&str],
) -> Result<Minted, MintError> {
    let read = match &login.access {
        AzureAccess::Metadata { client } => {
            let base = &call.context.machine.azure;
            let request = azure::metadata_request(base, client.as_deref());
            call.ask(Step::Token, request, azure::read_metadata).await?
        }
        AzureAccess::Federation { tenant, client, .. } => {
            let token = proof.token().map_err(|problem| call.error(Step::Identity, problem))?;
            let cloud = hosts.iter().find_map(|host| AzureCloud::of_host(host));
            let own = azure::entra(cloud.unwrap_or(AzureCloud::Public));
            let base = address(login.endpoints.token.as_ref()).unwrap_or(own);
            let request = azure::token_request(base, tenant, client, token);
            call.ask(Step::Token, request, azure::read_token).await?
        }
    };
    let token = read.value;
    let endpoint = address(login.endpoints.api.as_ref());
    let (mut logins, mut lives) = (Vec::with_capacity(hosts.len()), Vec::new());
    for &host in hosts {
        let request = azure::login_request(endpoint, host, &token);
        let read = call.ask(Step::Exchange, request, azure::read_login).await?;
        let expires_at = read.value.expires_at;
        lives.push((expires_at, call.life(Step::Exchange, &read, expires_at, LONGEST)?));
        logins.push(read.value.at(host));
    }
    call.minted(logins, &lives, None)
}
