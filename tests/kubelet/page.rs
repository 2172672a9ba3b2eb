//! Comparing what kubectl and petset print: the STATUS column, and what both descriptions say.

use super::compare::{Aspect, Difference, side_by_side};
use super::observe::Seen;
use super::recording::Recording;
use super::words::{Names, hide, says_the_same};

/// Compares the columns of `get pods` that tell of a pod's state.
pub(crate) fn words(recording: &Recording, seen: &Seen) -> Vec<Difference> {
    let rows = |table: &str| -> Vec<String> {
        let rows = table.lines().skip(1).map(|row| {
            let cells: Vec<&str> = row.split_whitespace().take(4).collect();
            cells.join(" ")
        });
        rows.collect()
    };
    let (theirs, ours) = (rows(&recording.printed.table), rows(&seen.printed.table));
    if theirs == ours {
        return Vec::new();
    }
    let words = side_by_side(&theirs, &ours);
    let aspect = Aspect::Word;
    vec![Difference { aspect, words }]
}

/// Compares the lines that both descriptions have, and their order.
pub(crate) fn pages(recording: &Recording, seen: &Seen) -> Vec<Difference> {
    let mut all = Vec::new();
    let split = |text: &str| -> Vec<String> {
        let pages = text.split("\n\n").map(str::trim).map(str::to_owned);
        pages.filter(|page| page.starts_with("Name:")).collect()
    };
    let ours = split(&seen.printed.pages);
    for theirs in split(&recording.printed.pages) {
        let theirs = without_account(entries(&theirs, &Names::default()));
        let name = &theirs.first().unwrap().value;
        let names = seen.names.get(name).cloned().unwrap_or_default();
        let mut pages = ours.iter().map(|page| entries(page, &names));
        let own = pages.find(|page| page.first().is_some_and(|it| it.value == *name));
        let own = own.unwrap_or_default();
        let words = unequal(&theirs, &own);
        if !words.is_empty() {
            let words = format!("{name}:\n{words}");
            let aspect = Aspect::Page;
            all.push(Difference { aspect, words });
        }
    }
    all
}

/// Leaves out the volume of the service account, which every pod of a cluster has.
fn without_account(mut entries: Vec<Entry>) -> Vec<Entry> {
    const MOUNT: &str =
        " | /var/run/secrets/kubernetes.io/serviceaccount from kube-api-access (ro)";
    entries.retain(|entry| !entry.place.starts_with("Volumes/kube-api-access"));
    let mut volumes = entries
        .iter()
        .filter(|entry| entry.place.starts_with("Volumes/"));
    let none = volumes.next().is_none();
    for entry in &mut entries {
        entry.value = entry.value.replace(MOUNT, "");
        let emptied = entry.place.ends_with("/Mounts") || (entry.place == "Volumes" && none);
        if emptied && entry.value.is_empty() {
            "<none>".clone_into(&mut entry.value);
        }
    }
    entries
}

/// One thing that a description says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// The headings above it and its own name.
    place: String,
    value: String,
}

/// Keeps what both say, and shows where that differs.
fn unequal(theirs: &[Entry], ours: &[Entry]) -> String {
    // The runtime's names of containers and images are no words.
    let named = |it: &Entry| {
        !["Container ID", "Image ID"]
            .iter()
            .any(|id| it.place.ends_with(id))
    };
    let shared = |of: &[Entry], other: &[Entry]| -> Vec<Entry> {
        let both = |it: &Entry| named(it) && other.iter().any(|own| own.place == it.place);
        of.iter().filter(|it| both(it)).cloned().collect()
    };
    let (mut a, mut b) = (shared(theirs, ours), shared(ours, theirs));
    if a.is_empty() {
        return "nothing is described".to_owned();
    }
    pass_over_foreign(&a, &mut b);
    // Their order is another matter.
    let events = |entry: &Entry| entry.place.starts_with("Events/");
    for side in [&mut a, &mut b] {
        let (mut told, mut rest): (Vec<Entry>, Vec<Entry>) = side.drain(..).partition(events);
        told.sort_by(|a, b| (&a.place, &a.value).cmp(&(&b.place, &b.value)));
        rest.extend(told);
        *side = rest;
    }
    let lines = |of: &[Entry]| -> Vec<String> {
        let lines = of.iter().map(|it| format!("{} = {}", it.place, it.value));
        lines.collect()
    };
    side_by_side(&lines(&a), &lines(&b))
}

