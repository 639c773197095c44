//! The parts of the page, in the order in which they are read.

use std::fmt::{self, Write};

use super::{
    super::{
        logins::Login,
        moments,
        namespaces::{Namespace, Owner, Secret},
        next::Step,
        summary::{Pods, Summary, number},
        text,
        worst::{Level, Worst},
    },
    Escaped, STYLE, class, policy, timeline,
};

/// All of it.
pub(super) fn page(out: &mut String, summary: &Summary) -> fmt::Result {
    let of = summary.namespace.as_ref().map(|it| format!(" of namespace {it}"));
    let of = of.unwrap_or_default();
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{}\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <meta name=\"referrer\" content=\"no-referrer\"/>\n\
         <title>pullcred status{}: {}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n",
        policy(),
        Escaped(&of),
        Escaped(&summary.headline),
    )?;
    header(out, summary, &of)?;
    tiles(out, summary)?;
    next(out, &summary.next)?;
    if let Some(logins) = summary.logins.as_ref().filter(|it| it.total > 0) {
        self::logins(out, logins, summary)?;
    }
    match (&summary.namespace, summary.namespaces.shown.first()) {
        (Some(_), Some(namespace)) => secrets(out, namespace)?,
        (None, Some(_)) => namespaces(out, &summary.namespaces)?,
        (_, None) => {}
    }
    if let Some(pods) = summary.pods.as_ref().filter(|it| it.owners.total > 0) {
        owners(out, pods, summary)?;
    }
    write!(
        out,
        "<footer><p>Made by pullcred {} from reports alone. They hold no user name, no password and no hash of one.</p></footer>\n\
         </main>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
    )
}

// === the head ===

fn header(out: &mut String, summary: &Summary, of: &str) -> fmt::Result {
    let level = class(summary.level);
    // What is worst stands alone, and large.
    let (first, rest) = summary.headline.split_once(", ").unwrap_or((&summary.headline, ""));
    write!(
        out,
        "<header class=\"{level}\">\n<p class=\"eyebrow\">pullcred status{}</p>\n<h1>{}</h1>\n",
        Escaped(of),
        Escaped(sentence(first)),
    )?;
    if !rest.is_empty() {
        writeln!(out, "<p class=\"lead\">{}</p>", Escaped(sentence(rest)))?;
    }
    writeln!(
        out,
        "<p class=\"origin\"><time datetime=\"{}\">{}</time></p>",
        moments::rfc3339(summary.now),
        Escaped(text::origin(summary)),
    )?;
    for remark in &summary.remarks {
        let (level, message) = (class(remark.level), Escaped(&remark.message));
        writeln!(out, "<p class=\"remark {level}\">{message}</p>")?;
    }
    out.write_str("</header>\n")
}

/// The same with a capital letter.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|it| it.to_ascii_uppercase()).into_iter().chain(chars).collect()
}

fn tiles(out: &mut String, summary: &Summary) -> fmt::Result {
    out.write_str("<ul class=\"tiles\">\n")?;
    if let Some(logins) = &summary.logins {
        tile(out, "Logins", &number(logins.total), attention(logins.findings()), logins.level())?;
        let (ready, wanted) = (number(summary.copies.ready), number(summary.copies.wanted));
        let level = if ready == wanted { Level::Ok } else { Level::Warning };
        tile(out, "Copies", &ready, format!("of {wanted} wanted"), level)?;
    }
    let namespaces = &summary.namespaces;
    if summary.namespace.is_none() {
        let findings = attention(namespaces.findings());
        tile(out, "Namespaces", &number(namespaces.total), findings, namespaces.level())?;
    }
    let secrets: u64 = summary.secrets.values().copied().map(u64::from).sum();
    let ready = summary.secrets.get("Ready").copied().unwrap_or_default();
    let all_ready = u64::from(ready) == secrets;
    let level = if all_ready { Level::Ok } else { Level::Warning };
    tile(out, "Secrets", &number(secrets), format!("{} ready", number(ready)), level)?;
    if let Some(pods) = &summary.pods {
        let lacking = text::lacking(pods.without, pods.failing);
        let is_fine = lacking.is_empty();
        let words = if is_fine { "each has its Secrets".to_owned() } else { lacking };
        let level = if is_fine { Level::Ok } else { Level::Warning };
        tile(out, "Pods", &number(pods.seen), words, level)?;
    }
    out.write_str("</ul>\n")
}

