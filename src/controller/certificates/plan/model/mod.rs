//! A world of three objects, in which processes take one step of a reconciliation at a time, in any order, and stop at any point.
//!
//! What a process does between two steps of others is one read or one write, as in `reconcile`. The kubelets and the API
//! servers hear of a write up to [`DELAY`] later: every leaf and every bundle of that time may be in use, in any pairing.

mod process;

use std::{collections::BTreeMap, mem};

use self::process::Process;
use super::*;

/// The three objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Object {
    Bundle,
    Ca,
    Leaf,
}

/// How late a write may be heard of, in seconds.
pub(super) const DELAY: Timestamp = 1;
/// How long the processes wait for it, in seconds.
pub(super) const PROPAGATION: u64 = 2;

/// How processes work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Rules {
    pub(super) ca_duration: Timestamp,
    pub(super) leaf_duration: Timestamp,
    pub(super) propagation: u64,
    /// Not what the controller does: to see that the order of reading matters.
    pub(super) reads_ca_first: bool,
}

pub(super) const RULES: Rules =
    Rules { ca_duration: 18, leaf_duration: 9, propagation: PROPAGATION, reads_ca_first: false };

/// The three objects, and what of their past may still be in use.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) now: Timestamp,
    pub(super) ca: Option<Authorities>,
    pub(super) leaf: Option<Leaf>,
    pub(super) bundle: Option<Bundle>,
    /// The last leaf there was: where the Secret is gone, kubelets leave the files as they are.
    served: Option<Leaf>,
    past_leaves: Vec<(Timestamp, Leaf)>,
    past_bundles: Vec<(Timestamp, Bundle)>,
    authorities_made: u8,
    pub(super) writes: u32,
}

/// What a webhook configuration tells to trust.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Bundle {
    pub(super) trusted: BTreeMap<CaId, Validity>,
    /// Written by someone else: what fails by it is no fault of the controller.
    foreign: bool,
}

/// A leaf may meet a caller that does not trust its CA.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Violation(pub(super) String);

/// World and processes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Model {
    pub(super) rules: Rules,
    pub(super) world: World,
    pub(super) processes: Vec<Process>,
}

// === impl Model ===

impl Model {
    /// A bundles without a bundle, as a fresh installation has it, and no Secret.
    pub(super) fn new(rules: Rules, processes: usize) -> Self {
        let bundle = Bundle { trusted: BTreeMap::new(), foreign: true };
        let world = World {
            now: 0,
            ca: None,
            leaf: None,
            bundle: Some(bundle),
            served: None,
            past_leaves: Vec::new(),
            past_bundles: Vec::new(),
            authorities_made: 0,
            writes: 0,
        };
        Self { rules, world, processes: vec![Process::new(); processes] }
    }

    /// Lets a process do one read or write.
    pub(super) fn step(&mut self, who: usize) {
        let written = self.processes[who].step(&mut self.world, self.rules);
        if let Some(object) = written {
            self.written(object);
        }
    }

    /// Whether a process is between two reconciliations.
    pub(super) fn is_between_reconciles(&self, who: usize) -> bool {
        self.processes[who].is_between_reconciles()
    }

    /// Kills a process: it starts again and knows nothing.
    pub(super) fn crash(&mut self, who: usize) {
        self.processes[who] = Process::new();
    }

    /// Lets a second pass.
    pub(super) fn tick(&mut self) {
        let world = &mut self.world;
        world.now += 1;
        let in_use = world.now - DELAY;
        world.past_leaves.retain(|(until, _)| *until >= in_use);
        world.past_bundles.retain(|(until, _)| *until >= in_use);
    }

    /// Somebody else empties the webhook configuration, or deletes it. All processes watch it.
    pub(super) fn meddle_with_configuration(&mut self, there: bool) {
        let bundle = there.then(|| Bundle { trusted: BTreeMap::new(), foreign: true });
        self.world.replace_bundle(bundle);
        self.written(Object::Bundle);
        for process in &mut self.processes {
            process.sees_configuration_change();
        }
    }

    /// Somebody else deletes a Secret.
    pub(super) fn delete_secret(&mut self, ca: bool) {
        if ca {
            self.world.ca = None;
            self.written(Object::Ca);
        } else {
            self.world.replace_leaf(None);
            self.written(Object::Leaf);
        }
    }

