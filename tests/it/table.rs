//! The table: the example, large and hostile texts, the edit of one word, what a reload changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use pointsman::site::{Access, During, GroupName, SideName, SiteName};
use pointsman::table::{Ask, Diff, EditError, Table, active_word, splice_active};
use proptest::prelude::*;

use crate::support::table::{Files, NoFiles};

/// A small table of two sites; `active` is the text after the colon of the first.
fn small(active: &str) -> String {
    format!(
        "# comment: ünïcödé\nversion: 1\nlisten: {{http: [127.0.0.1:8080]}}\nstate: ./state\n\
         sites:\n  ispot:\n    hosts: [www.ispot.example] # höst\n    active: {active}\n    \
         sides:\n      live: {{web: [http://127.0.0.1:9101]}}\n      \
         backup: {{web: [http://127.0.0.1:9102]}}\n  megalab:\n    hosts: [m.example]\n    \
         active: live\n    sides:\n      live: {{web: [http://127.0.0.1:9103]}}\n      \
         backup: {{web: [http://127.0.0.1:9104]}}\n"
    )
}

fn load(text: &str) -> Table {
    match Table::load(Path::new("etc/routes.yaml"), text, &NoFiles) {
        Ok(table) => table,
        Err(mistakes) => panic!("{mistakes:#?}"),
    }
}

fn ispot() -> SiteName {
    SiteName::new("ispot")
}

fn example() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("routes.yaml");
    std::fs::read_to_string(path).unwrap()
}

/// What the words say of a path of the only site: the strictest of the rules that it lies under.
fn access_at(table: &Table, path: &str) -> Access {
    let site = &table.sites[0];
    let rules = site.rules_at(path).into_iter();
    let words = rules.map(|rule| site.paths[rule].access);
    words.max().unwrap_or(Access::Open)
}

#[test]
fn the_example_loads_without_a_mistake_or_a_warning() {
    let table = load(&example());
    assert_eq!(table.warnings, []);
    assert_eq!(table.state, PathBuf::from("etc/state"));
    assert_eq!(table.dns.zones["ispot.example"].ns, ["ns1.ispot.example"]);
    let site = &table.sites[table.route("WWW.iSpot.example").unwrap()];
    assert_eq!(site.name, ispot());
    assert_eq!(site.names[0].owner, "db.ispot.example");
    assert_eq!(site.names[0].ttl, Duration::from_secs(5));
    assert_eq!(site.sides[1].web[0].to_string(), "http://127.0.0.1:9102");
    assert_eq!(site.flip.during, During::Page);
    let Ask::Http(ask) = &site.preflight.checks[1].ask else {
        panic!("{:?}", site.preflight.checks[1]);
    };
    assert_eq!(ask.method, Method::GET);
    assert_eq!(ask.status, [200..=200]);
    assert_eq!(table.words[&ispot()].active, Some(SideName::new("live")));
    assert_eq!(table.words[&ispot()].access, Access::Open);
    assert_eq!(table.route("nowhere.example"), None);
    let web = &table.groups[&GroupName::new("web")];
    assert_eq!(*web, [ispot(), SiteName::new("megalab")]);
}

#[test]
fn what_is_left_out_has_its_default() {
    let table = load(&small("live"));
    let site = &table.sites[0];
    assert_eq!(site.flip.hold_for, Duration::from_secs(5));
    assert_eq!(site.flip.hold_requests, 1_000);
    assert_eq!(site.flip.hold_bytes, 64 * 1024 * 1024);
    assert_eq!(site.flip.release_rate, 200);
    assert_eq!(site.flip.drain_for, Duration::from_secs(30));
    assert_eq!(site.preflight.every, Duration::from_secs(10));
    assert_eq!(site.preflight.checks, []);
    let checked = "preflight: {checks: [{name: home, get: /}]}\n    sides:";
    let table = load(&small("live").replace("sides:", checked));
    let home = &table.sites[0].preflight.checks[0];
    assert_eq!((home.timeout, home.tries), (Duration::from_secs(3), 2));
    assert_eq!(site.maintenance.retry_after, Duration::from_secs(60));
    assert_eq!(site.timeouts.connect, Duration::from_secs(5));
    assert_eq!(site.timeouts.response, Duration::from_secs(60));
    assert_eq!(table.listen.admin, None);
}

#[test]
fn a_host_outside_the_zones_is_a_warning() {
    let text = example().replace("[www.ispot.example,", "[www.elsewhere.example,");
    let warnings = load(&text).warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(warnings[0].key, "sites.ispot.hosts[0]");
    assert!(warnings[0].message.contains("none of the zones"));
}

