//! Budgets: what a policy may keep in a stretch of time of the partition's clock.
//!
//! Limits are for the whole consumer group, and a partition has its share of them: that depends
//! on the topic alone, so any number of members decides alike. A share may be smaller than a
//! single trace. So that such a trace is not shut out for ever, it passes when its budget is full,
//! and leaves it in debt: over time the limit holds all the same. What is larger than the limit
//! of the whole group never passes.

use crate::ids::Timestamp;

/// Which budget of a policy set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BudgetIndex(pub(super) u16);

/// What a budget allows, for the whole consumer group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Limit {
    /// A token bucket: full at first, filled up at an even rate.
    Bucket { per_second: f64, capacity: f64 },
    /// So much in each second of the clock.
    Window { per_second: f64 },
}

impl Limit {
    /// The most that can ever pass at once.
    pub(super) fn capacity(self) -> f64 {
        match self {
            Self::Bucket { capacity, .. } => capacity,
            Self::Window { per_second } => per_second,
        }
    }
}

/// The state of one budget in one partition.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Budget {
    limit: Limit,
    /// Over how many partitions the limit is shared out. To be divided by: multiplying by a
    /// fraction would leave a limit of 49 in 49 partitions a little short of 1.
    partitions: f64,
    /// What is left; below zero when in debt.
    left: f64,
    /// When that was so. For a window: some time in the second that is in hand.
    at: Option<Timestamp>,
}

impl Budget {
    fn capacity(&self) -> f64 {
        self.limit.capacity() / self.partitions
    }

    fn advance(&mut self, now: Timestamp) {
        let Some(before) = self.at.replace(now) else { return };
        let gain = match self.limit {
            Limit::Bucket { per_second, .. } => {
                now.since(before).as_millis() as f64 / 1000.0 * per_second
            }
            Limit::Window { per_second } => {
                let second = |time: Timestamp| time.0.div_euclid(1000);
                second(now).saturating_sub(second(before)).max(0) as f64 * per_second
            }
        };
        self.left = (self.left + gain / self.partitions).min(self.capacity());
    }

    fn allows(&self, amount: f64) -> bool {
        amount <= self.limit.capacity() && self.left >= amount.min(self.capacity())
    }
}

/// The state of all budgets of a policy set in one partition.
#[derive(Clone, Debug, Default)]
pub struct Budgets {
    budgets: Vec<Budget>,
    /// What was spent for the trace in hand, so that it can be given back.
    journal: Vec<(BudgetIndex, f64)>,
}

impl Budgets {
    /// Full ones, each with a partition's share of its limit.
    pub(super) fn new(limits: impl Iterator<Item = Limit>, partitions: u32) -> Self {
        let partitions = f64::from(partitions.max(1));
        let budget = |limit: Limit| Budget {
            limit,
            partitions,
            left: limit.capacity() / partitions,
            at: None,
        };
        Self { budgets: limits.map(budget).collect(), journal: Vec::new() }
    }

    /// Takes over the state of the budget `from` of `old`, if it is of the same kind.
    pub(super) fn carry(&mut self, to: BudgetIndex, old: &Self, from: BudgetIndex) {
        let (to, from) = (usize::from(to.0), usize::from(from.0));
        if let (Some(new), Some(old)) = (self.budgets.get_mut(to), old.budgets.get(from))
            && new.limit == old.limit
            && new.partitions == old.partitions
        {
            *new = *old;
        }
    }

    /// What is left of a budget at the time `now`.
    pub(super) fn left_at(&mut self, budget: BudgetIndex, now: Timestamp) -> f64 {
        let budget = &mut self.budgets[usize::from(budget.0)];
        budget.advance(now);
        budget.left
    }

    /// True if the budget is shared out over several partitions.
    pub(super) fn has_shares(&self, budget: BudgetIndex) -> bool {
        self.budgets[usize::from(budget.0)].partitions > 1.0
    }

    /// Spends `amount` if the budget allows it at the time `now`.
    pub(super) fn spend(&mut self, index: BudgetIndex, amount: f64, now: Timestamp) -> bool {
        let budget = &mut self.budgets[usize::from(index.0)];
        budget.advance(now);
        if !budget.allows(amount) {
            return false;
        }
        budget.left -= amount;
        self.journal.push((index, amount));
        true
    }

    /// Another trace is in hand: what was spent before stays spent.
    pub(super) fn settle(&mut self) {
        self.journal.clear();
    }

