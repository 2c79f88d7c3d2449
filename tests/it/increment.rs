//! Loading again gives just what loading the whole gives, and shares what an edit did not touch.

use std::cell::Cell;
use std::io;
use std::path::Path;
use std::sync::Arc;

use pointsman::site::{SideName, SiteName};
use pointsman::table::{Diagnostic, Loader, ReadFile, Table, splice_active};
use proptest::prelude::*;

/// Files that say something else after each turn; the one called `none` is never there.
#[derive(Default)]
struct Turning(Cell<u32>);

impl ReadFile for Turning {
    fn read(&self, path: &Path) -> io::Result<String> {
        match path.file_name().and_then(|name| name.to_str()) {
            Some("none") => Err(io::ErrorKind::NotFound.into()),
            Some("zone") => Ok(format!("txt 60 IN TXT \"{}\"\n", self.0.get() / 3)),
            _ => Ok(format!("page {}", self.0.get() / 2)),
        }
    }
}

const HEAD: &str = "# head\nversion: 1\nlisten: {http: [127.0.0.1:8080]}\nstate: ./state\n\
                    dns: {addresses: [127.0.0.1], zones: {a.example: {}}}\nsites:\n";

/// Writes the block of a site in one of some ways; two of its hosts lie outside of the zones.
fn block(number: usize, kind: usize) -> String {
    let hosts = match kind % 4 {
        0 => format!("[w{number}.a.example]"),
        1 => format!("[w{number}.a.example, w{number}.b.example]"),
        2 => format!("\n      - w{number}.a.example\n      # which\n      - v{number}.b.example"),
        _ => format!("[\"w{number}.a.example\",\n      v{number}.a.example]"),
    };
    let more = match kind % 7 {
        0 => format!("    names: {{db{number}.a.example: db}}\n"),
        1 => "    paths:\n      /quiz: {access: read-only}\n".into(),
        2 => format!("    maintenance: {{page: page{number}}}\n"),
        3 => "    access: maintenance # ünïcödé\n\n".into(),
        4 => "    reason: |\n      because: of\n        this\n\n".into(),
        5 => "    reason: \"two\n      lines\"\n".into(),
        _ => "    # nothing more\n".into(),
    };
    format!(
        "  s{number}:\n    hosts: {hosts}\n    active: live\n    sides:\n      \
         live: {{web: [http://10.0.0.{number}:1], names: {{db: 10.0.0.1}}}}\n      \
         backup: {{web: [http://10.0.1.{number}:1], names: {{db: 10.0.0.2}}}}\n{more}"
    )
}

fn plain(count: usize) -> String {
    let blocks = (0..count).map(|number| block(number, number));
    std::iter::once(HEAD.to_owned()).chain(blocks).collect()
}

/// Lines that an edit may put anywhere, sound ones and others.
const LINES: [&str; 36] = [
    "    active: backup",
    "    active: nowhere",
    "    access: read-only",
    "    reason: \"open",
    "    reason: 'it''s'",
    "    timeouts: {connect: 1s}",
    "    hosts: [w1.a.example]",
    "    hosts: [new.b.example]",
    "    maintenance: {page: none}",
    "    maintenance: {page: other}",
    "      third: {web: [http://10.0.9.9:1]}",
    "  s1:",
    "  s1: {hosts: [x.a.example], sides: {live: {web: [http://10.9.9.9:1]}}}",
    "  s9: {hosts: [y.a.example], sides: {live: {web: [http://10.9.9.8:1]}}}",
    "  s9: &anchor {hosts: [z.b.example], sides: {live: {web: [http://10.9.9.7:1]}}}",
    "  \"s8\": {hosts: [q.a.example], sides: {live: {web: [http://10.9.9.6:1]}}}",
    "  # a comment",
    "# a comment at the margin",
    "",
    "   ",
    "\t",
    "    x: 1\r",
    "    # one\r    # two",
    "  # one\r  s9: {hosts: [r.b.example], sides: {live: {web: [http://10.9.9.5:1]}}}",
    " odd: 1",
    "certs: ./certs",
    "groups: {web: [s0, s1]}",
    "groups: {web: [s0, s5]}",
    "groups: {s9: [s0]}",
    "default_site: s1",
    "default_site: nobody",
    "    hosts: [x2.a.example, \"*.a.example\"]",
    "dns: {addresses: [127.0.0.1], zones: {b.example: {file: zone}}}",
    "}",
    "  ? s7",
    "...",
];