    /// Whether the webhook configuration is as a controller wrote it, and holds a CA that is not over: without one, calls fail
    /// already, and nothing is left to go by when the CA Secret goes, too.
    pub(super) fn callers_know_a_ca(&self) -> bool {
        self.world.bundle.as_ref().is_some_and(|bundle| bundle.matters(self.world.now))
    }

    /// Whether a leaf is valid, and its CA is valid and trusted by callers.
    pub(super) fn is_in_order(&self) -> bool {
        let World { now, leaf, bundle, .. } = &self.world;
        let Some((leaf, bundle)) = leaf.as_ref().zip(bundle.as_ref()) else { return false };
        let issuer = leaf.issuer.and_then(|issuer| bundle.trusted.get(&issuer));
        !leaf.validity.is_over(*now) && issuer.is_some_and(|issuer| !issuer.is_over(*now))
    }

    /// No process can reach the API server for a while, and no write propagates meanwhile.
    pub(super) fn outage(&mut self, seconds: Timestamp) {
        for process in &mut self.processes {
            process.loses_contact();
        }
        self.world.now += seconds;
        for (until, _) in &mut self.world.past_leaves {
            *until += seconds;
        }
        for (until, _) in &mut self.world.past_bundles {
            *until += seconds;
        }
    }

    /// # Errors
    ///
    /// Where some replica's leaf may not be trusted by some caller now.
    pub(super) fn check(&self) -> Result<(), Violation> {
        let world = &self.world;
        let leaves = world.past_leaves.iter().map(|(_, leaf)| leaf).chain(&world.served);
        for leaf in leaves {
            let bundles = world.past_bundles.iter().map(|(_, bundle)| bundle).chain(&world.bundle);
            for bundle in bundles.filter(|bundle| bundle.matters(world.now)) {
                // A leaf that is over fails whatever callers trust.
                if leaf.validity.is_over(world.now) {
                    continue;
                }
                let trusted = leaf.issuer.is_some_and(|id| bundle.trusted.contains_key(&id));
                if !trusted {
                    return Err(Violation(format!("{leaf:?} meets {bundle:?} in {self:#?}")));
                }
            }
        }
        Ok(())
    }

    /// Lets every process reconcile until none has anything left to do.
    pub(super) fn settle(&mut self) {
        for _ in 0..40 {
            let before = self.world.writes;
            for who in 0..self.processes.len() {
                self.step(who);
                while !self.is_between_reconciles(who) {
                    self.step(who);
                }
            }
            if self.world.writes == before {
                return;
            }
        }
        panic!("never at rest: {self:#?}");
    }

    /// The same for every state from which the same can follow, so that a search ends.
    pub(super) fn canonical(mut self) -> Self {
        let horizon = self.world.now - 1 - Timestamp::try_from(PROPAGATION).unwrap();
        let horizon = Duration::from_secs(u64::try_from(horizon).unwrap_or(0));
        for process in &mut self.processes {
            process.forget_before(horizon);
        }
        self.world.writes = 0;
        self
    }

    fn written(&mut self, object: Object) {
        self.world.writes += 1;
        for process in &mut self.processes {
            process.not_fresh(object);
        }
    }
}

// === impl Bundle ===

impl Bundle {
    /// Whether it is the controller's doing if a call fails by this bundle: it wrote it, and some leaf could be good by it.
    fn matters(&self, now: Timestamp) -> bool {
        !self.foreign && self.trusted.values().any(|validity| !validity.is_over(now))
    }
}

// === impl World ===

impl World {
    fn new_authority(&mut self, rules: Rules) -> Authority {
        self.authorities_made += 1;
        Authority {
            id: CaId([self.authorities_made; 32]),
            validity: Validity { not_before: self.now, not_after: self.now + rules.ca_duration },
            can_sign: true,
        }
    }

    fn new_leaf(&mut self, issuer: Authority, rules: Rules) {
        let not_after = issuer.validity.not_after.min(self.now + rules.leaf_duration);
        let validity = Validity { not_before: self.now, not_after };
        self.replace_leaf(Some(Leaf { issuer: Some(issuer.id), validity }));
    }

    fn replace_leaf(&mut self, leaf: Option<Leaf>) {
        self.leaf = leaf;
        if leaf.is_some() {
            let old = mem::replace(&mut self.served, leaf);
            self.past_leaves.extend(old.map(|leaf| (self.now, leaf)));
        }
    }

    fn replace_bundle(&mut self, bundle: Option<Bundle>) {
        let old = mem::replace(&mut self.bundle, bundle);
        self.past_bundles.extend(old.map(|bundle| (self.now, bundle)));
    }
}
