//! `hooks:` the commands that run at a flip.

use std::time::Duration;

use super::super::diagnostic::Report;
use super::super::hooks::{Hook, HookCommand, Hooks};
use super::super::scalar;
use super::super::schema::{At, Fields, Wrong};
use super::super::tree::Value;

/// Hooks in one list: they run one after the other while users wait.
const HOOKS_MAX: usize = 16;

/// Words of a command, and its bytes, all together: far below what the kernel takes (execve(2)),
/// and far above what a person writes into a table.
const WORDS_MAX: usize = 256;
const BYTES_MAX: usize = 64 * 1024;

/// A name stands in messages, in the status and in the journal.
const NAME_LETTERS_MAX: usize = 64;

/// Without a timeout of its own: the copy of a small site, with room to spare.
const TIMEOUT: Duration = Duration::from_secs(600);
const TIMEOUT_LEAST: Duration = Duration::from_millis(1);
const TIMEOUT_MOST: Duration = Duration::from_secs(24 * 3_600);

/// Reads `hooks:`.
pub(super) fn resolve(report: &mut Report, at: &At<'_>) -> Hooks {
    let Some(fields) = at.fields(report) else {
        return Hooks::default();
    };
    Hooks {
        before: list(report, &fields, "before"),
        sync: list(report, &fields, "sync"),
        after: list(report, &fields, "after"),
        restore: list(report, &fields, "restore"),
    }
}

fn list(report: &mut Report, fields: &Fields<'_>, name: &str) -> Vec<Hook> {
    let mut hooks = Vec::new();
    let Some(at) = fields.find(report, name) else {
        return hooks;
    };
    if let Value::Text(text) = &at.node.value {
        at.wrong(report, bare(text, "[", "]"));
        return hooks;
    }
    let Some(items) = at.list(report) else {
        return hooks;
    };
    let is_text = |at: &At<'_>| matches!(at.node.value, Value::Text(_));
    if items.len() > 1 && items.iter().all(is_text) {
        let message = "these are the words of one hook, and here belongs a list of hooks";
        at.wrong(report, Wrong::new(message, "write `[[…, …]]`"));
        return hooks;
    }
    if items.len() > HOOKS_MAX {
        let message = format!("has {} hooks, and may have {HOOKS_MAX}", items.len());
        at.wrong(
            report,
            Wrong::new(message, "put some of them into a script"),
        );
        return hooks;
    }
    for at in items {
        if let Some(hook) = hook(report, &at, &hooks) {
            if hook.merges && name != "sync" {
                let message =
                    format!("`merges` says what a `sync` hook does, and this is in `{name}`");
                at.wrong(report, Wrong::new(message, "leave it out"));
            }
            hooks.push(hook);
        }
    }
    hooks
}

/// A text where words belong: no shell reads a hook unless it is asked for, so that no blank and
/// no `$` in a word means more than it says.
fn bare(text: &str, before: &str, after: &str) -> Wrong {
    const SHOWN: usize = 60;
    let words = text.split_whitespace().collect::<Vec<_>>().join(", ");
    let remedy = if text.chars().count() <= SHOWN && !text.contains(['"', '\'', '[', '{', '\n']) {
        format!(
            "write `{before}[{words}]{after}`, or `{before}{{shell: \"{text}\"}}{after}` for a \
             shell to read it"
        )
    } else {
        "write a list of words, `[rsync, -a, …]`, or `{shell: \"…\"}` for a shell to read it".into()
    };
    Wrong::new("here belongs a list of words, not a single text", remedy)
}

