use super::*;
use crate::{
    controller::credentials::{
        health::schedule::Trial,
        seen::{Fingerprint, Ours},
    },
    core::credentials::Credentials,
    mapping,
};

const MAPPING: &str = "logins:\n\
    - {name: acme, secret: acme-login}\n\
    rules:\n\
    - {registries: [ghcr.io/acme], secret: robot, login: acme, namespaces: ['*']}\n";
const CONFIG: &str = r#"{"auths":{"ghcr.io":{"username":"u","password":"p"}}}"#;
/// When a login ended, in seconds since the Unix epoch.
const ENDED: i64 = 1_767_225_600;
const GRACE: Duration = Duration::from_secs(600);

struct Setup {
    state: State,
    now: Instant,
    secret: Arc<str>,
    /// The annotation of the login's Secret.
    accept: Option<Box<str>>,
}

impl Setup {
    /// A mapping is in force, its login has been read, and no Secret is there.
    fn new() -> Self {
        let (now, secret) = (Instant::now(), Arc::from("robot"));
        Self::of(State::new(GRACE), now, secret)
    }

    /// The same, which tries a content before it is copied.
    fn trying() -> Self {
        Self::of(State::new(GRACE).trying(), Instant::now(), Arc::from("robot"))
    }

    fn of(state: State, now: Instant, secret: Arc<str>) -> Self {
        let mut setup = Self { state, now, secret, accept: None };
        setup.state.set_mapping(&mapping::parse(MAPPING).unwrap(), "pullcred");
        setup.state.set_listed(&setup.secret.clone());
        setup.read("1", CONFIG);
        setup
    }

    fn read(&mut self, version: &str, config: &str) -> bool {
        let credentials = Credentials::read("kubernetes.io/dockerconfigjson", |key| {
            (key == ".dockerconfigjson").then_some(config.as_bytes())
        });
        let (uid, version, accept) = ("uid".into(), version.into(), self.accept.clone());
        let expires_at = Annotated::Absent;
        let read = LoginRead { uid, version, accept, credentials, expires_at };
        self.state.set_login(&"acme".parse().unwrap(), Some(read))
    }

    fn opt_in(&mut self, name: &str) {
        let namespace = Namespace { labels: Vec::new(), terminating: false, since: self.now };
        self.state.set_namespace(name, Some(namespace));
    }

    /// What is to be done in a namespace, as the names of its steps.
    fn steps(&mut self, name: &str) -> Vec<&'static str> {
        let tasks = self.state.tasks(name, self.now);
        tasks.now.iter().map(|task| step_name(&task.step)).collect()
    }

    /// A copy is there, with this content; `intact` unless somebody has changed it.
    fn see(&mut self, namespace: &str, content: &str, intact: bool) {
        let ours = Ours {
            uid: "u".into(),
            version: "1".into(),
            content: Fingerprint::parse(content),
            intact,
            immutable: false,
            added: Box::default(),
        };
        self.state.set_seen(namespace, &self.secret, Some(Seen::Ours(ours)), self.now);
    }

    fn see_nothing(&mut self, namespace: &str) {
        self.state.set_seen(namespace, &self.secret, None, self.now);
    }

    /// The fingerprint of what a namespace is to have.
    fn wanted(&mut self) -> String {
        self.opt_in("probe");
        let tasks = self.state.tasks("probe", self.now);
        self.state.set_namespace("probe", None);
        tasks.now[0].content.as_ref().unwrap().fingerprint.clone()
    }
}

fn step_name(step: &Step) -> &'static str {
    match step {
        Step::Create => "create",
        Step::Update(_) => "update",
        Step::Collect(_) => "collect",
        _ => "nothing",
    }
}

/// The content of the login now.
fn content(setup: &Setup) -> String {
    setup.state.contents().next().unwrap().1.to_owned()
}

#[test]
fn a_content_is_copied_when_it_has_passed_and_another_waits_again() {
    const TYPO: &str = r#"{"auths":{"ghcr.io":{"username":"u","password":"q"}}}"#;
    let login = "acme".parse().unwrap();
    let none: [&str; 0] = [];
    let progress = |setup: &Setup| setup.state.copies_in("shop").unwrap()[0].progress;
    let mut setup = Setup::trying();
    setup.opt_in("shop");
    assert_eq!((setup.steps("shop"), progress(&setup)), (none.into(), Progress::Pending));
    let first = content(&setup);
    assert!(!setup.state.set_tried(&login, "another", Trial::Passed, false));
    assert!(setup.state.set_tried(&login, &first, Trial::Passed, false));
    assert_eq!(setup.steps("shop"), ["create"]);
    let wanted = setup.wanted();
    setup.see("shop", &wanted, true);
    assert_eq!((setup.steps("shop"), progress(&setup)), (none.into(), Progress::Ready));

    assert!(setup.read("2", TYPO));
    assert_eq!((setup.steps("shop"), progress(&setup)), (none.into(), Progress::Outdated));
    let typo = content(&setup);
    assert!(!setup.state.set_tried(&login, &first, Trial::Passed, false), "of the one before");
    assert!(setup.state.set_tried(&login, &typo, Trial::Held, true));
    assert_eq!((setup.steps("shop"), progress(&setup)), (none.into(), Progress::Kept));
    setup.see_nothing("shop");
    assert_eq!(
        (setup.steps("shop"), progress(&setup)),
        (none.into(), Progress::Missing(Fault::Refused))
    );
    // The Secret is touched, which is no other content; the mapping, likewise.
    setup.read("3", TYPO);
    setup.state.set_mapping(&mapping::parse(MAPPING).unwrap(), "pullcred");
    assert_eq!(setup.steps("shop"), none);
    // What is wiped is read again when it is wanted, and is still refused.
    setup.state.logins_mut().wipe();
    setup.read("3", TYPO);
    assert_eq!(setup.steps("shop"), none);
    setup.accept = Some(typo.as_str().into());
    setup.read("4", TYPO);
    assert_eq!(setup.steps("shop"), ["create"], "a person lets it");
    setup.state.set_tried(&login, &typo, Trial::Held, true);
    assert_eq!(setup.steps("shop"), ["create"]);
    let wanted = setup.wanted();
    setup.see("shop", &wanted, true);
    let copies = setup.state.copies_in("shop").unwrap();
    assert_eq!(copies[0].failing(), Some(Failing::LoginRefused));
}

