//! A cluster with a node, private registries, and pullcred, as the scenarios share it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, Result, anyhow};
use serde_json::json;
use tokio::sync::OnceCell;

use super::{
    Node,
    containerd::{Containerd, PAUSE_IMAGE},
    events::{Events, until_phase},
    images, machine,
    registry::{Account, FIRST, Registry, SECOND, SHARED, THIRD, THIRD_ROTATED},
    release::Tag,
};
use crate::{
    api::Api,
    clouds,
    control_plane::{ControlPlane, Options},
    fixtures::pod,
    namespace::{Namespace, StoredPod},
    pki::{Authority, User},
    programs::NodePrograms,
    registration::INJECT,
    sandbox::Sandbox,
    setting::{Scene, Setting},
    stage::Stage,
};

/// A control plane, a node, and registries that want a password.
pub(crate) struct NodeCluster {
    node: Node,
    registries: [Registry; 3],
    third_is_rotated: AtomicBool,
    pullcred: OnceCell<Option<Installed>>,
    /// What every image runs except pullcred's.
    idle: PathBuf,
    programs: NodePrograms,
    api: Api,
    control_plane: ControlPlane,
    /// Signs the registries' certificates.
    authority: Authority,
    /// Signs the clouds' and their token servers'.
    clouds: clouds::Authority,
}

/// pullcred in the cluster, and how it was there before.
pub(crate) struct Installed {
    pub(crate) before: Before,
    /// The namespace of the release.
    pub(crate) home: Namespace,
    /// What Helm printed.
    pub(crate) printed: String,
    /// The components of its Pods, and what the kubelet said until they were ready.
    pub(crate) started: Vec<(&'static str, Events)>,
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
        let programs = sandbox.programs().node.clone();
        let programs = programs.context("the node's programs are not built")?;
        let hosts = [FIRST, SECOND, THIRD, SHARED].map(|account| account.hosts_entry()).concat();
        machine::prepare(folder, &hosts)?;

        let authority = Authority::new("registries")?;
        let trusted = folder.join("registries.crt");
        let clouds = clouds::Authority::new();
        fs::write(&trusted, [authority.certificate(), clouds.pem.clone()].concat())?;
        let registry = |account| Registry::start(&programs.registry, account, &authority, folder);
        let (control_plane, containerd, first, second, third, idle) = tokio::try_join!(
            Options::default().start(sandbox, folder),
            Containerd::start(&programs.containerd, &trusted, folder),
            registry(FIRST),
            registry(SECOND),
            registry(THIRD),
            images::idle_program(folder),
        )?;
        containerd.preload(&images::pack(&idle, PAUSE_IMAGE, folder).await?).await?;
        let api = Api::new(control_plane.client(User::ADMIN).await?);
        let node = Node::start(containerd, &control_plane, &api, folder).await?;
        let registries = [first, second, third];
        let pullcred = OnceCell::new();
        let third_is_rotated = AtomicBool::new(false);
        Ok(Self {
            node,
            registries,
            third_is_rotated,
            pullcred,
            idle,
            programs,
            api,
            control_plane,
            authority,
            clouds,
        })
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
        let release = self.log_tails_of_release();
        [self.control_plane.log_tails(), self.node.log_tails(), registries, release].join("\n")
    }
}

impl NodeCluster {
    /// The API as its administrator.
    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    pub(crate) fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    pub(crate) fn programs(&self) -> &NodePrograms {
        &self.programs
    }

    /// Signs the registries' certificates.
    pub(super) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Signs the certificates of clouds, which containerd trusts, too.
    pub(crate) fn clouds(&self) -> &clouds::Authority {
        &self.clouds
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

    /// A new namespace in which a Pod with `image` would get its Secret by now.
    pub(crate) async fn covered(&self, name: &str, image: &str) -> Result<Namespace> {
        let namespace = self.opted_in(name).await?;
        namespace.until_injected_for(image).await?;
        Ok(namespace)
    }

    /// A namespace that is there already.
    pub(crate) fn existing(&self, name: &str) -> Namespace {
        Namespace::existing(&self.api, name)
    }

    /// Pushes a small image to a registry and answers its full name.
    pub(crate) async fn push(&self, account: Account, name: &str) -> Result<String> {
        let image = account.image(name);
        self.push_program(&self.idle, &image, account).await?;
        Ok(image)
    }

    /// Pushes an image that runs `program`, whose full name is `image`.
    pub(crate) async fn push_program(
        &self,
        program: &Path,
        image: &str,
        account: Account,
    ) -> Result<()> {
        let archive = images::pack(program, image, self.folder()).await?;
        self.node.containerd.push(&archive, image, account).await
    }

    /// The account of the third registry, with the password that it accepts now.
    pub(crate) fn third(&self) -> Account {
        if self.third_is_rotated.load(Ordering::SeqCst) { THIRD_ROTATED } else { THIRD }
    }

    /// Has the third registry accept its new password only.
    pub(crate) fn revoke_third(&self) -> Result<()> {
        let [_, _, third] = &self.registries;
        third.accept(THIRD_ROTATED)?;
        self.third_is_rotated.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// pullcred in this cluster, installed when the first asks for it; of several that ask, one is told
    /// why it is not.
    pub(crate) async fn pullcred(&self) -> Result<&Installed> {
        let mut failure = anyhow!("pullcred is not installed: see the test that says why");
        let install = async || match self.install().await {
            Ok(installed) => Some(installed),
            Err(error) => {
                failure = error;
                None
            }
        };
        self.pullcred.get_or_init(install).await.as_ref().ok_or(failure)
    }

    async fn install(&self) -> Result<Installed> {
        let (before, home, ()) =
            tokio::try_join!(self.before(), self.make_home(), self.push_pullcred(Tag::USUAL))?;
        let printed = self.helm_install().await?;
        let mut started = Vec::new();
        for component in ["webhook", "controller", "credentials"] {
            for pod in self.pods_of(component).await? {
                started.push((component, until_phase(&home, &pod, "Running").await?));
            }
        }
        before.namespace.until_injected_for(&FIRST.image("any")).await?;
        Ok(Installed { before, home, printed, started })
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
}
