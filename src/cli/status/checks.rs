//! What the status says of checks: those that fail, or, of a site that was named, all.

use jiff::Timestamp;

use crate::admin::{SiteView, says};
use crate::control::SideChecks;

use super::render::indented;

/// Shows the checks of a site that fail; nothing when none does.
pub(super) fn failing(site: &SiteView, now: Timestamp) -> String {
    let lines = says::failing(site, now);
    if lines.is_empty() {
        return String::new();
    }
    let lines: String = lines.iter().map(|line| indented(line)).collect();
    format!("\n{} fails a check:\n{lines}", site.status.name)
}

/// Shows all that the checks of a site found, side by side.
pub(super) fn details(site: &SiteView, now: Timestamp) -> String {
    let name = &site.status.name;
    if site.checks.is_empty() {
        return format!("\n{name} has no checks.\n");
    }
    let mut text = String::new();
    for SideChecks { side, checks } in &site.checks {
        let role = if site.status.active.as_ref() == Some(side) {
            "active"
        } else {
            "standby"
        };
        text += &format!("\nChecks of {name} {side} ({role}):\n");
        let found = checks.iter().map(|check| says::finding(check, now));
        text.extend(found.map(|line| indented(&line)));
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::control::CheckStatus;
    use crate::site::SideName;

    use super::super::render::tests::site;
    use super::*;

    fn check(name: &str, ok: Option<bool>, words: Option<&str>) -> CheckStatus {
        CheckStatus {
            name: name.into(),
            ok,
            since: ok.map(|_| Timestamp::UNIX_EPOCH),
            last_run: ok.map(|_| Timestamp::UNIX_EPOCH),
            words: words.map(str::to_owned),
            stale: false,
        }
    }

    #[test]
    fn what_fails_is_said_with_its_side_its_words_and_for_how_long() {
        let mut site = site("ispot");
        let now = Timestamp::from_second(200).expect("a time");
        assert_eq!(failing(&site, now), "");
        let checks = vec![
            check("home", Some(true), None),
            check("quiz", Some(false), Some("answered 500 instead of 200")),
            check("db", None, None),
        ];
        let side = SideName::new("live");
        site.checks = vec![SideChecks { side, checks }];

        let text = failing(&site, now);
        let line = "  live: quiz: answered 500 instead of 200, for 3 m\n";
        assert_eq!(text, format!("\nispot fails a check:\n{line}"));
        let text = details(&site, now);
        assert!(
            text.contains("Checks of ispot live (active):\n  home: ok, for 3 m\n"),
            "{text}"
        );
        assert!(text.contains("  db: not made yet\n"), "{text}");
    }
}
