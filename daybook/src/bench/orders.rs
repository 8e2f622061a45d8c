//! `bench orders`: a load of orders, and the check afterwards that stock and orders agree with
//! what was answered.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use serde_json::{Value, json};
use tokio::{sync::mpsc, time::Instant};

use super::{
    check,
    client::{Answer, Connection, Lost, Target},
    lag,
    load::{self, Plan},
    report::Report,
    shop::BenchShop,
};
use crate::{cli::BenchOrdersArgs, failure::Failure};

/// One order in so many is kept for the check afterwards.
const SAMPLE_EVERY: u64 = 50;
/// One order in so many is looked for at once, if the lag is measured.
const LAG_EVERY: u64 = 10;

/// The orders of a run: the n-th is always the same, so that nothing about it has to be kept.
pub(crate) struct Orders {
    shop: BenchShop,
    lines: usize,
}

/// What became of the orders.
#[derive(Default)]
pub(crate) struct Outcomes {
    /// Units that were answered to be placed, by sku.
    pub(crate) placed: BTreeMap<String, i64>,
    /// Numbers of the orders whose outcome is unknown.
    pub(crate) unknown: Vec<u64>,
    /// A sample of the orders as they were answered.
    pub(crate) sample: Vec<Value>,
    /// The newest position that was answered.
    pub(crate) position: Option<String>,
    /// Whether anything was answered but 201 and 409: then holds may stand for a while.
    pub(crate) troubled: bool,
    /// Placed orders.
    pub(crate) count: u64,
    newest: u64,
}

impl Orders {
    /// The idempotency key of the n-th order.
    pub(crate) fn key(&self, n: u64) -> String {
        format!("{}-{n}", self.shop.run)
    }

    /// The body of the n-th order: different skus, one unit of each.
    pub(crate) fn body(&self, n: u64) -> String {
        let customer = &self.shop.customers[pick(n, u64::MAX, self.shop.customers.len())];
        let lines: Vec<Value> =
            self.skus(n).map(|sku| json!({ "sku": sku, "quantity": 1 })).collect();
        json!({ "customer_id": customer, "channel": "bench", "lines": lines }).to_string()
    }

    /// The skus of the n-th order.
    pub(crate) fn skus(&self, n: u64) -> impl Iterator<Item = &str> {
        let all = self.shop.skus.len();
        // Neighbours from a random place on: different skus without remembering which were drawn.
        let first = pick(n, 0, all);
        (0..self.lines).map(move |line| self.shop.skus[(first + line) % all].as_str())
    }
}

impl Outcomes {
    /// Notes what became of the n-th order and says what kind of answer it was.
    pub(crate) fn note(
        &mut self,
        orders: &Orders,
        n: u64,
        result: &Result<Answer, Lost>,
    ) -> String {
        let answer = match result {
            Ok(answer) => answer,
            Err(lost) => {
                self.troubled = true;
                if *lost != Lost::Connect {
                    self.unknown.push(n);
                }
                return lost.kind().to_owned();
            }
        };
        if let Some(position) = answer.position() {
            let number = position.rsplit(':').next().and_then(|number| number.parse().ok());
            if number.is_some_and(|number: u64| number >= self.newest) {
                self.newest = number.unwrap_or(self.newest);
                self.position = Some(position.to_owned());
            }
        }
        let kind = answer.kind();
        match answer.status.as_u16() {
            201 => {
                self.count += 1;
                for sku in orders.skus(n) {
                    *self.placed.entry(sku.to_owned()).or_default() += 1;
                }
                if n.is_multiple_of(SAMPLE_EVERY) {
                    self.sample.push(answer.json());
                }
            }
            409 => {}
            _ => {
                self.troubled = true;
                if kind.ends_with("outcome-unknown") {
                    self.unknown.push(n);
                }
            }
        }
        kind
    }
}

