//! One site of the small world: its gates, and who is behind them.

use super::super::Scope;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Gate {
    Open,
    Held,
    Closed,
}

/// One site: its gates, and what is in flight behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Site {
    pub(super) reads: Gate,
    pub(super) writes: Gate,
    pub(super) new: Gate,
    pub(super) old_read: bool,
    pub(super) old_write: bool,
    pub(super) new_read: bool,
}

impl Site {
    pub(super) const AT_REST: Self = Self {
        reads: Gate::Open,
        writes: Gate::Open,
        new: Gate::Closed,
        old_read: false,
        old_write: false,
        new_read: false,
    };

    pub(super) fn serves_old(&self) -> bool {
        self.reads == Gate::Open || self.writes == Gate::Open
    }

    pub(super) fn is_on_two_sides(&self) -> bool {
        let is_busy = self.old_read || self.old_write;
        self.serves_old() && self.new == Gate::Open || is_busy && self.new_read
    }

    pub(super) fn has_in_flight(&self, scope: Scope) -> bool {
        self.old_write || self.old_read && scope == Scope::All
    }

    pub(super) fn hold(&mut self, scope: Scope) {
        self.writes = Gate::Held;
        if scope == Scope::All {
            self.reads = Gate::Held;
        }
    }

    pub(super) fn both(&mut self, gate: Gate) {
        (self.reads, self.writes) = (gate, gate);
    }

    /// Users that come, where they are let in, and go.
    pub(super) fn users(self) -> impl Iterator<Item = Self> {
        let read = (self.old_read || self.reads == Gate::Open).then_some(Self {
            old_read: !self.old_read,
            ..self
        });
        let write = (self.old_write || self.writes == Gate::Open).then_some(Self {
            old_write: !self.old_write,
            ..self
        });
        let new = (self.new_read || self.new == Gate::Open).then_some(Self {
            new_read: !self.new_read,
            ..self
        });
        [read, write, new].into_iter().flatten()
    }
}
