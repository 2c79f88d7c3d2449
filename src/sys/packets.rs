//! UDP packets by the batch, each with the address it came to.
#![expect(
    unsafe_code,
    reason = "recvmmsg, sendmmsg and packet information have no safe wrapper"
)]

use std::io;
use std::mem;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::ptr;

/// Packets in one system call; a fuller queue is emptied by the next.
const BATCH: usize = 32;

/// Bytes kept of a packet; what is longer than this is no query (EDNS clients ask with far less).
const PACKET_BYTES_MAX: usize = 2048;

/// Bytes of an answer: nothing longer is ever sent by datagram.
const ANSWER_BYTES_MAX: usize = 1232;

/// Bytes of control messages: one `in6_pktinfo` takes 40.
const CONTROL_BYTES_MAX: usize = 64;

/// Control messages need the alignment of their header.
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES_MAX]);

/// One packet and its answer.
struct Slot {
    peer: libc::sockaddr_storage,
    peer_len: libc::socklen_t,
    control: Control,
    control_len: usize,
    packet: [u8; PACKET_BYTES_MAX],
    packet_len: usize,
    cut: bool,
    answer: [u8; ANSWER_BYTES_MAX],
    answer_len: usize,
}

/// Packets received together, and the answers that go back together.
pub(crate) struct Batch {
    slots: Box<[Slot]>,
}

/// A received packet and the room for its answer.
pub(crate) struct Packet<'a> {
    /// What was received.
    pub(crate) bytes: &'a [u8],
    /// It was longer than what was kept.
    pub(crate) cut: bool,
    /// Where it came from.
    pub(crate) port: u16,
    /// Where the answer is written.
    pub(crate) answer: &'a mut [u8],
}

impl Batch {
    /// Makes room for [`BATCH`] packets.
    pub(crate) fn new() -> Self {
        let slot = |_| Slot {
            // SAFETY: a sockaddr_storage is integers only, for which all zeros is a value.
            peer: unsafe { mem::zeroed() },
            peer_len: 0,
            control: Control([0; CONTROL_BYTES_MAX]),
            control_len: 0,
            packet: [0; PACKET_BYTES_MAX],
            packet_len: 0,
            cut: false,
            answer: [0; ANSWER_BYTES_MAX],
            answer_len: 0,
        };
        Self {
            slots: (0..BATCH).map(slot).collect(),
        }
    }

    /// Waits for a first packet and takes what else is there; gives their count.
    ///
    /// # Errors
    /// `WouldBlock` after the socket's read timeout; whatever else the kernel says.
    pub(crate) fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let mut vectors: [libc::iovec; BATCH] =
            std::array::from_fn(|at| vector(&mut self.slots[at].packet));
        let mut headers: [libc::mmsghdr; BATCH] = std::array::from_fn(|at| {
            let slot = &mut self.slots[at];
            let control = (slot.control.0.as_mut_ptr(), CONTROL_BYTES_MAX);
            let peer_len = size_of::<libc::sockaddr_storage>();
            header(&mut vectors[at], &mut slot.peer, peer_len, control)
        });
        // SAFETY: `headers` has BATCH entries; each points at one vector, peer and control buffer
        // of its own slot, with their true sizes, and all of them live until the call is over.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                // BATCH is 32, far below any limit of the type.
                BATCH as libc::c_uint,
                // The C libraries differ in whether it is signed.
                libc::MSG_WAITFORONE as _,
                ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        for (slot, header) in self.slots.iter_mut().zip(&mut headers).take(count) {
            slot.packet_len = (header.msg_len as usize).min(PACKET_BYTES_MAX);
            slot.cut = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            slot.peer_len = header.msg_hdr.msg_namelen;
            slot.answer_len = 0;
            forget_interface(&mut header.msg_hdr);
            // At most the size of the buffer; the C libraries differ in how wide the field is.
            slot.control_len = header.msg_hdr.msg_controllen as _;
        }
        Ok(count)
    }

    /// Shows a packet of the last [`Batch::receive`].
    pub(crate) fn packet(&mut self, at: usize) -> Packet<'_> {
        let slot = &mut self.slots[at];
        // SAFETY: a sockaddr_in is smaller than the storage it is read from, needs no more
        // alignment, and is integers only. Its port stands where that of a sockaddr_in6 stands.
        let peer = unsafe { ptr::from_ref(&slot.peer).cast::<libc::sockaddr_in>().read() };
        Packet {
            bytes: &slot.packet[..slot.packet_len],
            cut: slot.cut,
            port: u16::from_be(peer.sin_port),
            answer: &mut slot.answer,
        }
    }

    /// Sets how many bytes of a packet's answer go back; none if this is not called.
    pub(crate) fn answer(&mut self, at: usize, len: usize) {
        let slot = &mut self.slots[at];
        slot.answer_len = len.min(slot.answer.len());
    }

    /// Sends the answers to the first `count` packets, each from the address its query came to;
    /// gives the number that the kernel did not take. Never waits.
    pub(crate) fn send(&mut self, socket: &UdpSocket, count: usize) -> usize {
        let mut vectors: [libc::iovec; BATCH] = std::array::from_fn(|at| {
            let slot = &mut self.slots[at];
            vector(&mut slot.answer[..slot.answer_len])
        });
        // SAFETY: an mmsghdr is integers and pointers, for which all zeros is a value.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { mem::zeroed() };
        let mut used = 0;
        for (slot, vector) in self.slots.iter_mut().zip(&mut vectors).take(count) {
            if slot.answer_len > 0 {
                let control = (slot.control.0.as_mut_ptr(), slot.control_len);
                let peer_len = slot.peer_len as usize;
                headers[used] = header(vector, &mut slot.peer, peer_len, control);
                used += 1;
            }
        }
        let (mut next, mut refused) = (0, 0);
        while next < used {
            // SAFETY: the entries `next..used` were filled above; what they point at lives in
            // `self.slots` and `vectors`, which outlive the call.
            let sent = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    headers.as_mut_ptr().add(next),
                    (used - next) as libc::c_uint,
                    (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _,
                )
            };
            match usize::try_from(sent) {
                Ok(sent @ 1..) => next += sent,
                // The kernel refused the first one; the others may still go.
                Ok(0) | Err(_) => {
                    next += 1;
                    refused += 1;
                }
            }
        }
        refused
    }
}

