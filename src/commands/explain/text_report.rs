//! The answer as text, for readers who do not know the kubelet's source.

use std::io::{self, Write};

use super::{
    facts::ImageFacts,
    kubelet::PullSecrets,
    near_rules::near_rules,
    pods::{AtHand, Subject},
};
use crate::{
    commands::{
        keeper::{Audience, Reach},
        paint::{Paint, Role},
    },
    core::{
        decide::Reason,
        image::ImageRef,
        pod::{INJECT_LABEL, OPTED_OUT},
        rules::EXCLUDED_NAMESPACES,
    },
};

/// The most entries of Secrets that are reported as near misses of an image.
const MAX_REPORTED: usize = 5;

/// Writes answers as text.
pub(super) struct TextReport<'s> {
    pub(super) out: &'s mut dyn Write,
    pub(super) paint: Paint,
    /// The namespace that the answers are for.
    pub(super) audience: Audience<'s>,
    /// Secrets of the Pod that runs which somebody else than pullcred has made.
    pub(super) by_hand: Vec<String>,
    /// What stands before each line about an image.
    pub(super) margin: &'static str,
}

// === impl TextReport ===

impl TextReport<'_> {
    /// Reports an image that was asked for by itself.
    pub(super) fn image(
        &mut self,
        facts: &ImageFacts<'_>,
        at_hand: Option<&PullSecrets>,
    ) -> io::Result<()> {
        let namespace = self.audience.namespace;
        let title = self.paint.as_(Role::Title, shown(&facts.image));
        writeln!(self.out, "{title}")?;
        let Ok(image) = ImageRef::parse(&facts.image) else {
            self.no_reference(facts)?;
            return writeln!(self.out);
        };
        self.rules(facts, &image)?;
        let gets = match facts.reason {
            None => facts.secrets.join(", "),
            Some(reason) => format!("nothing: {}", why(reason)),
        };
        writeln!(self.out, "{}→ a new Pod in {namespace} gets {gets}", self.margin)?;
        self.reported(&facts.discovered, &facts.warnings)?;
        if let Some(pull) = at_hand {
            for name in &facts.secrets {
                if !pull.names.contains(name) {
                    self.point(Role::Unsure, format!("{name} is not among the Secrets at hand"))?;
                }
            }
            self.offers(pull, &image, "of the Secrets at hand")?;
        }
        writeln!(self.out)
    }

    /// Reports a Pod, without its images.
    pub(super) fn pod(&mut self, subject: &Subject, at_hand: Option<&AtHand>) -> io::Result<()> {
        let Subject { kind, namespace, name, listed, added, reason, .. } = subject;
        let title = self.paint.as_(Role::Title, format!("{kind} {namespace}/{name}"));
        writeln!(self.out, "{title}")?;
        for waiting in &subject.waiting {
            let text = format!("{} waits: {}", waiting.container, waiting.reason);
            let text = self.paint.as_(Role::Bad, text);
            writeln!(self.out, "  {text} {}", self.paint.as_(Role::Quiet, &waiting.message))?;
        }
        let lists = if listed.is_empty() { "no Secret".to_owned() } else { listed.join(", ") };
        writeln!(self.out, "  lists {}", self.paint.as_(Role::Plain, lists))?;
        let verb = if subject.runs { "created again, it would get" } else { "pullcred adds" };
        match reason {
            None => writeln!(self.out, "  → {verb} {}", added.join(", "))?,
            Some(Reason::AlreadyPresent) => {
                writeln!(self.out, "  → that is all that the mapping names for it")?;
            }
            Some(reason) => writeln!(self.out, "  → {verb} nothing: {}", why(*reason))?,
        }
        self.reported(&subject.discovered, &subject.warnings)?;
        let Some(AtHand { pull, besides, missing, unknown, by_hand }) = at_hand else {
            return Ok(());
        };
        for name in missing {
            self.point(Role::Bad, format!("there is no Secret {name} in {namespace}"))?;
        }
        for (name, why) in unknown {
            self.point(Role::Unsure, format!("Secret {name} could not be looked at: {why}"))?;
        }
        self.secrets(pull)?;
        self.secrets(besides)?;
        if subject.runs {
            self.by_hand.clone_from(by_hand);
        }
        for name in self.by_hand.clone() {
            let keeper = self.audience.keeper(&name).filter(|it| it.reach == Reach::Here);
            if let Some(keeper) = keeper {
                let text = format!(
                    "Secret {name} is somebody's own, so pullcred leaves it alone and does not fill it from login {}",
                    keeper.login.name
                );
                self.point(Role::Unsure, text)?;
            }
        }
        Ok(())
    }

    /// Reports what reports say of the Secrets.
    fn reported(&mut self, discovered: &[String], warnings: &[String]) -> io::Result<()> {
        for name in discovered {
            let text = format!("no rule names {name}: it exists there, and the kubelet offers it");
            self.point(Role::Good, text)?;
        }
        for warning in warnings {
            self.point(Role::Unsure, warning.clone())?;
        }
        Ok(())
    }

    /// Reports an image of that Pod.
    pub(super) fn image_of_pod(
        &mut self,
        facts: &ImageFacts<'_>,
        owners: &[String],
        at_hand: Option<&AtHand>,
    ) -> io::Result<()> {
        let title = self.paint.as_(Role::Title, shown(&facts.image));
        let owners = self.paint.as_(Role::Quiet, owners.join(", "));
        writeln!(self.out, "  {title} {owners}")?;
        self.margin = "    ";
        let Ok(image) = ImageRef::parse(&facts.image) else { return self.no_reference(facts) };
        self.rules(facts, &image)?;
        match at_hand {
            Some(at_hand) => self.offers(&at_hand.pull, &image, "of its Secrets"),
            None => Ok(()),
        }
    }

    /// Lists what to do.
    pub(super) fn advice(&mut self, advice: &[String]) -> io::Result<()> {
        for advice in advice {
            let advice = self.paint.as_(Role::Plain, advice);
            writeln!(self.out, "  {} {advice}", self.paint.as_(Role::Title, "do:"))?;
        }
        writeln!(self.out)
    }

    fn no_reference(&mut self, facts: &ImageFacts<'_>) -> io::Result<()> {
        let text = format!("not an image: {}", facts.error);
        self.point(Role::Bad, text)?;
        let text = "the kubelet reports InvalidImageName, whatever the Secrets";
        self.point(Role::Quiet, text.to_owned())
    }

    fn rules(&mut self, facts: &ImageFacts<'_>, image: &ImageRef<'_>) -> io::Result<()> {
        let mut what = match facts.registry.as_str() {
            "" => "no registry".to_owned(),
            registry => format!("registry {registry}"),
        };
        what.extend([", repository ", &facts.repository]);
        for (name, text) in [("tag", &facts.tag), ("digest", &facts.digest)] {
            if !text.is_empty() {
                what.extend([", ", name, " ", text]);
            }
        }
        writeln!(self.out, "{}{}", self.margin, self.paint.as_(Role::Quiet, what))?;
        for rule in &facts.rules {
            let text = format!("line {}, {}, names {}", rule.line, rule.pattern, rule.secret);
            self.point(Role::Good, text)?;
        }
        if !facts.rules.is_empty() {
            return self.keepers(facts);
        }
        if facts.registry.is_empty() {
            // distribution/reference takes an underscore for part of a repository, never of a host.
            let text = "no rule can cover it: to the kubelet a host with an underscore is none";
            return self.point(Role::Unsure, text.to_owned());
        }
        self.point(Role::Unsure, "no rule of the mapping covers it".to_owned())?;
        for near in near_rules(self.audience.mapping, image, self.audience.namespace) {
            let text = format!("line {}, {}, does not: {}", near.line, near.pattern, near.why);
            self.point(Role::Quiet, text)?;
        }
        Ok(())
    }

    /// Reports which of the Secrets pullcred makes, and from what.
    fn keepers(&mut self, facts: &ImageFacts<'_>) -> io::Result<()> {
        let Audience { namespace, labels, .. } = self.audience;
        let by_hand = |secret: &&str| self.by_hand.iter().any(|name| name == secret);
        let secrets: Vec<_> =
            facts.secrets_of_rules().into_iter().filter(|it| !by_hand(it)).collect();
        for secret in secrets {
            let Some(keeper) = self.audience.keeper(secret) else { continue };
            let role = if keeper.reach == Reach::Here { Role::Quiet } else { Role::Unsure };
            self.point(role, keeper.what(namespace, labels.is_some()))?;
        }
        Ok(())
    }

    /// Reports the Secrets at hand.
    pub(super) fn at_hand(&mut self, pull: &PullSecrets) -> io::Result<()> {
        let names = if pull.names.is_empty() { "none".to_owned() } else { pull.names.join(", ") };
        let title = format!("Secrets at hand: {names}");
        writeln!(self.out, "{}", self.paint.as_(Role::Title, title))?;
        self.secrets(pull)?;
        writeln!(self.out)
    }

    /// Reports the Secrets that open no image at all.
    fn secrets(&mut self, pull: &PullSecrets) -> io::Result<()> {
        for (name, error) in &pull.bad {
            self.point(
                Role::Bad,
                format!("Secret {name} fails every pull of a Pod that lists it: {error}"),
            )?;
        }
        for (name, reason) in &pull.ignored {
            self.point(Role::Unsure, format!("the kubelet passes over Secret {name}: {reason}"))?;
        }
        for (name, flaw) in pull.flaws.iter().take(MAX_REPORTED) {
            self.point(Role::Unsure, format!("Secret {name}: {flaw}"))?;
        }
        if pull.flaws.len() > MAX_REPORTED {
            let text = format!(
                "and {} more faults: see pullcred secret show",
                pull.flaws.len() - MAX_REPORTED
            );
            self.point(Role::Quiet, text)?;
        }
        Ok(())
    }

    fn offers(&mut self, pull: &PullSecrets, image: &ImageRef<'_>, which: &str) -> io::Result<()> {
        let offers = pull.offers(image);
        let when = if pull.bad.is_empty() { "" } else { "once that is fixed, " };
        if offers.is_empty() {
            let text = format!("{when}the kubelet offers none {which}: it pulls without a login");
            self.point(Role::Unsure, text)?;
        } else {
            writeln!(self.out, "{}→ {when}{which} the kubelet offers", self.margin)?;
        }
        for offer in &offers {
            let text = format!("{}, by its key {}", offer.secret, offer.key);
            let (role, text) = if pull.is_empty(offer) {
                (
                    Role::Unsure,
                    format!("{text}, which has no login: the registry is asked without one"),
                )
            } else {
                (Role::Good, text)
            };
            writeln!(self.out, "{}  {}. {}", self.margin, offer.rank, self.paint.as_(role, text))?;
        }
        // A Secret that is offered by another of its keys needs no fix.
        let is_offered = |name: &str| offers.iter().any(|offer| offer.secret == name);
        let mut near = pull.near_misses(image);
        near.retain(|missed| !is_offered(missed.secret));
        for missed in near.iter().take(MAX_REPORTED) {
            let text = format!(
                "not {}: its key {} does not match: {}",
                missed.secret, missed.key, missed.reason
            );
            self.point(Role::Unsure, text)?;
        }
        if near.len() > MAX_REPORTED {
            let text = format!("and {} more keys that nearly match", near.len() - MAX_REPORTED);
            self.point(Role::Quiet, text)?;
        }
        Ok(())
    }

    fn point(&mut self, role: Role, text: String) -> io::Result<()> {
        let mark = match role {
            Role::Bad => "✗",
            Role::Good => "✓",
            Role::Plain | Role::Quiet | Role::Title => "·",
            Role::Unsure => "!",
        };
        let (mark, text) = (self.paint.as_(role, mark), self.paint.as_(role, text));
        writeln!(self.out, "{}{mark} {text}", self.margin)
    }
}

/// An image as it is.
fn shown(image: &str) -> &str {
    if image.is_empty() { "(empty)" } else { image }
}

fn why(reason: Reason) -> String {
    match reason {
        Reason::AlreadyPresent => "it has all that the mapping names".to_owned(),
        Reason::ExcludedNamespace => {
            format!("pullcred leaves {} alone", EXCLUDED_NAMESPACES.join(", "))
        }
        Reason::MirrorPod => "it mirrors a static Pod, which can use no Secret".to_owned(),
        Reason::NothingMatches => "no rule covers its images".to_owned(),
        Reason::OptedOut => format!("its label {INJECT_LABEL} is `{OPTED_OUT}`"),
        Reason::Withheld => "what it needs is left out".to_owned(),
        Reason::NotAPod | Reason::NotCreate | Reason::Subresource | Reason::Unreadable => {
            format!("it is no Pod that can be read ({})", reason.as_str())
        }
    }
}
