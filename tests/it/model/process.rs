//! The real one: a daemon and its file, to which the same is done.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use crate::support::client::Client;
use crate::support::daemon::{Daemon, OneSite, POINTSMAN, Place};
use crate::support::origin::Origin;
use crate::support::stage::Stage;
use crate::support::wait::until;

use super::reference::{By, File, Mistake, Seen, Site, Step};

const HOST: &str = "www.ispot.example";

/// A place with a daemon and two origins, and the table without what is varied.
pub(super) struct Process {
    stage: Stage,
    table: String,
}

impl Process {
    pub(super) fn start() -> Self {
        let flip = "{during: hold, hold: {for: 20s}, drain: {for: 20s}}";
        let stage = Stage::with(&OneSite::flipping(flip).without_names());
        let table = stage.place.text();
        let process = Self { stage, table };
        process.write(&Site::first().file);
        process
    }

    /// Does a step; `site` is what is expected before it. The exit code that is seen, if any.
    pub(super) fn take(&mut self, step: Step, site: &Site) -> Option<i32> {
        let mut file = site.file.clone();
        match step {
            Step::Word(word) => file.word = word,
            Step::Access(access) => file.access = access,
            Step::Fit(is_fit) => file.is_fit = is_fit,
            Step::Break(mistake) => file.mistake = Some(mistake),
            Step::Repair => file.mistake = None,
            Step::Hup => {
                self.stage.daemon.signal("HUP");
                return None;
            }
            Step::Flip(to) => return Some(self.stage.place.flip(to).0),
            Step::Cancel(by) => return Some(self.cancel(by, site)),
            Step::EditBack => {
                let (write, _) = self.flip_that_waits(By::Edit, site);
                self.write(&file);
                self.until_over();
                end(write);
                return None;
            }
            Step::Kill => return self.start_again(&file, || ()),
            Step::KillAndEdit(word) => {
                file.word = word;
                let (place, table) = (Place::file(&self.stage.place), self.text(&file));
                return self.start_again(&file, || std::fs::write(place, table).unwrap());
            }
            Step::KillInFlip(by) => {
                let (write, flip) = self.flip_that_waits(by, site);
                let exit = self.start_again(&file, || ());
                drop(write);
                if let Some(mut flip) = flip {
                    // It cannot know what became of its flip.
                    assert_eq!(flip.wait().unwrap().code(), Some(7));
                }
                return exit;
            }
        }
        self.write(&file);
        None
    }

    /// Looks at everything that can be seen.
    pub(super) fn seen(&self) -> Option<Seen> {
        let place = &self.stage.place;
        let status = place.status_json()?;
        let is_over = |flip: &serde_json::Value| !flip["outcome"].is_null();
        if !status["flips"].as_array()?.iter().all(is_over) {
            return None;
        }
        let site = &status["sites"][0];
        let mut client = Client::connect(place.http().parse().unwrap());
        let get = client.get(HOST, "/size/1").ok()?;
        let mut client = Client::connect(place.http().parse().unwrap());
        let post = client.post(HOST, "/echo", b"owl").ok()?;
        let count = "SELECT count(*) FROM flips";
        let flips = place.journal().query_row(count, [], |row| row.get(0));
        let side = get.header("x-side");
        Some(Seen {
            get: (get.status, (!side.is_empty()).then_some(side)),
            post: post.status,
            active: site["active"].as_str()?.into(),
            desired: site["desired"].as_str()?.into(),
            is_diverged: site["diverged"].as_bool()?,
            access: site["access"].as_str()?.into(),
            epoch: site["epoch"].as_u64()?,
            generation: status["generation"].as_u64()?,
            has_file_problem: !status["file_problem"].is_null(),
            word: place.word(),
            flips: flips.unwrap(),
        })
    }

    /// The table as the file has it.
    fn text(&self, file: &File) -> String {
        let words = format!("active: {}\n    access: {}", file.word, file.access);
        let text = self.table.replace("active: live", &words);
        let text = match file.is_fit {
            true => text,
            false => text.replace("status: 200", "status: 404"),
        };
        let mistake = match file.mistake {
            None => "",
            Some(Mistake::Key) => "nonsense: true\n",
            Some(Mistake::Syntax) => "nonsense: [\n",
        };
        text + mistake
    }

    fn write(&self, file: &File) {
        self.stage.place.replace(&self.text(file));
    }

    /// kill -9, something meanwhile, and a start; a file with a mistake is set right when the
    /// daemon has said so.
    fn start_again(&mut self, file: &File, meanwhile: impl FnOnce()) -> Option<i32> {
        self.stage.daemon.signal("KILL");
        self.stage.daemon.wait();
        meanwhile();
        let mut exit = None;
        if file.mistake.is_some() {
            exit = self.stage.place.spawn("run", &[]).wait();
            let sound = File {
                mistake: None,
                ..file.clone()
            };
            self.write(&sound);
        }
        self.stage.daemon = self.stage.place.start();
        exit
    }

    /// Begins a flip that waits for a write; the write, and the command that asked.
    fn flip_that_waits(&self, by: By, site: &Site) -> (Client, Option<Child>) {
        let place = &self.stage.place;
        let at = self.origin(site);
        let before = at.count();
        let mut write = Client::connect(place.http().parse().unwrap());
        write.send(&format!(
            "POST /echo HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 3\r\n\r\now"
        ));
        until("the write is at its origin", || {
            (at.count() > before).then_some(())
        });
        let flip = match by {
            By::Edit => {
                let mut file = site.file.clone();
                file.word = site.other();
                self.write(&file);
                None
            }
            By::Command => Some(self.command(site.other())),
        };
        place.until_phase("draining");
        (write, flip)
    }

    fn origin(&self, site: &Site) -> &Origin {
        if site.other() == "backup" {
            &self.stage.live
        } else {
            &self.stage.backup
        }
    }

    fn command(&self, to: &str) -> Child {
        let mut flip = Command::new(POINTSMAN);
        flip.args(["flip", "ispot", "--yes", "--to", to, "--socket"])
            .arg(self.stage.place.state().join("admin.sock"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        flip.spawn().unwrap()
    }

    /// Cancels a flip that waits; what the command said that asked for it, or that cancelled it.
    fn cancel(&self, by: By, site: &Site) -> i32 {
        let (write, flip) = self.flip_that_waits(by, site);
        let place = &self.stage.place;
        let id = place.status_json().unwrap()["flips"][0]["id"].to_string();
        let cancelled = place.pointsman(&["flip", "--cancel", &id]);
        assert_eq!(cancelled.status.code(), Some(0), "{cancelled:?}");
        self.until_over();
        end(write);
        // Who edits has no exit code: it is that of a flip taken back when somebody was held.
        flip.map_or(4, |mut flip| flip.wait().unwrap().code().unwrap())
    }

    fn until_over(&self) {
        until("the flip is over", || {
            let status = self.stage.place.status_json()?;
            (!status["flips"][0]["outcome"].is_null()).then_some(())
        });
    }

    pub(super) fn daemon(&self) -> &Daemon {
        &self.stage.daemon
    }
}

/// Sends the last byte of a write, which then is answered by the side where it began.
fn end(mut write: Client) {
    write.stream.write_all(b"l").unwrap();
    assert_eq!(write.answer("POST").unwrap().status, 200);
}
