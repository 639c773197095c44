//! The cluster that the scenarios share: a control plane, and pullcred as its webhook.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use serde_json::json;
use tokio::sync::OnceCell;

use crate::{
    api::Api,
    audit::{self, AuditEvent},
    control_plane::{ControlPlane, Options},
    namespace::{Namespace, StoredPod},
    pki::{Authority, User},
    prometheus::Monitoring,
    pullcred::{Pullcred, Webhook},
    registration::{INJECT, OWN_REGISTRATION, Registration},
    sandbox::{Sandbox, next_port},
    setting::{Scene, Setting},
    stage::Stage,
    version::{STATIC_POLICIES, Version},
};

/// The mapping of the common webhook.
pub(crate) const MAPPING: &str = include_str!("mapping.yaml");

/// The example policy that restricts clients with the controller's rights to changes of the `caBundle`.
const GUARD: &str = include_str!("../../examples/webhook-configuration-guard.yaml");

const AUDIT_LOG: &str = "audit.log";

/// A control plane, and one webhook that covers every opted-in namespace, started when the first
/// scenario asks for such a namespace.
pub(crate) struct Cluster {
    webhook: OnceCell<Pullcred>,
    webhooks: Authority,
    api: Api,
    control_plane: ControlPlane,
    monitoring: Monitoring,
}

impl Setting for Cluster {
    const NAME: &'static str = "control-plane";

    fn scene(stage: &Stage) -> &Scene<Self> {
        &stage.control_plane
    }

    async fn start(sandbox: &Sandbox, folder: &Path) -> Result<Self> {
        let policy = folder.join("audit-policy.yaml");
        fs::write(&policy, audit::POLICY)?;
        let mut options = Options::default();
        if Version::of_this_run()?.has(STATIC_POLICIES) {
            let admission = static_policies(folder)?;
            options = options.api_server("--admission-control-config-file", admission);
        }
        options = options
            // Without kube-proxy a Service has no address that answers; with this the API server
            // resolves a webhook's Service to its EndpointSlices itself.
            .api_server("--enable-aggregator-routing", "true")
            .api_server("--audit-policy-file", policy)
            .api_server("--audit-log-path", folder.join(AUDIT_LOG));
        Self::start_with(options, sandbox, folder).await
    }

    async fn end(self) -> Result<()> {
        drop(self);
        Ok(())
    }

    fn facts(&self) -> String {
        let ready = self.control_plane.ready_after().as_secs_f64();
        format!("control plane ready after {ready:.1} s")
    }

    fn log_tails(&self) -> String {
        self.control_plane.log_tails()
    }
}

/// A control plane of their own for the scenarios of reports: a namespace has one report, and a cluster one controller that
/// writes them.
pub(crate) struct ReportsCluster(Arc<Cluster>);

impl Setting for ReportsCluster {
    const NAME: &'static str = "reports";

    fn scene(stage: &Stage) -> &Scene<Self> {
        &stage.reports
    }

    async fn start(sandbox: &Sandbox, folder: &Path) -> Result<Self> {
        Cluster::start(sandbox, folder).await.map(Arc::new).map(Self)
    }

    async fn end(self) -> Result<()> {
        Arc::into_inner(self.0).context("a scenario still plays")?.end().await
    }

    fn facts(&self) -> String {
        self.0.facts()
    }

    fn log_tails(&self) -> String {
        self.0.log_tails()
    }
}

impl ReportsCluster {
    /// The control plane.
    pub(crate) fn cluster(&self) -> Arc<Cluster> {
        Arc::clone(&self.0)
    }
}

impl Cluster {
    /// Starts one with other options of the API server.
    pub(crate) async fn start_with(
        options: Options,
        sandbox: &Sandbox,
        folder: &Path,
    ) -> Result<Self> {
        let control_plane = options.start(sandbox, folder).await?;
        let api = Api::new(control_plane.client(User::ADMIN).await?);
        let webhooks = Authority::new("webhooks")?;
        let monitoring = sandbox.programs().monitoring.clone();
        Ok(Self { webhook: OnceCell::new(), webhooks, api, control_plane, monitoring })
    }

