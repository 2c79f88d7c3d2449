//! How a thread shares its core with others.
#![expect(unsafe_code, reason = "sched_setattr has no safe wrapper")]

use std::io;

/// The longest slice that the kernel grants.
const SLICE_NS: u64 = 100_000_000;

/// Has this thread, and those it starts, leave its core to any thread that wakes up there: it asks
/// for the longest slice, and who asks for a shorter one goes before (EEVDF, Linux 6.12; an older
/// kernel takes no notice of that). Above a `niceness` of 0 it also gives up some of its share of
/// a core that others want, but never all of it, as an idle thread would.
///
/// # Errors
/// What the kernel says, or `Unsupported` under a real-time policy; the thread goes on as before.
pub(crate) fn give_way(niceness: i32) -> io::Result<()> {
    const SIZE: libc::c_uint = size_of::<libc::sched_attr>() as libc::c_uint;
    const SELF: libc::pid_t = 0;
    const NO_FLAGS: libc::c_uint = 0;
    // SAFETY: a sched_attr is integers only, for which all zeros is a value.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes at most SIZE bytes into `attributes`, which outlives the call.
    let got = unsafe {
        libc::syscall(
            libc::SYS_sched_getattr,
            SELF,
            &raw mut attributes,
            SIZE,
            NO_FLAGS,
        )
    };
    if got != 0 {
        return Err(io::Error::last_os_error());
    }
    let fair = [libc::SCHED_OTHER, libc::SCHED_BATCH].map(libc::c_int::cast_unsigned);
    if !fair.contains(&attributes.sched_policy) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    attributes.size = SIZE;
    attributes.sched_runtime = SLICE_NS;
    attributes.sched_nice = attributes.sched_nice.max(niceness);
    // SAFETY: the kernel reads SIZE bytes of `attributes`, which outlives the call.
    let set = unsafe {
        libc::syscall(
            libc::SYS_sched_setattr,
            SELF,
            &raw const attributes,
            NO_FLAGS,
        )
    };
    if set == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
