//! The one clock of the chat and the log: the time of day where the server is.

use jiff::{Timestamp, ZonedDateTime, tz::TimeZone};
use std::sync::LazyLock;
use std::time::SystemTime;

/// The time zone that the machine had at the start. jiff has a cache of its own, but it reads the files again
/// every five minutes, in whatever thread asks next, and the dispatcher must not wait for a disk.
static ZONE: LazyLock<TimeZone> = LazyLock::new(TimeZone::system);

/// Looks the time zone up, which reads files. To be called before the dispatcher runs.
pub(crate) fn look_up_time_zone() {
    LazyLock::force(&ZONE);
}

/// The time now, with daylight saving time. A clock that shows a year beyond 9999 is wrong,
/// and must not cost a panic.
pub(crate) fn now() -> ZonedDateTime {
    let now = Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::MAX);
    now.to_zoned_datetime(ZONE.clone())
}
