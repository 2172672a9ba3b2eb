//! Maps and sets that keep their entries in one sorted list, and a sort that is compiled once.
//!
//! They do what `BTreeMap`, `BTreeSet` and `slice::sort_by` of the standard library do. The
//! compiler makes those once more for each type that they hold, 7,000 lines of intermediate code a
//! map, and petset has a hundred such types: a seventh of all code there was. These take a tenth.
//! To insert into the middle of a map moves what follows it, so they are for thousands of entries,
//! not for millions. Kubernetes' own types (labels, data) stay what their package makes them.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Index;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// A map whose entries are sorted by key.
#[derive(Clone, PartialEq, Eq)]
pub struct SortedMap<K, V> {
    entries: Vec<(K, V)>,
}

/// A set whose values are sorted.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SortedSet<T> {
    values: Vec<T>,
}

/// The place of a key in a map, taken or free.
pub struct SortedEntry<'m, K, V> {
    map: &'m mut SortedMap<K, V>,
    key: K,
    place: Result<usize, usize>,
}

/// Sorts `items` by `compare`; equal ones stay in their order.
pub(crate) fn sort_by<T>(items: &mut [T], mut compare: impl FnMut(&T, &T) -> Ordering) {
    let order = order_of(items.len(), &mut |one, other| {
        compare(&items[one], &items[other])
    });
    let Some(mut order) = order else { return };
    for start in 0..items.len() {
        let mut at = start;
        loop {
            let from = std::mem::replace(&mut order[at], at);
            if from == start {
                break;
            }
            items.swap(at, from);
            at = from;
        }
    }
}

/// Sorts `items` by what `key` returns of them; equal ones stay in their order.
pub(crate) fn sort_by_key<T, K: Ord>(items: &mut [T], mut key: impl FnMut(&T) -> K) {
    sort_by(items, |one, other| key(one).cmp(&key(other)));
}

/// Returns the places of items in the order that `compare` gives them; `None` where they have it.
fn order_of(len: usize, compare: &mut dyn FnMut(usize, usize) -> Ordering) -> Option<Vec<usize>> {
    if (1..len).all(|at| compare(at - 1, at).is_le()) {
        return None;
    }
    let mut order: Vec<usize> = (0..len).collect();
    order.sort_by(|one, other| compare(*one, *other));
    Some(order)
}

/// Returns where a key is among `len` sorted ones, or where it would have to be.
fn place_of(len: usize, compare: &mut dyn FnMut(usize) -> Ordering) -> Result<usize, usize> {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low.midpoint(high);
        match compare(middle) {
            Ordering::Less => low = middle + 1,
            Ordering::Equal => return Ok(middle),
            Ordering::Greater => high = middle,
        }
    }
    Err(low)
}

impl<K, V> SortedMap<K, V> {
    /// Returns an empty map.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            entries: Vec::new(),
        }
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Removes all entries.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// Returns the entries in the order of their keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> + ExactSizeIterator + Clone {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// Returns the entries in the order of their keys, with values that can be changed.
    pub fn iter_mut(
        &mut self,
    ) -> impl DoubleEndedIterator<Item = (&K, &mut V)> + ExactSizeIterator {
        self.entries.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// Returns the keys in their order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + ExactSizeIterator + Clone {
        self.entries.iter().map(|(key, _)| key)
    }

    /// Returns the values in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + ExactSizeIterator + Clone {
        self.entries.iter().map(|(_, value)| value)
    }

    /// Returns the values in the order of their keys, to be changed.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut V> + ExactSizeIterator {
        self.entries.iter_mut().map(|(_, value)| value)
    }

    /// Returns the values alone, in the order of their keys.
    pub fn into_values(self) -> impl DoubleEndedIterator<Item = V> + ExactSizeIterator {
        self.entries.into_iter().map(|(_, value)| value)
    }

    /// Keeps the entries of which `keep` is true.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.entries.retain_mut(|(key, value)| keep(key, value));
    }

    /// Removes and returns the entries of which `taken` is true.
    pub fn extract(&mut self, mut taken: impl FnMut(&K, &mut V) -> bool) -> Vec<(K, V)> {
        let all = self
            .entries
            .extract_if(.., |(key, value)| taken(key, value));
        all.collect()
    }

    /// Returns the entry with the first key.
    pub fn first_key_value(&self) -> Option<(&K, &V)> {
        self.entries.first().map(|(key, value)| (key, value))
    }
}

