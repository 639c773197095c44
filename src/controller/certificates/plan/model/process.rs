//! One process of the model: what it has read, and what it writes.

use super::{super::*, Bundle, Object, PROPAGATION, Rules, World};
use std::cell::RefCell;

use futures_util::FutureExt;

use crate::controller::certificates::{
    snapshot::{Source, read},
    stable::Stability,
};

/// One controller.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in super::super) struct Process {
    state: State,
    stability: Stability,
    seen: Seen,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum State {
    /// Has these actions left.
    Acting(Vec<Action>),
    /// Has read so many objects, the first of them then.
    Reading(usize),
}

/// What a process has read, and which objects are no longer as it read them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Seen {
    ca: Option<Authorities>,
    leaf: Option<Leaf>,
    bundle: Option<Bundle>,
    /// When the first of them was read.
    began: Timestamp,
    stale: BTreeSet<Object>,
}

// === impl Process ===

impl Process {
    pub(super) fn new() -> Self {
        let pause = Duration::from_secs(PROPAGATION / 2);
        Self { state: State::Reading(0), stability: Stability::new(pause), seen: Seen::default() }
    }

    /// One read, the last of which is followed by the decision at once, or one write. Answers what was written.
    pub(super) fn step(&mut self, world: &mut World, rules: Rules) -> Option<Object> {
        match &mut self.state {
            State::Acting(actions) => {
                let action = actions.remove(0);
                if actions.is_empty() {
                    self.state = State::Reading(0);
                }
                let (began, now) = (since_start(self.seen.began), since_start(world.now));
                // The controller makes no write that was decided long ago. All but one are safe without that, so only for that
                // one the model counts on it: to bring back a leaf of an old CA.
                let brings_back = matches!(action, Action::IssueLeaf(Issuer::Previous(_)))
                    && self.seen.leaf.is_none();
                if brings_back && !self.stability.is_current(began, now) {
                    return None;
                }
                self.seen.apply(&action, world, rules)
            }
            State::Reading(done) => {
                let done = *done;
                if done == 0 {
                    self.seen.began = world.now;
                }
                let reads = Reads { world, done, seen: RefCell::new((0, &mut self.seen)) };
                // Nothing in the model waits, so the future is ready at once.
                let last = if rules.reads_ca_first {
                    read(&CaFirst(&reads)).now_or_never().unwrap().is_ok()
                } else {
                    read(&reads).now_or_never().unwrap().is_ok()
                };
                if last {
                    self.decide(world, rules);
                } else {
                    self.state = State::Reading(done + 1);
                }
                None
            }
        }
    }

    pub(super) fn is_between_reconciles(&self) -> bool {
        self.state == State::Reading(0)
    }

    pub(super) fn not_fresh(&mut self, object: Object) {
        self.seen.stale.insert(object);
    }

    pub(super) fn sees_configuration_change(&mut self) {
        self.stability.reset_trust();
    }

    pub(super) fn loses_contact(&mut self) {
        self.stability.reset();
        self.state = State::Reading(0);
    }

    /// Forgets what makes no difference to what follows.
    pub(super) fn forget_before(&mut self, horizon: Duration) {
        self.stability.forget_before(horizon);
        if self.is_between_reconciles() {
            self.seen = Seen::default();
        }
    }

    fn decide(&mut self, world: &World, rules: Rules) {
        let observed = self.seen.observed();
        let (began, ended) = (since_start(self.seen.began), since_start(world.now));
        let stable = self.stability.sample(&observed, began, ended);
        let patience = Duration::from_secs(rules.propagation);
        let actions = plan(&observed, stable, patience, world.now);
        self.state = if actions.is_empty() { State::Reading(0) } else { State::Acting(actions) };
    }
}

fn since_start(now: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(now).unwrap())
}

// === reading, in the order of the controller's own code ===

/// The world to the code that reads it: what was read before is passed over, one object is read, and then it stops.
struct Reads<'a> {
    world: &'a World,
    done: usize,
    seen: RefCell<(usize, &'a mut Seen)>,
}

/// The step is over.
struct Stop;

impl Reads<'_> {
    fn one(&self, object: Object) -> Result<(), Stop> {
        let (count, seen) = &mut *self.seen.borrow_mut();
        *count += 1;
        if *count > self.done + 1 {
            return Err(Stop);
        }
        if *count == self.done + 1 {
            seen.take_in(object, self.world);
        }
        Ok(())
    }
}

impl Source for Reads<'_> {
    type Configuration = ();
    type Tls = ();
    type Ca = ();
    type Error = Stop;

    async fn configuration(&self) -> Result<(), Stop> {
        self.one(Object::Bundle)
    }

    async fn tls(&self) -> Result<(), Stop> {
        self.one(Object::Leaf)
    }

    async fn ca(&self) -> Result<(), Stop> {
        self.one(Object::Ca)
    }
}

/// Not what the controller does: another order, to see that it matters.
struct CaFirst<'a, 'b>(&'a Reads<'b>);

impl Source for CaFirst<'_, '_> {
    type Configuration = ();
    type Tls = ();
    type Ca = ();
    type Error = Stop;

    async fn configuration(&self) -> Result<(), Stop> {
        self.0.one(Object::Ca)
    }

    async fn tls(&self) -> Result<(), Stop> {
        self.0.one(Object::Bundle)
    }

    async fn ca(&self) -> Result<(), Stop> {
        self.0.one(Object::Leaf)
    }
}

// === impl Seen ===

impl Seen {
    fn take_in(&mut self, object: Object, world: &World) {
        self.stale.remove(&object);
        match object {
            Object::Bundle => self.bundle.clone_from(&world.bundle),
            Object::Ca => self.ca.clone_from(&world.ca),
            Object::Leaf => self.leaf = world.leaf,
        }
    }

    fn bundles(&self) -> Bundles {
        Bundles(self.bundle.iter().map(|bundle| bundle.trusted.clone()).collect())
    }

    /// The leaf's issuer is known only by the certificates at hand.
    fn observed(&self) -> Observed {
        let bundles = self.bundles();
        let published = bundles.0.iter().flat_map(BTreeMap::keys).copied();
        let known: BTreeSet<_> = self.authorities().map(|it| it.id).chain(published).collect();
        let leaf = self.leaf.map(|leaf| Leaf {
            issuer: leaf.issuer.filter(|issuer| known.contains(issuer)),
            ..leaf
        });
        Observed { authorities: self.ca.clone(), leaf, bundles }
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
                // A bundles that is gone is never made again.
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

    /// A CA by the Secret or, without a key, by the webhook configuration.
    fn find(&self, id: CaId) -> Authority {
        self.authorities().find(|it| it.id == id).unwrap_or_else(|| {
            let validity = self.bundle.as_ref().unwrap().trusted[&id];
            Authority { id, validity, can_sign: false }
        })
    }
}
