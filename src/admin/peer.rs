//! Who is at the other end of an admin connection.

use std::time::Duration;

use nix::unistd::{Uid, User};

use crate::control::{Via, Who};

/// The other end of an admin connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// A process on this machine, by the credentials that the kernel keeps for the socket.
    Socket {
        /// Its effective user id when it connected.
        uid: u32,
    },
    /// Anybody who reaches the TCP listener.
    Tcp,
}

/// How long the name service may take to name a user; then the uid stands for the name.
const NAME_DEADLINE: Duration = Duration::from_secs(2);

/// Names a user of the unix socket.
///
/// # Cancel safety
/// Safe: a look-up that nobody waits for ends by itself.
pub(super) async fn who(uid: u32) -> Who {
    // The name service may ask the network, which must not stop the control plane's thread.
    let named = tokio::task::spawn_blocking(move || User::from_uid(Uid::from_raw(uid)));
    let user = match tokio::time::timeout(NAME_DEADLINE, named).await {
        Ok(Ok(Ok(user))) => user,
        Ok(Ok(Err(_)) | Err(_)) | Err(_) => None,
    };
    Who {
        name: user.map_or_else(|| uid.to_string(), |user| user.name),
        uid,
        via: Via::Socket,
    }
}