fn hook(report: &mut Report, at: &At<'_>, others: &[Hook]) -> Option<Hook> {
    let is_taken = |name: &str| others.iter().any(|other| other.name == name);
    match &at.node.value {
        Value::Text(text) => {
            at.wrong(report, bare(text, "", ""));
            return None;
        }
        Value::List(_) => {
            let command = HookCommand::Run(words(report, at)?);
            let name = usual_name(&command, is_taken);
            return Some(Hook {
                name,
                command,
                timeout: TIMEOUT,
                merges: false,
            });
        }
        Value::Empty | Value::Null | Value::Map(_) | Value::Refused => {}
    }
    let fields = at.fields(report)?;
    let bounds = TIMEOUT_LEAST..=TIMEOUT_MOST;
    let timeout = fields.value_or(report, "timeout", TIMEOUT, |text| {
        scalar::duration(text, bounds)
    });
    let named = fields.find(report, "name").and_then(|at| {
        at.parse(report, |text| {
            if text.trim().is_empty() || text.chars().count() > NAME_LETTERS_MAX {
                let remedy = format!("write 1 to {NAME_LETTERS_MAX} letters");
                return Err(Wrong::new("is no name", remedy));
            }
            if is_taken(text) {
                let message = format!("there is a hook `{text}` in this list already");
                return Err(Wrong::new(message, "give each hook a name of its own"));
            }
            Ok(text.to_owned())
        })
    });
    let command = command(report, &fields)?;
    Some(Hook {
        name: named.unwrap_or_else(|| usual_name(&command, is_taken)),
        command,
        timeout,
        merges: fields.value_or(report, "merges", false, scalar::flag),
    })
}

fn command(report: &mut Report, fields: &Fields<'_>) -> Option<HookCommand> {
    let run = fields.find(report, "run");
    let Some(shell) = fields.find(report, "shell") else {
        let Some(run) = run else {
            fields.need(report, "run", "run: [rsync, -a, …]");
            return None;
        };
        return words(report, &run).map(HookCommand::Run);
    };
    if run.is_some() {
        let message = "a hook runs one command, and `run` is there already";
        shell.wrong(report, Wrong::new(message, "keep one of the two"));
        return None;
    }
    let text = shell.parse(report, |text| {
        if text.trim().is_empty() {
            return Err(Wrong::new("is empty", "write what the shell is to do"));
        }
        runnable(text, text.len()).map(|()| text.to_owned())
    });
    text.map(HookCommand::Shell)
}

/// Reads a program and its arguments.
fn words(report: &mut Report, at: &At<'_>) -> Option<Vec<String>> {
    if let Value::Text(text) = &at.node.value {
        at.wrong(report, bare(text, "", ""));
        return None;
    }
    let items = at.list(report)?;
    let given = items.len();
    let mut bytes = 0;
    let read = items.iter().filter_map(|at| {
        at.parse(report, |text| {
            bytes += text.len();
            runnable(text, bytes).map(|()| text.to_owned())
        })
    });
    let words: Vec<String> = read.collect();
    if words.len() < given {
        return None;
    }
    if words.first().is_none_or(String::is_empty) {
        let remedy = "write the program and its arguments: `[rsync, -a, …]`";
        at.wrong(report, Wrong::new("names no program", remedy));
        return None;
    }
    if given > WORDS_MAX {
        let message = format!("has {given} words, and may have {WORDS_MAX}");
        at.wrong(report, Wrong::new(message, "put it into a script"));
        return None;
    }
    Some(words)
}

/// What no program can be given.
fn runnable(text: &str, bytes: usize) -> Result<(), Wrong> {
    if text.contains('\0') {
        return Err(Wrong::new("has a byte 0 in it", "leave it out"));
    }
    if bytes > BYTES_MAX {
        let message = format!("the command has more than {BYTES_MAX} bytes");
        return Err(Wrong::new(message, "put it into a script"));
    }
    Ok(())
}

/// Names a hook after its program; a second one of the same program gets a number.
fn usual_name(command: &HookCommand, is_taken: impl Fn(&str) -> bool) -> String {
    let program = match command {
        HookCommand::Run(_) => command.program(),
        HookCommand::Shell(_) => "shell",
    };
    let file = program.rsplit('/').find(|part| !part.is_empty());
    let name: String = file
        .unwrap_or(program)
        .chars()
        .take(NAME_LETTERS_MAX)
        .collect();
    let numbered = (2..).map(|number: usize| format!("{name} {number}"));
    let mut names = std::iter::once(name.clone()).chain(numbered);
    names.find(|name| !is_taken(name)).unwrap_or(name)
}
