//! Users who come back after every broken connection, and note which side answered.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::client::{Answer, Client};

const HOST: &str = "www.ispot.example";

/// How many there are.
const USERS: usize = 6;

/// What is read: by the second, a flip always has something in work that it must wait for.
const QUICK: &str = "/size/1000";
const SLOW: &str = "/busy/20";

/// How soon a user tries again when nobody answers.
const AGAIN: Duration = Duration::from_millis(2);

/// The users, until they are told that it is over.
pub(super) struct Users {
    over: Arc<AtomicBool>,
    /// Ids of the writes that were answered with 200.
    written: Arc<Mutex<BTreeSet<String>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Users {
    pub(super) fn start(http: SocketAddr) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let written = Arc::default();
        let user = |number| {
            let (over, written) = (Arc::clone(&over), Arc::clone(&written));
            std::thread::spawn(move || come_back(http, number, &over, &written))
        };
        let threads = (0..USERS).map(user).collect();
        Self {
            over,
            written,
            threads,
        }
    }

    /// Ends them; the ids of the writes that were answered.
    pub(super) fn end(self) -> BTreeSet<String> {
        self.over.store(true, Ordering::Release);
        for thread in self.threads {
            thread.join().unwrap();
        }
        std::mem::take(&mut self.written.lock().unwrap())
    }
}

fn come_back(
    http: SocketAddr,
    number: usize,
    over: &AtomicBool,
    written: &Mutex<BTreeSet<String>>,
) {
    let mut connection = None;
    for turn in 0.. {
        if over.load(Ordering::Acquire) {
            return;
        }
        let id = (turn % 4 == 0).then(|| format!("{number}-{turn}"));
        let path = if turn % 4 == 1 { SLOW } else { QUICK };
        match ask(http, &mut connection, path, id.as_deref()) {
            Ok(answer) if answer.status == 200 => written.lock().unwrap().extend(id),
            Ok(_) | Err(_) => {
                connection = None;
                std::thread::sleep(AGAIN);
            }
        }
    }
}

fn ask(
    http: SocketAddr,
    connection: &mut Option<Client>,
    path: &str,
    id: Option<&str>,
) -> std::io::Result<Answer> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(Client::over(TcpStream::connect(http)?)),
    };
    match id {
        Some(id) => connection.post(HOST, "/observations", id.as_bytes()),
        None => connection.get(HOST, path),
    }
}

/// Asks once, as somebody new would: the side that answers.
pub(super) fn side_that_answers(http: SocketAddr) -> Option<String> {
    let mut connection = None;
    let answer = ask(http, &mut connection, QUICK, None).ok()?;
    (answer.status == 200).then(|| answer.header("x-side"))
}
