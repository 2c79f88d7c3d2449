//! Units: each check on each side, when it is due, and what a new table leaves of them.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::site::{SideName, SiteName};
use crate::table::{Check, Side, Site};

/// The pace at which checks that are new are begun, so that very many do not begin at once.
const BEGUN_EVERY: Duration = Duration::from_millis(10);

/// How many rounds of one site are under way at once: it takes many dead sites to make others wait
/// for a timeout of theirs.
const OF_ONE_SITE: usize = 8;

/// Names a unit; none is used twice.
pub(super) type UnitId = u64;

/// One check on one side.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) site: Arc<Site>,
    /// The places of the side and of the check in the site.
    at: (usize, usize),
    /// Counts its rounds.
    rounds: u64,
    /// When its next round begins; `None` while one is under way, or it waits for others.
    due: Option<Instant>,
    /// Since when it waits for others of its site.
    waits: Option<Instant>,
    /// The round that is under way.
    pub(super) running: Option<AbortHandle>,
}

impl Unit {
    pub(super) fn side(&self) -> &Side {
        &self.site.sides[self.at.0]
    }

    pub(super) fn check(&self) -> &Check {
        &self.site.preflight.checks[self.at.1]
    }

    /// Tells whether what it found is what another would find.
    fn asks_the_same_as(&self, other: &Self) -> bool {
        let (one, another) = (self.side(), other.side());
        let same_side = one.name == another.name && one.web == another.web;
        same_side
            && one.names == another.names
            && self.check() == other.check()
            && self.site.hosts.first() == other.site.hosts.first()
    }
}

/// Every unit, by site and by the time at which it is due.
#[derive(Debug, Default)]
pub(super) struct Units {
    units: BTreeMap<UnitId, Unit>,
    of_site: BTreeMap<SiteName, Vec<UnitId>>,
    due: BTreeSet<(Instant, UnitId)>,
    next: UnitId,
}

impl Units {
    pub(super) fn get_mut(&mut self, id: UnitId) -> Option<&mut Unit> {
        self.units.get_mut(&id)
    }

