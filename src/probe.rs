//! One check with a deadline: a request of its own, on a connection of its own.