fn vector(bytes: &mut [u8]) -> libc::iovec {
    libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    }
}

fn header(
    vector: &mut libc::iovec,
    peer: &mut libc::sockaddr_storage,
    peer_len: usize,
    (control, control_len): (*mut u8, usize),
) -> libc::mmsghdr {
    // SAFETY: an mmsghdr is integers and pointers, for which all zeros is a value.
    let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
    header.msg_hdr.msg_iov = vector;
    header.msg_hdr.msg_iovlen = 1;
    header.msg_hdr.msg_name = ptr::from_mut(peer).cast();
    // At most the size of a sockaddr_storage, 128.
    header.msg_hdr.msg_namelen = peer_len as libc::socklen_t;
    header.msg_hdr.msg_control = control.cast();
    header.msg_hdr.msg_controllen = control_len as _;
    header
}

/// Leaves the way back to the routing table: the interface a packet came by may not be the one
/// towards its sender. A link-local source has no meaning without its interface (RFC 4007 §6).
fn forget_interface(header: &mut libc::msghdr) {
    // SAFETY: the kernel filled the control buffer that `header` points at, and said how far;
    // CMSG_FIRSTHDR gives a header within it or null, and the data is read only for the types
    // whose size the kernel wrote. Unaligned access is used as the macro promises no alignment.
    unsafe {
        let first = libc::CMSG_FIRSTHDR(header);
        if first.is_null() {
            return;
        }
        match ((*first).cmsg_level, (*first).cmsg_type) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                let place = libc::CMSG_DATA(first).cast::<libc::in_pktinfo>();
                let mut info = place.read_unaligned();
                info.ipi_ifindex = 0;
                place.write_unaligned(info);
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let place = libc::CMSG_DATA(first).cast::<libc::in6_pktinfo>();
                let mut info = place.read_unaligned();
                let [first, second, ..] = info.ipi6_addr.s6_addr;
                if (first, second & 0xc0) != (0xfe, 0x80) {
                    info.ipi6_ifindex = 0;
                    place.write_unaligned(info);
                }
            }
            // Nothing else was asked for, and nothing else may be sent back.
            _ => header.msg_controllen = 0,
        }
    }
}

/// Asks the kernel to tell which address each packet came to.
///
/// # Errors
/// What the kernel says.
pub(crate) fn tell_destination(socket: &UdpSocket, ipv6: bool) -> io::Result<()> {
    let (level, option) = if ipv6 {
        (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)
    } else {
        (libc::IPPROTO_IP, libc::IP_PKTINFO)
    };
    let on: libc::c_int = 1;
    // SAFETY: the option takes an int; `on` is one, its size is given, and it lives long enough.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            ptr::from_ref(&on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