    /// Tells when the next one is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Takes one that is due off the list, to have its round; one of a site that has as many as it
    /// may waits until one of them is over.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<UnitId> {
        loop {
            let (due, id) = *self.due.first().filter(|(due, _)| *due <= now)?;
            self.due.pop_first();
            let unit = self.units.get(&id)?;
            let of_site = self.of_site.get(&unit.site.name)?;
            let running = of_site.iter().filter_map(|id| self.units.get(id));
            let running = running.filter(|unit| unit.running.is_some()).count();
            let unit = self.units.get_mut(&id)?;
            unit.due = None;
            if running < OF_ONE_SITE {
                return Some(id);
            }
            unit.waits = Some(due);
        }
    }

    /// Lists one again whose round, which began then, is over.
    pub(super) fn had_its_round(&mut self, id: UnitId, began: Instant, now: Instant) {
        let Some(unit) = self.units.get_mut(&id) else {
            return;
        };
        unit.running = None;
        unit.rounds += 1;
        let every = unit.site.preflight.every;
        // A tenth more or less, so that what began together does not stay together.
        let jitter = every.mul_f64(0.2 * fraction((id, unit.rounds)));
        let due = (began + every.mul_f64(0.9) + jitter).max(now);
        unit.due = Some(due);
        self.due.insert((due, id));
        let of_site = self.of_site.get(&unit.site.name);
        let waiting = of_site.into_iter().flatten();
        let longest = waiting
            .filter_map(|id| Some((self.units.get(id)?.waits?, *id)))
            .min();
        if let Some((since, id)) = longest {
            self.list_again(id, since);
        }
    }

    /// Lists one that waited.
    fn list_again(&mut self, id: UnitId, due: Instant) {
        if let Some(unit) = self.units.get_mut(&id) {
            unit.waits = None;
            unit.due = Some(due);
            self.due.insert((due, id));
        }
    }

    /// Takes a site as it is in the table; what asks the same as before keeps its id and its time.
    ///
    /// Lists what is new.
    pub(super) fn follow(&mut self, site: &Arc<Site>) -> Vec<UnitId> {
        let mut before = self.take_off(&site.name);
        let mut now = Vec::new();
        let mut new = Vec::new();
        for side in 0..site.sides.len() {
            for check in 0..site.preflight.checks.len() {
                let fresh = Unit {
                    site: Arc::clone(site),
                    at: (side, check),
                    rounds: 0,
                    due: None,
                    waits: None,
                    running: None,
                };
                let same = |(_, unit): &(UnitId, Unit)| unit.asks_the_same_as(&fresh);
                let (id, unit) = match before.iter().position(same) {
                    Some(found) => {
                        let (id, old) = before.swap_remove(found);
                        let (site, at) = (fresh.site, fresh.at);
                        // What it waits for may be gone.
                        let due = old.due.or(old.waits);
                        let waits = None;
                        (
                            id,
                            Unit {
                                site,
                                at,
                                due,
                                waits,
                                ..old
                            },
                        )
                    }
                    None => {
                        self.next += 1;
                        new.push(self.next);
                        (self.next, fresh)
                    }
                };
                self.due.extend(unit.due.map(|due| (due, id)));
                self.units.insert(id, unit);
                now.push(id);
            }
        }
        self.of_site.insert(site.name.clone(), now);
        before.into_iter().for_each(|(_, unit)| unit.end());
        new
    }

    /// Has units that are new begin, one soon after the other.
    pub(super) fn begin(&mut self, new: &[UnitId], now: Instant) {
        let number = u32::try_from(new.len()).unwrap_or(u32::MAX);
        let all = BEGUN_EVERY.saturating_mul(number.saturating_sub(1));
        for &id in new {
            let Some(unit) = self.units.get_mut(&id) else {
                continue;
            };
            let within = all.min(unit.site.preflight.every);
            let due = now + within.mul_f64(fraction(id));
            unit.due = Some(due);
            self.due.insert((due, id));
        }
    }

    /// Forgets a site.
    pub(super) fn remove(&mut self, site: &SiteName) {
        let gone = self.take_off(site);
        gone.into_iter().for_each(|(_, unit)| unit.end());
    }

    fn take_off(&mut self, site: &SiteName) -> Vec<(UnitId, Unit)> {
        let ids = self.of_site.remove(site).unwrap_or_default();
        let mut units = Vec::with_capacity(ids.len());
        for id in ids {
            if let Some(unit) = self.units.remove(&id) {
                if let Some(due) = unit.due {
                    self.due.remove(&(due, id));
                }
                units.push((id, unit));
            }
        }
        units
    }

    /// Lists the names of the sides and checks of a unit.
    pub(super) fn names(&self, id: UnitId) -> Option<(&SiteName, &SideName, &str)> {
        let unit = self.units.get(&id)?;
        Some((&unit.site.name, &unit.side().name, &unit.check().name))
    }
}

impl Unit {
    fn end(self) {
        if let Some(running) = self.running {
            running.abort();
        }
    }
}

