//! The status as text: the worst first, on one screen whatever the size of the cluster.

mod lines;

use std::io::{self, Write};

use self::lines::{Table, clean, wrapped};
use super::{
    logins::Login,
    moments,
    namespaces::{Namespace, PodCounts, Secret},
    summary::{Freshness, Pods, Summary, counted_as, number},
    worst::{Level, counted},
};
use crate::{
    commands::paint::{Paint, Role},
    core::reports::Discovery,
};

/// The most logins, namespaces and makers of Pods on the screen: the other outputs have more.
const LOGINS: usize = 6;
const NAMESPACES: usize = 6;
const OWNERS: usize = 3;
/// The most lines of one message: a report has all of it.
const MESSAGE_LINES: usize = 2;
/// The narrowest terminal that lines are broken for.
const NARROWEST: usize = 30;

/// Writes the status for a terminal that is so many columns wide.
pub(super) fn write(
    summary: &Summary,
    paint: Paint,
    width: usize,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut screen = Screen { paint, width: width.max(NARROWEST), out };
    screen.head(summary)?;
    match (&summary.namespace, summary.namespaces.shown.first()) {
        (Some(_), Some(namespace)) => screen.secrets(namespace)?,
        (Some(_), None) => {}
        (None, _) => {
            screen.logins(summary)?;
            screen.namespaces(summary)?;
        }
    }
    if let Some(pods) = &summary.pods {
        screen.pods(pods, summary)?;
    }
    screen.next(summary)
}

struct Screen<'w> {
    paint: Paint,
    width: usize,
    out: &'w mut dyn Write,
}

// === impl Screen ===

