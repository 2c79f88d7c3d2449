//! Who is at the other end of an admin connection, and how it came.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use nix::unistd::{Uid, User};

use crate::control::{Via, Who};
use crate::table::Token;

use super::problem::Problem;

/// How a connection came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Over the unix socket.
    Socket {
        /// Its effective user id when it connected, as the kernel keeps it for the socket.
        uid: u32,
    },
    /// Over TCP, to be read by whoever is on the way.
    Tcp {
        /// The other end.
        from: IpAddr,
    },
    /// Over TCP with TLS.
    Tls {
        /// The other end.
        from: IpAddr,
    },
}

/// Who asks for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// A process on this machine.
    Socket {
        /// Its user id.
        uid: u32,
    },
    /// The holder of a token, whose scope allows what is asked for.
    Token(Arc<Token>),
    /// Anybody who reaches the TCP listener.
    Tcp,
}

/// Who may change something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Writer {
    /// A user of this machine.
    User(u32),
    /// The holder of a token.
    Holder(Arc<Token>),
}

/// How long the name service may take to name a user; then the uid stands for the name.
const NAME_DEADLINE: Duration = Duration::from_secs(2);

/// Tells who may write: those whom the kernel vouches for, or a token.
pub(super) fn writer(peer: Peer) -> Result<Writer, Problem> {
    match peer {
        Peer::Socket { uid } => Ok(Writer::User(uid)),
        Peer::Token(token) => Ok(Writer::Holder(token)),
        Peer::Tcp => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "read-only-listener",
            "this listener changes nothing without a token: ask over the unix socket, as \
             `pointsman flip` does on the machine of the daemon, or name a token of `admin.tokens`",
        )),
    }
}

/// Names who writes, for the journal.
///
/// # Cancel safety
/// Safe: a look-up that nobody waits for ends by itself.
pub(super) async fn who(writer: Writer) -> Who {
    match writer {
        Writer::User(uid) => Who {
            name: user_name(uid).await,
            uid: Some(uid),
            via: Via::Socket,
        },
        Writer::Holder(token) => Who {
            name: token.name.clone(),
            uid: None,
            via: Via::Token,
        },
    }
}

async fn user_name(uid: u32) -> String {
    // The name service may ask the network, which must not stop the control plane's thread.
    let named = tokio::task::spawn_blocking(move || User::from_uid(Uid::from_raw(uid)));
    let user = match tokio::time::timeout(NAME_DEADLINE, named).await {
        Ok(Ok(Ok(user))) => user,
        Ok(Ok(Err(_)) | Err(_)) | Err(_) => None,
    };
    user.map_or_else(|| uid.to_string(), |user| user.name)
}
