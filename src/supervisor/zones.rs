//! The time zones of this machine, for CronJobs (CJ06).

use std::path::Path;

use jiff::tz::TimeZone;

use crate::model::schedule::ZONE_PLACES;

/// Returns the time zone of a name, none if nobody knows it; without a name, that of the machine.
pub(super) fn zone(name: Option<&str>) -> Option<TimeZone> {
    match name {
        Some(name) => named(name),
        None => Some(own()),
    }
}

fn named(name: &str) -> Option<TimeZone> {
    if name == "UTC" {
        return Some(TimeZone::UTC);
    }
    if name.is_empty() || name.split('/').any(|part| part.is_empty() || part == "..") {
        return None;
    }
    let mut places = ZONE_PLACES.iter();
    places.find_map(|place| read(&Path::new(place).join(name), name))
}

/// Returns the zone that `$TZ` names, else the one of `/etc/localtime`, else UTC.
fn own() -> TimeZone {
    let named = match std::env::var("TZ") {
        Ok(name) if !name.is_empty() => named(name.trim_start_matches(':')),
        Ok(_) | Err(_) => read(Path::new("/etc/localtime"), "Local"),
    };
    named.unwrap_or(TimeZone::UTC)
}

fn read(path: &Path, name: &str) -> Option<TimeZone> {
    let bytes = std::fs::read(path).ok()?;
    TimeZone::tzif(name, &bytes).ok()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_zone_is_read_from_the_files_of_the_machine() {
        assert_eq!(zone(Some("UTC")), Some(TimeZone::UTC));
        for name in [
            "",
            "Nowhere/At_All",
            "../../../etc/localtime",
            "/etc/localtime",
        ] {
            assert_eq!(zone(Some(name)), None, "{name}");
        }
        assert!(zone(None).is_some());
        let has_zones = Path::new(ZONE_PLACES[0]).join("Europe/Zurich").exists();
        let Some(zurich) = zone(Some("Europe/Zurich")) else {
            assert!(!has_zones, "it is there");
            return;
        };
        let summer: Timestamp = "2026-07-01T00:00:00Z".parse().unwrap();
        assert_eq!(zurich.to_offset(summer).seconds(), 7200);
    }
}
