//! Who may be connected to a listener: so many in all, so many from one client address, and one
//! more for whoever only wants to know how we are.
//!
//! A connection works from the end of a request to the end of its answer; the rest of the time it
//! waits for its client, whether that is between two requests or in the midst of sending one. Where
//! all seats are taken, the connection that has waited longest gives up its own: half a request
//! keeps nobody out. Only where all are at work a newcomer is crowded out.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

/// Seats beside the others, for those who are crowded out.
pub const STANDING: usize = 16;

/// The seats of one listener. Cheap to clone; all clones share them.
#[derive(Clone)]
pub struct Seats(Arc<Room>);

struct Room {
    most: usize,
    most_of_a_client: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    seats: HashMap<u64, Sitting>,
    /// Rises with each event: numbers seats, and tells who has waited longest.
    clock: u64,
}

struct Sitting {
    client: IpAddr,
    is_crowded: bool,
    /// Since when it waits; `None` while it works.
    waits_since: Option<u64>,
    left: CancellationToken,
}

/// A seat, until it is dropped or given to another.
pub struct Seat {
    number: u64,
    room: Arc<Room>,
    left: CancellationToken,
    /// True where all seats are at work: only those who ask for our health are answered.
    pub is_crowded: bool,
}

/// From the end of a request until its answer is written. Dropping it ends the work.
pub struct Work {
    number: u64,
    room: Arc<Room>,
}

impl Seats {
    /// `most` seats, and at most `most_of_a_client` of them for one address.
    pub fn new(most: usize, most_of_a_client: usize) -> Self {
        Self(Arc::new(Room {
            most,
            most_of_a_client,
            taken: Mutex::default(),
        }))
    }

    /// A seat for a connection from an address; `None` where not even standing room is left.
    pub fn take(&self, address: IpAddr) -> Option<Seat> {
        let client = client_of(address);
        let mut taken = self.0.taken();
        let is_crowded = !self.0.make_room(&mut taken, client);
        if is_crowded {
            let standing = taken.count(|one| one.is_crowded);
            if standing >= STANDING && !taken.give_up(|one| one.is_crowded) {
                return None;
            }
        }
        let number = taken.tick();
        let left = CancellationToken::new();
        let sitting = Sitting {
            client,
            is_crowded,
            waits_since: Some(number),
            left: left.clone(),
        };
        taken.seats.insert(number, sitting);
        Some(Seat {
            number,
            room: self.0.clone(),
            left,
            is_crowded,
        })
    }
}

impl Room {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False where nobody who waits could make room.
    fn make_room(&self, taken: &mut Taken, client: IpAddr) -> bool {
        let is_of_client = |one: &Sitting| one.client == client && !one.is_crowded;
        if taken.count(is_of_client) >= self.most_of_a_client {
            return taken.give_up(is_of_client);
        }
        if taken.count(|one| !one.is_crowded) < self.most {
            return true;
        }
        // Of those who wait, whoever has most.
        let mut waiting: HashMap<IpAddr, usize> = HashMap::new();
        for one in taken.seats.values() {
            if one.waits_since.is_some() && !one.is_crowded {
                *waiting.entry(one.client).or_default() += 1;
            }
        }
        let most = waiting.into_iter().max_by_key(|&(_, seats)| seats);
        most.is_some_and(|(most, _)| taken.give_up(|one| one.client == most && !one.is_crowded))
    }
}

impl Taken {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn count(&self, which: impl Fn(&Sitting) -> bool) -> usize {
        self.seats.values().filter(|one| which(one)).count()
    }

    /// Of these, the one that has waited longest leaves; false where none waits.
    fn give_up(&mut self, which: impl Fn(&Sitting) -> bool) -> bool {
        let waiting = self.seats.iter().filter(|(_, one)| which(one));
        let waiting = waiting.filter_map(|(number, one)| Some((one.waits_since?, *number)));
        let Some((_, number)) = waiting.min() else {
            return false;
        };
        if let Some(one) = self.seats.remove(&number) {
            one.left.cancel();
        }
        true
    }

    fn set_waiting(&mut self, number: u64, is_waiting: bool) {
        let now = self.tick();
        if let Some(one) = self.seats.get_mut(&number) {
            one.waits_since = is_waiting.then_some(now);
        }
    }
}

impl Seat {
    /// A request has come.
    pub fn work(&self) -> Work {
        self.room.taken().set_waiting(self.number, false);
        Work {
            number: self.number,
            room: self.room.clone(),
        }
    }

    /// Cancelled when the seat is another's.
    pub fn left(&self) -> CancellationToken {
        self.left.clone()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.room.taken().seats.remove(&self.number);
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.room.taken().set_waiting(self.number, true);
    }
}

/// Whoever has an IPv6 address has the 2^64 of its network.
fn client_of(address: IpAddr) -> IpAddr {
    const NETWORK: u128 = !0 << 64;
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn is_gone(seat: &Seat) -> bool {
        seat.left().is_cancelled()
    }

    #[test]
    fn who_waits_longest_makes_room_for_a_newcomer() {
        let seats = Seats::new(9, 2);
        let client = address("192.0.2.1");
        let first = seats.take(client).unwrap();
        let second = seats.take(client).unwrap();
        // The first has been at work since, and waits anew.
        drop(first.work());
        let third = seats.take(client).unwrap();
        assert!(!third.is_crowded && is_gone(&second) && !is_gone(&first));
    }

    #[test]
    fn whoever_works_is_left_alone_and_a_newcomer_stands() {
        let seats = Seats::new(9, 1);
        let client = address("192.0.2.1");
        let first = seats.take(client).unwrap();
        let work = first.work();
        let second = seats.take(client).unwrap();
        assert!(second.is_crowded && !is_gone(&first));
        // Another client has nothing to do with it.
        assert!(!seats.take(address("192.0.2.2")).unwrap().is_crowded);
        drop(work);
        assert!(!seats.take(client).unwrap().is_crowded);
        assert!(is_gone(&first));
    }

    #[test]
    fn one_with_many_makes_room_before_one_with_few() {
        let seats = Seats::new(3, 3);
        let few = seats.take(address("192.0.2.1")).unwrap();
        let many = [1, 2].map(|_| seats.take(address("192.0.2.2")).unwrap());
        let third = seats.take(address("192.0.2.3")).unwrap();
        assert!(!third.is_crowded && is_gone(&many[0]) && !is_gone(&few));
    }

    #[test]
    fn standing_room_is_given_up_by_who_waits() {
        let seats = Seats::new(1, 1);
        let first = seats.take(address("192.0.2.1")).unwrap();
        let work = first.work();
        let standing = || seats.take(address("192.0.2.1"));
        let crowd: Vec<Seat> = (0..STANDING).filter_map(|_| standing()).collect();
        let at_work: Vec<Work> = crowd[1..].iter().map(Seat::work).collect();
        let next = standing().unwrap();
        assert!(next.is_crowded && is_gone(&crowd[0]));
        let next_at_work = next.work();
        assert!(standing().is_none());
        drop((work, at_work, next_at_work));
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let same = [address("2001:db8::1"), address("2001:db8::ffff:2")].map(client_of);
        assert_eq!(same[0], same[1]);
        assert_ne!(same[0], client_of(address("2001:db8:0:1::1")));
        assert_eq!(client_of(address("::ffff:192.0.2.1")), address("192.0.2.1"));
    }
}
