/// Where a test may kill the process, to show that what is owed is done after a restart. Builds
/// with debug assertions end at the n-th pass of `DAYBOOK_CRASH_AT=name:n`; others have none of it.
#[inline]
pub(crate) fn crash_point(_name: &str) {
    #[cfg(debug_assertions)]
    {
        use std::sync::{
            LazyLock,
            atomic::{AtomicU64, Ordering},
        };
        static AT: LazyLock<Option<(String, u64)>> = LazyLock::new(|| {
            let value = std::env::var("DAYBOOK_CRASH_AT").ok()?;
            let (name, pass) = value.split_once(':')?;
            Some((name.to_owned(), pass.parse().ok()?))
        });
        static PASSES: AtomicU64 = AtomicU64::new(0);
        if let Some((name, pass)) = AT.as_ref()
            && name == _name
            && PASSES.fetch_add(1, Ordering::SeqCst) + 1 == *pass
        {
            std::process::abort();
        }
    }
}
