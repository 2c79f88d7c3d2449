//! What a journal that cannot be written makes of jobs and copies.

use super::*;

impl Guarded {
    /// Has the journal refuse a kind of change of a table.
    fn refuse(&self, change: &str, table: &str) {
        let trigger = format!(
            "CREATE TRIGGER refused BEFORE {change} ON {table} BEGIN SELECT RAISE(ABORT, 'no space \
             is left'); END"
        );
        self.place.journal().execute_batch(&trigger).unwrap();
    }

    fn refuse_no_more(&self) {
        let journal = self.place.journal();
        journal.execute_batch("DROP TRIGGER refused").unwrap();
    }
}

#[test]
fn no_job_runs_whose_lease_or_whose_begin_is_not_on_disk() {
    let stage = guarded("{}");
    for change in ["INSERT", "UPDATE"] {
        stage.refuse(change, "guards");

        let (code, said) = stage.script(COPY, "touch was-run");

        assert_eq!(code, Some(75), "{change}: {said}");
        assert!(said.contains("make room on the disk"), "{change}: {said}");
        assert!(!stage.has("was-run"), "{change}");
        assert!(!stage.is_torn("backup"), "{change}");
        stage.refuse_no_more();
        stage.until_no_lease();
    }
    assert_eq!(stage.script(COPY, "touch was-run").0, Some(0));
}

#[test]
fn the_end_of_a_job_is_told_again_until_it_is_on_disk() {
    let stage = guarded("{guard_wait: 100ms}");
    let mut job = stage.begin(COPY, "job");
    stage.refuse("DELETE", "guards");

    job.let_go(0);

    until("the job is gone", || (!job.job_lives()).then_some(()));
    let said = stage.is_refused(&["backup"]);
    assert!(said.contains("guard 1 (sh;"), "{said}");
    stage.refuse_no_more();
    assert_eq!(job.wait(), Some(0), "{}", job.said());
    stage.until_no_lease();
    assert!(!stage.is_torn("backup"));
    stage.flips(&["backup"]);
}

#[test]
fn no_last_copy_is_made_whose_begin_is_not_on_disk() {
    let stage = guarded("{hooks: {sync: [[touch, was-run]]}}");
    stage.refuse("INSERT", "books");

    let (code, said) = stage.flip(&["backup"]);

    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("could not be journalled"), "{said}");
    assert!(!stage.has("etc/was-run"));
    stage.refuse_no_more();
    stage.flips(&["backup"]);
    assert!(stage.has("etc/was-run"), "hooks run where the file is");
}