#[test]
fn nothing_is_done_under_a_name_that_has_not_been_listed() {
    let mut setup = Setup::new();
    setup.opt_in("shop");
    assert_eq!(setup.steps("shop"), ["create"]);
    let two = MAPPING.replace(
        "rules:\n",
        "rules:\n- {registries: [ghcr.io/tools], secret: tools, login: acme, namespaces: ['*']}\n",
    );
    setup.state.set_mapping(&mapping::parse(&two).unwrap(), "pullcred");
    assert_eq!(setup.steps("shop"), ["create"], "the new name is not known yet, the old one is");
    setup.state.set_listed(&Arc::from("tools"));
    assert_eq!(setup.steps("shop"), ["create", "create"]);
}

#[test]
fn what_is_there_while_its_name_is_being_listed_is_not_unwanted() {
    let (mut setup, mut state) = (Setup::new(), State::new(GRACE));
    state.set_mapping(&mapping::parse(MAPPING).unwrap(), "pullcred");
    setup.state = state;
    for number in 0..20 {
        let name = format!("team-{number}");
        setup.opt_in(&name);
        setup.see(&name, "0123456789abcdef0123456789abcdef", true);
        assert_eq!(setup.steps(&name), [""; 0]);
    }
    assert_eq!((setup.state.unwanted(), setup.state.is_collection_held()), (0, false));
}

#[test]
fn a_login_that_is_read_again_unchanged_changes_nothing() {
    let mut setup = Setup::new();
    let name = "acme".parse().unwrap();
    assert!(!setup.read("1", CONFIG), "the same version");
    setup.state.logins_mut().forget(&name);
    setup.opt_in("shop");
    let tasks = setup.state.tasks("shop", setup.now);
    assert_eq!((tasks.now.len(), tasks.read), (0, vec![name]));
    assert!(setup.read("2", &CONFIG.replace("\"p\"", "\"q\"")), "another password");
    assert_eq!(setup.steps("shop"), ["create"]);
}

#[test]
fn wiped_credentials_are_read_again_only_for_what_must_be_written() {
    let mut setup = Setup::new();
    let content = setup.wanted();
    for name in ["shop", "team-a"] {
        setup.opt_in(name);
    }
    setup.see("shop", &content, true);
    setup.state.logins_mut().wipe();
    let tasks = setup.state.tasks("shop", setup.now);
    assert!(tasks.now.is_empty() && tasks.read.is_empty(), "{tasks:?}");
    let tasks = setup.state.tasks("team-a", setup.now);
    assert!(tasks.now.is_empty() && tasks.read.len() == 1, "{tasks:?}");
}