fn tile(out: &mut String, name: &str, count: &str, words: String, level: Level) -> fmt::Result {
    let (level, words) = (class(level), Escaped(words));
    writeln!(
        out,
        "<li class=\"tile {level}\"><span class=\"name\">{name}</span> <strong>{count}</strong> \
         <span class=\"words\">{words}</span></li>"
    )
}

fn attention(findings: u32) -> String {
    match findings {
        0 => "as they should be".to_owned(),
        1 => "1 needs attention".to_owned(),
        _ => format!("{} need attention", number(findings)),
    }
}

fn next(out: &mut String, steps: &[Step]) -> fmt::Result {
    if steps.is_empty() {
        return Ok(());
    }
    out.write_str("<section>\n<h2>What to do next</h2>\n<ol class=\"steps\">\n")?;
    for Step { what, command } in steps {
        write!(out, "<li>{}", Escaped(what))?;
        if let Some(command) = command {
            write!(out, " <code>{}</code>", Escaped(command))?;
        }
        out.write_str("</li>\n")?;
    }
    out.write_str("</ol>\n</section>\n")
}

// === tables ===

/// The begin of a table. On a phone its rows are blocks, which are no table to a screen reader without roles.
fn table(out: &mut String, title: &str, heads: &[&str], scale: bool) -> fmt::Result {
    write!(
        out,
        "<section>\n<h2>{title}</h2>\n<table role=\"table\">\n<thead role=\"rowgroup\"><tr role=\"row\">"
    )?;
    for head in heads {
        write!(out, "<th role=\"columnheader\" scope=\"col\">{head}")?;
        if scale && *head == "Ends" {
            timeline::scale(out)?;
        }
        out.write_str("</th>")?;
    }
    out.write_str("</tr></thead>\n<tbody role=\"rowgroup\">\n")
}

/// The end of a table, and how many rows it leaves out.
fn end(out: &mut String, more: u32, how: &str) -> fmt::Result {
    out.write_str("</tbody>\n</table>\n")?;
    if more > 0 {
        writeln!(out, "<p class=\"more\">and {} more: <code>{how}</code></p>", number(more))?;
    }
    out.write_str("</section>\n")
}

fn row(out: &mut String, level: Level, name: &str, under: &str) -> fmt::Result {
    write!(
        out,
        "<tr role=\"row\" class=\"{}\"><th role=\"rowheader\" scope=\"row\"><span class=\"title\">{}</span>",
        class(level),
        Escaped(name),
    )?;
    if !under.is_empty() {
        write!(out, " <span class=\"under\">{}</span>", Escaped(under))?;
    }
    out.write_str("</th>")
}

fn cell(out: &mut String, head: &str, text: &str) -> fmt::Result {
    write!(out, "<td role=\"cell\" data-label=\"{head}\">{}</td>", Escaped(text))
}

fn pill(out: &mut String, level: Level, text: &str) -> fmt::Result {
    write!(out, "<span class=\"pill {}\">{}</span>", class(level), Escaped(text))
}

