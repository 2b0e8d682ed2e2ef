//! Reading from a floor's socket and writing to it, through [`Io`], where bytes are measured.

use std::{
    io::IoSlice,
    mem::MaybeUninit,
    pin::Pin,
    task::{Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Gone;
use crate::connection::Io;

/// Frames that one write carries at most: more tokens than that fill a segment several times over, and the
/// list is zeroed for each write.
pub(super) const FRAMES_A_WRITE: usize = 64;

/// Taken from the socket at once: an ask is far smaller.
const READ_BYTES: usize = 4_096;

/// Reads once, behind what was heard. The buffer is the stack's: it is there while the socket is read and
/// no longer.
pub(super) async fn read(io: &mut Io, heard: &mut Vec<u8>) -> Result<(), Gone> {
    std::future::poll_fn(|cx| {
        let mut bytes = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut bytes = ReadBuf::uninit(&mut bytes);
        let read = ready!(Pin::new(&mut *io).poll_read(cx, &mut bytes));
        heard.extend_from_slice(bytes.filled());
        Poll::Ready(match read {
            Ok(()) if !bytes.filled().is_empty() => Ok(()),
            _ => Err(Gone),
        })
    })
    .await
}

/// Writes a frame.
pub(super) async fn write(io: &mut Io, mut frame: Bytes) -> Result<(), Gone> {
    std::future::poll_fn(|cx| {
        while !frame.is_empty() {
            match ready!(Pin::new(&mut *io).poll_write(cx, &frame)) {
                Ok(written) if written > 0 => frame.advance(written),
                _ => return Poll::Ready(Err(Gone)),
            }
        }
        Poll::Ready(Ok(()))
    })
    .await
}

/// Writes frames in their order, in one write if the socket takes it, and empties the list.
pub(super) async fn write_all(io: &mut Io, frames: &mut Vec<Bytes>) -> Result<(), Gone> {
    let mut next = 0;
    std::future::poll_fn(|cx| {
        while next < frames.len() {
            let mut slices = [IoSlice::new(&[]); FRAMES_A_WRITE];
            let rest = &frames[next..];
            for (slice, frame) in slices.iter_mut().zip(rest) {
                *slice = IoSlice::new(frame);
            }
            let count = rest.len().min(FRAMES_A_WRITE);
            match ready!(Pin::new(&mut *io).poll_write_vectored(cx, &slices[..count])) {
                Ok(written) if written > 0 => advance(frames, &mut next, written),
                _ => return Poll::Ready(Err(Gone)),
            }
        }
        Poll::Ready(Ok(()))
    })
    .await?;
    frames.clear();
    Ok(())
}

fn advance(frames: &mut [Bytes], next: &mut usize, mut written: usize) {
    while let Some(frame) = frames.get_mut(*next)
        && written > 0
    {
        let taken = written.min(frame.len());
        frame.advance(taken);
        written -= taken;
        if frame.is_empty() {
            *next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_took_a_part_goes_on_where_it_stopped() {
        let whole = ["abc", "d", "efgh"];
        for cuts in [vec![8], vec![1; 8], vec![3, 5], vec![2, 3, 3], vec![4, 4]] {
            let mut frames = whole.map(|frame| Bytes::from_static(frame.as_bytes()));
            let (mut next, mut written) = (0, String::new());
            for cut in &cuts {
                let rest: Vec<_> = frames[next..].concat();
                written.push_str(std::str::from_utf8(&rest[..*cut]).unwrap());
                advance(&mut frames, &mut next, *cut);
            }
            assert_eq!((written.as_str(), next), ("abcdefgh", 3), "{cuts:?}");
        }
    }
}