/// Runs the load and the check.
pub(crate) async fn run(args: BenchOrdersArgs) -> Result<(), Failure> {
    let target = Target::parse(&args.load.url).await?;
    let mut connection = Connection::open(&target).await.map_err(|_| {
        Failure::failed(format!("nothing answers at {}; start `daybook serve`", args.load.url))
    })?;
    let shop =
        BenchShop::prepare(&target, &mut connection, args.hot.as_deref(), args.skus, args.stock)
            .await?;
    let lines = usize::try_from(args.lines).unwrap_or(usize::MAX);
    if lines > shop.skus.len() {
        return Err(Failure::usage(
            "an order has each sku once: --lines is more than there are skus (--skus, or one with --hot)",
        ));
    }
    let before = shop.units(&target, &mut connection, None).await?;
    let orders = Rc::new(Orders { shop, lines });
    let plan = plan(&args);

    let outcomes = Rc::new(RefCell::new(Outcomes::default()));
    let (to_lag, probes) = mpsc::unbounded_channel::<lag::Probe>();
    let probe = args.lag.then_some(to_lag);
    let answered = {
        let (orders, outcomes) = (Rc::clone(&orders), Rc::clone(&outcomes));
        move |n: u64, result: Result<Answer, Lost>, received: Instant| {
            let kind = outcomes.borrow_mut().note(&orders, n, &result);
            if let (Some(probe), Ok(answer)) = (&probe, &result)
                && answer.status == 201
                && n.is_multiple_of(LAG_EVERY)
            {
                // Nobody listens once the load is over; then there is nothing to measure.
                let _ = probe.send(lag::Probe::new(answer, received));
            }
            kind
        }
    };
    let request = {
        let (orders, target) = (Rc::clone(&orders), target.clone());
        move |n| target.post("/v1/orders", &orders.key(n), orders.body(n))
    };
    let lagging = tokio::spawn(lag::measure(target.clone(), probes));
    let measured = load::run(&target, args.load.clients, plan, request, answered).await?;

    let mut report = Report::new();
    report.measured("", &measured);
    let mut outcomes = outcomes.take();
    check::settle(&target, &mut connection, &orders, &mut outcomes).await?;
    report.add("placed", outcomes.count);
    let lag = lagging.await.map_err(|error| Failure::Failed(error.into()))?;
    if args.lag {
        report.quantiles("acknowledged_to_queryable_ms", &lag);
    }
    let differences =
        check::differences(&target, &mut connection, &orders.shop, &before, &outcomes).await?;
    report.add("sample_compared", outcomes.sample.len());
    report.add("stock_and_orders_agree", differences.is_empty());
    report.print(args.load.format)?;
    if differences.is_empty() {
        return Ok(());
    }
    Err(Failure::Different(format!(
        "stock and orders do not agree with what was answered:\n{}",
        differences.join("\n")
    )))
}

fn plan(args: &BenchOrdersArgs) -> Plan {
    let time = Duration::from_secs(args.load.seconds.into());
    match (args.buyers, args.load.rate) {
        (Some(buyers), _) => Plan::AtOnce(buyers.get()),
        #[expect(clippy::cast_precision_loss, reason = "a rate of 2^53 a second is out of reach")]
        (None, Some(rate)) => Plan::Rate(rate.get() as f64, time),
        (None, None) => Plan::Closed(time),
    }
}

/// A number below `bound`, evenly spread over the orders (SplitMix64 by Steele, Lea and Flood).
pub(crate) fn pick(n: u64, salt: u64, bound: usize) -> usize {
    let mut z = n.wrapping_add(salt).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
    usize::try_from(z % bound).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders(skus: usize, lines: usize) -> Orders {
        let skus = (0..skus).map(|n| format!("s{n}")).collect();
        let shop = BenchShop { run: "r".into(), skus, customers: vec!["c".into()] };
        Orders { shop, lines }
    }

    #[test]
    fn an_order_has_each_sku_once_and_is_the_same_each_time() {
        let orders = orders(10, 3);
        for n in 0..100 {
            let mut skus: Vec<&str> = orders.skus(n).collect();
            assert_eq!(skus, orders.skus(n).collect::<Vec<_>>());
            skus.sort_unstable();
            skus.dedup();
            assert_eq!(skus.len(), 3);
        }
    }

    #[test]
    fn picks_are_spread() {
        let mut met = [0; 10];
        for n in 0..10_000 {
            met[pick(n, 0, 10)] += 1;
        }
        assert!(met.iter().all(|&count| (900..1_100).contains(&count)), "{met:?}");
    }

    #[test]
    fn what_was_lost_on_the_way_is_unknown_and_what_was_never_sent_is_not() {
        let (orders, mut outcomes) = (orders(1, 1), Outcomes::default());
        outcomes.note(&orders, 1, &Err(Lost::Connect));
        outcomes.note(&orders, 2, &Err(Lost::Timeout));
        outcomes.note(&orders, 3, &Err(Lost::Broken));
        assert_eq!(outcomes.unknown, [2, 3]);
        assert!(outcomes.troubled);
    }
}