#[test]
fn what_a_login_does_not_serve_is_known_before_any_namespace_asks() {
    let mut setup = Setup::new();
    assert!(setup.state.logins().problems().all(|(_, problem)| problem.is_none()));
    setup.read("2", r#"{"auths":{"quay.io":{"username":"u","password":"p"}}}"#);
    let problems: Vec<_> = setup.state.logins().problems().collect();
    assert!(matches!(problems[..], [(_, Some(LoginProblem::NotFor { .. }))]), "{problems:?}");
}

#[test]
fn a_copy_that_is_no_longer_wanted_goes_after_the_grace_and_not_if_it_is_wanted_again() {
    let mut setup = Setup::new();
    let content = setup.wanted();
    setup.opt_in("shop");
    setup.see("shop", &content, true);
    setup.state.set_namespace("shop", None);
    let tasks = setup.state.tasks("shop", setup.now);
    assert_eq!((tasks.now.len(), tasks.later), (0, Some(setup.now + GRACE)));
    setup.now += GRACE / 2;
    setup.opt_in("shop");
    assert_eq!(setup.steps("shop"), [""; 0]);
    setup.state.set_namespace("shop", None);
    setup.now += GRACE / 2;
    assert_eq!(setup.steps("shop"), [""; 0], "the grace begins again");
    setup.now += GRACE;
    assert_eq!(setup.steps("shop"), ["collect"]);
}

#[test]
fn many_deletions_at_once_wait_for_a_person() {
    for (copies, unwanted, held) in
        [(100, 10, false), (100, 20, false), (100, 21, true), (11, 10, false)]
    {
        let mut setup = Setup::new();
        let content = setup.wanted();
        let names: Vec<_> = (0..copies).map(|it| format!("ns-{it}")).collect();
        for name in &names {
            setup.opt_in(name);
            setup.see(name, &content, true);
        }
        for name in &names[..unwanted] {
            setup.state.set_namespace(name, None);
            assert_eq!(setup.steps(name), [""; 0]);
        }
        setup.now += GRACE;
        assert_eq!(setup.state.is_collection_held(), held, "{unwanted} of {copies}");
        assert_eq!(setup.steps("ns-0").is_empty(), held);
        setup.state.release_collection(true);
        assert_eq!(setup.steps("ns-0"), ["collect"]);
    }
}

#[test]
fn a_copy_is_repaired_at_once_and_more_slowly_if_it_is_changed_again_and_again() {
    let mut setup = Setup::new();
    let content = setup.wanted();
    setup.opt_in("shop");
    let mut repairs = 0;
    for second in 0..600 {
        setup.see("shop", &content, true);
        if second % 2 == 0 {
            setup.see("shop", &content, false);
        } else {
            setup.see_nothing("shop");
        }
        let steps = setup.steps("shop");
        assert!(second > 0 || steps == ["update"], "the first repair has no pause");
        repairs += steps.len();
        setup.now += Duration::from_secs(1);
    }
    assert!((10..20).contains(&repairs), "{repairs} repairs in ten minutes");
    setup.now += REPAIR_PAUSE_MAX;
    setup.opt_in("calm");
    setup.see("calm", &content, true);
    setup.see_nothing("calm");
    setup.see("shop", &content, true);
    setup.see_nothing("shop");
    assert_eq!(setup.steps("shop"), ["create"], "after a quiet time it is repaired at once");
}

#[test]
fn a_namespace_that_is_being_deleted_gets_nothing_and_keeps_what_it_has() {
    let mut setup = Setup::new();
    let terminating = Namespace { labels: Vec::new(), terminating: true, since: setup.now };
    setup.state.set_namespace("shop", Some(terminating.clone()));
    assert_eq!(setup.steps("shop"), [""; 0]);
    let content = "0123456789abcdef0123456789abcdef";
    setup.see("shop", content, true);
    assert_eq!(setup.steps("shop"), [""; 0]);
}

#[test]
fn what_came_of_fetching_shows_where_the_login_is_and_of_its_own_only_there() {
    let mapping = "logins: [{name: acme, aws: {role: 'arn:aws:iam::123456789012:role/pull'}}]\n\
        rules:\n\
        - {registries: [123456789012.dkr.ecr.eu-west-1.amazonaws.com/a], secret: robot, login: acme, namespaces: ['*']}\n\
        - {registries: [123456789012.dkr.ecr.eu-west-1.amazonaws.com/b], secret: own, login: acme, namespaces: ['*'], \
         as: {serviceAccount: pullcred-pull}}\n";
    let mut setup = Setup::new();
    setup.state.set_mapping(&mapping::parse(mapping).unwrap(), "pullcred");
    setup.opt_in("a");
    setup.opt_in("b");
    let shown = |setup: &Setup| {
        let copies = ["a", "b"].map(|it| setup.state.copies_in(it).unwrap());
        copies.concat().iter().map(|it| it.fetch).collect::<Vec<_>>()
    };
    let key = |namespace: &str, secret: &str| (Arc::from(namespace), Arc::from(secret));
    assert_eq!(shown(&setup), [Fetch::Unknown; 4]);
    assert!(setup.state.set_fetched(key("pullcred", "pullcred-login-acme"), Fetch::Failed));
    assert!(setup.state.set_fetched(key("b", "own"), Fetch::Expired(ENDED)));
    assert!(!setup.state.set_fetched(key("b", "own"), Fetch::Expired(ENDED)));
    let expected = [Fetch::Failed, Fetch::Unknown, Fetch::Failed, Fetch::Expired(ENDED)];
    assert_eq!(shown(&setup), expected);
    setup.see("a", "", true);
    setup.see("b", "", true);
    let seen = setup.secret.clone();
    setup.secret = Arc::from("own");
    setup.see("b", "", true);
    setup.secret = seen;
    let overview = setup.state.overview();
    let login = &overview.logins[&"acme".parse().unwrap()];
    assert_eq!((login.wanted, login.unfetched, login.expired), (4, 0, 1));
    assert_eq!(login.failing, [(Arc::from("b"), Failing::Expired)]);
    assert!(setup.state.set_fetched(key("b", "own"), Fetch::Unknown));
    assert_eq!(setup.state.kinds().map(|(_, kind)| kind).collect::<Vec<_>>(), ["aws"]);
}
