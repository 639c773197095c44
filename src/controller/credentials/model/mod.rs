//! The code of [`writes`](super::writes) and [`plan`](mod@super::plan) against every interleaving of two processes with
//! people, on an API server that keeps objects as the real one does: fields have managers, an unforced apply conflicts,
//! uid and version are preconditions.
//!
//! A run is a list of choices: who acts next. Each call of the code under test is one step, so that everything that
//! others do may come between two calls. All lists up to a length are tried, by running again from the start.

mod server;

use std::{
    cell::{Cell, RefCell},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Waker},
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use self::server::{Api, NEW, OLD, Object, Refused, World};
use super::{
    plan::{Step, Wanted, plan},
    seen::{Fingerprint, Seen},
    writes::{Done, Place, collect, create, update},
};

const AT: Place<'static> = Place { namespace: "shop", secret: "robot" };

/// What people do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Person {
    MakesTheSecret,
    MakesAnEqualSecret,
    DeletesTheSecret,
    EditsTheData,
    AddsAKey,
    MakesItImmutable,
    TakesTheMarkOff,
    RemovesTheLabel,
    SetsTheLabel,
    RotatesTheLogin,
}

const PEOPLE: [Person; 10] = [
    Person::MakesTheSecret,
    Person::MakesAnEqualSecret,
    Person::DeletesTheSecret,
    Person::EditsTheData,
    Person::AddsAKey,
    Person::MakesItImmutable,
    Person::TakesTheMarkOff,
    Person::RemovesTheLabel,
    Person::SetsTheLabel,
    Person::RotatesTheLogin,
];

impl Person {
    /// Does it; answers whether it could be done.
    fn act(self, world: &mut World) -> bool {
        let version = world.id();
        let content = world.content;
        match (self, &mut world.secret) {
            (Self::MakesTheSecret | Self::MakesAnEqualSecret, secret @ None) => {
                let equal = self == Self::MakesAnEqualSecret;
                *secret = Some(Object {
                    uid: version,
                    version,
                    data: if equal { content } else { "a person's" },
                    mark: None,
                    us: false,
                    others: true,
                    immutable: false,
                    added: false,
                    persons: true,
                });
            }
            (Self::DeletesTheSecret, secret @ Some(_)) => *secret = None,
            (Self::EditsTheData, Some(object)) if !object.immutable => {
                (object.data, object.us, object.others) = ("edited", false, true);
                object.version = version;
            }
            (Self::AddsAKey, Some(object)) if !object.immutable && !object.added => {
                (object.added, object.version) = (true, version);
            }
            (Self::MakesItImmutable, Some(object)) if !object.immutable => {
                (object.immutable, object.version) = (true, version);
            }
            (Self::TakesTheMarkOff, Some(object)) if object.mark.is_some() => {
                (object.mark, object.version) = (None, version);
            }
            (Self::RemovesTheLabel, _) if world.labelled => world.labelled = false,
            (Self::SetsTheLabel, _) if !world.labelled => world.labelled = true,
            (Self::RotatesTheLogin, _) if world.content == OLD => world.content = NEW,
            _ => return false,
        }
        true
    }
}

/// One process: it sees how things are, plans, and carries the plan out; then again.
async fn process(api: Api) {
    loop {
        // What the watches bring, in any state of delay: it is read in a step of its own.
        api.turn().await;
        let (seen, wanted, content) = {
            let world = api.world.borrow();
            let seen = world.metadata().map(|metadata| Seen::of(&metadata));
            let content = Fingerprint::parse(world.content).unwrap();
            let wanted = if world.labelled { Wanted::Content(content) } else { Wanted::Nothing };
            (seen, wanted, world.content)
        };
        let done = match plan(wanted, seen.as_ref()) {
            Step::Create => create(&api, AT, content).await,
            Step::Update(ours) => update(&api, AT, &ours, content).await,
            Step::Collect(_) => {
                let labelled = |metadata: &ObjectMeta| {
                    metadata.labels.as_ref().is_some_and(|labels| labels.contains_key("inject"))
                };
                collect(&api, AT, labelled).await
            }
            Step::Ready | Step::Nothing | Step::Conflict | Step::Wait { .. } => continue,
        };
        let _: Result<Done, Refused> = done;
    }
}

