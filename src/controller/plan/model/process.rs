//! One process of the model: what it has read, and what it writes.

use super::{super::*, Bundle, Object, PROPAGATION, Rules, World};
use crate::controller::steady::SteadyValue;

/// One controller.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in super::super) struct Process {
    state: State,
    trust: SteadyValue<Trust>,
    issuer: SteadyValue<Option<CaId>>,
    seen: Seen,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum State {
    /// Has these actions left.
    Acting(Vec<Action>),
    /// Has read so many objects.
    Reading(usize),
}

/// What a process has read, and which objects are no longer as it read them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Seen {
    ca: Option<Authorities>,
    leaf: Option<Leaf>,
    bundle: Option<Bundle>,
    steady_trust: Duration,
    steady_issuer: Duration,
    stale: BTreeSet<Object>,
}

// === impl Process ===

impl Process {
    pub(super) fn new() -> Self {
        let pause = Duration::from_secs(PROPAGATION / 2);
        Self {
            state: State::Reading(0),
            trust: SteadyValue::new(pause),
            issuer: SteadyValue::new(pause),
            seen: Seen::default(),
        }
    }

    /// One read, the last of which is followed by the decision at once, or one write. Answers what was written.
    pub(super) fn step(&mut self, world: &mut World, rules: Rules) -> Option<Object> {
        match &mut self.state {
            State::Acting(actions) => {
                let action = actions.remove(0);
                if actions.is_empty() {
                    self.state = State::Reading(0);
                }
                self.seen.apply(&action, world, rules)
            }
            State::Reading(read) => {
                let order = rules.order();
                let object = order[*read];
                *read += 1;
                let last = *read == order.len();
                self.read(object, world);
                if last {
                    self.decide(world, rules);
                }
                None
            }
        }
    }

    pub(super) fn is_between_looks(&self) -> bool {
        self.state == State::Reading(0)
    }

    pub(super) fn not_fresh(&mut self, object: Object) {
        self.seen.stale.insert(object);
    }

    pub(super) fn sees_registration_change(&mut self) {
        self.trust.lose_sight();
    }

    pub(super) fn loses_contact(&mut self) {
        self.trust.lose_sight();
        self.issuer.lose_sight();
        self.state = State::Reading(0);
    }

    /// Forgets what makes no difference to what follows.
    pub(super) fn forget_before(&mut self, horizon: Duration) {
        self.trust.forget_before(horizon);
        self.issuer.forget_before(horizon);
        if self.is_between_looks() {
            self.seen = Seen::default();
        }
    }

    fn read(&mut self, object: Object, world: &World) {
        let now = Duration::from_secs(u64::try_from(world.now).unwrap());
        self.seen.stale.remove(&object);
        match object {
            Object::Bundle => {
                self.seen.bundle.clone_from(&world.bundle);
                self.seen.steady_trust = self.trust.see(self.seen.registration().trust(), now);
            }
            Object::Ca => self.seen.ca.clone_from(&world.ca),
            Object::Leaf => {
                self.seen.leaf = world.leaf;
                let issuer = world.leaf.and_then(|leaf| leaf.issuer);
                self.seen.steady_issuer = self.issuer.see(issuer, now);
            }
        }
    }

    fn decide(&mut self, world: &World, rules: Rules) {
        let Seen { steady_trust: trust, steady_issuer: issuer, .. } = self.seen;
        let steady = Steady { trust, issuer };
        let patience = Duration::from_secs(rules.propagation);
        let actions = plan(&self.seen.observed(), steady, patience, world.now);
        self.state = if actions.is_empty() { State::Reading(0) } else { State::Acting(actions) };
    }
}

// === impl Seen ===

impl Seen {
    fn registration(&self) -> Registration {
        Registration(self.bundle.iter().map(|bundle| bundle.trusted.clone()).collect())
    }

    /// The leaf's issuer is known only by the certificates at hand.
    fn observed(&self) -> Observed {
        let registration = self.registration();
        let published = registration.0.iter().flat_map(BTreeMap::keys).copied();
        let known: BTreeSet<_> = self.authorities().map(|it| it.id).chain(published).collect();
        let leaf = self.leaf.map(|leaf| Leaf {
            issuer: leaf.issuer.filter(|issuer| known.contains(issuer)),
            ..leaf
        });
        Observed { authorities: self.ca.clone(), leaf, registration }
    }

    /// Writes, if the object is still as it was read. Answers which object.
    fn apply(&self, action: &Action, world: &mut World, rules: Rules) -> Option<Object> {
        let object = match action {
            Action::AdoptPrevious(_) | Action::DropPrevious | Action::MakeAuthority { .. } => {
                Object::Ca
            }
            Action::IssueLeaf(_) => Object::Leaf,
            Action::Publish => Object::Bundle,
        };
        if self.stale.contains(&object) {
            return None;
        }
        match action {
            Action::AdoptPrevious(id) => {
                let mut authorities = self.ca.clone().unwrap();
                authorities.previous.push(self.find(*id));
                world.ca = Some(authorities);
            }
            Action::DropPrevious => {
                let newest = self.ca.as_ref().unwrap().newest;
                world.ca = Some(Authorities { newest, previous: Vec::new() });
            }
            Action::MakeAuthority { previous } => {
                let previous = previous.iter().map(|&id| self.find(id)).collect();
                world.ca = Some(Authorities { newest: world.new_authority(rules), previous });
            }
            Action::IssueLeaf(issuer) => {
                let issuer = match issuer {
                    Issuer::Newest => self.ca.as_ref().unwrap().newest,
                    Issuer::Previous(id) => self.find(*id),
                };
                assert!(issuer.can_sign, "{action:?} without a key");
                world.new_leaf(issuer, rules);
            }
            Action::Publish => {
                // A registration that is gone is never made again.
                world.bundle.as_ref()?;
                let trusted = self.authorities().map(|it| (it.id, it.validity)).collect();
                world.replace_bundle(Some(Bundle { trusted, foreign: false }));
            }
        }
        Some(object)
    }

    fn authorities(&self) -> impl Iterator<Item = Authority> {
        self.ca.iter().flat_map(Authorities::iter).copied()
    }

    /// A CA by the Secret or, without a key, by the registration.
    fn find(&self, id: CaId) -> Authority {
        self.authorities().find(|it| it.id == id).unwrap_or_else(|| {
            let validity = self.bundle.as_ref().unwrap().trusted[&id];
            Authority { id, validity, can_sign: false }
        })
    }
}
