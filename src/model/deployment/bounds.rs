//! The bounds of a rolling update.

use k8s_openapi::api::apps::v1::DeploymentSpec;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// The bounds of a rolling update as numbers of pods; both 0 for Recreate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollBounds {
    /// How many pods there may be beyond the wanted ones.
    pub surge: i32,
    /// How many of the wanted pods may be unavailable.
    pub unavailable: i32,
}

impl RollBounds {
    /// Returns the size to which a ReplicaSet may grow that has `size` of `total` pods (DP22).
    #[must_use]
    pub fn grown(self, replicas: i32, size: i32, total: i32) -> i32 {
        let room = replicas + self.surge - total;
        if room <= 0 {
            return size;
        }
        size + room.min(replicas - size)
    }
}

/// Returns the bounds of a Deployment: a surge in percent is rounded up, the unavailable ones down,
/// and if both come out 0, one pod may be unavailable (DP21).
#[must_use]
pub fn bounds(spec: &DeploymentSpec) -> RollBounds {
    let replicas = spec.replicas.unwrap_or(1);
    let strategy = spec.strategy.clone().unwrap_or_default();
    if strategy.type_.as_deref() == Some("Recreate") {
        return RollBounds {
            surge: 0,
            unavailable: 0,
        };
    }
    let rolling = strategy.rolling_update.unwrap_or_default();
    let surge = part(rolling.max_surge.as_ref(), replicas, true);
    let unavailable = part(rolling.max_unavailable.as_ref(), replicas, false);
    let unavailable = if surge == 0 && unavailable == 0 {
        1
    } else {
        unavailable
    };
    RollBounds {
        surge,
        unavailable: unavailable.min(replicas),
    }
}

/// Returns a number, or a share of `whole`, as a number.
pub(in crate::model) fn part(bound: Option<&IntOrString>, whole: i32, up: bool) -> i32 {
    match bound {
        None => 0,
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(text)) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or_default();
            let hundredths = percent * i64::from(whole);
            let rounded = if up {
                (hundredths + 99).div_euclid(100)
            } else {
                hundredths / 100
            };
            i32::try_from(rounded).unwrap_or(i32::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bounds_in_percent_are_rounded() {
        // DP21, DP27
        for (replicas, surge, unavailable, wanted) in [
            (10, json!("25%"), json!("25%"), (3, 2)),
            (4, json!("25%"), json!("25%"), (1, 1)),
            (1, json!("25%"), json!("25%"), (1, 0)),
            (3, json!(0), json!("10%"), (0, 1)),
            (3, json!(1), json!(0), (1, 0)),
            (2, json!(0), json!(5), (0, 2)),
            (0, json!("25%"), json!("25%"), (0, 0)),
        ] {
            let spec = json!({"replicas": replicas, "selector": {}, "template": {}, "strategy":
                {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}});
            let found = bounds(&serde_json::from_value(spec).unwrap());
            assert_eq!(
                (found.surge, found.unavailable),
                wanted,
                "{replicas} {surge}"
            );
        }
    }
}
