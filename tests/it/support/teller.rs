//! An origin that answers what it was told to, path by path, and counts who asked.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::origin::{read_body, read_head};

/// An origin that is told what to say; dropping it closes its port.
#[derive(Debug)]
pub(crate) struct Teller {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Everything after `HTTP/1.1 `, by path, in turn; nothing at all for one that is never answered.
    answers: Mutex<BTreeMap<String, VecDeque<Option<String>>>>,
    asked: Mutex<Vec<String>>,
    /// Connections that wait for an answer in vain.
    hanging: Mutex<usize>,
    over: AtomicBool,
}

impl Teller {
    /// Listens; what it is not told of is answered 404.
    pub(crate) fn start(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if of_thread.over.load(Ordering::Acquire) {
                    return;
                }
                let shared = Arc::clone(&of_thread);
                // A peer that leaves in the middle is part of what is tested.
                std::thread::spawn(move || serve(&shared, stream).ok());
            }
        });
        Self { address, shared }
    }

    /// Says this at a path from now on: a status, lines of fields, and a body.
    pub(crate) fn says(&self, path: &str, status: &str, fields: &str, body: &str) {
        let answer = written(status, fields, body);
        self.answers(path, [Some(answer)].into());
    }

    /// Says these at a path in turn from now on, over and over: each a status and a body.
    pub(crate) fn says_in_turn(&self, path: &str, said: &[(&str, &str)]) {
        let all = said.iter();
        let all = all.map(|(status, body)| Some(written(status, "", body)));
        self.answers(path, all.collect());
    }

    /// Never answers at a path.
    pub(crate) fn is_silent_at(&self, path: &str) {
        self.answers(path, [None].into());
    }

    fn answers(&self, path: &str, answers: VecDeque<Option<String>>) {
        let mut all = self.shared.answers.lock().unwrap();
        all.insert(path.into(), answers);
    }

    /// Counts the requests for a path so far.
    pub(crate) fn asked(&self, path: &str) -> usize {
        let asked = self.shared.asked.lock().unwrap();
        asked.iter().filter(|asked| *asked == path).count()
    }

    /// Counts the connections that wait for an answer in vain, at this instant.
    pub(crate) fn hanging(&self) -> usize {
        *self.shared.hanging.lock().unwrap()
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        // Wakes the listening thread, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

fn written(status: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!("{status}\r\nContent-Length: {length}\r\n{fields}\r\n{body}")
}

fn serve(shared: &Shared, mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some((_, path, headers)) = read_head(&mut reader)? {
        read_body(&mut reader, &headers)?;
        shared.asked.lock().unwrap().push(path.clone());
        let answer = shared
            .answers
            .lock()
            .unwrap()
            .get_mut(&path)
            .and_then(|in_turn| {
                in_turn.rotate_left(1);
                in_turn.back().cloned()
            });
        let answer = answer.unwrap_or_else(|| Some("404 None\r\nContent-Length: 0\r\n\r\n".into()));
        let Some(answer) = answer else {
            *shared.hanging.lock().unwrap() += 1;
            let gone = reader.read(&mut [0; 1]);
            *shared.hanging.lock().unwrap() -= 1;
            return gone.map(|_| ());
        };
        stream.write_all(format!("HTTP/1.1 {answer}").as_bytes())?;
    }
    Ok(())
}