impl<K: Ord, V> SortedMap<K, V> {
    fn place<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        place_of(self.entries.len(), &mut |at| {
            self.entries[at].0.borrow().cmp(key)
        })
    }

    /// Returns the value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let at = self.place(key).ok()?;
        Some(&self.entries[at].1)
    }

    /// Returns the value of a key, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let at = self.place(key).ok()?;
        Some(&mut self.entries[at].1)
    }

    /// Returns whether there is such a key.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.place(key).is_ok()
    }

    /// Returns the entries from a key on.
    pub fn starting_at<Q: Ord + ?Sized>(&self, key: &Q) -> impl DoubleEndedIterator<Item = (&K, &V)>
    where
        K: Borrow<Q>,
    {
        let (Ok(from) | Err(from)) = self.place(key);
        self.entries[from..].iter().map(|(key, value)| (key, value))
    }

    /// Gives a key its value, and returns the one that it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.place_for(&key) {
            Ok(at) => Some(std::mem::replace(&mut self.entries[at].1, value)),
            Err(at) => {
                self.entries.insert(at, (key, value));
                None
            }
        }
    }

    /// Does what [`Self::place`] does, and looks at the end first, where most keys are inserted.
    fn place_for(&self, key: &K) -> Result<usize, usize> {
        match self.entries.last() {
            Some((last, _)) if last >= key => self.place(key),
            Some(_) | None => Err(self.entries.len()),
        }
    }

    /// Removes a key, and returns the value that it had.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let at = self.place(key).ok()?;
        Some(self.entries.remove(at).1)
    }

    /// Returns the place of a key.
    pub fn entry(&mut self, key: K) -> SortedEntry<'_, K, V> {
        let place = self.place_for(&key);
        SortedEntry {
            map: self,
            key,
            place,
        }
    }

    /// Puts entries in order; of those with the same key the last one stays.
    fn of(mut entries: Vec<(K, V)>) -> Self {
        sort_by(&mut entries, |one, other| one.0.cmp(&other.0));
        entries.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                std::mem::swap(&mut later.1, &mut kept.1);
            }
            same
        });
        Self { entries }
    }
}

impl<'m, K: Ord, V> SortedEntry<'m, K, V> {
    /// Returns the value, which is what `value` returns if there was none.
    pub fn or_insert_with(self, value: impl FnOnce() -> V) -> &'m mut V {
        let entries = &mut self.map.entries;
        let at = match self.place {
            Ok(at) => at,
            Err(at) => {
                entries.insert(at, (self.key, value()));
                at
            }
        };
        &mut entries[at].1
    }

    /// Returns the value, which is `value` if there was none.
    pub fn or_insert(self, value: V) -> &'m mut V {
        self.or_insert_with(|| value)
    }

    /// Returns the value, which is the default if there was none.
    pub fn or_default(self) -> &'m mut V
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }
}

impl<T> SortedSet<T> {
    /// Returns an empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { values: Vec::new() }
    }

    /// Returns the number of values.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Removes all values.
    pub fn clear(&mut self) {
        self.values.clear();
    }

    /// Returns the values in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.values.iter()
    }

    /// Returns the first value.
    pub fn first(&self) -> Option<&T> {
        self.values.first()
    }

    /// Returns the last value.
    pub fn last(&self) -> Option<&T> {
        self.values.last()
    }

    /// Keeps the values of which `keep` is true.
    pub fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        self.values.retain(keep);
    }

    /// Removes and returns the values of which `taken` is true.
    pub fn extract(&mut self, mut taken: impl FnMut(&T) -> bool) -> Vec<T> {
        let all = self.values.extract_if(.., |value| taken(value));
        all.collect()
    }
}

impl<T: Ord> SortedSet<T> {
    fn place<Q: Ord + ?Sized>(&self, value: &Q) -> Result<usize, usize>
    where
        T: Borrow<Q>,
    {
        place_of(self.values.len(), &mut |at| {
            self.values[at].borrow().cmp(value)
        })
    }

