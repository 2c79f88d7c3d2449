//! Groups: which sites a flip of a group moves.
//!
//! A flip of a group is meant to bring all of it to one side: a site that is there stays, and sites
//! on different sides are never exchanged.

use crate::site::{FlipId, GroupName, SideName, SiteName};

use super::actor::Actor;
use super::begin::list;
use super::handle::FlipError;
use super::request::What;

/// A site that is to move, and where to.
pub(super) type Step = (SiteName, Option<SideName>);

impl Actor {
    /// Lists the sites that are to move; whether each of them can is not looked at.
    pub(super) fn steps(&self, what: &What) -> Result<Vec<Step>, FlipError> {
        match what {
            What::Sites(steps) => Ok(steps.clone()),
            What::Undo(flip) => self.way_back(*flip),
            What::Group(group, to) => {
                let members = self.table.groups.get(group);
                let members = members.ok_or_else(|| self.unknown_group(group))?;
                match to {
                    Some(to) => self.those_elsewhere(group, members, to),
                    None => self.all_from_one_side(group, members),
                }
            }
        }
    }

    /// Lists the way back of a flip, if nothing that it moved has moved since.
    fn way_back(&self, flip: FlipId) -> Result<Vec<Step>, FlipError> {
        let refused = |why: String| FlipError::NotUndone { flip, why };
        let journal = self.ledger.journal.as_ref();
        let journal = journal.map_err(|why| refused(why.clone()))?;
        let found = journal.flip(flip);
        let found = found.map_err(|error| refused(error.to_string()))?;
        let found = found.ok_or_else(|| refused("the journal has no such flip".into()))?;
        if !found.has_moved() {
            return Err(refused(format!("it moved nothing: it is {}", found.state)));
        }
        let snapshot = self.board.current();
        for moved in &found.moves {
            let site = &moved.planned.site;
            let lane = snapshot.site(site).and_then(|view| view.lane.as_ref());
            if lane.map(|lane| lane.epoch) != moved.epoch {
                let last = "move it with `pointsman flip`, or undo its last flip";
                return Err(refused(format!("{site} has moved since: {last}")));
            }
        }
        let back = found.moves.into_iter().map(|moved| moved.planned);
        Ok(back.map(|moved| (moved.site, Some(moved.from))).collect())
    }

    fn unknown_group(&self, group: &GroupName) -> FlipError {
        FlipError::UnknownGroup {
            group: group.clone(),
            known: match list(self.table.groups.keys().map(GroupName::as_str)) {
                none if none.is_empty() => "no groups".into(),
                known => known,
            },
        }
    }

    fn those_elsewhere(
        &self,
        group: &GroupName,
        members: &[SiteName],
        to: &SideName,
    ) -> Result<Vec<Step>, FlipError> {
        // One that is there but on its way to another side does not stay: its flip is in the way.
        let stays = |site: &SiteName| {
            self.flip_of(site).is_none() && self.active_side(site).as_ref() == Some(to)
        };
        let moving = members.iter().filter(|site| !stays(site));
        let steps: Vec<_> = moving
            .map(|site| (site.clone(), Some(to.clone())))
            .collect();
        if steps.is_empty() {
            return Err(FlipError::GroupAlreadyThere {
                group: group.clone(),
                side: to.clone(),
            });
        }
        Ok(steps)
    }

    fn all_from_one_side(
        &self,
        group: &GroupName,
        members: &[SiteName],
    ) -> Result<Vec<Step>, FlipError> {
        let known = |site| Some((site, self.active_side(site)?));
        let active: Vec<_> = members.iter().filter_map(known).collect();
        if active.windows(2).any(|pair| pair[0].1 != pair[1].1) {
            let sides = active
                .iter()
                .map(|(site, side)| format!("{site} on {side}"));
            return Err(FlipError::GroupApart {
                group: group.clone(),
                sides: sides.collect::<Vec<_>>().join(", "),
            });
        }
        Ok(members.iter().map(|site| (site.clone(), None)).collect())
    }

    /// Shows the side that a site is served from; `None` when that is in doubt.
    fn active_side(&self, site: &SiteName) -> Option<SideName> {
        let snapshot = self.board.current();
        let lane = snapshot.site(site)?.lane.as_ref()?;
        Some(lane.side.clone())
    }
}
