//! The site of the stories: a program that keeps observations in one SQLite file, as sites do, each
//! with the side that took it and the time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

/// Makes an empty database.
pub(crate) fn make_database(file: &Path) {
    let made = Connection::open(file).unwrap();
    made.execute_batch(
        "CREATE TABLE observations (what TEXT PRIMARY KEY, side TEXT, at_ns INTEGER)",
    )
    .unwrap();
}

/// Reads what a database has, in the order of the names.
pub(crate) fn observations(file: &Path) -> Vec<String> {
    let opened = Connection::open(file).unwrap();
    let mut all = opened
        .prepare("SELECT what FROM observations ORDER BY what")
        .unwrap();
    let rows = all.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Serves a database: POST adds its body, GET counts; both answer with the name of the side first.
pub(crate) fn serve(side: &'static str, file: PathBuf) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let file = file.clone();
            std::thread::spawn(move || {
                // Whoever asked may be gone.
                let _ = answer(side, &file, stream);
            });
        }
    });
    address
}

fn answer(side: &str, file: &Path, stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut is_post, mut length) = (false, 0);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 && line != "\r\n" {
        is_post |= line.starts_with("POST ");
        let field = line.to_ascii_lowercase();
        if let Some(value) = field.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let what = is_post.then(|| String::from_utf8_lossy(&body).into_owned());
    let (status, said) = match work(side, file, what) {
        Ok(count) => ("200 OK", format!("{side} {count}")),
        Err(error) => ("500 Internal Server Error", error.to_string()),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", said.len());
    write!(reader.get_mut(), "{head}Connection: close\r\n\r\n{said}")
}

/// Opens the file each time: a copy that was put in its place is what is served.
fn work(side: &str, file: &Path, what: Option<String>) -> rusqlite::Result<u64> {
    let opened = Connection::open(file)?;
    opened.busy_timeout(Duration::from_secs(5))?;
    if let Some(what) = what {
        let at_ns = now_ns();
        let insert = "INSERT INTO observations VALUES (?1, ?2, ?3)";
        opened.execute(insert, rusqlite::params![what, side, at_ns])?;
    }
    opened.query_row("SELECT count(*) FROM observations", [], |row| row.get(0))
}

/// Nanoseconds since the Unix epoch, by the one clock of this machine.
pub(crate) fn now_ns() -> i64 {
    let now = jiff::Timestamp::now().as_nanosecond();
    i64::try_from(now).unwrap()
}