fn pass_over_foreign(theirs: &[Entry], ours: &mut [Entry]) {
    for own in ours {
        let mut same = theirs.iter().filter(|it| it.place == own.place);
        if let Some(entry) = same.find(|it| says_the_same(&it.value, &own.value)) {
            own.value.clone_from(&entry.value);
        }
    }
}

/// Takes a description apart. Lines without a name, such as the words of a command, are together
/// one entry; so is a row of a table, whose first cells are its name.
fn entries(page: &str, names: &Names) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    let mut above: Vec<(usize, String)> = Vec::new();
    for line in page.lines().filter(|line| !line.trim().is_empty()) {
        let indent = line.len() - line.trim_start().len();
        let table = above
            .first()
            .map(|(_, name)| name.clone())
            .unwrap_or_default();
        if indent > 0 && (table == "Events" || table == "Conditions") {
            all.extend(row(&table, line, names));
            continue;
        }
        let Some((name, value)) = named(line) else {
            let value = normal(line, names);
            match all
                .last_mut()
                .filter(|_| above.last().is_some_and(|it| it.0 < indent))
            {
                Some(last) => last.value = format!("{} | {value}", last.value),
                None => all.push(Entry {
                    place: table,
                    value,
                }),
            }
            continue;
        };
        while above.last().is_some_and(|(column, _)| *column >= indent) {
            above.pop();
        }
        above.push((indent, name.to_owned()));
        let place: Vec<&str> = above.iter().map(|(_, name)| name.as_str()).collect();
        let value = normal(value, names);
        all.push(Entry {
            place: place.join("/"),
            value,
        });
    }
    all
}

/// Splits a line into a name and what follows its colon.
fn named(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.trim_start().split_once(':')?;
    let is_name = name
        .chars()
        .all(|it| it.is_alphanumeric() || " -_.".contains(it));
    let apart = value.is_empty() || value.starts_with("  ") || value.starts_with(' ');
    (is_name && apart).then_some((name, value))
}

fn row(table: &str, line: &str, names: &Names) -> Option<Entry> {
    let cells: Vec<&str> = line.split_whitespace().collect();
    if table == "Conditions" {
        return Some(Entry {
            place: format!("{table}/{}", cells.first()?),
            value: cells.get(1)?.to_string(),
        });
    }
    let text = normal(line, names);
    let message = text
        .split_once("kubelet ")
        .or(text.split_once("default-scheduler "));
    let message = message.map_or("", |(_, message)| message);
    let place = message.split_once(": ").map_or("", |(place, _)| place);
    let (kind, reason) = (cells.first()?, cells.get(1)?);
    Some(Entry {
        place: format!("{table}/{kind} {reason} {place}"),
        value: message.to_owned(),
    })
}

/// Writes a value as the recordings do: times, ages, and what is the pod's own, hidden.
fn normal(text: &str, names: &Names) -> String {
    let text = hide(text, names);
    if text.trim_start().starts_with("petset://") {
        return "ID".to_owned();
    }
    let words: Vec<String> = text.split_whitespace().map(aged).collect();
    let text = words.join(" ");
    let is_time = text.ends_with("+0000") && text.contains(", ");
    match text.as_str() {
        _ if is_time => "TIME".to_owned(),
        "default" => "NS".to_owned(),
        "default (v1:metadata.namespace)" => "NS (v1:metadata.namespace)".to_owned(),
        "localhost/127.0.0.1" => "node/NODE_IP".to_owned(),
        "localhost/" => "node/".to_owned(),
        _ => text,
    }
}

/// Hides an age, also one that stands behind `NAME=`.
fn aged(word: &str) -> String {
    let (name, value) = match word.split_once('=') {
        Some((name, value)) => (format!("{name}="), value),
        None => (String::new(), word),
    };
    let begins = value.starts_with(|it: char| it.is_ascii_digit());
    let ends = value.ends_with(|it: char| "smhd".contains(it));
    let made = value
        .chars()
        .all(|it| it.is_ascii_digit() || "smhd.".contains(it));
    match begins && ends && made {
        true => format!("{name}AGE"),
        false => word.to_owned(),
    }
}
