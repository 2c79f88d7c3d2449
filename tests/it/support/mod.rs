//! What the tests share: real daemons, recording origins, and waiting for conditions.
pub(crate) mod table;
