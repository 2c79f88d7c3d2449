//! Orphans: leases whose jobs do not show themselves, looked for on this machine where that is
//! where they ran.

use std::time::Duration;

use tokio::time::Instant;

use crate::processes::{self, Family, Leader};
use crate::site::{GUARD_MARK, GuardId};

use super::super::actor::{Actor, Event};
use super::lease::Lease;
use super::owner::GuardEvent;

impl Actor {
    /// Looks at every lease: who has not been heard of for too long, and what is left of those.
    pub(in crate::control) fn look_at_guards(&mut self) {
        self.look_at_guards_later();
        let now = Instant::now();
        let expired = self.guards.out.iter();
        let expired = expired.filter(|(_, out)| out.has_expired(now));
        let expired: Vec<_> = expired.map(|(id, _)| *id).collect();
        for id in expired {
            self.look_at_orphan(id);
        }
    }

    fn look_at_orphan(&mut self, id: GuardId) {
        let Some(out) = self.guards.out.get_mut(&id) else {
            return;
        };
        let is_new = !std::mem::replace(&mut out.is_orphaned, true);
        let lease = out.lease.clone();
        if is_new {
            self.guards.show();
        }
        // What never began did nothing, and is not let begin any more.
        let Some(child) = &lease.child else {
            let what = ("guard lost", "nobody renews it, and it never began");
            return self.end_orphan(id, None, what);
        };
        if is_new {
            let named = lease.named(id);
            let seen = if lease.is_near {
                "it is looked for here"
            } else {
                "its processes cannot be seen from here"
            };
            tracing::error!(guard = %id, "{named} is orphaned: nobody renews its lease, so it blocks \
                flips; {seen}; when it is gone for certain: `pointsman guard --release {id}`");
        }
        if !lease.is_near {
            return;
        }
        if processes::is_of_another_boot(child) {
            let what = ("guard lost", "the machine was started anew since");
            return self.end_orphan(id, Some(false), what);
        }
        let Some(out) = self.guards.out.get_mut(&id) else {
            return;
        };
        if std::mem::replace(&mut out.is_looked_for, true) {
            return;
        }
        let (events, family) = (self.events.clone(), to_look_for(&lease, child));
        // With very many processes that takes a while.
        tokio::task::spawn_blocking(move || {
            let seen = GuardEvent::Seen(id, family.is_gone());
            // The actor is gone only when the process ends.
            let _ = events.blocking_send(Event::Guard(seen));
        });
    }

    /// Takes what is left of the job of an orphan.
    pub(in crate::control) fn hear_of_guards(&mut self, event: GuardEvent) {
        match event {
            GuardEvent::Seen(id, is_gone) => self.seen(id, is_gone),
            GuardEvent::Quiet(begins, quiet) => self.quiet_asked(begins, quiet),
            GuardEvent::WaitOver(flip) => self.waited_too_long(flip),
        }
    }

    fn seen(&mut self, id: GuardId, is_gone: bool) {
        let Some(out) = self.guards.out.get_mut(&id) else {
            return;
        };
        out.is_looked_for = false;
        // It has come back meanwhile, and tells its end itself.
        if out.is_orphaned && is_gone {
            let what = (
                "guard lost",
                "its guard was killed, and nothing of its job is left",
            );
            self.end_orphan(id, Some(false), what);
        }
    }

    fn end_orphan(&mut self, id: GuardId, succeeded: Option<bool>, what: (&'static str, &str)) {
        if let Err(why) = self.give_back(id, succeeded, Some(what)) {
            tracing::error!(guard = %id, why, "the end of its lease could not be journalled: it is \
                tried again");
        }
    }

    /// Ends the job of a lease, where that can be done from here.
    pub(super) fn end_near(&self, lease: &Lease, grace: Duration) {
        let Some(child) = lease.child.as_ref().filter(|_| lease.is_near) else {
            return;
        };
        // Nothing is sent to what is only likely to be its group.
        let certain = processes::still_leads(child).then_some(child.process);
        let family = Family {
            group: certain,
            ..to_look_for(lease, child)
        };
        tokio::spawn(async move {
            let by_then = Instant::now() + grace + GONE_WITHIN;
            let ended = processes::end(&family, grace, async |_| {});
            // Whoever waits for it is told by the lease that is still out.
            let _ = tokio::time::timeout_at(by_then, ended).await;
        });
    }
}

/// How long what was killed is looked for.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// All that may be of a job: what has left the group of a copy may be copying still.
pub(super) fn to_look_for(lease: &Lease, child: &Leader) -> Family {
    Family {
        mark: (GUARD_MARK, lease.key.clone()),
        group: processes::group_of(child),
        with_strays: lease.sites.iter().any(|bound| bound.to.is_some()),
    }
}
