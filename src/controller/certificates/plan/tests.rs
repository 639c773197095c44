use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use proptest::prelude::*;

use super::{
    model::{Model, RULES, Rules, Violation},
    *,
};
use crate::controller::certificates::certificate::CertificateAuthority;

/// What can go wrong for one process at one of its steps.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    /// It is killed and starts again.
    Crash,
    /// It stands still for so many seconds, while the others go on.
    Stall(Timestamp),
}

const TROUBLES: [Trouble; 5] =
    [Trouble::Crash, Trouble::Stall(0), Trouble::Stall(2), Trouble::Stall(6), Trouble::Stall(10)];

/// A run in which each process reconciles once a second, and so many faults may still come.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Run {
    model: Model,
    /// Whose turn it is.
    turn: usize,
    stalled_until: Vec<Timestamp>,
    troubles_left: u8,
}

/// Runs until `end` with every choice of when which trouble comes. Answers the number of different situations.
fn search(start: Model, troubles: u8, end: Timestamp) -> Result<usize, Violation> {
    let stalled_until = vec![0; start.processes.len()];
    let mut open = vec![Run { model: start, turn: 0, stalled_until, troubles_left: troubles }];
    let mut seen = HashSet::new();
    while let Some(run) = open.pop() {
        if run.troubles_left > 0 {
            open.extend(TROUBLES.iter().filter_map(|&trouble| run.struck_by(trouble)));
        }
        let next = run.goes_on();
        next.model.check()?;
        if next.model.world.now <= end && seen.insert(next.fingerprint()) {
            open.push(next);
        }
    }
    Ok(seen.len())
}

/// Just before the CA is due.
fn before_a_rotation(rules: Rules, processes: usize) -> Model {
    let mut model = Model::new(rules, processes);
    while model.world.now < rules.ca_duration * 2 / 3 - 1 {
        model.settle();
        model.tick();
    }
    model
}

// === impl Run ===

impl Run {
    /// The process whose turn it is takes a step. After its reconciliation it is the next one's turn, and after the last a second has
    /// passed.
    fn goes_on(mut self) -> Self {
        let stands_still = |run: &Self| run.stalled_until[run.turn] > run.model.world.now;
        if !stands_still(&self) {
            self.model.step(self.turn);
        }
        let over = stands_still(&self) || self.model.is_between_reconciles(self.turn);
        self.pass_turn(over)
    }

    fn pass_turn(mut self, over: bool) -> Self {
        if over {
            self.turn += 1;
        }
        if self.turn == self.stalled_until.len() {
            self.turn = 0;
            self.model.tick();
        }
        self
    }

    fn struck_by(&self, trouble: Trouble) -> Option<Self> {
        let mut run = self.clone();
        run.troubles_left -= 1;
        match trouble {
            Trouble::Crash => run.model.crash(run.turn),
            // To stand still between two reconciliations, or alone, only means fewer reconciliations.
            Trouble::Stall(_)
                if run.model.is_between_reconciles(run.turn) || run.stalled_until.len() == 1 =>
            {
                return None;
            }
            Trouble::Stall(seconds) => {
                run.stalled_until[run.turn] = run.model.world.now + seconds;
                run = run.pass_turn(true);
            }
        }
        Some(run)
    }

    fn fingerprint(&self) -> u64 {
        let mut canonical = self.clone();
        canonical.model = canonical.model.canonical();
        let mut hasher = DefaultHasher::new();
        canonical.hash(&mut hasher);
        hasher.finish()
    }
}

// === every single step ===

#[test]
fn a_start_from_nothing_survives_a_crash_or_stall_at_every_step() {
    for processes in 1..=3 {
        search(Model::new(RULES, processes), 2, 5).unwrap();
    }
}

#[test]
fn a_rotation_survives_three_crashes_at_any_three_steps() {
    search(before_a_rotation(RULES, 1), 3, 40).unwrap();
}

#[test]
fn a_rotation_by_two_survives_two_crashes_or_stalls_at_any_two_steps() {
    let situations = search(before_a_rotation(RULES, 2), 2, 22).unwrap();
    assert!(situations > 10_000, "only {situations} situations: the search finds nothing");
}

/// The old CA is still valid when the rotation is over, so a process that has stood still can still issue by it. This fails
/// where the controller reads its objects in another order.
#[test]
fn a_process_that_stands_still_for_a_whole_rotation_breaks_nothing() {
    let rules = Rules { ca_duration: 36, leaf_duration: 18, ..RULES };
    search(before_a_rotation(rules, 2), 1, 40).unwrap();
}

#[test]
fn the_search_finds_what_happens_without_the_wait() {
    let impatient = Rules { propagation: 1, ..RULES };
    search(before_a_rotation(impatient, 2), 2, 22).unwrap_err();
}

#[test]
fn the_search_finds_what_happens_when_the_ca_is_read_first() {
    let wrong_order = Rules { reads_ca_first: true, ..RULES };
    search(before_a_rotation(wrong_order, 2), 2, 22).unwrap_err();
}

#[test]
fn nothing_is_ever_over_and_nothing_is_written_without_need() {
    for processes in [1, 3] {
        let mut model = Model::new(RULES, processes);
        let rotations = 10;
        while model.world.now < rotations * RULES.ca_duration {
            model.settle();
            assert!(model.is_in_order(), "{model:#?}");
            model.check().unwrap();
            model.tick();
        }
        // The next CA comes after two thirds of the validity: make it, publish it, write a leaf, forget the old, publish.
        let authorities = rotations * 3 / 2;
        let leaves = 2 * authorities;
        let most = u32::try_from(4 * authorities + leaves).unwrap();
        assert!(model.world.writes <= most, "{} writes, not {most}", model.world.writes);
    }
}