fn logins(out: &mut String, logins: &Worst<Login>, summary: &Summary) -> fmt::Result {
    table(out, "Logins", &["Login", "Registry says", "Copies", "Ends"], true)?;
    for login in &logins.shown {
        row(out, login.level, &login.name, &login.kind)?;
        out.write_str("<td role=\"cell\" data-label=\"Registry says\"><div>")?;
        pill(out, said(login), login.verdict())?;
        for finding in &login.findings {
            let (level, message) = (class(finding.level), Escaped(&finding.message));
            write!(out, "<p class=\"message {level}\">{message}</p>")?;
        }
        out.write_str("</div></td>")?;
        write!(
            out,
            "<td role=\"cell\" class=\"count\" data-label=\"Copies\">{}</td>",
            text::copies(login)
        )?;
        out.write_str("<td role=\"cell\" class=\"ends\" data-label=\"Ends\"><div>")?;
        match login.ends {
            Some(ends) => {
                let (at, words) = (moments::rfc3339(ends), moments::relative(ends, summary.now));
                write!(
                    out,
                    "<time datetime=\"{at}\" title=\"{}\">{words}</time>",
                    moments::date(ends)
                )?;
                let left = ends.as_second() - summary.now.as_second();
                let level = if login.ends_soon() { Level::Warning } else { Level::Ok };
                timeline::bar(out, left, level)?;
            }
            None => out.write_str("<span class=\"under\">not known</span>")?,
        }
        out.write_str("</div></td></tr>\n")?;
    }
    end(out, logins.more, "kubectl get loginreports")
}

/// How bad the verdict of a login is.
fn said(login: &Login) -> Level {
    match login.verdict() {
        "accepted" | "login accepted" => Level::Ok,
        "expired" | "held back" | "refused" => Level::Error,
        "forbidden" => Level::Warning,
        _ => Level::Note,
    }
}

fn namespaces(out: &mut String, namespaces: &Worst<Namespace>) -> fmt::Result {
    table(out, "Namespaces that need attention", &["Namespace", "Secrets", "Pods"], false)?;
    for namespace in &namespaces.shown {
        row(out, namespace.level, &namespace.name, "")?;
        out.write_str("<td role=\"cell\" data-label=\"Secrets\"><ul class=\"plain\">")?;
        for secret in &namespace.secrets {
            let Secret { name, level, state, reason } = secret;
            write!(out, "<li>{} ", Escaped(name))?;
            pill(out, *level, &format!("{state:?}"))?;
            if let Some(reason) = reason {
                write!(out, " <span class=\"under\">{}</span>", Escaped(reason))?;
            }
            out.write_str("</li>")?;
        }
        if namespace.more_secrets > 0 {
            write!(out, "<li class=\"under\">and {} more</li>", number(namespace.more_secrets))?;
        }
        out.write_str("</ul></td>")?;
        let pods = namespace.pods.as_ref().map(|it| text::lacking(it.without, it.failing));
        cell(out, "Pods", &pods.unwrap_or_default())?;
        out.write_str("</tr>\n")?;
    }
    end(out, namespaces.more, "kubectl get psr --all-namespaces")
}

/// The Secrets of the one namespace that was asked for.
fn secrets(out: &mut String, namespace: &Namespace) -> fmt::Result {
    table(out, "Secrets", &["Secret", "State", "What to do"], false)?;
    for secret in &namespace.secrets {
        let reason = secret.reason.as_deref().unwrap_or_default();
        row(out, secret.level, &secret.name, reason)?;
        out.write_str("<td role=\"cell\" data-label=\"State\"><div>")?;
        pill(out, secret.level, &format!("{:?}", secret.state))?;
        out.write_str("</div></td>")?;
        cell(out, "What to do", secret.advice().unwrap_or_default())?;
        out.write_str("</tr>\n")?;
    }
    end(out, namespace.more_secrets, "which the report does not list")
}

fn owners(out: &mut String, pods: &Pods, summary: &Summary) -> fmt::Result {
    let title = "Pods that lack a Secret or wait for an image";
    table(out, title, &["Made by", "Pods", "How they are made again"], false)?;
    for owner in &pods.owners.shown {
        let Owner { namespace, kind, name, without, failing, remedy } = owner;
        row(out, Level::Warning, &format!("{kind} {name}"), namespace)?;
        cell(out, "Pods", &text::lacking(*without, *failing))?;
        writeln!(
            out,
            "<td role=\"cell\" data-label=\"How they are made again\"><code>{}</code></td></tr>",
            Escaped(remedy)
        )?;
    }
    end(out, pods.owners.more, "kubectl get psr --all-namespaces --output yaml")?;
    writeln!(out, "<p class=\"more\">Pods were {}.</p>", Escaped(text::seen(pods, summary)))
}
