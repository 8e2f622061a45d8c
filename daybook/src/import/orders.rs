use commands::routes::import_order::{ImportLine, ImportOrder};
use csv::StringRecord;
use domain::order::MAX_LINES;
use event_schemas::{Currency, Timestamp};

use super::{
    Step, Steps,
    bring_in::Asked,
    input::{Input, InputError, Row},
    rows,
    values::Wrong,
};
use crate::failure::Failure;

const WANTED: [&str; 8] = [
    "order_id",
    "customer_id",
    "channel",
    "placed_at",
    "sku",
    "quantity",
    "unit_price",
    "discount",
];

/// The columns of a file of orders: a row a line; the lines of an order stand together.
#[derive(Debug)]
pub(super) struct Columns {
    found: rows::Found<8>,
    ignored: Vec<String>,
    currency: Currency,
}

impl Columns {
    pub(super) fn find(header: &StringRecord, currency: Currency) -> Result<Self, Failure> {
        let found = rows::find(header, WANTED)?;
        Ok(Self { ignored: found.ignored(), found, currency })
    }

    pub(super) fn ignored(&self) -> &[String] {
        &self.ignored
    }

    fn key<'a>(&self, row: &'a Row) -> &'a str {
        row.values.get(self.found.at[0]).unwrap_or_default()
    }
}

/// The lines of one order, gathered. With one line that is wrong the whole order is.
struct Order<'a> {
    columns: &'a Columns,
    key: String,
    line: u64,
    rows: u64,
    wrong: Wrong,
    /// The first line of the file that is wrong.
    wrong_line: Option<u64>,
    head: Option<(String, String, Timestamp)>,
    head_text: [String; 3],
    lines: Vec<(u64, ImportLine)>,
}

impl<'a> Order<'a> {
    fn new(columns: &'a Columns, row: &Row) -> Self {
        Self {
            columns,
            key: columns.key(row).to_owned(),
            line: row.line,
            rows: 0,
            wrong: Wrong::default(),
            wrong_line: None,
            head: None,
            head_text: Default::default(),
            lines: Vec::new(),
        }
    }

    fn add(&mut self, row: &Row) {
        self.rows += 1;
        let mut wrong = Wrong::default();
        match self.columns.found.values(row) {
            Err(reason) => wrong.add(reason),
            Ok([_, customer, channel, placed_at, line @ ..]) => {
                self.add_head([customer, channel, placed_at], &mut wrong);
                self.add_line(row.line, line, &mut wrong);
            }
        }
        if !wrong.is_empty() {
            self.wrong_line.get_or_insert(row.line);
            // Of a long order the first faults say enough.
            if self.wrong.len() < 10 {
                self.wrong.add(format!("line {}: {}", row.line, wrong.text()));
            }
        }
    }

    fn add_head(&mut self, head: [&str; 3], wrong: &mut Wrong) {
        let [customer, channel, placed_at] = head;
        if self.rows > 1 {
            for (name, (first, other)) in ["customer_id", "channel", "placed_at"]
                .into_iter()
                .zip(self.head_text.iter().zip(head))
            {
                if first != other {
                    wrong.add(format!(
                        "{name} is {other:?}, and {first:?} on the order's first line"
                    ));
                }
            }
            return;
        }
        self.head_text = head.map(str::to_owned);
        let customer = wrong.id("customer_id", customer);
        let channel = wrong.id("channel", channel);
        let placed_at = wrong.time("placed_at", placed_at);
        self.head = (|| Some((customer?, channel?, placed_at?)))();
    }

    fn add_line(&mut self, at: u64, line: [&str; 4], wrong: &mut Wrong) {
        let [sku, quantity, unit_price, discount] = line;
        let sku = wrong.id("sku", sku);
        let quantity = wrong.quantity("quantity", quantity);
        let unit_price = wrong.money("unit_price", unit_price, self.columns.currency);
        let discount = wrong.money("discount", discount, self.columns.currency);
        if let Some(sku) = &sku
            && let Some((first, _)) = self.lines.iter().find(|(_, line)| line.sku == *sku)
        {
            wrong.add(format!("sku {sku} stands on line {first} too"));
        }
        if self.lines.len() == MAX_LINES {
            wrong.add(format!("an order has at most {MAX_LINES} lines"));
            return;
        }
        let line = (|| {
            Some(ImportLine {
                sku: sku?,
                quantity: quantity?,
                unit_price: unit_price?,
                discount: discount?,
            })
        })();
        self.lines.extend(line.map(|line| (at, line)));
    }

    fn step(mut self) -> Step {
        let id = self.wrong.id("order_id", &self.key);
        let asked = match (id, self.head) {
            (Some(id), Some((customer_id, channel, placed_at))) if self.wrong.is_empty() => {
                let (numbers, lines) = self.lines.into_iter().unzip();
                let order = ImportOrder { id, customer_id, channel, placed_at, lines };
                Ok(Asked::Order { order: Box::new(order), numbers })
            }
            _ => Err(self.wrong.text()),
        };
        Step { line: self.wrong_line.unwrap_or(self.line), rows: self.rows, key: self.key, asked }
    }
}