#[test]
fn a_drain_that_is_longer_than_a_hold_is_a_warning() {
    let warned = |flip: &str| {
        let text = small("live").replacen("    active:", &format!("    {flip}\n    active:"), 1);
        let warnings = load(&text).warnings;
        warnings
            .into_iter()
            .map(|one| one.to_string())
            .collect::<String>()
    };
    let said = warned("flip: {during: hold, hold: {for: 5s}, drain: {for: 6s}}");
    assert!(said.contains("sites.ispot.flip.during"), "{said}");
    assert!(
        said.contains("6s to end") && said.contains("after 5s"),
        "{said}"
    );
    assert_ne!(warned("flip: {during: hold}"), "");
    assert_eq!(warned("flip: {during: hold, drain: {for: 5s}}"), "");
    assert_eq!(warned("flip: {during: page, drain: {for: 6s}}"), "");
}

#[test]
fn the_longest_path_prefix_wins_at_a_segment_boundary() {
    let paths = "    paths: {/a: {access: read-only}, /a/b/: {access: maintenance}}\n    active:";
    let table = load(&small("live").replacen("    active:", paths, 1));
    for (path, access) in [
        ("/a", Access::ReadOnly),
        ("/a/b", Access::Maintenance),
        ("/a/b/c", Access::Maintenance),
        ("/a/bc", Access::ReadOnly),
        ("/ab", Access::Open),
    ] {
        assert_eq!(access_at(&table, path), access, "{path}");
    }
}

#[test]
fn no_spelling_of_a_path_slips_past_its_rule() {
    let paths = "    paths: {/quiz: {access: maintenance}, /quiz/help: {access: open}, \
                 /a%20b: {access: read-only}}\n    active:";
    let table = load(&small("live").replacen("    active:", paths, 1));
    for (path, access) in [
        ("/%71uiz/1", Access::Maintenance),
        ("//quiz", Access::Maintenance),
        ("/./quiz", Access::Maintenance),
        ("/other/../quiz/1", Access::Maintenance),
        ("/other/..%2fquiz", Access::Maintenance),
        ("/quiz/..%2Fother", Access::Maintenance),
        ("/quiz/help", Access::Open),
        ("/quiz/help/../1", Access::Maintenance),
        ("/a%20b/c", Access::ReadOnly),
        ("/%61%20b", Access::ReadOnly),
        ("/other/%71", Access::Open),
    ] {
        assert_eq!(access_at(&table, path), access, "{path}");
    }
}

#[test]
fn an_exact_host_beats_a_wildcard_and_the_longest_wildcard_wins() {
    let wild = |text: String, host: &str, more: &str| {
        text.replacen(&format!("[{host}]"), &format!("[{host}, {more}]"), 1)
    };
    let text = wild(
        small("live"),
        "www.ispot.example",
        "a.example, \"*.A.example.\"",
    );
    let text = wild(text, "m.example", "\"*.deep.a.example\", x.a.example");
    let text = text + "default_site: megalab\n";
    let table = load(&text);
    for (host, site) in [
        ("a.example", "ispot"),
        ("y.a.example", "ispot"),
        ("Z.Y.a.example", "ispot"),
        ("x.a.example", "megalab"),
        ("deep.a.example", "ispot"),
        ("1.deep.a.example", "megalab"),
        (".a.example", "megalab"),
        ("other.example", "megalab"),
        ("127.0.0.1", "megalab"),
    ] {
        let found = table.route(host).map(|at| table.sites[at].name.as_str());
        assert_eq!(found, Some(site), "{host}");
    }
    let without = load(&text.replace("default_site: megalab\n", ""));
    assert_eq!(without.route("other.example"), None);
    let diff = Diff::between(&table, &without, Path::new("routes.yaml"), &text);
    assert!(diff.rest && diff.words.is_empty() && diff.restart.is_empty());
}

#[test]
fn a_page_is_looked_at_when_it_is_loaded() {
    let page = "    maintenance: {page: page.html}\n    active:";
    let text = small("live").replacen("    active:", page, 1);
    let found = |page: &str| match Table::load(
        Path::new("routes.yaml"),
        &text,
        &Files(&[("page.html", page)]),
    ) {
        Ok(table) => table.warnings,
        Err(mistakes) => mistakes,
    };
    let sound = "<h1>{{title}}</h1>{{message}} {{host}} {{retry_after}} {{ not.a.place() }} {{";
    let found_in = |page: &str| {
        found(page)
            .into_iter()
            .map(|one| one.to_string())
            .collect::<String>()
    };
    assert_eq!(found_in(&sound.replace("{{ not.a.place() }}", "")), "");
    assert!(found_in("  \n").contains("the page is empty"));
    assert!(found_in(&"x".repeat(1_100_000)).contains("more than 1048576 bytes"));
    let slip = found_in("{{mesage}}");
    assert!(slip.contains("did you mean `message`"), "{slip}");
}

