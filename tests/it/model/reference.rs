//! The reference: what a site must do by the contract, in the plainest words there are.
//!
//! The file is what is desired, the journal what is. Only a word that differs from the one last
//! read is a request; a refused or cut short one is not tried again; the word follows a commit; a
//! file with a mistake changes nothing. It knows no time: every step is looked at when it is over.

/// The two sides.
pub(super) const SIDES: [&str; 2] = ["live", "backup"];

/// What is written in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) word: &'static str,
    pub(super) access: &'static str,
    /// The checks find both sides fit.
    pub(super) is_fit: bool,
    pub(super) mistake: Option<Mistake>,
}

/// What may be wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    /// A key that is not known; a word in the file can still be rewritten.
    Key,
    /// It is not YAML, and nothing in it can be told from anything else.
    Syntax,
}

/// Who asks for a flip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Edit,
    Command,
}

/// What may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The word is edited.
    Word(&'static str),
    /// `pointsman flip --to`.
    Flip(&'static str),
    /// The access is edited.
    Access(&'static str),
    /// The checks are edited, so that they find what they ask for, or do not.
    Fit(bool),
    /// The file gets a mistake.
    Break(Mistake),
    /// The mistake is taken out.
    Repair,
    /// A flip that waits for a write is cancelled by `pointsman flip --cancel`.
    Cancel(By),
    /// A flip that waits for a write is cancelled by editing the word back.
    EditBack,
    /// SIGHUP.
    Hup,
    /// kill -9, and a start.
    Kill,
    /// kill -9, an edit of the word, and a start.
    KillAndEdit(&'static str),
    /// kill -9 while a flip waits for a write, and a start.
    KillInFlip(By),
}

/// What can be seen of a site that rests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The status of a GET, and the side that gave it.
    pub(super) get: (u16, Option<String>),
    /// The status of a POST.
    pub(super) post: u16,
    pub(super) active: String,
    pub(super) desired: String,
    pub(super) is_diverged: bool,
    pub(super) access: String,
    pub(super) epoch: u64,
    pub(super) generation: u64,
    pub(super) has_file_problem: bool,
    /// The word in the file.
    pub(super) word: String,
    /// Flips in the journal.
    pub(super) flips: u64,
}

/// A site, its file and its daemon.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) file: File,
    /// The file as it was last taken.
    taken: File,
    active: &'static str,
    /// The word as last read, by the journal.
    read: &'static str,
    epoch: u64,
    epoch_used: u64,
    flips: u64,
    generation: u64,
}

impl Site {
    /// As it is after a first start.
    pub(super) fn first() -> Self {
        let file = File {
            word: "live",
            access: "open",
            is_fit: true,
            mistake: None,
        };
        Self {
            taken: file.clone(),
            file,
            active: "live",
            read: "live",
            epoch: 1,
            epoch_used: 1,
            flips: 0,
            generation: 1,
        }
    }

    /// The side where the site is not.
    pub(super) fn other(&self) -> &'static str {
        SIDES[usize::from(self.active == SIDES[0])]
    }

    /// Tells whether a flip may be made to wait for a write: somebody may write, and it comes so
    /// far.
    fn can_wait(&self, by: By) -> bool {
        let is_asked = match by {
            By::Edit => self.file.mistake.is_none() && self.file.word == self.active,
            By::Command => !self.is_stuck(),
        };
        is_asked && self.taken.access == "open" && self.taken.is_fit
    }

    /// The word would have to be rewritten after a flip, and cannot be where nothing is YAML.
    fn is_stuck(&self) -> bool {
        self.file.mistake == Some(Mistake::Syntax) && self.taken.word != self.other()
    }

    /// Tells whether a step may be taken as things stand.
    pub(super) fn may(&self, step: Step) -> bool {
        match step {
            Step::Cancel(by) | Step::KillInFlip(by) => self.can_wait(by),
            Step::EditBack => self.can_wait(By::Edit),
            Step::Repair => self.file.mistake.is_some(),
            // Which word counts is told only of a file that was read as it is.
            Step::Break(_) | Step::Word(_) => self.file.mistake.is_none(),
            Step::Flip(_) | Step::Access(_) | Step::Fit(_) => true,
            Step::Hup | Step::Kill | Step::KillAndEdit(_) => true,
        }
    }

    /// Takes a step; the exit code that somebody saw, if there was one.
    ///
    /// A start with a file that has a mistake ends with one, and then the mistake is taken out.
    pub(super) fn take(&mut self, step: Step) -> Option<i32> {
        match step {
            Step::Word(word) => self.file.word = word,
            Step::Access(access) => self.file.access = access,
            Step::Fit(is_fit) => self.file.is_fit = is_fit,
            Step::Break(mistake) => self.file.mistake = Some(mistake),
            Step::Repair => self.file.mistake = None,
            Step::Hup => {}
            Step::Flip(to) => return Some(self.flip(to)),
            Step::Cancel(by) => {
                self.cut_short(by);
                return Some(4);
            }
            Step::EditBack => {
                self.cut_short(By::Edit);
                self.file.word = self.active;
            }
            Step::Kill => return self.start(),
            Step::KillAndEdit(word) => {
                self.file.word = word;
                return self.start();
            }
            Step::KillInFlip(by) => {
                self.cut_short(by);
                return self.start();
            }
        }
        self.load();
        None
    }

    pub(super) fn seen(&self) -> Seen {
        let (get, post) = match self.taken.access {
            "open" => (200, 200),
            "read-only" => (200, 503),
            _ => (503, 503),
        };
        Seen {
            get: (get, (get == 200).then(|| self.active.to_owned())),
            post,
            active: self.active.into(),
            desired: self.taken.word.into(),
            is_diverged: self.taken.word != self.active,
            access: self.taken.access.into(),
            epoch: self.epoch,
            generation: self.generation,
            has_file_problem: self.file.mistake.is_some(),
            word: self.file.word.into(),
            flips: self.flips,
        }
    }

    fn start(&mut self) -> Option<i32> {
        let exit = self.file.mistake.map(|_| 2);
        self.file.mistake = None;
        self.taken = self.file.clone();
        self.generation = 1;
        self.ask();
        exit
    }

    /// Reads the file, as an edit has it read.
    fn load(&mut self) {
        if self.file.mistake.is_some() {
            return;
        }
        let is_table =
            self.file.access != self.taken.access || self.file.is_fit != self.taken.is_fit;
        self.generation += u64::from(is_table);
        self.taken = self.file.clone();
        self.ask();
    }

    /// Only a word that differs from the one last read is a request.
    fn ask(&mut self) {
        let word = self.taken.word;
        if word == self.read {
            return;
        }
        self.read = word;
        if word == self.active {
            return;
        }
        self.flips += 1;
        if self.taken.is_fit {
            self.arrive(word);
        }
    }

    fn flip(&mut self, to: &'static str) -> i32 {
        if to == self.active {
            return 3;
        }
        self.flips += 1;
        if !self.taken.is_fit || self.is_stuck() {
            return 3;
        }
        self.arrive(to);
        0
    }

    fn arrive(&mut self, to: &'static str) {
        self.epoch_used += 1;
        self.epoch = self.epoch_used;
        self.active = to;
        self.read = to;
        self.taken.word = to;
        self.file.word = to;
    }

    /// A flip that ended after its intent and before its commit.
    fn cut_short(&mut self, by: By) {
        self.flips += 1;
        self.epoch_used += 1;
        if by == By::Edit {
            self.file.word = self.other();
            self.taken.word = self.file.word;
            self.read = self.file.word;
        }
    }
}
