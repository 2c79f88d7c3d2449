//! A list in chunks, which lists that are made from it share.
//!
//! Of a great many sites an edit touches a few. A list that follows another is the same chunks but
//! for those few, and so costs what it changes: to make, to compare, and to drop.

use std::cmp::Ordering;
use std::ops::{Index, IndexMut};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Values of a chunk: near the root of 100,000, so that there are about as many chunks.
const CHUNK: usize = 256;

/// A list; its copies share what is the same.
#[derive(Debug)]
pub struct Chunks<T> {
    /// All but the last are full, and none is empty.
    chunks: Vec<Arc<[T]>>,
}

impl<T> Chunks<T> {
    /// Counts the values.
    pub fn len(&self) -> usize {
        let last = self.chunks.last();
        last.map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    /// Tells whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Looks at a place.
    pub fn get(&self, at: usize) -> Option<&T> {
        self.chunks.get(at / CHUNK)?.get(at % CHUNK)
    }

    /// Shows the values in their order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + Clone {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// Shows the values to change them; copies the chunks that another list shares.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T>
    where
        T: Clone,
    {
        let chunks = self.chunks.iter_mut();
        chunks.flat_map(|chunk| Arc::make_mut(chunk).iter_mut())
    }

    /// Finds a place in a list that is in order; see [`slice::binary_search_by`].
    ///
    /// # Errors
    /// Where what is looked for would have to be.
    pub fn binary_search_by(&self, order: impl Fn(&T) -> Ordering) -> Result<usize, usize> {
        let begins_before = |chunk: &Arc<[T]>| order(&chunk[0]).is_le();
        let Some(which) = self.chunks.partition_point(begins_before).checked_sub(1) else {
            return Err(0);
        };
        let found = self.chunks[which].binary_search_by(order);
        let in_all = |at| which * CHUNK + at;
        found.map(in_all).map_err(in_all)
    }

    /// Shows what another list does not share at the same place, with its places; the values
    /// need not differ.
    pub fn unshared<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (usize, &'a T)> {
        let chunks = self.chunks.iter().enumerate();
        let own = chunks.filter(|(which, chunk)| !other.has(*which, chunk));
        own.flat_map(|(which, chunk)| (which * CHUNK..).zip(chunk.iter()))
    }

    /// Makes a list with a value for each of these, by place. Where these are shared with those
    /// that another list was made for, its values are shared too.
    pub fn derive<U>(
        &self,
        before: Option<(&Self, &Chunks<U>)>,
        mut make: impl FnMut(usize, &T) -> U,
    ) -> Chunks<U> {
        let of_chunk = |(which, chunk): (usize, &Arc<[T]>)| {
            let same = before.filter(|(own, _)| own.has(which, chunk));
            if let Some(made) = same.and_then(|(_, made)| made.chunks.get(which)) {
                return Arc::clone(made);
            }
            let values = (which * CHUNK..).zip(chunk.iter());
            values.map(|(at, value)| make(at, value)).collect()
        };
        Chunks {
            chunks: self.chunks.iter().enumerate().map(of_chunk).collect(),
        }
    }

    fn has(&self, which: usize, chunk: &Arc<[T]>) -> bool {
        let own = self.chunks.get(which);
        own.is_some_and(|own| Arc::ptr_eq(own, chunk))
    }
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

/// Shares every chunk.
impl<T> Clone for Chunks<T> {
    fn clone(&self) -> Self {
        Self {
            chunks: self.chunks.clone(),
        }
    }
}

/// What is shared is not looked into.
impl<T: PartialEq> PartialEq for Chunks<T> {
    fn eq(&self, other: &Self) -> bool {
        let mut pairs = self.chunks.iter().zip(&other.chunks);
        self.chunks.len() == other.chunks.len()
            && pairs.all(|(own, other)| Arc::ptr_eq(own, other) || own == other)
    }
}

impl<T: Eq> Eq for Chunks<T> {}

impl<T> Index<usize> for Chunks<T> {
    type Output = T;

    fn index(&self, at: usize) -> &T {
        &self.chunks[at / CHUNK][at % CHUNK]
    }
}

/// Copies the chunk first, if another list shares it.
impl<T: Clone> IndexMut<usize> for Chunks<T> {
    fn index_mut(&mut self, at: usize) -> &mut T {
        &mut Arc::make_mut(&mut self.chunks[at / CHUNK])[at % CHUNK]
    }
}

impl<T> FromIterator<T> for Chunks<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut values = values.into_iter();
        let mut next = || Some(values.by_ref().take(CHUNK).collect::<Arc<[T]>>());
        let chunks = std::iter::from_fn(|| next().filter(|chunk| !chunk.is_empty()));
        Self {
            chunks: chunks.collect(),
        }
    }
}

impl<T: Serialize> Serialize for Chunks<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Chunks<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Vec::deserialize(from)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Even numbers, in a list of so many.
    fn evens(count: usize) -> Chunks<usize> {
        (0..count).map(|at| 2 * at).collect()
    }

    #[test]
    fn a_list_in_chunks_is_that_list() {
        for count in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let (list, plain) = (evens(count), Vec::from_iter((0..count).map(|at| 2 * at)));

            assert_eq!((list.len(), list.is_empty()), (count, count == 0));
            assert!(list.iter().eq(&plain) && list.iter().rev().eq(plain.iter().rev()));
            for number in 0..=2 * count {
                let (found, sought) = (|one: &usize| one.cmp(&number), &number);
                assert_eq!(list.binary_search_by(found), plain.binary_search(sought));
                assert_eq!(list.get(number), plain.get(number));
            }
            let json = serde_json::to_string(&list).expect("numbers");
            assert_eq!(json, serde_json::to_string(&plain).expect("numbers"));
            assert_eq!(
                serde_json::from_str::<Chunks<usize>>(&json).expect("numbers"),
                list
            );
        }
    }

    #[test]
    fn a_list_that_follows_another_shares_all_but_the_chunks_it_changes() {
        let before = evens(3 * CHUNK + 1);
        let mut after = before.clone();
        after[CHUNK + 7] = 1;

        assert_eq!((before[CHUNK + 7], after[CHUNK + 7]), (2 * (CHUNK + 7), 1));
        let places = after.unshared(&before).map(|(at, _)| at);
        assert!(places.eq(CHUNK..2 * CHUNK), "the second chunk");
        assert_ne!(after, before);

        let halves = before.derive(None, |at, value| (at, value / 2));
        let mut made = 0;
        let again = after.derive(Some((&before, &halves)), |at, value| {
            made += 1;
            (at, value / 2)
        });
        assert_eq!(made, CHUNK);
        assert_eq!(again[CHUNK + 7], (CHUNK + 7, 0));
        assert_eq!(again.unshared(&halves).count(), CHUNK);
        assert!(
            again
                .iter()
                .enumerate()
                .all(|(at, (place, _))| at == *place)
        );
    }

    #[test]
    fn lists_of_other_lengths_share_what_lies_at_the_same_place() {
        let (short, long) = (evens(CHUNK), evens(2 * CHUNK));
        assert_eq!(long.unshared(&short).count(), 2 * CHUNK);
        assert_eq!(short.unshared(&Chunks::default()).count(), CHUNK);
    }
}