/// Makes a number from 0 to 1 of something: any, as long as others get others.
fn fraction(of: impl Hash) -> f64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    let high = u32::try_from(hasher.finish() >> 32).unwrap_or(u32::MAX);
    f64::from(high) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::table::{ReadFile, Table};

    use super::*;

    struct NoFiles;

    impl ReadFile for NoFiles {
        fn read(&self, _: &Path) -> std::io::Result<String> {
            Err(std::io::ErrorKind::NotFound.into())
        }
    }

    fn site(preflight: &str, port: u16) -> Arc<Site> {
        let text = format!(
            "version: 1\nlisten: {{http: [127.0.0.1:80]}}\nstate: s\nsites:\n  a:\n    \
             hosts: [a.example]\n    sides:\n      live: {{web: [http://127.0.0.1:1]}}\n      \
             backup: {{web: [http://127.0.0.1:{port}]}}\n    preflight: {preflight}\n"
        );
        let table = Table::load(Path::new("routes.yaml"), &text, &NoFiles).expect("a table");
        Arc::clone(&table.sites[0])
    }

    const TWO: &str = "{checks: [{name: a, get: /a}, {name: b, get: /b}]}";

    #[test]
    fn what_a_reload_does_not_touch_keeps_its_place_and_its_time() {
        let now = Instant::now();
        let mut units = Units::default();
        let new = units.follow(&site(TWO, 2));
        assert_eq!(new.len(), 4);
        units.begin(&new, now);
        let due = units.due.clone();

        assert!(units.follow(&site(TWO, 2)).is_empty());
        assert_eq!(units.due, due);

        let other_side = units.follow(&site(TWO, 3));
        assert_eq!(other_side.len(), 2, "both checks of backup");
        assert_eq!(units.due.len(), 2, "those are not begun yet");
        let one = "{checks: [{name: b, get: /b}, {name: a, get: /other}]}";
        let other_check = units.follow(&site(one, 3));
        assert_eq!(other_check.len(), 2, "check a of both");
        assert_eq!(units.units.len(), 4);

        units.remove(&SiteName::new("a"));
        assert!(units.units.is_empty() && units.due.is_empty());
    }

    #[test]
    fn a_site_has_a_few_rounds_at_once_and_the_others_wait_for_their_end() {
        let now = Instant::now();
        let mut units = Units::default();
        let checks: Vec<_> = (0..6)
            .map(|check| format!("{{name: c{check}, get: /}}"))
            .collect();
        let twelve = format!("{{checks: [{}]}}", checks.join(", "));
        let new = units.follow(&site(&twelve, 2));
        units.begin(&new, now);
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.expect("a runtime");
        let later = now + Duration::from_secs(1);
        let mut begun = Vec::new();
        while let Some(id) = units.take_due(later) {
            let task = runtime.spawn(std::future::pending::<()>());
            units.get_mut(id).expect("it is there").running = Some(task.abort_handle());
            begun.push(id);
        }
        assert_eq!(begun.len(), OF_ONE_SITE);

        units.had_its_round(begun[0], now, later);
        let next = units.take_due(later).expect("one that waited");
        assert!(!begun.contains(&next));
        let task = runtime.spawn(std::future::pending::<()>());
        units.get_mut(next).expect("it is there").running = Some(task.abort_handle());
        assert_eq!(units.take_due(later), None, "its place is taken");
    }

    #[test]
    fn very_many_are_spread_over_their_time_and_a_few_begin_at_once() {
        let now = Instant::now();
        let mut units = Units::default();
        let mut new = Vec::new();
        for number in 0..1_000 {
            let mut one = Site::clone(&site(TWO, 2));
            one.name = SiteName::new(&format!("s{number}"));
            new.extend(units.follow(&Arc::new(one)));
        }
        units.begin(&new, now);
        let second = |at: u64| now + Duration::from_secs(at);
        for at in 0..10 {
            let begun = units.due.range((second(at), 0)..(second(at + 1), 0));
            let begun = begun.count();
            assert!((300..=500).contains(&begun), "{begun} in second {at}");
        }

        let mut few = Units::default();
        let new = few.follow(&site(TWO, 2));
        few.begin(&new, now);
        assert!(few.due.iter().all(|(due, _)| *due < now + BEGUN_EVERY * 4));
    }

    #[test]
    fn a_round_follows_after_its_time_and_at_once_after_one_that_took_longer() {
        let now = Instant::now();
        let mut units = Units::default();
        let new = units.follow(&site("{every: 10s, checks: [{name: a, get: /}]}", 2));
        units.begin(&new, now);
        let later = now + Duration::from_secs(1);
        let id = units.take_due(later).expect("it is due");

        units.had_its_round(id, now, later);
        let due = units.units[&id].due.expect("listed");
        let after = due.duration_since(now);
        assert!((9..=11).contains(&after.as_secs()), "{after:?}");

        let much_later = now + Duration::from_secs(60);
        while units.take_due(much_later).is_some_and(|taken| taken != id) {}
        units.had_its_round(id, now, much_later);
        let due = units.units[&id].due;
        assert_eq!(due, Some(much_later));
    }
}