    /// The API as its administrator.
    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    pub(crate) fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    /// What a Prometheus for this cluster takes.
    pub(crate) fn monitoring(&self) -> &Monitoring {
        &self.monitoring
    }

    /// The authority that signs the webhooks' certificates: not the API server's own, so that only
    /// `caBundle` can make the API server trust them.
    pub(crate) fn webhooks(&self) -> &Authority {
        &self.webhooks
    }

    /// The common webhook: started, registered and called by the API server.
    pub(crate) async fn webhook(&self) -> Result<&Pullcred> {
        self.webhook.get_or_try_init(async || self.register_common_webhook().await).await
    }

    /// A new namespace that the common webhook covers.
    pub(crate) async fn opted_in(&self, name: &str) -> Result<Namespace> {
        self.webhook().await?;
        Namespace::create(&self.api, name, &json!({INJECT: "enabled"})).await
    }

    /// A new namespace that asked for nothing, in a cluster with the common webhook.
    pub(crate) async fn unlabelled(&self, name: &str) -> Result<Namespace> {
        self.webhook().await?;
        Namespace::create(&self.api, name, &json!({})).await
    }

    /// A new opted-in namespace that the common webhook leaves to a registration of its own.
    pub(crate) async fn apart(&self, name: &str) -> Result<Namespace> {
        let labels = json!({INJECT: "enabled", OWN_REGISTRATION: "true"});
        Namespace::create(&self.api, name, &labels).await
    }

    /// Starts a pullcred of a scenario's own on `listen`, with a certificate for `host`.
    pub(crate) async fn start_webhook(
        &self,
        name: &str,
        listen: SocketAddr,
        host: &str,
        mapping: &str,
    ) -> Result<Pullcred> {
        let identity = self.webhooks.server(&[host])?;
        let webhook =
            Webhook { name, mapping, listen, identity: &identity, flags: &[], environment: &[] };
        webhook.start(self.control_plane.folder()).await
    }

    /// What the API server wrote down when it created a Pod.
    pub(crate) async fn audited(&self, pod: &StoredPod) -> Result<AuditEvent> {
        AuditEvent::of_creation(&self.control_plane.folder().join(AUDIT_LOG), pod).await
    }

    /// What the API server wrote down of the requests of [`audit::WATCHED_ACCOUNT`].
    pub(crate) fn audited_account(&self) -> Result<Vec<AuditEvent>> {
        AuditEvent::of_watched_account(&self.control_plane.folder().join(AUDIT_LOG))
    }

    async fn register_common_webhook(&self) -> Result<Pullcred> {
        let listen = loopback();
        let webhook = self.start_webhook("pullcred", listen, "127.0.0.1", MAPPING).await?;
        Registration::url("pullcred", listen, &self.webhooks)
            .except_own()
            .create(&self.api)
            .await?;
        let probe = Namespace::create(&self.api, "probe", &json!({INJECT: "enabled"})).await?;
        probe.until_injected().await?;
        Ok(webhook)
    }
}

/// Has the API server take the policy of `examples` from a file, and answers where that is configured.
fn static_policies(folder: &Path) -> Result<PathBuf> {
    let policies = folder.join("static-policies");
    fs::create_dir(&policies)?;
    fs::write(policies.join("guard.yaml"), GUARD)?;
    let path = folder.join("admission.yaml");
    let configuration = json!({
        "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration",
        "plugins": [{"name": "ValidatingAdmissionPolicy", "configuration": {
            "apiVersion": "apiserver.config.k8s.io/v1", "kind": "ValidatingAdmissionPolicyConfiguration",
            "staticManifestsDir": policies,
        }}],
    });
    fs::write(&path, configuration.to_string())?;
    Ok(path)
}

/// An address on loopback that nobody else has.
pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], next_port()))
}