/// One edit of a text.
#[derive(Clone, Debug)]
enum Edit {
    /// Puts a line in the place of another.
    Replace(usize, usize),
    Insert(usize, usize),
    Remove(usize),
    /// Puts a line before the block of a site.
    Before(usize, usize),
    /// Takes the end of a line before the block of a site away.
    Join(usize),
    /// Opens a quote at the end of one block and closes it at the end of the next.
    Swallow(usize),
    /// Writes the block of a site anew, or adds it at the end.
    Rewrite(usize, usize),
    /// Takes a block out.
    Drop(usize),
    /// Exchanges two lines.
    Swap(usize, usize),
    /// Moves the last block to the front.
    Turn,
    /// Another letter.
    Letter(usize, char),
    /// Takes the end of the last line away.
    Unend,
    /// Nothing but the files has changed.
    Nothing,
}

impl Edit {
    fn apply(&self, text: &str) -> String {
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        let count = lines.len().max(1);
        let line = |which: &usize| format!("{}\n", LINES[which % LINES.len()]);
        match self {
            Self::Replace(at, which) if !lines.is_empty() => {
                let line = line(which);
                lines[at % count] = &line;
                lines.concat()
            }
            Self::Insert(at, which) => {
                let line = line(which);
                lines.insert(at % count, &line);
                lines.concat()
            }
            Self::Remove(at) if !lines.is_empty() => {
                lines.remove(at % count);
                lines.concat()
            }
            Self::Swap(one, other) if !lines.is_empty() => {
                lines.swap(one % count, other % count);
                lines.concat()
            }
            Self::Rewrite(number, kind) => match span(text, *number) {
                Some((from, to)) => [&text[..from], &block(*number, *kind), &text[to..]].concat(),
                None => format!("{text}{}", block(*number, *kind)),
            },
            Self::Before(number, which) => match span(text, *number) {
                Some((at, _)) => [&text[..at], &line(which), &text[at..]].concat(),
                None => text.to_owned(),
            },
            Self::Join(number) => match span(text, *number) {
                Some((at, _)) => [&text[..at - 1], " ", &text[at..]].concat(),
                None => text.to_owned(),
            },
            Self::Swallow(number) => match (span(text, *number), span(text, number + 1)) {
                (Some((_, open)), Some((_, close))) if open < close => {
                    let (head, middle, tail) = (&text[..open], &text[open..close], &text[close..]);
                    let middle = middle.replace('"', "");
                    [
                        head,
                        "    reason: \"open\n",
                        &middle,
                        "      shut\"\n",
                        tail,
                    ]
                    .concat()
                }
                _ => text.to_owned(),
            },
            Self::Drop(number) => match span(text, *number) {
                Some((from, to)) => [&text[..from], &text[to..]].concat(),
                None => text.to_owned(),
            },
            Self::Turn => match (text.find("\n  s"), text.rfind("\n  s")) {
                (Some(first), Some(last)) => {
                    let (first, last) = (first + 1, last + 1);
                    [&text[..first], &text[last..], &text[first..last]].concat()
                }
                _ => text.to_owned(),
            },
            Self::Letter(at, letter) => {
                let letters = text.chars().enumerate();
                let count = text.chars().count().max(1);
                letters
                    .map(|(n, old)| if n == at % count { *letter } else { old })
                    .collect()
            }
            Self::Unend => text.trim_end_matches('\n').to_owned(),
            Self::Nothing | Self::Replace(..) | Self::Remove(_) | Self::Swap(..) => text.to_owned(),
        }
    }
}

/// Finds the block of a site.
fn span(text: &str, number: usize) -> Option<(usize, usize)> {
    let from = text.find(&format!("\n  s{number}:"))? + 1;
    let rest = &text[from + 1..];
    Some((
        from,
        rest.find("\n  s").map_or(text.len(), |to| from + to + 2),
    ))
}

