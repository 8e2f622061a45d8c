//! `bench queries`: a load of one kind of query, beside a route that answers a constant if asked.

use std::time::Duration;

use serde_json::Value;

use super::{
    client::{Connection, Target},
    constant::Constant,
    load::{self, Measured, Plan},
    orders::pick,
    report::{Report, rounded},
    shop::expect,
};
use crate::{
    cli::{BenchQueriesArgs, QueryKind},
    failure::Failure,
};

/// At most so many different paths are asked for.
const PATHS: usize = 20_000;
/// With `--compare`, the two routes take turns this often, so that both meet the same machine.
const TURNS: u32 = 2;

/// Runs the load.
pub(crate) async fn run(args: BenchQueriesArgs) -> Result<(), Failure> {
    let target = Target::parse(&args.load.url).await?;
    let mut connection = Connection::open(&target).await.map_err(|_| {
        Failure::failed(format!("nothing answers at {}; start `daybook serve`", args.load.url))
    })?;
    let paths = paths(&target, &mut connection, args.what).await?;
    let mut report = Report::new();
    report.add("different_queries", paths.len());
    if !args.compare {
        let measured = measure(&target, &args, args.load.seconds, paths).await?;
        report.measured("", &measured);
        return report.print(args.load.format);
    }

    let sample = expect(connection.send(target.get(&paths[0])).await, 200, "a query")?;
    let constant = Constant::start(sample.body.len())?;
    let beside = Target::at(constant.address());
    let seconds = (args.load.seconds / TURNS).max(1);
    let (mut ours, mut theirs) = (Measured::new(), Measured::new());
    for _ in 0..TURNS {
        ours.merge(measure(&target, &args, seconds, paths.clone()).await?);
        theirs.merge(measure(&beside, &args, seconds, vec!["/".to_owned()]).await?);
    }
    report.add("answer_bytes", sample.body.len());
    report.measured("", &ours);
    report.measured("constant_", &theirs);
    report.add("ratio", rounded(ours.rate() / theirs.rate(), 3));
    report.print(args.load.format)
}

async fn measure(
    target: &Target,
    args: &BenchQueriesArgs,
    seconds: u32,
    paths: Vec<String>,
) -> Result<Measured, Failure> {
    let time = Duration::from_secs(seconds.into());
    let plan = match args.load.rate {
        #[expect(clippy::cast_precision_loss, reason = "a rate of 2^53 a second is out of reach")]
        Some(rate) => Plan::Rate(rate.get() as f64, time),
        None => Plan::Closed(time),
    };
    let request = {
        let target = target.clone();
        move |n| target.get(&paths[pick(n, 0, paths.len())])
    };
    load::run(target, args.load.clients, plan, request, |_, result, _| match result {
        Ok(answer) => answer.kind(),
        Err(lost) => lost.kind().to_owned(),
    })
    .await
}

/// What to ask for, made of what the shop has.
async fn paths(
    target: &Target,
    connection: &mut Connection,
    what: QueryKind,
) -> Result<Vec<String>, Failure> {
    let paths: Vec<String> = match what {
        QueryKind::Order => list(target, connection, "/v1/orders?limit=1000", PATHS)
            .await?
            .iter()
            .filter_map(|order| Some(format!("/v1/orders/{}", order["id"].as_str()?)))
            .collect(),
        QueryKind::Stock => list(target, connection, "/v1/stock?limit=1000", PATHS)
            .await?
            .iter()
            .filter_map(|stock| Some(format!("/v1/stock/{}", stock["sku"].as_str()?)))
            .collect(),
        QueryKind::Orders => list(target, connection, "/v1/users?limit=1000", PATHS)
            .await?
            .iter()
            .filter_map(|user| Some(format!("/v1/orders?customer_id={}", user["id"].as_str()?)))
            .collect(),
        QueryKind::Search => {
            searches(&list(target, connection, "/v1/products?limit=1000", PATHS).await?)
        }
        QueryKind::Sales => sales(&list(target, connection, "/v1/orders?limit=1", 1).await?),
    };
    if paths.is_empty() {
        return Err(Failure::failed(
            "the shop has nothing to ask for; run `daybook bench orders` or an import first",
        ));
    }
    Ok(paths)
}

async fn list(
    target: &Target,
    connection: &mut Connection,
    path: &str,
    most: usize,
) -> Result<Vec<Value>, Failure> {
    let mut items = Vec::new();
    let mut cursor = None::<String>;
    loop {
        let page = match &cursor {
            Some(cursor) => format!("{path}&cursor={cursor}"),
            None => path.to_owned(),
        };
        let answer = expect(connection.send(target.get(&page)).await, 200, path)?;
        let mut page = answer.json();
        if let Value::Array(more) = page["items"].take() {
            items.extend(more);
        }
        cursor = page["next"].as_str().map(str::to_owned);
        if cursor.is_none() || items.len() >= most {
            return Ok(items);
        }
    }
}

/// One or two words of each product's title, every third narrowed to its department.
fn searches(products: &[Value]) -> Vec<String> {
    let escaped = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
                _ => format!("%{byte:02X}"),
            })
            .collect()
    };
    let mut paths = Vec::new();
    for (n, product) in products.iter().enumerate() {
        let title = product["title"].as_str().unwrap_or_default();
        let words: Vec<&str> = title
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| word.chars().count() > 2)
            .take(1 + n % 2)
            .collect();
        if words.is_empty() {
            continue;
        }
        let mut path = format!("/v1/products/search?q={}", escaped(&words.join(" ")));
        if let Some(department) = product["department"].as_str().filter(|_| n % 3 == 0) {
            path.push_str(&format!("&department={}", escaped(department)));
        }
        paths.push(path);
    }
    paths
}

/// The four weeks up to the newest order.
fn sales(newest: &[Value]) -> Vec<String> {
    let day = |order: &Value| {
        let date: jiff::civil::Date = order["placed_at"].as_str()?.get(..10)?.parse().ok()?;
        Some((date.checked_sub(jiff::Span::new().days(27)).ok()?, date.tomorrow().ok()?))
    };
    newest
        .iter()
        .filter_map(day)
        .map(|(from, to)| {
            format!("/v1/reports/sales?from={from}&to={to}&interval=day&by=department")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn searches_are_words_of_titles() {
        let products = [
            json!({ "title": "Tea & honey, 2 oz", "department": "DELI & MORE" }),
            json!({ "title": "Tea & honey, 2 oz", "department": "DELI" }),
            json!({ "title": "a b" }),
        ];
        assert_eq!(
            searches(&products),
            [
                "/v1/products/search?q=Tea&department=DELI%20%26%20MORE",
                "/v1/products/search?q=Tea%20honey",
            ]
        );
    }

    #[test]
    fn sales_are_the_four_weeks_to_the_newest_order() {
        let paths = sales(&[json!({ "placed_at": "2017-01-28T11:00:00.000000Z" })]);
        assert_eq!(
            paths,
            ["/v1/reports/sales?from=2017-01-01&to=2017-01-29&interval=day&by=department"]
        );
    }
}