    /// Returns whether there is such a value.
    pub fn contains<Q: Ord + ?Sized>(&self, value: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.place(value).is_ok()
    }

    /// Adds a value; returns whether it is new.
    pub fn insert(&mut self, value: T) -> bool {
        let place = match self.values.last() {
            Some(last) if *last >= value => self.place(&value),
            Some(_) | None => Err(self.values.len()),
        };
        if let Err(at) = place {
            self.values.insert(at, value);
        }
        place.is_err()
    }

    /// Removes a value; returns whether it was there.
    pub fn remove<Q: Ord + ?Sized>(&mut self, value: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        let place = self.place(value);
        if let Ok(at) = place {
            self.values.remove(at);
        }
        place.is_ok()
    }

    /// Moves all values of another set into this one.
    pub fn append(&mut self, other: &mut Self) {
        self.extend(other.values.drain(..));
    }

    /// Returns the values that `other` lacks.
    pub fn difference<'s>(&'s self, other: &'s Self) -> impl Iterator<Item = &'s T> {
        self.iter().filter(|value| !other.contains(*value))
    }

    /// Returns the values that both have.
    pub fn intersection<'s>(&'s self, other: &'s Self) -> impl Iterator<Item = &'s T> {
        self.iter().filter(|value| other.contains(*value))
    }

    /// Returns whether `other` has all values.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.iter().all(|value| other.contains(value))
    }

    /// Puts values in order; of equal ones the first stays.
    fn of(mut values: Vec<T>) -> Self {
        sort_by(&mut values, T::cmp);
        values.dedup();
        Self { values }
    }
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Default for SortedSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for SortedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for SortedSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for SortedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        Self::of(entries.into_iter().collect())
    }
}

impl<T: Ord> FromIterator<T> for SortedSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self::of(values.into_iter().collect())
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for SortedMap<K, V> {
    fn from(entries: [(K, V); N]) -> Self {
        Self::of(entries.into())
    }
}

impl<T: Ord, const N: usize> From<[T; N]> for SortedSet<T> {
    fn from(values: [T; N]) -> Self {
        Self::of(values.into())
    }
}

impl<K: Ord, V> Extend<(K, V)> for SortedMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        self.entries.extend(entries);
        *self = Self::of(std::mem::take(&mut self.entries));
    }
}

impl<T: Ord> Extend<T> for SortedSet<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        self.values.extend(values);
        *self = Self::of(std::mem::take(&mut self.values));
    }
}

impl<K, V> IntoIterator for SortedMap<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<T> IntoIterator for SortedSet<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.values.into_iter()
    }
}

/// Splits a borrowed entry.
type Split<'m, K, V> = fn(&'m (K, V)) -> (&'m K, &'m V);
/// Splits an entry whose value can be changed.
type SplitMut<'m, K, V> = fn(&'m mut (K, V)) -> (&'m K, &'m mut V);

impl<'m, K, V> IntoIterator for &'m SortedMap<K, V> {
    type Item = (&'m K, &'m V);
    type IntoIter = std::iter::Map<std::slice::Iter<'m, (K, V)>, Split<'m, K, V>>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.iter().map(|(key, value)| (key, value))
    }
}

impl<'m, K, V> IntoIterator for &'m mut SortedMap<K, V> {
    type Item = (&'m K, &'m mut V);
    type IntoIter = std::iter::Map<std::slice::IterMut<'m, (K, V)>, SplitMut<'m, K, V>>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.iter_mut().map(|(key, value)| (&*key, value))
    }
}

impl<'s, T> IntoIterator for &'s SortedSet<T> {
    type Item = &'s T;
    type IntoIter = std::slice::Iter<'s, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.values.iter()
    }
}

impl<K: Ord + Borrow<Q>, V, Q: Ord + ?Sized> Index<&Q> for SortedMap<K, V> {
    type Output = V;

    fn index(&self, key: &Q) -> &V {
        self.get(key).expect("the map has the key")
    }
}

impl<K: Serialize, V: Serialize> Serialize for SortedMap<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl<T: Serialize> Serialize for SortedSet<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>> Deserialize<'de> for SortedMap<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MapVisitor(PhantomData))
    }
}