#[test]
fn a_hundred_thousand_sites_load_and_route() {
    let mut text = String::from("version: 1\nlisten: {http: [127.0.0.1:80]}\nstate: s\nsites:\n");
    for n in 0..100_000 {
        text += &format!(
            "  s{n}:\n    hosts: [www{n}.example]\n    active: live\n    sides:\n      \
             live: {{web: [http://127.0.0.1:9101]}}\n      backup: {{web: [http://127.0.0.1:9102]}}\n"
        );
    }
    let table = load(&text);
    assert_eq!(table.sites.len(), 100_000);
    for n in [0, 1, 99_999] {
        let found = table.route(&format!("WWW{n}.example")).unwrap();
        assert_eq!(table.sites[found].name.as_str(), format!("s{n}"));
    }
}

#[test]
fn a_bomb_of_aliases_and_a_pit_of_brackets_are_refused() {
    let mut bomb = String::from("a0: &a0 [x, x]\n");
    for n in 1..60 {
        bomb += &format!("a{n}: &a{n} [*a{0}, *a{0}]\n", n - 1);
    }
    let pit = "[".repeat(200_000);
    for text in [bomb, pit] {
        let mistakes = Table::load(Path::new("routes.yaml"), &text, &NoFiles).unwrap_err();
        assert!(!mistakes.is_empty());
    }
}

#[test]
fn the_splice_keeps_every_byte_but_the_word() {
    let backup = SideName::new("backup");
    for (old, new) in [
        ("live", "backup"),
        ("\"live\"   # why", "\"backup\"   # why"),
        ("'live'", "'backup'"),
        ("   live  # <- edit", "   backup  # <- edit"),
        ("\n      live", "\n      backup"),
        (">-\n      live", ">-\n      backup"),
    ] {
        let (text, expected) = (small(old), small(new));
        assert_eq!(
            splice_active(&text, &ispot(), &backup),
            Ok(expected.clone()),
            "{old}"
        );
        let dos = |text: &str| format!("\u{feff}{}", text.replace('\n', "\r\n"));
        let edited = splice_active(&dos(&text), &ispot(), &backup);
        assert_eq!(edited, Ok(dos(&expected)), "{old}, BOM and CRLF");
        assert_eq!(active_word(&text, &ispot()), Some(SideName::new("live")));
    }
    let flow = |word: &str| format!("{{sites: {{ü: 1, ispot: {{active: {word}, b: 2}}}}}}");
    let edited = splice_active(&flow("live"), &ispot(), &backup);
    assert_eq!(edited, Ok(flow("backup")));
}

#[test]
fn the_splice_quotes_a_word_that_is_no_text_to_others() {
    for word in ["no", "null", "2"] {
        let edited = splice_active(&small("live"), &ispot(), &SideName::new(word)).unwrap();
        assert_eq!(edited, small(&format!("\"{word}\"")));
    }
}

#[test]
fn the_splice_refuses_what_it_cannot_place() {
    let splice = |text: &str, side: &str| splice_active(text, &ispot(), &SideName::new(side));
    for active in [
        "&a live",
        "*a",
        "!!str live",
        "|\n      live",
        "\"l\\x69ve\"",
        "~",
    ] {
        assert!(splice(&small(active), "backup").is_err(), "{active}");
    }
    let merge = small("live").replacen("    active:", "    <<: {a: b}\n    active:", 1);
    assert!(matches!(
        splice(&merge, "backup"),
        Err(EditError::Unreadable(_))
    ));
    let twice = small("live").replacen("    active:", "    active: live\n    active:", 1);
    assert!(matches!(
        splice(&twice, "backup"),
        Err(EditError::Unreadable(_))
    ));
    assert!(matches!(
        splice(&small("live"), "a: b"),
        Err(EditError::BadName(_))
    ));
    let other = small("live").replacen("  ispot:", "  else:", 1);
    assert_eq!(splice(&other, "backup"), Err(EditError::NoSite(ispot())));
    let left_out = small("live").replacen("    active: live\n", "", 1);
    assert_eq!(splice(&left_out, "backup"), Err(EditError::NoWord(ispot())));
}

