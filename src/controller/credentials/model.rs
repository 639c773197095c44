//! The code of [`writes`](super::writes) and [`plan`](mod@super::plan) against every interleaving of two processes with
//! people, on an API server that keeps objects as the real one does: fields have managers, an unforced apply conflicts,
//! uid and version are preconditions.
//!
//! A run is a list of choices: who acts next. Each call of the code under test is one step, so that everything that
//! others do may come between two calls. All lists up to a length are tried, by running again from the start.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta, Time};
use serde_json::json;

use super::{
    plan::{Step, Wanted, plan},
    seen::{CONTENT, DATA_KEY, Fingerprint, LOGIN, MANAGER, MARK, Ours, Seen},
    writes::{Done, Failure, Place, Secrets, collect, create, update},
};
use crate::cluster::Outcome;

const AT: Place<'static> = Place { namespace: "shop", secret: "robot" };

/// What a Secret holds: who wrote it first, and the content.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Object {
    uid: u32,
    version: u32,
    data: &'static str,
    /// Whether it bears our mark, and the content that its annotation claims.
    mark: Option<&'static str>,
    /// Who owns the data.
    us: bool,
    others: bool,
    immutable: bool,
    /// A key that somebody added.
    added: bool,
    /// Made by a person, so that it must never change.
    persons: bool,
}

/// The API server's state, with what people have done.
#[derive(Debug, Default)]
struct World {
    secret: Option<Object>,
    labelled: bool,
    terminating: bool,
    content: &'static str,
    next: u32,
    /// Rules that were broken.
    broken: Vec<String>,
}

struct Refused(Outcome);

impl Failure for Refused {
    fn outcome(&self) -> Outcome {
        self.0
    }
}

/// The API server of a process. Each call waits until the process is chosen to go on.
struct Api {
    world: Rc<RefCell<World>>,
    go: Rc<Cell<bool>>,
}