// === clocks ===

const NOW: Timestamp = 1_800_000_000;
const MINUTE: Timestamp = 60;

/// A CA and its leaf, both made at `made`, and published.
fn in_order(made: Timestamp) -> Observed {
    let day = Duration::from_secs(86_400);
    let ca = CertificateAuthority::make(made, 365 * day).unwrap();
    let leaf = ca.issue(&["pullcred.system.svc".to_owned()], made, 30 * day).unwrap();
    let (id, validity) = (ca.certificate().id(), ca.certificate().validity());
    let newest = Authority { id, validity, can_sign: true };
    Observed {
        authorities: Some(Authorities { newest, previous: Vec::new() }),
        leaf: Some(Leaf { issuer: Some(id), validity: leaf.validity() }),
        bundles: Bundles(vec![BTreeMap::from([(id, validity)])]),
    }
}

#[test]
fn clocks_may_differ_by_twenty_minutes() {
    let observed = in_order(NOW + 10 * MINUTE);
    let seen_by_a_slow_clock = NOW - 10 * MINUTE;
    let actions =
        plan(&observed, Stable::default(), Duration::from_secs(120), seen_by_a_slow_clock);
    assert_eq!(actions, []);
}

#[test]
fn a_certificate_of_the_future_is_replaced() {
    let observed = in_order(NOW + 1000 * MINUTE);
    let previous = vec![observed.authorities.as_ref().unwrap().newest.id];
    let actions = plan(&observed, Stable::default(), Duration::from_secs(120), NOW);
    // The leaf at once, the CA with the overlap of every rotation.
    let expected = [Action::IssueLeaf(Issuer::Newest), Action::MakeAuthority { previous }];
    assert_eq!(actions, expected);
}

/// A process whose clock is a year ahead has made a CA beside the one in use, and callers trust it already.
#[test]
fn nothing_is_issued_by_a_ca_of_the_future() {
    let (mut observed, ahead) = (in_order(NOW), in_order(NOW + 525_600 * MINUTE));
    let future = ahead.authorities.as_ref().unwrap().newest;
    let old = observed.authorities.as_ref().unwrap().newest;
    observed.authorities = Some(Authorities { newest: future, previous: vec![old] });
    observed.bundles.0[0].insert(future.id, future.validity);
    let long_enough = Duration::from_secs(120);
    let stable = Stable { trust: long_enough, issuer: long_enough };
    assert_eq!(plan(&observed, stable, long_enough, NOW), []);
    // Nor when a leaf of it is there: what callers accept now is one of the old CA.
    observed.leaf = ahead.leaf;
    let expected = [Action::IssueLeaf(Issuer::Previous(old.id))];
    assert_eq!(plan(&observed, stable, long_enough, NOW), expected);
}

// === anything, in any order ===

#[derive(Debug, Clone)]
enum Happening {
    Step(usize),
    Reconcile(usize),
    Crash(usize),
    Second,
    Outage(Timestamp),
    /// Or its creation, if it does not exist.
    EmptyConfiguration,
    DeleteConfiguration,
    DeleteCa,
    DeleteLeaf,
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    prop_oneof![
        30 => (0..4_usize).prop_map(Step),
        30 => (0..4_usize).prop_map(Reconcile),
        20 => Just(Second),
        2 => (0..4_usize).prop_map(Crash),
        1 => (1..5_i64).prop_map(Outage),
        2 => Just(EmptyConfiguration),
        1 => Just(DeleteConfiguration),
        1 => Just(DeleteCa),
        1 => Just(DeleteLeaf),
    ]
}

fn happen(model: &mut Model, happening: &Happening) {
    let processes = model.processes.len();
    // If the CA Secret and the webhook configuration are both emptied before any process reads them, no state is left.
    let something_is_left = model.world.ca.is_some();
    // What is not provided for: a webhook configuration that appears, or a CA Secret that goes, within the milliseconds of a reconciliation.
    let all_between_reconciles = (0..processes).all(|who| model.is_between_reconciles(who));
    match *happening {
        Happening::Step(who) => model.step(who % processes),
        Happening::Reconcile(who) => {
            model.step(who % processes);
            while !model.is_between_reconciles(who % processes) {
                model.step(who % processes);
            }
        }
        Happening::Crash(who) => model.crash(who % processes),
        Happening::Second => model.tick(),
        Happening::Outage(seconds) => model.outage(seconds),
        Happening::EmptyConfiguration
            if something_is_left && (all_between_reconciles || model.world.bundle.is_some()) =>
        {
            model.meddle_with_configuration(true);
        }
        Happening::DeleteConfiguration if something_is_left => {
            model.meddle_with_configuration(false);
        }
        Happening::DeleteCa if all_between_reconciles && model.callers_know_a_ca() => {
            model.delete_secret(true);
        }
        Happening::DeleteLeaf => model.delete_secret(false),
        Happening::DeleteCa | Happening::DeleteConfiguration | Happening::EmptyConfiguration => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_no_replica_serves_what_callers_do_not_trust(
        processes in 1..=4_usize,
        happenings in prop::collection::vec(happening(), 0..400),
    ) {
        let mut model = Model::new(RULES, processes);
        for happening in happenings {
            happen(&mut model, &happening);
            prop_assert_eq!(model.check(), Ok(()));
        }
        // And whatever has happened, it ends well.
        if model.world.bundle.is_none() {
            model.meddle_with_configuration(true);
        }
        for _ in 0..RULES.ca_duration {
            model.settle();
            model.tick();
        }
        model.settle();
        prop_assert!(model.is_in_order(), "{:#?}", model.world);
    }
}
