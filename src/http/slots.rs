//! The connections of a listener by client address, and the choice of one to close when they run short.
//!
//! `docs/decisions/006-who-gives-way.md` has the rule and its reasons.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};

use super::activity::{Activity, GRACE};

/// An address with fewer connections than this is never turned away for their number.
const FEW: usize = 8;
/// How often to search for a connection to close while all slots have requests in hand.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// The slots of a listener: one for each connection that it may have.
#[derive(Debug)]
pub(super) struct Slots {
    limit: usize,
    table: Mutex<Table>,
    freed: Notify,
}

/// One slot, freed when it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    id: u64,
    evicted: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    /// By the order in which they were opened.
    open: BTreeMap<u64, Holder>,
    /// The number of connections of each address.
    by_address: HashMap<IpAddr, Arc<AtomicUsize>>,
    /// How many of `open` were asked to close.
    leaving: usize,
}

#[derive(Debug)]
struct Holder {
    address: IpAddr,
    /// The number of connections of its address.
    siblings: Arc<AtomicUsize>,
    activity: Arc<Activity>,
    evicted: Arc<Notify>,
    leaving: bool,
}

enum Entry {
    Admitted(Slot),
    Full,
    TurnedAway,
}

// === impl Slots ===

impl Slots {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: limit.max(1), table: Mutex::default(), freed: Notify::new() })
    }

    /// Waits for a slot for a connection from `address`; `None` if that address has too many already.
    pub(super) async fn enter(
        self: &Arc<Self>,
        address: IpAddr,
        activity: &Arc<Activity>,
    ) -> Option<Slot> {
        // An IPv4 address is the same one on a socket of both families.
        let address = address.to_canonical();
        loop {
            match self.try_enter(address, activity) {
                Entry::Admitted(slot) => return Some(slot),
                Entry::TurnedAway => return None,
                Entry::Full => {
                    let _ = timeout(RETRY_INTERVAL, self.freed.notified()).await;
                }
            }
        }
    }

    fn try_enter(self: &Arc<Self>, address: IpAddr, activity: &Arc<Activity>) -> Entry {
        let mut table = self.table();
        let count = table.count_of(address);
        // The last tenth serves new connections while those that were asked to close do so.
        if table.open.len() - table.leaving >= self.limit - self.limit / 10
            && !table.evict_for(count)
            && count >= FEW
            && table.has_most(address, count)
        {
            return Entry::TurnedAway;
        }
        if table.open.len() >= self.limit {
            return Entry::Full;
        }
        let (id, evicted) = table.insert(address, Arc::clone(activity));
        Entry::Admitted(Slot { slots: Arc::clone(self), id, evicted })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // No code panics while it is locked.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Slot ===

impl Slot {
    /// Waits until this connection is asked to close.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    /// The connection got a request meanwhile and stays open.
    pub(super) fn stay(&self) {
        self.slots.table().stay(self.id);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.table().remove(self.id);
        self.slots.freed.notify_one();
    }
}

// === impl Table ===

impl Table {
    fn count_of(&self, address: IpAddr) -> usize {
        self.by_address.get(&address).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Whether other addresses have connections too, and none more than the `own` ones of `address`.
    fn has_most(&self, address: IpAddr, own: usize) -> bool {
        let mut others = self.by_address.iter().filter(|(other, _)| **other != address).peekable();
        others.peek().is_some() && others.all(|(_, count)| count.load(Ordering::Relaxed) <= own)
    }

    fn insert(&mut self, address: IpAddr, activity: Arc<Activity>) -> (u64, Arc<Notify>) {
        let id = self.next;
        self.next += 1;
        let siblings = Arc::clone(self.by_address.entry(address).or_default());
        siblings.fetch_add(1, Ordering::Relaxed);
        let evicted = Arc::new(Notify::new());
        let holder =
            Holder { address, siblings, activity, evicted: Arc::clone(&evicted), leaving: false };
        self.open.insert(id, holder);
        (id, evicted)
    }

    fn remove(&mut self, id: u64) {
        self.stay(id);
        let Some(holder) = self.open.remove(&id) else { return };
        if holder.siblings.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.by_address.remove(&holder.address);
        }
    }

    fn stay(&mut self, id: u64) {
        if let Some(holder) = self.open.get_mut(&id).filter(|holder| holder.leaving) {
            holder.leaving = false;
            self.leaving -= 1;
        }
    }

    /// Asks a connection to close for one of an address that has `count`; false if none can.
    fn evict_for(&mut self, count: usize) -> bool {
        let Some(id) = self.victim(count) else { return false };
        if let Some(holder) = self.open.get_mut(&id) {
            holder.leaving = true;
            self.leaving += 1;
            holder.evicted.notify_one();
        }
        true
    }

    /// The oldest connection that had time for a request and sent none. Otherwise the one that is idle for longest, of the
    /// address with most connections, which must have at least `count`.
    fn victim(&self, count: usize) -> Option<u64> {
        let mut best = None;
        for (&id, holder) in self.open.iter().filter(|(_, holder)| !holder.leaving) {
            let Some((used, since)) = holder.activity.gives_way() else { continue };
            if !used && since >= GRACE {
                return Some(id);
            }
            let siblings = holder.siblings.load(Ordering::Relaxed);
            let rank = (siblings, since);
            if siblings >= count && best.is_none_or(|(best, _)| rank > best) {
                best = Some((rank, id));
            }
        }
        best.map(|(_, id)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::activity::Doing, *};

    const ATTACKER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 66));
    const API_SERVER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    struct Client {
        activity: Arc<Activity>,
        slot: Slot,
    }

    impl Client {
        async fn new(slots: &Arc<Slots>, address: IpAddr) -> Self {
            let activity = Arc::new(Activity::new(Doing::Nothing));
            let slot = slots.enter(address, &activity).await.unwrap();
            Self { activity, slot }
        }

        async fn asking(slots: &Arc<Slots>, address: IpAddr) -> Self {
            let client = Self::new(slots, address).await;
            client.activity.request_begins();
            client
        }

        async fn idle(slots: &Arc<Slots>, address: IpAddr) -> Self {
            let client = Self::asking(slots, address).await;
            client.activity.request_ends();
            client.activity.flushed();
            client
        }

        fn gives_way(&self) -> bool {
            self.slot.slots.table().open[&self.slot.id].leaving
        }
    }

    async fn many(count: usize, slots: &Arc<Slots>, address: IpAddr) -> Vec<Client> {
        let mut clients = Vec::new();
        for _ in 0..count {
            clients.push(Client::new(slots, address).await);
        }
        clients
    }

    #[tokio::test]
    async fn below_nine_tenths_every_connection_stays() {
        let slots = Slots::new(100);
        let idle = many(90, &slots, ATTACKER).await;
        assert!(!idle.iter().any(Client::gives_way));
        let _next = Client::new(&slots, API_SERVER).await;
        assert_eq!(idle.iter().filter(|client| client.gives_way()).count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_that_never_sent_a_request_gives_way_first() {
        let slots = Slots::new(10);
        let used = Client::idle(&slots, ATTACKER).await;
        let unused = many(8, &slots, API_SERVER).await;
        tokio::time::advance(2 * GRACE).await;
        let _next = Client::new(&slots, ATTACKER).await;
        assert!(unused[0].gives_way() && !used.gives_way());
        assert_eq!(unused.iter().filter(|client| client.gives_way()).count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_just_connected_is_spared_while_others_hold_more() {
        let slots = Slots::new(20);
        let mut attack = Vec::new();
        for _ in 0..17 {
            attack.push(Client::idle(&slots, ATTACKER).await);
            tokio::time::advance(Duration::from_millis(20)).await;
        }
        let api_server = Client::new(&slots, API_SERVER).await;
        for expected in 0..2 {
            attack.push(Client::idle(&slots, ATTACKER).await);
            assert!(attack[expected].gives_way(), "the longest idle of the address with most");
            assert!(!api_server.gives_way());
        }
    }

    #[tokio::test]
    async fn an_address_with_many_takes_nothing_from_one_with_few() {
        let slots = Slots::new(100);
        let idle = Client::idle(&slots, API_SERVER).await;
        let mut attack = Vec::new();
        for _ in 0..89 {
            attack.push(Client::asking(&slots, ATTACKER).await);
        }
        let activity = Arc::new(Activity::new(Doing::Nothing));
        assert!(slots.enter(ATTACKER, &activity).await.is_none(), "the last tenth is not theirs");
        assert!(!idle.gives_way());
        let mut calls = Vec::new();
        for _ in 0..10 {
            calls.push(Client::asking(&slots, API_SERVER).await);
        }
        assert!(!attack.iter().any(Client::gives_way), "requests in hand are never cut off");
    }

    #[tokio::test]
    async fn requests_in_hand_make_newcomers_wait_until_one_is_done() {
        let slots = Slots::new(2);
        let first = Client::asking(&slots, API_SERVER).await;
        let second = Client::asking(&slots, API_SERVER).await;
        let activity = Arc::new(Activity::new(Doing::Nothing));
        let mut third = Box::pin(slots.enter(API_SERVER, &activity));
        assert!(timeout(4 * RETRY_INTERVAL, &mut third).await.is_err());
        assert!(!first.gives_way() && !second.gives_way());
        drop(first);
        assert!(timeout(Duration::from_secs(20), third).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn what_began_a_request_meanwhile_may_stay_and_is_counted_right() {
        let slots = Slots::new(10);
        let clients = many(10, &slots, API_SERVER).await;
        let asked = clients.iter().find(|client| client.gives_way()).unwrap();
        asked.activity.request_begins();
        asked.slot.stay();
        assert!(!asked.gives_way());
        drop(clients);
        let table = slots.table();
        assert_eq!((table.open.len(), table.by_address.len(), table.leaving), (0, 0, 0));
    }

    #[tokio::test]
    async fn an_address_is_the_same_in_both_families() {
        let slots = Slots::new(10);
        let mapped = std::net::Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped();
        let _one = Client::new(&slots, API_SERVER).await;
        let _other = Client::new(&slots, mapped.into()).await;
        assert_eq!(slots.table().count_of(API_SERVER), 2);
    }
}
