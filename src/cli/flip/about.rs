//! What is about to happen, as it is shown before it is confirmed.

use crate::admin::{ForceBody, StatusView};
use crate::control::SiteStatus;
use crate::site::{GroupName, SideName};

use super::Args;

/// Shows what is about to happen: a line per site, what an emergency does beside, and which checks
/// are gone over.
pub(super) fn about(args: &Args, status: &StatusView) -> String {
    let moves = moves(args, status);
    let forced = super::force_check(args);
    if args.now {
        return format!("{moves}\n{}", emergency(&forced));
    }
    match forced {
        ForceBody::Named(names) => format!("{moves}\n{}", gone_over(&names)),
        ForceBody::All(_) => moves,
    }
}

fn gone_over(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("{name:?}")).collect();
    format!(
        "Whatever {} says; every other check must pass.",
        names.join(" and ")
    )
}

fn emergency(forced: &ForceBody) -> String {
    let checks = match forced {
        ForceBody::All(true) => "The side it goes to is not checked either.".into(),
        ForceBody::All(false) => {
            "The checks of the side it goes to still run, and refuse it when one fails.".into()
        }
        ForceBody::Named(names) => gone_over(names),
    };
    format!(
        "NOW, as if the side it leaves were dead:\n  \
         Every request that is there is cut, in the middle of what it does; nothing is waited \
         for.\n  \
         Nothing is copied: what only that side has stays there, and may be lost.\n  {checks}"
    )
}

fn moves(args: &Args, status: &StatusView) -> String {
    let Some(group) = &args.group else {
        let sites = args.sites.iter().map(String::as_str);
        return lines(sites.map(|name| line(name, args, status)));
    };
    let Some(members) = status.groups.get(&GroupName::new(group)) else {
        return format!("{group}: the daemon has no such group");
    };
    let members = members.iter().map(|site| site.as_str());
    lines(members.map(|name| line(name, args, status)))
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.collect::<Vec<_>>().join("\n")
}

fn line(name: &str, args: &Args, status: &StatusView) -> String {
    let mut sites = status.sites.iter().map(|view| &view.status);
    let Some(site) = sites.find(|site| site.name.as_str() == name) else {
        return format!("{name}: the daemon has no such site");
    };
    let active = site.active.as_ref().map_or("?", SideName::as_str);
    let to = args.to.as_deref().unwrap_or_else(|| other_side(site));
    // The daemon leaves a site of a group where it is; it refuses to move one that was named.
    if args.group.is_some() && to == active {
        return format!("{name} ({}): stays on {active}", site.host);
    }
    format!("{name} ({}): {active} -> {to}", site.host)
}

/// Shows the side that is meant when none is named.
fn other_side(site: &SiteStatus) -> &str {
    let mut others = site
        .sides
        .iter()
        .filter(|side| Some(*side) != site.active.as_ref());
    match (others.next(), others.next()) {
        (Some(other), None) => other.as_str(),
        (None, _) | (_, Some(_)) => "?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emergency_says_what_is_cut_and_what_is_skipped() {
        let checked = emergency(&ForceBody::All(false));
        let forced = emergency(&ForceBody::All(true));
        let named = emergency(&ForceBody::Named(vec!["quiz".into()]));

        for said in [&checked, &forced, &named] {
            assert!(
                said.contains("Every request that is there is cut"),
                "{said}"
            );
            assert!(said.contains("Nothing is copied"), "{said}");
        }
        assert!(checked.contains("checks of the side it goes to still run"));
        assert!(forced.contains("is not checked either"));
        assert!(named.contains("Whatever \"quiz\" says; every other"));
    }
}