fn edits() -> impl Strategy<Value = Vec<(Edit, bool)>> {
    let any = any::<usize>;
    let edit = prop_oneof![
        4 => (any(), any()).prop_map(|(at, which)| Edit::Replace(at, which)),
        4 => (any(), any()).prop_map(|(at, which)| Edit::Insert(at, which)),
        3 => any().prop_map(Edit::Remove),
        6 => (0..9_usize, any()).prop_map(|(number, kind)| Edit::Rewrite(number, kind)),
        3 => (0..9_usize).prop_map(Edit::Drop),
        4 => (0..9_usize, any()).prop_map(|(number, which)| Edit::Before(number, which)),
        2 => (0..9_usize).prop_map(Edit::Join),
        2 => (0..9_usize).prop_map(Edit::Swallow),
        2 => (any(), any()).prop_map(|(one, other)| Edit::Swap(one, other)),
        2 => Just(Edit::Turn),
        2 => (any(), prop::sample::select(vec!['x', ' ', '\n', ':', '"', '#', 'ü', '{', '-', '1']))
            .prop_map(|(at, letter)| Edit::Letter(at, letter)),
        1 => Just(Edit::Unend),
        1 => Just(Edit::Nothing),
    ];
    // Whether the next edit is made to the text as it was before this one.
    prop::collection::vec((edit, prop::bool::weighted(0.6)), 1..12)
}

fn whole(text: &str, files: &Turning) -> Result<Table, Vec<Diagnostic>> {
    Table::load(Path::new("etc/routes.yaml"), text, files)
}

fn loader() -> Loader {
    Loader::new(Path::new("etc/routes.yaml"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        if std::env::var_os("POINTSMAN_SOAK").is_some() { 20_000 } else { 300 }
    ))]

    #[test]
    fn loading_again_gives_what_loading_the_whole_gives(
        count in 1..8_usize, edits in edits(), tail in 0..4_usize, part in 1..5_usize
    ) {
        let tails = [
            "",
            "certs: ./pem\n", "groups: {web: [s0]}\n", "groups: {web: [s0, s5], s9: [s1]}\n"];
        let tail = if count < 6 { tails[tail % 3] } else { tails[tail] };
        let mut text = plain(count) + tail;
        let files = Turning::default();
        let mut loader = Loader::in_parts_of(Path::new("etc/routes.yaml"), part);
        prop_assert!(loader.load(text.clone(), &files).is_ok());
        for (edit, is_undone) in edits {
            files.0.set(files.0.get() + 1);
            let edited = edit.apply(&text);
            let again = loader.load(edited.clone(), &files).map(|table| Table::clone(&table));
            let full = whole(&edited, &files);
            prop_assert_eq!(&again, &full, "{:?} gave:\n{}", edit, edited);
            for site in ["s0", "s1", "s5"].map(SiteName::new) {
                let quick = loader.splice_active(&edited, &site, &SideName::new("backup"));
                let slow = splice_active(&edited, &site, &SideName::new("backup"));
                prop_assert_eq!(quick, slow, "{} in:\n{}", site, edited);
            }
            if !is_undone {
                text = edited;
            }
        }
    }
}

#[test]
fn what_an_edit_does_not_touch_is_shared() {
    let (mut loader, files) = (loader(), Turning::default());
    let text = plain(2) + &block(7, 6) + &block(8, 6);
    let before = loader.load(text.clone(), &files).unwrap();

    let edited = text.replace("10.0.0.7", "10.0.0.70");
    let after = loader.load(edited.clone(), &files).unwrap();

    let shared = |one: &Arc<Table>, other: &Arc<Table>| -> Vec<bool> {
        let pairs = one.sites.iter().zip(other.sites.iter());
        pairs.map(|(one, other)| Arc::ptr_eq(one, other)).collect()
    };
    assert_eq!(shared(&before, &after), [true, true, false, true]);
    assert!(Arc::ptr_eq(&before.matcher, &after.matcher));
    assert!(Arc::ptr_eq(&before.words, &after.words));
    assert!(Arc::ptr_eq(
        &after,
        &loader.load(edited.clone(), &files).unwrap()
    ));

    // Neither a mistake in between nor a new site, a comment or an end makes the others anew.
    loader
        .load(edited.replace("web:", "wep:"), &files)
        .unwrap_err();
    let longer = edited.replace(
        "  s7:",
        "  s2: {hosts: [new.a.example], sides: {live: {web: [http://10.1.1.1]}}}\n  # seven\n  s7:",
    );
    let longer = loader.load(longer, &files).unwrap();
    assert_eq!(longer.sites.len(), 5);
    assert!(Arc::ptr_eq(&longer.sites[3], &after.sites[2]));
    let shorter = loader.load(text, &files).unwrap();
    assert_eq!(shorter, before);
    assert_eq!(shared(&after, &shorter), [true, true, false, true]);
}