#[test]
fn a_diff_tells_words_from_the_rest_and_from_what_needs_a_restart() {
    let old = load(&small("live"));
    let diff = |text: &str| Diff::between(&old, &load(text), Path::new("routes.yaml"), text);

    assert!(diff(&small("'live'")).is_empty());
    let words = diff(&small("backup"));
    assert_eq!(words.words[&ispot()].active, Some(SideName::new("backup")));
    assert_eq!((words.words.len(), words.rest), (1, false));
    let rest = diff(&small("live").replace("9102", "9202"));
    assert!(rest.rest && rest.words.is_empty() && rest.restart.is_empty());
    let grouped = diff(&(small("live") + "groups: {web: [ispot, megalab]}\n"));
    assert!(grouped.rest && grouped.words.is_empty() && grouped.restart.is_empty());
    assert!(grouped.touched().is_empty(), "no site is touched");
    let renamed = diff(&small("live").replace("megalab", "lab"));
    assert_eq!(renamed.added, [SiteName::new("lab")]);
    assert_eq!(renamed.removed, [SiteName::new("megalab")]);

    let moved = small("live")
        .replace("8080", "8081")
        .replace("./state", "./other");
    let restart = diff(&moved).restart;
    let places: Vec<_> = restart
        .iter()
        .map(|one| (one.line, one.column, &*one.key))
        .collect();
    assert_eq!(places, [(3, 10, "listen.http"), (4, 1, "state")]);
    assert!(restart[0].message.contains("needs a restart"));
}

/// A way to write a table of some sites, with one word to edit.
fn layout() -> impl Strategy<Value = (String, Vec<String>, usize)> {
    let quote = prop_oneof![Just(""), Just("'"), Just("\"")];
    let site = (quote, any::<bool>(), 0..4_usize, "[ a-zé{}:'\"#]{0,12}");
    (prop::collection::vec(site, 1..6), any::<bool>(), any::<bool>(), any::<prop::sample::Index>())
        .prop_map(|(sites, dos, mark, chosen)| {
            let mut text = String::from(
                "version: 1\nlisten: {http: [127.0.0.1:80]}\nstate: s\nsites:\n",
            );
            for (n, (quote, flow, blanks, comment)) in sites.iter().enumerate() {
                let blank = " ".repeat(*blanks);
                let sides = "{live: {web: [http://a]}, backup: {web: [http://b]}}";
                let active = format!("active: {blank}{quote}live{quote}");
                text += &if *flow {
                    format!("  s{n}: {{hosts: [h{n}.example], {active}{blank}, sides: {sides}}} # {comment}\n")
                } else {
                    format!("  s{n}:\n    hosts: [h{n}.example]\n    {active} # {comment}\n    sides: {sides}\n")
                };
            }
            let names = (0..sites.len()).map(|n| format!("s{n}")).collect();
            let text = if dos { text.replace('\n', "\r\n") } else { text };
            let text = if mark { format!("\u{feff}{text}") } else { text };
            (text, names, chosen.index(sites.len()))
        })
}

proptest! {
    #[test]
    fn after_a_splice_the_table_differs_in_that_word_only((text, names, chosen) in layout()) {
        let site = SiteName::new(&names[chosen]);
        let backup = SideName::new("backup");
        let edited = splice_active(&text, &site, &backup).unwrap();
        prop_assert_eq!(edited.len(), text.len() + "backup".len() - "live".len());
        let mut expected = load(&text);
        let words = Arc::make_mut(&mut expected.words);
        words.get_mut(&site).unwrap().active = Some(backup);
        prop_assert_eq!(load(&edited), expected);
        let back = splice_active(&edited, &site, &SideName::new("live")).unwrap();
        prop_assert_eq!(back, text);
    }

    #[test]
    fn no_text_makes_the_loader_panic(text in "[\\[\\]{}:,&*!|>'\"%@`#~?\\- \n\ta-f0-9é]{0,200}") {
        if let Err(mistakes) = Table::load(Path::new("routes.yaml"), &text, &NoFiles) {
            prop_assert!(!mistakes.is_empty());
            prop_assert!(mistakes.iter().all(|one| one.line >= 1 && one.column >= 1));
        }
    }

    #[test]
    fn no_damage_to_the_example_makes_the_loader_panic(
        at in any::<prop::sample::Index>(),
        length in 0..40_usize,
        put in "[\\[\\]{}:,&*!|>'\"~\\- \n\ta-f0-9]{0,6}",
    ) {
        let whole: Vec<char> = example().chars().collect();
        let at = at.index(whole.len());
        let end = (at + length).min(whole.len());
        let text: String = whole[..at].iter().copied().chain(put.chars())
            .chain(whole[end..].iter().copied()).collect();
        let loaded = Table::load(Path::new("routes.yaml"), &text, &NoFiles);
        prop_assert!(loaded.is_ok() || loaded.is_err_and(|mistakes| !mistakes.is_empty()));
    }
}
