//! A map of a few entries in no more memory than they take. There is one for each namespace, and a tree's smallest node has
//! room for eleven.

use std::borrow::Borrow;

/// A map of a few entries, in no order.
#[derive(Debug)]
pub(super) struct Few<K, V>(Vec<(K, V)>);

// === impl Few ===

impl<K, V> Default for Few<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K, V> Few<K, V> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.iter().map(|(key, _)| key)
    }

    pub(super) fn get<Q: Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.get_key_value(key).map(|(_, value)| value)
    }

    pub(super) fn get_key_value<Q: Eq + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        self.0.iter().find(|(it, _)| it.borrow() == key).map(|(key, value)| (key, value))
    }

    pub(super) fn contains_key<Q: Eq + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// Sets the value of a key, and returns the one before.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V>
    where
        K: Eq,
    {
        if let Some((_, known)) = self.0.iter_mut().find(|(it, _)| *it == key) {
            return Some(std::mem::replace(known, value));
        }
        self.0.reserve_exact(1);
        self.0.push((key, value));
        None
    }

    /// Removes a key, and returns its value.
    pub(super) fn remove<Q: Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let place = self.0.iter().position(|(it, _)| it.borrow() == key)?;
        Some(self.0.swap_remove(place).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_map_without_room_to_spare() {
        let mut few = Few::default();
        assert!(few.is_empty());
        for (place, key) in ["a", "b", "c"].into_iter().enumerate() {
            assert_eq!(few.insert(key.to_owned(), place), None);
        }
        assert_eq!((few.insert("b".to_owned(), 7), few.get("b")), (Some(1), Some(&7)));
        assert_eq!(few.0.capacity(), 3);
        assert_eq!((few.remove("a"), few.remove("a")), (Some(0), None));
        let mut keys: Vec<_> = few.keys().collect();
        keys.sort_unstable();
        assert_eq!(keys, ["b", "c"]);
        assert!(few.contains_key("c") && !few.contains_key("a"));
        assert_eq!(few.get_key_value("c"), Some((&"c".to_owned(), &2)));
    }
}
