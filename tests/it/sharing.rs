//! What an edit does not touch is shared: by the zones, by the snapshot, and by who is told.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use hickory_proto::rr::RecordType;
use pointsman::site::{Epoch, Generation, Position, Positions, SideName, SiteName};
use pointsman::switchboard::{Lane, Snapshot};
use pointsman::table::{Diff, Loader, Table};
use pointsman::zone::{Serial, Zones, contents, contents_of, touched};

use crate::support::dns::{ask, shown};
use crate::support::table::NoFiles;

const TEXT: &str = "version: 1
listen: {http: [127.0.0.1:8080]}
state: ./state
dns: {addresses: [192.0.2.1], zones: {a.example: {}, b.example: {}}}
sites:
  one:
    hosts: [www.a.example]
    active: live
    sides:
      live: {web: [http://10.0.0.1], names: {db: 10.0.1.1}}
      backup: {web: [http://10.0.0.2], names: {db: 10.0.1.2}}
    names: {db.a.example: db}
  three:
    hosts: [three.b.example]
    active: live
    sides: {live: {web: [http://10.0.0.5]}, backup: {web: [http://10.0.0.6]}}
  two:
    hosts: [www.b.example, two.a.example]
    active: live
    sides: {live: {web: [http://10.0.0.3]}, backup: {web: [http://10.0.0.4]}}
";

/// Loads the table and one with something else in the place of a text.
fn edited(from: &str, to: &str) -> (Arc<Table>, Arc<Table>) {
    let mut loader = Loader::new(Path::new("routes.yaml"));
    let old = loader.load(TEXT.into(), &NoFiles).unwrap();
    let text = TEXT.replace(from, to);
    assert_ne!(text, TEXT);
    (old, loader.load(text, &NoFiles).unwrap())
}

fn diff(old: &Table, new: &Table) -> Diff {
    Diff::between(old, new, Path::new("routes.yaml"), TEXT)
}

fn at(side: &str, epoch: u64) -> Position {
    Position {
        active: Some(SideName::new(side)),
        epoch: Epoch(epoch),
    }
}

fn all_live(table: &Table) -> Positions {
    let sites = table.sites.iter();
    Positions(
        sites
            .map(|site| (site.name.clone(), at("live", 1)))
            .collect(),
    )
}

fn names(names: &[&str]) -> Vec<SiteName> {
    names.iter().map(|name| SiteName::new(name)).collect()
}

fn lane<'s>(snapshot: &'s Snapshot, site: &str) -> &'s Arc<Lane> {
    let view = snapshot.site(&SiteName::new(site)).unwrap();
    view.lane.as_ref().unwrap()
}

#[test]
fn the_difference_of_two_tables_names_the_sites_that_differ() {
    let (old, new) = edited("10.0.0.1]", "10.0.0.9]");
    assert_eq!(diff(&old, &new).changed, names(&["one"]));
    let (old, new) = edited("  three:", "  four:");
    let found = diff(&old, &new);
    assert_eq!(
        (found.added, found.removed),
        (names(&["four"]), names(&["three"]))
    );
    assert_eq!(found.changed, []);
    assert!(diff(&old, &old).is_empty());
    let (old, new) = edited("  two:", "  zwei:");
    let found = diff(&old, &new);
    assert_eq!(
        (found.added, found.removed),
        (names(&["zwei"]), names(&["two"]))
    );
}

#[test]
fn only_zones_whose_answers_may_differ_are_touched() {
    let zones = |from: &str, to: &str| -> Option<Vec<String>> {
        let (old, new) = edited(from, to);
        let found = diff(&old, &new);
        let sites = found.touched().into_iter().chain(&found.removed);
        Some(
            touched(&old, &new, sites)?
                .into_iter()
                .map(String::from)
                .collect(),
        )
    };
    let list = |zones: &[&str]| Some(zones.iter().map(|zone| (*zone).to_owned()).collect());
    assert_eq!(
        zones("web: [http://10.0.0.1]", "web: [http://10.0.0.9]"),
        list(&[])
    );
    assert_eq!(zones("db: 10.0.1.2", "db: 10.0.1.9"), list(&["a.example"]));
    assert_eq!(
        zones("three.b.example", "drei.b.example"),
        list(&["b.example"])
    );
    assert_eq!(
        zones("  two:", "  zwei:"),
        list(&["a.example", "b.example"])
    );
    assert_eq!(zones("192.0.2.1", "192.0.2.2"), None);
}

#[test]
fn a_zone_made_anew_by_itself_says_what_it_says_among_all() {
    let (old, new) = edited("db: 10.0.1.1", "db: 10.0.1.9");
    let positions = all_live(&new);
    let all = contents(&new, &positions).unwrap();
    let before = contents(&old, &positions).unwrap();

    let one = BTreeSet::from(["a.example"]);
    let some = contents_of(&new, &one, |site| positions.of(site).cloned().into()).unwrap();
    let serials = all.keys().map(|name| (name.clone(), Serial(7))).collect();
    let whole = Zones::compile(&all, &serials, 1);
    let joined = Zones::compile(&before, &serials, 1).with(&some, &serials);

    assert_eq!(some.keys().collect::<Vec<_>>(), ["a.example"]);
    assert_eq!(some["a.example"].digest, all["a.example"].digest);
    assert_ne!(some["a.example"].digest, before["a.example"].digest);
    for name in [
        "www.a.example.",
        "db.a.example.",
        "two.a.example.",
        "www.b.example.",
        "x.b.example.",
    ] {
        let answers = |zones: &Zones| shown(&ask(zones, name, RecordType::A).answers);
        assert_eq!(answers(&joined), answers(&whole), "{name}");
    }
}

#[test]
fn a_site_that_no_position_names_stays_where_it_was() {
    let (old, new) = edited("10.0.0.1]", "10.0.0.9]");
    let zones = Arc::new(Zones::default());
    let mut positions = all_live(&old);
    positions.0.insert(SiteName::new("three"), at("backup", 4));
    let follow = |before: Option<&Snapshot>, table: &Arc<Table>, positions: &Positions| {
        let (table, zones) = (Arc::clone(table), Arc::clone(&zones));
        Snapshot::follow(before, Generation(1), table, positions, zones)
    };
    let first = follow(None, &old, &positions);
    let moves = Positions([(SiteName::new("two"), at("backup", 2))].into());
    let next = follow(Some(&first), &new, &moves);

    // Untouched: the very same lane. Edited: another lane, with the gates of before.
    assert!(Arc::ptr_eq(lane(&next, "three"), lane(&first, "three")));
    assert_eq!(
        next.position(&SiteName::new("three")),
        Some(at("backup", 4))
    );
    assert!(Arc::ptr_eq(
        &lane(&next, "one").gates,
        &lane(&first, "one").gates
    ));
    assert_eq!(lane(&next, "one").origins[0].host, "10.0.0.9");
    // Moved: another epoch has gates of its own.
    assert_eq!(next.position(&SiteName::new("two")), Some(at("backup", 2)));
    assert!(!Arc::ptr_eq(
        &lane(&next, "two").gates,
        &lane(&first, "two").gates
    ));
    // A new site that no position names is in doubt.
    let (_, more) = edited("  three:", "  four:");
    let doubtful = follow(Some(&first), &more, &Positions::default());
    assert!(
        doubtful
            .site(&SiteName::new("four"))
            .unwrap()
            .lane
            .is_none()
    );
    assert!(doubtful.site(&SiteName::new("three")).is_none());
}

/// Writes a table of many sites, each with an origin of its own.
fn many(count: usize) -> String {
    let head = &TEXT[..TEXT.find("  one:").unwrap()];
    let site = |number: usize| {
        format!(
            "  s{number:04}:\n    hosts: [s{number:04}.c.example]\n    active: live\n    sides: \
             {{live: {{web: [http://10.1.0.1:{}]}}, backup: {{web: [http://10.1.0.2]}}}}\n",
            number + 1
        )
    };
    head.to_owned() + &(0..count).map(site).collect::<String>()
}

/// Lists the sites of which another lane is shown than before.
fn with_another_lane(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let names = before.table.sites.iter().map(|site| site.name.as_str());
    let stay = names.filter(|name| after.table.site(name).is_some());
    let others = stay.filter(|name| !Arc::ptr_eq(lane(before, name), lane(after, name)));
    others.map(String::from).collect()
}

#[test]
fn among_many_sites_all_but_those_that_an_edit_or_a_move_touches_are_shared() {
    let text = many(1_000);
    let mut loader = Loader::new(Path::new("routes.yaml"));
    let old = loader.load(text.clone(), &NoFiles).unwrap();
    let follow = |before: Option<&Snapshot>, table: &Arc<Table>, positions: &Positions| {
        let (table, zones) = (Arc::clone(table), Arc::new(Zones::default()));
        Snapshot::follow(before, Generation(1), table, positions, zones)
    };
    let first = follow(None, &old, &all_live(&old));

    // One is edited, and others move where nothing is edited.
    let edited = text.replace("10.1.0.1:501]", "10.1.0.9:501]");
    let new = loader.load(edited.clone(), &NoFiles).unwrap();
    assert_eq!(diff(&old, &new).changed, names(&["s0500"]));
    let moves = ["s0003", "s0999"].map(|name| (SiteName::new(name), at("backup", 2)));
    let next = follow(Some(&first), &new, &Positions(moves.into()));
    assert_eq!(
        with_another_lane(&first, &next),
        ["s0003", "s0500", "s0999"]
    );
    assert_eq!(lane(&next, "s0500").origins[0].host, "10.1.0.9");
    assert_eq!(
        next.position(&SiteName::new("s0003")),
        Some(at("backup", 2))
    );
    assert_eq!(next.position(&SiteName::new("s0002")), Some(at("live", 1)));
    for (host, name) in [("s0004.c.example", "s0004"), ("s0999.c.example", "s0999")] {
        assert_eq!(next.route(host, "/").unwrap().view.site.name.as_str(), name);
    }

    // One goes, one comes: every other is somewhere else in the list, and where it was.
    let shifted = edited.replace("  s0010:", "  t0010:");
    let shifted = loader.load(shifted, &NoFiles).unwrap();
    let found = diff(&new, &shifted);
    assert_eq!(
        (found.added, found.removed),
        (names(&["t0010"]), names(&["s0010"]))
    );
    let last = follow(
        Some(&next),
        &shifted,
        &Positions([(SiteName::new("t0010"), at("live", 1))].into()),
    );
    assert_eq!(with_another_lane(&next, &last), [] as [&str; 0]);
    assert_eq!(last.position(&SiteName::new("t0010")), Some(at("live", 1)));
    assert_eq!(
        last.position(&SiteName::new("s0999")),
        Some(at("backup", 2))
    );
}
