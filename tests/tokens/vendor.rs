//! AWS's own kubelet credential provider, against the same AWS: as a plugin, and as the reference for what is sent.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
    time::Duration,
};

use pullcred::{
    core::rules::{Plugin, RegistryPattern},
    errors::with_causes,
    registry::tokens::{Minted, PluginProblem, Proof, Renewal, SecretText, plugin},
};
use tempfile::TempDir;

use super::{
    Fetcher,
    clouds::{
        Authority, Received,
        aws::{Aws, ROLE},
        identity::{Key, SUBJECT},
    },
    endpoints, now,
};

const NAME: &str = "ecr-credential-provider";

/// The plugin's program, built once.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/tokens/ecr-credential-provider/binary.sh");
    let output = Command::new(&script).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{} has built no plugin", script.display());
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
});

/// What the plugin needs, as a mapping would say it, and the folder that holds its authority.
fn environment(authority: &Authority, cloud: &Aws, role: Option<&str>) -> (Plugin, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("ca.crt");
    fs::write(&bundle, &authority.pem).unwrap();
    let bundle = bundle.to_str().unwrap().to_owned();
    let mut env = BTreeMap::from([
        ("AWS_ENDPOINT_URL".into(), cloud.server.url().into()),
        ("AWS_EC2_METADATA_DISABLED".into(), "true".into()),
        ("AWS_REGION".into(), "us-east-1".into()),
        ("SSL_CERT_FILE".into(), bundle.into()),
    ]);
    env.extend(role.map(|role| ("AWS_ECR_ROLE_ARN".into(), role.into())));
    let (args, audience) = (Vec::new(), Some("sts.amazonaws.com".into()));
    (Plugin { name: NAME.into(), args, env, audience, refresh: None }, folder)
}

async fn run(plugin: &Plugin, registry: &str, token: &str) -> Result<Minted, PluginProblem> {
    let registry: RegistryPattern = registry.parse().unwrap();
    let token = SecretText::from(token);
    let request = plugin::request(&plugin::image(&registry), Some(&token));
    let (folder, limit) = (PROGRAM.parent().unwrap(), Duration::from_secs(60));
    let answer = plugin::run(folder, plugin, &request, limit).await?;
    plugin::read(&answer, &registry, plugin.refresh, now())
}

fn token(subject: &str) -> String {
    Key::read("issuer").service_account("sts.amazonaws.com", subject, now())
}

#[tokio::test]
async fn the_real_plugin_gives_a_login() {
    let authority = Authority::new();
    let cloud = super::aws::cloud(&authority);
    let (plugin, _folder) = environment(&authority, &cloud, Some(ROLE));
    for registry in [super::aws::HOST, "public.ecr.aws"] {
        let minted = run(&plugin, registry, &token(SUBJECT)).await.unwrap();
        let [login] = &minted.logins[..] else { panic!("{minted:?}") };
        assert_eq!((&*login.host, &*login.username), (registry, "AWS"));
        assert!(cloud.ledger.admits("AWS", &login.password));
        // It says half of the life that is left.
        assert!(matches!(minted.renewal, Renewal::After(21_590..=21_600)), "{minted:?}");
    }
}

#[tokio::test]
async fn the_real_plugin_answers_for_any_host_and_that_is_not_taken() {
    let authority = Authority::new();
    let cloud = super::aws::cloud(&authority);
    cloud.user("AKIANODE", "of-the-node");
    let (mut plugin, _folder) = environment(&authority, &cloud, Some(ROLE));
    plugin.env.insert("AWS_REGION".into(), "eu-west-1".into());
    // It answers with a password of ECR under the key of the host that was asked for, and only a mapping can say that this host
    // is not to be asked for: a rule with the plugin names its registries.
    let minted = run(&plugin, "ghcr.io/acme", &token(SUBJECT)).await.unwrap();
    assert_eq!(&*minted.logins[0].host, "ghcr.io");
    // Without a role it would take the keys of its environment, which has none.
    let (plugin, _folder) = environment(&authority, &cloud, None);
    let problem = run(&plugin, super::aws::HOST, &token(SUBJECT)).await.unwrap_err();
    assert!(matches!(problem, PluginProblem::Failed { .. }), "{problem}");
}

#[tokio::test]
async fn the_real_plugin_fails_where_the_token_is_not_trusted() {
    let authority = Authority::new();
    let cloud = super::aws::cloud(&authority);
    let (plugin, _folder) = environment(&authority, &cloud, Some(ROLE));
    let stranger = token("system:serviceaccount:team-a:default");
    let problem = run(&plugin, super::aws::HOST, &stranger).await.unwrap_err();
    let text = with_causes(&problem);
    assert!(text.starts_with("the plugin ended with exit status: 1 and "), "{text}");
    assert!(!text.contains(&stranger));
}

#[tokio::test]
async fn we_send_what_the_vendors_own_client_sends() {
    let authority = Authority::new();
    let cloud = super::aws::cloud(&authority);
    let (plugin, _folder) = environment(&authority, &cloud, Some(ROLE));
    let source = super::aws::by_role(endpoints(&cloud.server.url(), &cloud.server.url()));
    for host in [super::aws::HOST, "public.ecr.aws"] {
        let token = token(SUBJECT);
        let before = cloud.server.requests().len();
        run(&plugin, host, &token).await.unwrap();
        Fetcher::new(&authority).mint(&source, &Proof::Token(token.into()), &[host]).await.unwrap();
        let requests = cloud.server.requests();
        let [their_session, their_login, our_session, our_login] = &requests[before..] else {
            panic!("{} requests", requests.len() - before)
        };
        assert_eq!(essence(our_session), essence(their_session));
        assert_eq!(essence(our_login), essence(their_login));
        assert_eq!(fields(our_session), fields(their_session));
        assert_eq!(our_login.body, their_login.body);
        // They sign what the library adds, too.
        let (ours, theirs) = (signed_headers(our_login), signed_headers(their_login));
        let missing: Vec<_> = theirs.iter().filter(|name| !ours.contains(name)).collect();
        assert!(
            missing.iter().all(|name| name.starts_with("amz-sdk") || *name == "content-length"),
            "{missing:?}"
        );
    }
}

/// What of a request is the service's own protocol.
fn essence(request: &Received) -> [String; 5] {
    let header = |name| request.header(name).to_owned();
    [
        request.method.to_string(),
        request.uri.to_string(),
        header("content-type"),
        header("x-amz-target"),
        (!header("x-amz-security-token").is_empty()).to_string(),
    ]
}

/// The fields of a form, but for the name of the session, and for the duration, which is the service's default.
fn fields(request: &Received) -> BTreeMap<String, String> {
    let mut fields: BTreeMap<_, _> = request.form().into_iter().collect();
    fields.remove("RoleSessionName");
    assert_eq!(fields.remove("DurationSeconds").unwrap_or("3600".to_owned()), "3600");
    fields
}

fn signed_headers(request: &Received) -> Vec<String> {
    let (_, rest) = request.header("authorization").split_once("SignedHeaders=").unwrap();
    rest.split(',').next().unwrap().split(';').map(str::to_owned).collect()
}