impl<'de, T: Deserialize<'de> + Ord> Deserialize<'de> for SortedSet<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(SetVisitor(PhantomData))
    }
}

struct MapVisitor<K, V>(PhantomData<(K, V)>);

impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>> Visitor<'de> for MapVisitor<K, V> {
    type Value = SortedMap<K, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(SortedMap::of(entries))
    }
}

struct SetVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Ord> Visitor<'de> for SetVisitor<T> {
    type Value = SortedSet<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element()? {
            values.push(value);
        }
        Ok(SortedSet::of(values))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    /// What is done to a map: insert, add one, remove, keep even ones, extend.
    fn deeds() -> impl Strategy<Value = Vec<(u8, u8, u32)>> {
        prop::collection::vec((0..5_u8, 0..24_u8, any::<u32>()), 0..80)
    }

    proptest! {
        #[test]
        fn a_map_does_what_the_standard_one_does(deeds in deeds()) {
            let (mut ours, mut theirs) = (SortedMap::new(), BTreeMap::new());
            for (deed, key, value) in deeds {
                match deed {
                    0 => assert_eq!(ours.insert(key, value), theirs.insert(key, value)),
                    1 => {
                        *ours.entry(key).or_insert(7) ^= value;
                        *theirs.entry(key).or_insert(7) ^= value;
                    }
                    2 => assert_eq!(ours.remove(&key), theirs.remove(&key)),
                    3 => {
                        ours.retain(|known, _| known % 5 != key % 5);
                        theirs.retain(|known, _| known % 5 != key % 5);
                    }
                    _ => {
                        let more = [(key, value), (key / 2, 1), (key, 3)];
                        ours.extend(more);
                        theirs.extend(more);
                    }
                }
                assert!(ours.iter().eq(theirs.iter()), "{ours:?} {theirs:?}");
                assert_eq!(ours.get(&key), theirs.get(&key));
                assert!(ours.starting_at(&key).eq(theirs.range(key..)));
            }
            let text = serde_json::to_string(&theirs).unwrap();
            assert_eq!(serde_json::to_string(&ours).unwrap(), text);
            assert_eq!(serde_json::from_str::<SortedMap<u8, u32>>(&text).unwrap(), ours);
            assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
        }

        #[test]
        fn a_set_does_what_the_standard_one_does(deeds in deeds(), others: Vec<u8>) {
            let (mut ours, mut theirs) = (SortedSet::new(), BTreeSet::new());
            for (deed, value, _) in deeds {
                match deed {
                    0 | 1 => assert_eq!(ours.insert(value), theirs.insert(value)),
                    2 => assert_eq!(ours.remove(&value), theirs.remove(&value)),
                    3 => {
                        let taken = ours.extract(|known| known % 5 == value % 5);
                        assert!(taken.into_iter().eq(theirs.extract_if(.., |known| known % 5 == value % 5)));
                    }
                    _ => {
                        ours.extend([value, 3, value]);
                        theirs.extend([value, 3, value]);
                    }
                }
                assert!(ours.iter().eq(theirs.iter()), "{ours:?} {theirs:?}");
                assert_eq!(ours.contains(&value), theirs.contains(&value));
            }
            let ours_too: SortedSet<u8> = others.iter().copied().collect();
            let theirs_too: BTreeSet<u8> = others.into_iter().collect();
            assert!(ours.difference(&ours_too).eq(theirs.difference(&theirs_too)));
            assert!(ours.intersection(&ours_too).eq(theirs.intersection(&theirs_too)));
            assert_eq!(ours.is_subset(&ours_too), theirs.is_subset(&theirs_too));
            let text = serde_json::to_string(&theirs).unwrap();
            assert_eq!(serde_json::to_string(&ours).unwrap(), text);
            assert_eq!(serde_json::from_str::<SortedSet<u8>>(&text).unwrap(), ours);
        }

        #[test]
        fn equal_items_stay_in_their_order(mut items: Vec<(u8, u16)>) {
            let mut theirs = items.clone();
            theirs.sort_by_key(|(first, _)| first % 8);
            sort_by_key(&mut items, |(first, _)| first % 8);
            assert_eq!(items, theirs);
        }
    }
}