impl Screen<'_> {
    /// What is to be known before all else, and all in one sentence.
    fn head(&mut self, summary: &Summary) -> io::Result<()> {
        for remark in &summary.remarks {
            self.point(remark.level, &remark.message, usize::MAX)?;
        }
        let headline = match &summary.namespace {
            Some(namespace) => format!("Namespace {namespace}: {}", summary.headline),
            None => format!("pullcred: {}", summary.headline),
        };
        let role = if summary.level == Level::Note { Role::Title } else { role(summary.level) };
        self.paragraph(&clean(&headline), "", |paint, line| paint.as_(role, line).to_string())?;
        self.paragraph(&clean(&origin(summary)), "", |paint, line| {
            paint.as_(Role::Quiet, line).to_string()
        })
    }

    fn logins(&mut self, summary: &Summary) -> io::Result<()> {
        let Some(logins) = summary.logins.as_ref().filter(|it| it.total > 0) else {
            return Ok(());
        };
        self.title("LOGINS", &of_which(logins.total, logins.findings()))?;
        let mut table = Table::new(["NAME", "KIND", "REGISTRY SAYS", "COPIES", "ENDS"]);
        for login in logins.shown.iter().take(LOGINS) {
            let findings: Vec<&str> = match login.level {
                Level::Ok => Vec::new(),
                level => {
                    let worst = login.findings.iter().filter(|it| it.level == level);
                    worst.map(|it| it.message.as_str()).collect()
                }
            };
            table.add(login.level, login_cells(login, summary), &findings.join("; "));
        }
        self.table(&table)?;
        let shown = logins.shown.len().min(LOGINS);
        self.more(logins.total - counted(shown), "kubectl get loginreports")
    }

    fn namespaces(&mut self, summary: &Summary) -> io::Result<()> {
        let namespaces = &summary.namespaces;
        if namespaces.total == 0 {
            return Ok(());
        }
        self.title("NAMESPACES", &of_which(namespaces.total, namespaces.findings()))?;
        if !summary.secrets.is_empty() {
            let states = summary.secrets.iter();
            let states: Vec<String> =
                states.map(|(state, count)| format!("{} {state}", number(*count))).collect();
            self.paragraph(&format!("Secrets: {}", states.join(", ")), "  ", plain)?;
        }
        let mut table = Table::new(["NAME", "WHAT"]);
        for namespace in namespaces.shown.iter().take(NAMESPACES) {
            table.add(namespace.level, [namespace.name.clone(), what(namespace)], "");
        }
        self.table(&table.without_head())?;
        let shown = namespaces.shown.len().min(NAMESPACES);
        let more = namespaces.findings() - counted(shown);
        self.more(more, "kubectl get psr --all-namespaces")
    }

    /// The Secrets of the one namespace that was asked for.
    fn secrets(&mut self, namespace: &Namespace) -> io::Result<()> {
        let Namespace { secrets, more_secrets, discovery, .. } = namespace;
        let bad = secrets.iter().filter(|it| it.level.is_finding()).count();
        let total = counted(secrets.len()) + more_secrets;
        self.title("SECRETS", &of_which(total, counted(bad)))?;
        let mut table = Table::new(["NAME", "STATE", "REASON"]);
        for secret in secrets {
            let Secret { name, level, state, reason } = secret;
            let cells = [name.clone(), format!("{state:?}"), reason.clone().unwrap_or_default()];
            table.add(*level, cells, secret.advice().unwrap_or_default());
        }
        self.table(&table)?;
        self.more(*more_secrets, "which the report does not list")?;
        if *discovery == Some(Discovery::NotPermitted) {
            let text = "pullcred may not look for other pull Secrets here";
            self.point(Level::Note, text, usize::MAX)?;
        }
        Ok(())
    }

    fn pods(&mut self, pods: &Pods, summary: &Summary) -> io::Result<()> {
        let mut heading = number(pods.seen);
        if summary.namespace.is_none() {
            heading = format!("{heading} in {}", counted_as(pods.namespaces, "namespace"));
        }
        self.title("PODS", &heading)?;
        let when = seen(pods, summary);
        if pods.without == 0 && pods.failing == 0 {
            return self.point(
                Level::Ok,
                &format!("every Pod has its Secrets, {when}"),
                usize::MAX,
            );
        }
        let counts = lacking(pods.without, pods.failing);
        self.point(Level::Warning, &format!("{counts}, {when}"), usize::MAX)?;
        let owners = pods.owners.shown.iter();
        let most = if summary.namespace.is_some() { usize::MAX } else { OWNERS };
        for owner in owners.take(most) {
            let mut what = format!("{} {}", owner.kind, owner.name);
            if summary.namespace.is_none() {
                what = format!("{what} in {}", owner.namespace);
            }
            let what = format!("{what}: {}", lacking(owner.without, owner.failing));
            self.paragraph(&clean(&what), "  ", plain)?;
            // A command in two lines cannot be pasted.
            writeln!(self.out, "    {}", clean(&owner.remedy))?;
        }
        let shown = counted(pods.owners.shown.len().min(most));
        self.more(pods.owners.total - shown, "see `-o json`")
    }

    fn next(&mut self, summary: &Summary) -> io::Result<()> {
        if summary.next.is_empty() {
            return Ok(());
        }
        self.title("NEXT", "")?;
        for step in &summary.next {
            self.paragraph(&clean(&step.what), "  ", plain)?;
            if let Some(command) = &step.command {
                writeln!(self.out, "    {}", clean(command))?;
            }
        }
        Ok(())
    }

    // === lines ===

    fn title(&mut self, title: &str, rest: &str) -> io::Result<()> {
        writeln!(self.out)?;
        let gap = if rest.is_empty() { "" } else { "  " };
        writeln!(self.out, "{}{gap}{rest}", self.paint.as_(Role::Title, title))
    }

    /// How many more there are, and what shows them.
    fn more(&mut self, more: u32, how: &str) -> io::Result<()> {
        if more == 0 {
            return Ok(());
        }
        let text = format!("and {} more: {how}", number(more));
        self.paragraph(&text, "  ", |paint, line| paint.as_(Role::Quiet, line).to_string())
    }

    /// A line with the mark of its level, broken where the terminal ends.
    fn point(&mut self, level: Level, text: &str, most: usize) -> io::Result<()> {
        let role = role(level);
        let text = clean(text);
        for (at, line) in wrapped(&text, self.width - 2, most).iter().enumerate() {
            let mark = if at == 0 { mark(level) } else { " " };
            writeln!(self.out, "{} {line}", self.paint.as_(role, mark))?;
        }
        Ok(())
    }

    fn paragraph(
        &mut self,
        text: &str,
        margin: &str,
        painted: impl Fn(Paint, &str) -> String,
    ) -> io::Result<()> {
        for line in wrapped(text, self.width - margin.len(), usize::MAX) {
            writeln!(self.out, "{margin}{}", painted(self.paint, &line))?;
        }
        Ok(())
    }

    /// Rows in columns; where the terminal is too narrow for them, each cell with its heading.
    fn table<const N: usize>(&mut self, table: &Table<N>) -> io::Result<()> {
        if let Some(head) = table.head(self.width) {
            writeln!(self.out, "  {}", self.paint.as_(Role::Quiet, head))?;
        }
        for (row, lines) in table.rows(self.width) {
            for (at, line) in lines.iter().enumerate() {
                let mark = if at == 0 { mark(row.level) } else { " " };
                writeln!(self.out, "{} {line}", self.paint.as_(role(row.level), mark))?;
            }
            for line in wrapped(&row.message, self.width - 4, MESSAGE_LINES) {
                writeln!(self.out, "    {}", self.paint.as_(role(row.level), line))?;
            }
        }
        Ok(())
    }
}

