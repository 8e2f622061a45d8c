use std::time::Duration;

use super::{super::ReadModelError, MysqlReadModels};
use crate::mysql::within;

/// An answer that comes later is of no use to a holder whose term is 3 s.
const PATIENCE: Duration = Duration::from_secs(2);

/// Takes or renews by the server's clock. The columns are set one after the other: `until` sees the
/// holder that the row has by then.
const TAKE: &str = "INSERT INTO leases (name, holder, until) \
     VALUES (?, ?, UTC_TIMESTAMP(6) + INTERVAL 3 SECOND) ON DUPLICATE KEY UPDATE \
     holder = IF(until < UTC_TIMESTAMP(6), VALUES(holder), holder), \
     until = IF(holder = VALUES(holder), VALUES(until), until)";
const HOLDER: &str = "SELECT holder FROM leases WHERE name = ?";
const RELEASE: &str = "DELETE FROM leases WHERE name = ? AND holder = ?";

impl MysqlReadModels {
    pub(in super::super) async fn lease(
        &self,
        name: &str,
        holder: &str,
    ) -> Result<bool, ReadModelError> {
        self.made().await?;
        let taking = within(PATIENCE, async {
            let mut connection = self.pool.acquire().await?;
            sqlx::query(TAKE).bind(name).bind(holder).execute(&mut *connection).await?;
            sqlx::query_scalar(HOLDER).bind(name).fetch_optional(&mut *connection).await
        });
        let found: Option<String> = taking.await.map_err(|error| self.away(&error))?;
        Ok(found.as_deref() == Some(holder))
    }

    pub(in super::super) async fn release(
        &self,
        name: &str,
        holder: &str,
    ) -> Result<(), ReadModelError> {
        let releasing = sqlx::query(RELEASE).bind(name).bind(holder).execute(&self.pool);
        within(PATIENCE, releasing).await.map(drop).map_err(|error| self.away(&error))
    }
}