    /// Where the journal stands.
    pub(super) fn mark(&self) -> usize {
        self.journal.len()
    }

    /// Gives back what was spent since `mark`.
    pub(super) fn give_back(&mut self, mark: usize) {
        for (index, amount) in self.journal.drain(mark..) {
            self.budgets[usize::from(index.0)].left += amount;
        }
    }
}

/// A limit that no policy has: so many in a second of the clock, in each partition.
#[derive(Clone, Debug)]
pub struct RateLimit(Budgets);

impl RateLimit {
    /// So many a second, and up to `capacity` at once.
    pub fn new(per_second: u32, capacity: u32) -> Self {
        let (per_second, capacity) = (f64::from(per_second), f64::from(capacity));
        let limit = Limit::Bucket { per_second, capacity };
        Self(Budgets::new(std::iter::once(limit), 1))
    }

    /// True if there may be one more at the time `now`, which is counted.
    pub fn takes_one(&mut self, now: Timestamp) -> bool {
        self.0.settle();
        self.0.spend(BudgetIndex(0), 1.0, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONLY: BudgetIndex = BudgetIndex(0);

    fn budgets(limit: Limit, partitions: u32) -> Budgets {
        Budgets::new([limit].into_iter(), partitions)
    }

    fn spend(budgets: &mut Budgets, at: i64, amounts: &[f64]) -> Vec<bool> {
        amounts.iter().map(|amount| budgets.spend(ONLY, *amount, Timestamp(at))).collect()
    }

    #[test]
    fn a_bucket_is_full_at_first_and_fills_up_evenly() {
        let mut bucket = budgets(Limit::Bucket { per_second: 10.0, capacity: 20.0 }, 1);
        assert_eq!(spend(&mut bucket, 500, &[15.0, 5.0, 1.0]), [true, true, false]);
        assert_eq!(spend(&mut bucket, 1500, &[10.0, 1.0]), [true, false]);
        assert_eq!(spend(&mut bucket, 1_000_000, &[21.0, 20.0]), [false, true]);
        // A clock that goes back brings nothing.
        assert_eq!(spend(&mut bucket, 0, &[1.0]), [false]);
    }

    #[test]
    fn a_window_is_new_with_each_second_of_the_clock() {
        let mut window = budgets(Limit::Window { per_second: 100.0 }, 1);
        assert_eq!(spend(&mut window, 900, &[30.0, 50.0, 30.0, 20.0]), [true, true, false, true]);
        assert_eq!(spend(&mut window, 999, &[1.0]), [false]);
        assert_eq!(spend(&mut window, 1000, &[101.0, 100.0, 1.0]), [false, true, false]);
    }

    #[test]
    fn what_is_larger_than_a_share_passes_in_its_turn() {
        // A share of 2.5 a second, and of 5 at once.
        let mut bucket = budgets(Limit::Bucket { per_second: 10.0, capacity: 20.0 }, 4);
        assert_eq!(spend(&mut bucket, 0, &[10.0, 1.0]), [true, false]);
        // In debt by 5: it takes four seconds until the bucket is full again.
        assert_eq!(spend(&mut bucket, 2000, &[1.0]), [false]);
        assert_eq!(spend(&mut bucket, 3999, &[10.0]), [false]);
        assert_eq!(spend(&mut bucket, 4000, &[21.0, 10.0]), [false, true]);
        let mut kept = 0.0;
        for second in 5..1005 {
            kept += f64::from(spend(&mut bucket, second * 1000, &[10.0]) == [true]) * 10.0;
        }
        assert!((2400.0..=2500.0).contains(&kept), "{kept}");
    }

    #[test]
    fn a_share_that_is_a_whole_number_is_one() {
        for partitions in 1..=200 {
            let limit = Limit::Window { per_second: f64::from(partitions) * 3.0 };
            let mut window = budgets(limit, partitions);
            for second in 0..3 {
                let one_by_one = spend(&mut window, second * 1000, &[1.0; 4]);
                assert_eq!(one_by_one, [true, true, true, false], "{partitions} partitions");
            }
        }
    }

    #[test]
    fn what_was_spent_in_vain_is_given_back() {
        let mut bucket = budgets(Limit::Bucket { per_second: 10.0, capacity: 20.0 }, 1);
        spend(&mut bucket, 0, &[5.0]);
        let mark = bucket.mark();
        spend(&mut bucket, 0, &[10.0]);
        bucket.give_back(mark);
        assert_eq!(bucket.left_at(ONLY, Timestamp(0)), 15.0);
    }
}
