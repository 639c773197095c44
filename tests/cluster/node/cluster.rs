//! A cluster with a node, private registries, and pullcred, as the scenarios share it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::json;
use tokio::sync::OnceCell;

use super::{
    Node,
    containerd::{Containerd, PAUSE_IMAGE},
    events::Events,
    images, machine,
    registry::{Account, FIRST, Registry, SECOND},
};
use crate::{
    api::Api,
    cluster::loopback,
    control_plane::{ControlPlane, Options},
    fixtures::pod,
    namespace::{Namespace, StoredPod},
    pki::{Authority, User},
    pullcred::{Pullcred, Webhook},
    registration::{INJECT, Registration},
    sandbox::Sandbox,
    setting::{Scene, Setting},
    stage::Stage,
};

/// The mapping of pullcred there.
const MAPPING: &str = include_str!("mapping.yaml");

/// A control plane, a node, and registries that want a password.
pub(crate) struct NodeCluster {
    node: Node,
    registries: [Registry; 2],
    pullcred: OnceCell<Installed>,
    /// What every image runs.
    program: PathBuf,
    api: Api,
    control_plane: ControlPlane,
}

/// pullcred in the cluster, and how it was there before.
pub(crate) struct Installed {
    pub(crate) before: Before,
    _webhook: Pullcred,
}

/// What a private image came to without pullcred.
pub(crate) struct Before {
    /// Labelled, with the Secret in it.
    pub(crate) namespace: Namespace,
    pub(crate) pod: StoredPod,
    pub(crate) events: Events,
}

impl Setting for NodeCluster {
    const NAME: &'static str = "node";

    fn scene(stage: &Stage) -> &Scene<Self> {
        &stage.node
    }

    async fn start(sandbox: &Sandbox, folder: &Path) -> Result<Self> {
        let programs =
            sandbox.programs().node.as_ref().context("the node's programs are not built")?;
        let hosts = [FIRST, SECOND].map(|account| account.hosts_entry()).concat();
        machine::prepare(folder, &hosts)?;

        let authority = Authority::new("registries")?;
        let trusted = folder.join("registries.crt");
        fs::write(&trusted, authority.certificate())?;
        let registry = |account| Registry::start(&programs.registry, account, &authority, folder);
        let (control_plane, containerd, first, second, program) = tokio::try_join!(
            Options::default().start(sandbox, folder),
            Containerd::start(&programs.containerd, &trusted, folder),
            registry(FIRST),
            registry(SECOND),
            images::idle_program(folder),
        )?;
        containerd.preload(&images::pack(&program, PAUSE_IMAGE, folder).await?).await?;
        let api = Api::new(control_plane.client(User::ADMIN).await?);
        let node = Node::start(containerd, &control_plane, &api, folder).await?;
        let registries = [first, second];
        Ok(Self { node, registries, pullcred: OnceCell::new(), program, api, control_plane })
    }

    async fn end(self) -> Result<()> {
        self.node.end().await
    }

    fn facts(&self) -> String {
        let control_plane = self.control_plane.ready_after().as_secs_f64();
        let node = self.node.ready_after.as_secs_f64();
        format!(
            "with a node: control plane ready after {control_plane:.1} s, node {node:.1} s later"
        )
    }

    fn log_tails(&self) -> String {
        let registries = self.registries.each_ref().map(Registry::log_tail).join("\n");
        [self.control_plane.log_tails(), self.node.log_tails(), registries].join("\n")
    }
}

impl NodeCluster {
    pub(crate) fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    /// Holds all files of the cluster.
    pub(crate) fn folder(&self) -> &Path {
        self.control_plane.folder()
    }

    /// A new namespace that pullcred covers.
    pub(crate) async fn opted_in(&self, name: &str) -> Result<Namespace> {
        self.pullcred().await?;
        Namespace::create(&self.api, name, &json!({INJECT: "enabled"})).await
    }

    /// A new namespace that asked for nothing, in a cluster with pullcred.
    pub(crate) async fn unlabelled(&self, name: &str) -> Result<Namespace> {
        self.pullcred().await?;
        Namespace::create(&self.api, name, &json!({})).await
    }

    /// Pushes a small image to a registry and answers its full name.
    pub(crate) async fn push(&self, account: Account, name: &str) -> Result<String> {
        let image = account.image(name);
        let archive = images::pack(&self.program, &image, self.folder()).await?;
        self.node.containerd.push(&archive, &image, account).await?;
        Ok(image)
    }

    /// pullcred in this cluster, installed when the first asks for it.
    pub(crate) async fn pullcred(&self) -> Result<&Installed> {
        self.pullcred.get_or_try_init(async || self.install().await).await
    }

    async fn install(&self) -> Result<Installed> {
        let before = self.before().await?;
        let webhook = self.start_webhook().await?;
        before.namespace.until_injected_for(&FIRST.image("any")).await?;
        Ok(Installed { before, _webhook: webhook })
    }

    /// A namespace with everything in place except pullcred.
    async fn before(&self) -> Result<Before> {
        let image = self.push(FIRST, "shop/front:1").await?;
        let namespace = Namespace::create(&self.api, "shop", &json!({INJECT: "enabled"})).await?;
        self.secret_by_login(&namespace, "first", FIRST, FIRST.password).await?;
        let pod = namespace.create_pod(pod("app").image(&image)).await?;
        let events = Events::until(&namespace, &pod, "Failed", "ErrImagePull").await?;
        Ok(Before { namespace, pod, events })
    }

    async fn start_webhook(&self) -> Result<Pullcred> {
        let authority = Authority::new("webhooks")?;
        let identity = authority.server(&["127.0.0.1"])?;
        let listen = loopback();
        let webhook =
            Webhook { name: "pullcred", mapping: MAPPING, listen, identity: &identity, flags: &[] };
        let webhook = webhook.start(self.folder()).await?;
        Registration::url("pullcred", listen, &authority).create(&self.api).await?;
        Ok(webhook)
    }
}