/// One step an order. An order is complete when another begins, or the file ends well: what stands
/// before an error may be cut in the middle.
pub(super) fn each(input: &mut Input, to: &Steps, columns: &Columns) -> Result<(), InputError> {
    let mut open: Option<Order<'_>> = None;
    while let Some(row) = input.next()? {
        if let Some(order) = open.take_if(|order| order.key != columns.key(&row))
            && !to.give(order.step())
        {
            return Ok(());
        }
        open.get_or_insert_with(|| Order::new(columns, &row)).add(&row);
    }
    if let Some(order) = open {
        to.give(order.step());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::input::of_text;

    const HEADER: &str =
        "order_id,customer_id,channel,placed_at,sku,quantity,unit_price,discount\n";

    fn read(rows: &str) -> Result<Vec<Step>, InputError> {
        let text = format!("{HEADER}{rows}");
        let (give, mut take) = tokio::sync::mpsc::channel(1_000);
        let mut input = of_text(&text);
        let columns = Columns::find(input.header(), Currency::USD).unwrap();
        let ended = each(&mut input, &Steps(give), &columns);
        let mut steps = Vec::new();
        while let Ok(step) = take.try_recv() {
            steps.push(step.unwrap());
        }
        ended.map(|()| steps)
    }

    fn order(step: &Step) -> (&ImportOrder, &[u64]) {
        match &step.asked {
            Ok(Asked::Order { order, numbers }) => (order, numbers),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lines_that_stand_together_are_one_order() {
        let steps = read(
            "7,900,web,2017-01-01T11:53:26Z,a,1,0.50,0.00\n\
             7,900,web,2017-01-01T11:53:26Z,b,2,1.25,0.10\n\
             8,901,web,2017-01-01T12:00:00Z,a,1,0.50,0.00\n",
        )
        .unwrap();
        assert_eq!(steps.len(), 2);
        assert_eq!((steps[0].line, steps[0].rows, steps[0].key.as_str()), (2, 2, "7"));
        let (first, numbers) = order(&steps[0]);
        assert_eq!((first.id.as_str(), first.customer_id.as_str()), ("7", "900"));
        assert_eq!(first.placed_at.to_string(), "2017-01-01T11:53:26.000000Z");
        let line = &first.lines[1];
        assert_eq!((line.quantity, line.unit_price, line.discount), (2, 125, 10));
        assert_eq!(numbers, [2, 3]);
    }

    #[test]
    fn one_bad_line_refuses_the_whole_order() {
        let steps = read(
            "7,900,web,2017-01-01T11:53:26Z,a,1,0.50,0.00\n\
             7,900,web,2017-01-01T11:53:26Z,b,0,1.999,0.00\n\
             7,900,web,2017-01-01T11:53:26Z,a,1,0.50,-1.00\n\
             7,901,shop,2017-01-01T11:53:27Z,c,1,0.50,0.00\n\
             8,901,web,2017-01-01T12:00:00Z,a,1,0.50,0.00\n",
        )
        .unwrap();
        assert_eq!((steps[0].line, steps[0].rows), (3, 4));
        let reason = steps[0].asked.as_ref().unwrap_err();
        for part in [
            "line 3: quantity must be a whole number",
            "unit_price has at most 2 digits",
            "line 4: discount must not be below 0",
            "sku a stands on line 2 too",
            "line 5: customer_id is \"901\", and \"900\"",
            "channel is",
            "placed_at is",
        ] {
            assert!(reason.contains(part), "{part}: {reason}");
        }
        order(&steps[1]);
    }

    #[test]
    fn ids_and_times_are_checked() {
        let steps = read(
            "a b,900,web,2017-01-01T11:53:26Z,a,1,0.50,0.00\n\
             8,,w b,2017-02-30T11:53:26Z,a,1,0.50,0.00\n",
        )
        .unwrap();
        assert!(steps[0].asked.as_ref().unwrap_err().contains("order_id must be"));
        let reason = steps[1].asked.as_ref().unwrap_err();
        for part in ["customer_id must be", "channel must be", "2017-02-30"] {
            assert!(reason.contains(part), "{reason}");
        }
    }

    #[test]
    fn more_lines_than_an_order_can_have_are_refused_in_bounded_memory() {
        let line = |n: usize| format!("7,900,web,2017-01-01T11:53:26Z,s{n},1,0.50,0.00\n");
        let rows: String = (0..MAX_LINES).map(line).collect();
        let steps = read(&rows).unwrap();
        assert_eq!(order(&steps[0]).0.lines.len(), MAX_LINES);
        let rows: String = (0..=MAX_LINES).map(line).collect();
        let steps = read(&rows).unwrap();
        assert_eq!(steps[0].line, 1_002);
        assert!(steps[0].asked.as_ref().unwrap_err().contains("at most 1000 lines"));
    }

    #[test]
    fn an_order_cut_by_an_error_is_not_brought_in() {
        let rows = "7,900,web,2017-01-01T11:53:26Z,a,1,0.50,0.00\n\
                    8,900,web,2017-01-01T11:53:26Z,b,1,0.50,0.00\n\
                    8,900,web,2017-01-01T11:53:26Z,\"c,1,0.50,0.00\n";
        let text = format!("{HEADER}{rows}");
        let (give, mut take) = tokio::sync::mpsc::channel(1_000);
        // Byte by byte, so that what stands before the error is read before it.
        let mut input =
            Input::new("f".to_owned(), OneByOne(std::io::Cursor::new(text.into_bytes())));
        let input = input.as_mut().unwrap();
        let columns = Columns::find(input.header(), Currency::USD).unwrap();
        let ended = each(input, &Steps(give), &columns);
        assert!(matches!(ended, Err(InputError::Unclosed { line: 4, .. })));
        let mut keys = Vec::new();
        while let Ok(step) = take.try_recv() {
            keys.push(step.unwrap().key);
        }
        assert_eq!(keys, ["7"]);
    }

    struct OneByOne<R>(R);

    impl<R: std::io::Read> std::io::Read for OneByOne<R> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let end = buffer.len().min(1);
            self.0.read(&mut buffer[..end])
        }
    }
}
