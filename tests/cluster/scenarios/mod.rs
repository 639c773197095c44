//! The scenarios. Each plays in namespaces of its own, asserts what the API server has stored, and
//! returns that for the table.

mod api_server;
mod availability;
mod chart_certificates;
mod chart_install;
mod chart_life;
mod chart_modes;
mod chart_objects;
mod check;
mod command_line;
mod controller;
mod copies;
mod copies_story;
mod documents;
mod guard;
mod health;
mod images;
mod later;
mod load;
mod logins_rights;
mod logins_story;
mod neighbours;
mod node_story;
mod opt_in;
pub(crate) mod policy;
pub(crate) mod reports;
mod secret;
mod workloads;

use std::sync::{Arc, OnceLock};

use libtest_mimic::Trial;

use crate::{
    stage::{Scenario, Stage},
    turns::Queue,
    version::{
        HOSTNAME_OVERRIDE, IMAGE_VOLUMES, MUTATING_POLICIES, NODE, STATIC_POLICIES, Selection,
    },
};

/// Where trials find the stage, once it is set.
pub(crate) type Slot = Arc<OnceLock<Stage>>;

/// Names scenarios by their paths, and lists them, some with what older versions of Kubernetes lack for them.
macro_rules! scenarios {
    ($($module:ident::$name:ident $(needs $feature:ident)?),* $(,)?) => {
        [$(Scenario::new(
            concat!(stringify!($module), "::", stringify!($name)),
            $module::$name,
        )$(.needs($feature))?),*]
    };
}

/// Those that need a control plane only. Those that wait for controllers come first, so that the others play meanwhile; those
/// about load come last, alone.
pub(crate) fn on_a_control_plane(selection: &mut Selection, queue: &mut Queue) -> Vec<Trial> {
    let together = scenarios![
        controller::rotations,
        controller::killed_in_a_rotation,
        controller::secrets_deleted,
        controller::edits_by_others,
        controller::alerts,
        controller::unreachable_api_server,
        controller::deleted_webhook_configuration,
        controller::overwritten_ca_bundle,
        controller::five_at_once,
        controller::emptied_ca_bundle,
        controller::secrets_of_somebody_else,
        controller::rights,
        availability::ending_on_sigterm,
        workloads::deployment,
        workloads::stateful_set,
        workloads::daemon_set,
        workloads::job,
        workloads::cron_job,
        later::a_job_from_before_finishes,
        later::updates_of_a_pod_from_before,
        later::ephemeral_containers,
        later::kubectl_debug,
        availability::service_with_endpoint_slice,
        availability::down_with_ignore,
        availability::down_with_fail,
        neighbours::sidecar_injected_afterwards,
        neighbours::pull_secrets_of_the_service_account,
        neighbours::pull_secrets_of_the_user,
        neighbours::enforced_mountable_secrets,
        opt_in::labelled_and_unlabelled_namespace,
        opt_in::opted_out_pod,
        opt_in::kube_system,
        opt_in::mirror_pod,
        opt_in::the_webhook_alone,
        images::two_registries,
        images::init_container_only,
        images::image_volume needs IMAGE_VOLUMES,
        images::port,
        images::digest,
        images::docker_hub_in_four_spellings,
        images::rule_for_some_namespaces,
        images::malformed,
        api_server::dry_run_equals_reality,
        api_server::field_of_a_newer_kubernetes needs HOSTNAME_OVERRIDE,
        api_server::audit_log,
        chart_objects::accepted_without_a_warning,
        guard::only_the_ca_bundle needs STATIC_POLICIES,
        secret::applied_and_shown,
        secret::another_type_is_in_the_way,
        check::sound,
        check::each_field_changed,
        check::served_by_another_leaf,
        check::behind_a_service,
        check::secrets_of_every_kind,
        check::pod_from_before,
        check::more_pods_than_a_page,
        check::unlabelled_and_mislabelled,
        check::of_nobody,
        check::of_the_printed_rights,
        copies::removal,
        copies::two_processes,
        copies::foreign,
        copies::namespace_deletion,
        copies::restart,
        copies::privacy,
        copies::drift,
        copies::joined,
        copies::audience,
        copies::follow,
        copies::rights,
        copies::fetched,
        copies::policy,
        copies::policy_beside_others,
        policy::golden_cases needs MUTATING_POLICIES,
        policy::image_vectors needs MUTATING_POLICIES,
        policy::largest_mapping needs MUTATING_POLICIES,
    ];
    let alone = scenarios![
        load::rolling_restarts,
        load::room_for_one_request,
        load::burst_of_a_thousand,
        load::reused_connections,
    ];
    selection.trials(queue, together.into_iter().chain(alone.map(Scenario::alone)))
}

/// Those of reports, which have a control plane of their own, and play there one after the other.
pub(crate) fn on_a_control_plane_for_reports(
    selection: &mut Selection,
    queue: &mut Queue,
) -> Vec<Trial> {
    let alone = scenarios![
        reports::story,
        reports::rows,
        reports::unknown,
        reports::rights,
        reports::status,
        health::story,
        health::audit,
    ];
    selection.trials(queue, alone.map(Scenario::alone))
}

/// Those that need a node. Those that play alone come last: each waits for all before it.
pub(crate) fn on_a_node(selection: &mut Selection, queue: &mut Queue) -> Vec<Trial> {
    let together = scenarios![
        copies_story::one_login,
        node_story::before_and_after,
        node_story::secret_made_later,
        node_story::cron_job,
        command_line::story,
        node_story::label_removed_and_added,
        node_story::secret_from_a_docker_config,
        node_story::secret_from_a_login,
        node_story::two_registries,
        node_story::image_volume,
        node_story::wrong_password,
        node_story::opaque_secret,
        node_story::unlabelled_namespace,
        chart_install::image_from_the_private_registry,
        chart_install::helm_test,
        chart_install::rights,
        chart_install::opt_in_policy,
        check::a_real_installation,
    ];
    let alone = scenarios![
        check::mapping_in_force,
        chart_life::refused_mapping,
        chart_life::upgrade_and_rollback,
        chart_life::webhooks_killed,
        chart_life::uninstall,
        chart_modes::every_change,
        copies_story::without_the_webhook,
        reports::discovery,
        reports::releases,
        chart_certificates::rotations,
        chart_certificates::controller_killed_in_a_rotation,
        logins_rights::as_installed,
    ];
    let [story] = scenarios![logins_story::two_accounts];
    // The last: it takes the others' installation away.
    let [last] = scenarios![documents::word_for_word];
    let all = together
        .into_iter()
        .chain(alone.map(Scenario::alone))
        .chain([story.alone().within(logins_story::limit()), last.alone()]);
    selection.trials(queue, all.map(|scenario| scenario.needs(NODE)))
}