// === words ===

fn plain(_: Paint, line: &str) -> String {
    line.to_owned()
}

fn role(level: Level) -> Role {
    match level {
        Level::Ok => Role::Good,
        Level::Note => Role::Plain,
        Level::Warning => Role::Unsure,
        Level::Error => Role::Bad,
    }
}

fn mark(level: Level) -> &'static str {
    match level {
        Level::Ok => "✓",
        Level::Note => "·",
        Level::Warning => "!",
        Level::Error => "✗",
    }
}

/// Where the reports are from, and as of when they are.
pub(super) fn origin(summary: &Summary) -> String {
    let at = moments::date(summary.now);
    match &summary.freshness {
        Freshness::Fresh => format!("Reports of the cluster, fresh, {at}"),
        Freshness::Stale { .. } => format!("Reports of the cluster, stale, {at}"),
        Freshness::Unknown => format!("Reports of the cluster, {at}"),
        Freshness::File => format!("Reports of {}, {at}", summary.source),
    }
}

/// `1,000, 4 need attention`
fn of_which(total: u32, findings: u32) -> String {
    match findings {
        0 => number(total),
        1 => format!("{}, 1 needs attention", number(total)),
        _ => format!("{}, {} need attention", number(total), number(findings)),
    }
}

fn login_cells(login: &Login, summary: &Summary) -> [String; 5] {
    let ends = login.ends.map(|it| moments::relative(it, summary.now)).unwrap_or_default();
    [login.name.clone(), login.kind.clone(), login.verdict().to_owned(), copies(login), ends]
}

/// `998 of 1,000`
pub(super) fn copies(login: &Login) -> String {
    format!("{} of {}", number(login.copies.ready), number(login.copies.wanted))
}

/// What is wrong in a namespace.
fn what(namespace: &Namespace) -> String {
    let mut parts: Vec<String> = namespace.secrets.iter().map(secret).collect();
    if namespace.more_secrets > 0 {
        parts.push(format!("{} more Secrets", number(namespace.more_secrets)));
    }
    if let Some(PodCounts { without, failing, .. }) = &namespace.pods
        && (*without > 0 || *failing > 0)
    {
        parts.push(lacking(*without, *failing));
    }
    parts.join("; ")
}

/// `base Missing (LoginMissing)`
fn secret(secret: &Secret) -> String {
    let Secret { name, state, reason, .. } = secret;
    match reason {
        Some(reason) => format!("{name} {state:?} ({reason})"),
        None => format!("{name} {state:?}"),
    }
}

/// `3 Pods lack a Secret, 1 waits for an image`
pub(super) fn lacking(without: u32, failing: u32) -> String {
    let mut parts = Vec::new();
    if without > 0 {
        let verb = if without == 1 { "lacks" } else { "lack" };
        parts.push(format!("{} {verb} a Secret", counted_as(without, "Pod")));
    }
    if failing > 0 {
        let verb = if failing == 1 { "waits" } else { "wait" };
        let failing = if without > 0 { number(failing) } else { counted_as(failing, "Pod") };
        parts.push(format!("{failing} {verb} for an image"));
    }
    parts.join(", ")
}

/// When the Pods were seen.
pub(super) fn seen(pods: &Pods, summary: &Summary) -> String {
    let when = |text: &str| match moments::parse(text) {
        Some(at) => moments::relative(at, summary.now),
        None => text.to_owned(),
    };
    let (from, to) = (when(&pods.from), when(&pods.to));
    if from == to { format!("seen {to}") } else { format!("seen {from} to {to}") }
}