/// A process that runs step by step.
type Process = Pin<Box<dyn Future<Output = ()>>>;

/// A run from a start, by a list of choices: 0 and 1 are the processes, others are people.
struct Run {
    world: Rc<RefCell<World>>,
    processes: Vec<(Rc<Cell<bool>>, Process)>,
}

impl Run {
    fn new(start: World, processes: usize) -> Self {
        let world = Rc::new(RefCell::new(start));
        let start = |_| {
            let go = Rc::new(Cell::new(false));
            let api = Api { world: Rc::clone(&world), go: Rc::clone(&go) };
            let future: Process = Box::pin(process(api));
            (go, future)
        };
        let processes = (0..processes).map(start).collect();
        Self { world, processes }
    }

    /// Lets one act; answers whether it could.
    fn choose(&mut self, choice: usize) -> bool {
        let Some((go, future)) = self.processes.get_mut(choice) else {
            let person = PEOPLE[choice - self.processes.len()];
            return person.act(&mut self.world.borrow_mut());
        };
        go.set(true);
        let polled = pin!(future).as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending(), "a process ended");
        true
    }

    /// Whether all is as it should be when nothing happens any more.
    fn settled(&mut self) -> Result<(), String> {
        for round in 0..40 {
            self.choose(round % self.processes.len());
        }
        let world = self.world.borrow();
        let right = match (&world.secret, world.labelled) {
            (None, labelled) => !labelled,
            // Without the mark it is left alone, and a person's never gets it.
            (Some(object), _) if object.mark.is_none() => !object.persons || !object.us,
            (Some(object), true) => {
                !object.persons && object.data == world.content && !object.added && object.us
            }
            (Some(_), false) => false,
        };
        if right && world.broken.is_empty() { Ok(()) } else { Err(format!("{world:?}")) }
    }
}

fn start(secret: bool, labelled: bool) -> World {
    let mut world = World { labelled, content: OLD, ..World::default() };
    if secret {
        let uid = world.id();
        world.secret = Some(Object {
            uid,
            version: uid,
            data: OLD,
            mark: Some(OLD),
            us: true,
            others: false,
            immutable: false,
            added: false,
            persons: false,
        });
    }
    world
}

fn place_of(person: Person) -> usize {
    PEOPLE.iter().position(|&it| it == person).unwrap()
}

/// Tries every list of `depth` choices, with at most `people` acts of people in it.
fn search(processes: usize, depth: usize, people: usize) -> usize {
    let mut tried = 0;
    let choices = processes + PEOPLE.len();
    for (secret, labelled) in [(false, true), (true, true), (true, false), (false, false)] {
        let mut stack = vec![Vec::new()];
        while let Some(path) = stack.pop() {
            // Between two processes there is a window of two calls: see `create`.
            let equal = processes + place_of(Person::MakesAnEqualSecret);
            if processes > 1 && path.contains(&equal) {
                continue;
            }
            let mut run = Run::new(start(secret, labelled), processes);
            let possible = path.iter().all(|&choice| run.choose(choice));
            if !possible {
                continue;
            }
            let broken = run.world.borrow().broken.clone();
            assert!(broken.is_empty(), "{broken:?} by {path:?} from {secret} {labelled}");
            let acts = path.iter().filter(|&&choice| choice >= processes).count();
            if path.len() < depth {
                for choice in 0..choices {
                    if choice < processes || acts < people {
                        stack.push(path.iter().copied().chain([choice]).collect());
                    }
                }
            }
            tried += 1;
            if let Err(state) = run.settled() {
                panic!("not settled after {path:?} from {secret} {labelled}: {state}");
            }
        }
    }
    tried
}

#[test]
fn one_process_with_people_in_between() {
    assert!(search(1, 6, 3) > 10_000);
}

#[test]
fn two_processes_with_people_in_between() {
    assert!(search(2, 6, 2) > 10_000);
}