#[test]
fn a_group_is_of_sites_that_were_not_read_again_too() {
    let (mut loader, files) = (
        Loader::in_parts_of(Path::new("etc/routes.yaml"), 2),
        Turning::default(),
    );
    let text = plain(6) + "groups: {web: [s1, s5]}\n";
    let before = loader.load(text.clone(), &files).unwrap();
    assert_eq!(
        Ok(Table::clone(&before)),
        whole(&text, &files),
        "part by part"
    );

    let edited = text.replace("10.0.0.3", "10.0.0.30");
    let after = loader.load(edited.clone(), &files).unwrap();
    assert!(
        Arc::ptr_eq(&after.sites[5], &before.sites[5])
            && Arc::ptr_eq(&after.groups, &before.groups),
        "without a load of the whole"
    );

    for (old, new) in [
        ("[s1, s5]", "[s1, s4]"),
        ("[s1, s5]", "[s1, s9]"),
        ("  s5:", "  s7:"),
        ("  s4:", "  web:"),
    ] {
        loader.load(edited.clone(), &files).unwrap();
        let changed = edited.replace(old, new);
        let again = loader
            .load(changed.clone(), &files)
            .map(|table| Table::clone(&table));
        assert_eq!(again, whole(&changed, &files), "{old} to {new}");
        assert_eq!(again.is_ok(), new == "[s1, s4]", "{old} to {new}");
    }
}

#[test]
fn a_name_of_a_site_that_was_not_read_again_is_still_its_own() {
    let (mut loader, files) = (loader(), Turning::default());
    let text = plain(6);
    loader.load(text.clone(), &files).unwrap();
    // The host of another site, and the following name of another.
    for taken in ["w4.a.example", "db0.a.example"] {
        let edited = text.replace("w1.b.example", taken);
        let mistakes = loader.load(edited.clone(), &files).unwrap_err();
        assert_eq!(Err(mistakes), whole(&edited, &files), "{taken}");
    }
    // It is free once that site has given it up, and taken again after that.
    let given_up = text.replace("w4.a.example", "other.a.example");
    let taken_over = given_up.replace("w1.b.example", "w4.a.example");
    let before = loader.load(given_up, &files).unwrap();
    let table = loader.load(taken_over.clone(), &files).unwrap();
    assert!(
        Arc::ptr_eq(&table.sites[5], &before.sites[5]),
        "without a load of the whole"
    );
    assert_eq!(
        table.sites[table.route("w4.a.example").unwrap()]
            .name
            .as_str(),
        "s1"
    );
    let back = taken_over.replace("other.a.example", "w4.a.example");
    assert_eq!(
        loader.load(back.clone(), &files).map(|_| ()),
        whole(&back, &files).map(|_| ())
    );
}

#[test]
fn a_page_that_changed_is_read_though_the_text_is_the_same() {
    let (mut loader, files) = (loader(), Turning::default());
    let text = plain(4);
    let page = |table: &Table| {
        table.sites[2]
            .maintenance
            .page
            .as_ref()
            .unwrap()
            .text
            .clone()
    };
    let before = loader.load(text.clone(), &files).unwrap();
    files.0.set(2);
    let after = loader.load(text, &files).unwrap();
    assert_eq!((&*page(&before), &*page(&after)), ("page 0", "page 1"));
    assert!(Arc::ptr_eq(&before.sites[1], &after.sites[1]));
}