impl Api {
    /// Ends when the process is chosen: the call then happens at once.
    async fn turn(&self) {
        poll_fn(|_| if self.go.replace(false) { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

impl World {
    fn id(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    fn metadata(&self) -> Option<ObjectMeta> {
        let object = self.secret.as_ref()?;
        let marks = json!({
            "f:labels": {(format!("f:{}", MARK.0)): {}},
            "f:annotations": {(format!("f:{LOGIN}")): {}, (format!("f:{CONTENT}")): {}},
        });
        let entry =
            |manager: &str, operation: &str, fields: serde_json::Value| ManagedFieldsEntry {
                manager: Some(manager.to_owned()),
                operation: Some(operation.to_owned()),
                fields_v1: serde_json::from_value(fields).ok(),
                ..ManagedFieldsEntry::default()
            };
        let mut managers = Vec::new();
        if object.us {
            let fields = json!({"f:data": {(format!("f:{DATA_KEY}")): {}}, "f:metadata": marks, "f:type": {}});
            managers.push(entry(MANAGER, "Apply", fields));
        } else if object.mark.is_some() {
            managers.push(entry(MANAGER, "Apply", json!({"f:metadata": marks})));
        }
        if object.others {
            let fields = json!({"f:data": {(format!("f:{DATA_KEY}")): {}}, "f:type": {}});
            managers.push(entry("person", "Update", fields));
        }
        if object.added {
            managers.push(entry("person", "Update", json!({"f:data": {"f:more": {}}})));
        }
        if object.immutable {
            managers.push(entry("person", "Update", json!({"f:immutable": {}})));
        }
        Some(ObjectMeta {
            uid: Some(object.uid.to_string()),
            resource_version: Some(object.version.to_string()),
            labels: object.mark.map(|_| BTreeMap::from([(MARK.0.to_owned(), MARK.1.to_owned())])),
            annotations: object
                .mark
                .map(|content| BTreeMap::from([(CONTENT.to_owned(), content.to_owned())])),
            managed_fields: Some(managers),
            ..ObjectMeta::default()
        })
    }

    /// An object that is still as it was seen.
    fn as_seen(&mut self, seen: &Ours) -> Result<&mut Object, Refused> {
        let object = self.secret.as_mut().ok_or(Refused(Outcome::Conflict))?;
        let same =
            *seen.uid == *object.uid.to_string() && *seen.version == *object.version.to_string();
        if same { Ok(object) } else { Err(Refused(Outcome::Conflict)) }
    }

    fn answer(&self) -> Result<ObjectMeta, Refused> {
        self.metadata().ok_or(Refused(Outcome::Gone))
    }
}

impl Secrets for Api {
    type Content = str;
    type Error = Refused;

    async fn namespace(&self, _: &str) -> Result<Option<ObjectMeta>, Refused> {
        self.turn().await;
        let world = self.world.borrow();
        let label = world.labelled.then(|| ("inject".to_owned(), String::new()));
        Ok(Some(ObjectMeta {
            labels: Some(label.into_iter().collect()),
            deletion_timestamp: world.terminating.then(|| Time(Default::default())),
            ..ObjectMeta::default()
        }))
    }

    async fn metadata(&self, _: Place<'_>) -> Result<Option<ObjectMeta>, Refused> {
        self.turn().await;
        Ok(self.world.borrow().metadata())
    }

    async fn create(&self, _: Place<'_>, content: &str) -> Result<ObjectMeta, Refused> {
        self.turn().await;
        let mut world = self.world.borrow_mut();
        let content = interned(content);
        let version = world.id();
        match &mut world.secret {
            None => {
                world.secret = Some(Object {
                    uid: version,
                    version,
                    data: content,
                    mark: Some(content),
                    us: true,
                    others: false,
                    immutable: false,
                    added: false,
                    persons: false,
                });
            }
            // Another manager's field with another value, or another type: a conflict, and nothing changes.
            Some(object) if object.data != content && object.others => {
                return Err(Refused(Outcome::Conflict));
            }
            Some(object) => {
                let before = object.clone();
                (object.data, object.mark, object.us) = (content, Some(content), true);
                if *object != before {
                    object.version = version;
                }
            }
        }
        world.answer()
    }

    async fn update(
        &self,
        _: Place<'_>,
        seen: &Ours,
        content: &str,
    ) -> Result<ObjectMeta, Refused> {
        self.turn().await;
        let mut world = self.world.borrow_mut();
        let content = interned(content);
        let version = world.id();
        let object = world.as_seen(seen)?;
        if object.immutable && object.data != content {
            return Err(Refused(Outcome::Invalid));
        }
        if object.added {
            return Err(Refused(Outcome::Invalid)); // The policy on copies: one key.
        }
        let persons = object.persons;
        object.others &= object.data == content;
        (object.data, object.mark, object.us, object.version) =
            (content, Some(content), true, version);
        if persons {
            world.broken.push("a person's Secret was overwritten".to_owned());
        }
        world.answer()
    }

    async fn strip(
        &self,
        _: Place<'_>,
        seen: &Ours,
        _: &[Box<str>],
    ) -> Result<ObjectMeta, Refused> {
        self.turn().await;
        let mut world = self.world.borrow_mut();
        let version = world.id();
        let object = world.as_seen(seen)?;
        if object.immutable {
            return Err(Refused(Outcome::Invalid));
        }
        (object.added, object.version) = (false, version);
        if object.persons {
            world.broken.push("a key of a person's Secret was removed".to_owned());
        }
        world.answer()
    }

    async fn release(&self, _: Place<'_>, uid: &str) -> Result<(), Refused> {
        self.turn().await;
        let mut world = self.world.borrow_mut();
        let version = world.id();
        match world.secret.as_mut().filter(|object| object.uid.to_string() == uid) {
            Some(object) => {
                (object.mark, object.us, object.version) = (None, false, version);
                Ok(())
            }
            None => Err(Refused(Outcome::Conflict)),
        }
    }

    async fn delete(&self, _: Place<'_>, seen: &Ours) -> Result<bool, Refused> {
        self.turn().await;
        let mut world = self.world.borrow_mut();
        if world.secret.is_none() {
            return Ok(false);
        }
        let object = world.as_seen(seen)?;
        if object.persons {
            world.broken.push("a person's Secret was deleted".to_owned());
        }
        world.secret = None;
        Ok(true)
    }
}

/// Content lives as long as the test.
fn interned(content: &str) -> &'static str {
    if content == OLD { OLD } else { NEW }
}

const OLD: &str = "0000000000000000000000000000000a";
const NEW: &str = "0000000000000000000000000000000b";

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

/// A run from a start, by a list of choices: 0 and 1 are the processes, others are people.
struct Run {
    world: Rc<RefCell<World>>,
    processes: Vec<(Rc<Cell<bool>>, Pin<Box<dyn Future<Output = ()>>>)>,
}

impl Run {
    fn new(start: World, processes: usize) -> Self {
        let world = Rc::new(RefCell::new(start));
        let start = |_| {
            let go = Rc::new(Cell::new(false));
            let api = Api { world: Rc::clone(&world), go: Rc::clone(&go) };
            let future: Pin<Box<dyn Future<Output = ()>>> = Box::pin(process(api));
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
